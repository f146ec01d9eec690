"""Nothing in the program may run or unpickle what a file holds; and the loss is our own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("crossent", "data", "models")
PROGRAM = sorted([ROOT / "train.py", *(p for f in FOLDERS for p in (ROOT / f).rglob("*.py"))])

RESTRICTED = ROOT / "models" / "published.py"  # may call torch.load, but see below

FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve"}
FORBIDDEN_MODULES |= {"joblib"}
FORBIDDEN_NAMES = {"eval", "exec", "compile", "__import__"}
FORBIDDEN_CALLS = {"torch.load", "torch.jit.load", "torch.save", "torch.hub.load"}
FORBIDDEN_CALLS |= {"yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"}
FORBIDDEN_LOSSES = {"cross_entropy", "nll_loss", "CrossEntropyLoss", "NLLLoss"}
TORCH_LOSSES = ("F.", "functional.", "nn.", "torch.nn.", "torch.nn.functional.")


def offences(source: str) -> list[str]:
    """What in a program is forbidden, by line."""
    nodes = ast.walk(ast.parse(source))
    return [f"line {getattr(node, 'lineno', 0)}: {text}" for node in nodes for text in judge(node)]


def judge(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [a.name for a in node.names if a.name.split(".")[0] in FORBIDDEN_MODULES]
    if isinstance(node, ast.ImportFrom):
        return judge_import(node)
    if isinstance(node, ast.Name) and node.id in FORBIDDEN_NAMES:
        return [node.id]
    if isinstance(node, ast.Attribute):
        name = ast.unparse(node)
        is_loss = node.attr in FORBIDDEN_LOSSES and name.startswith(TORCH_LOSSES)
        return [name] if is_loss or name in FORBIDDEN_CALLS else []
    if isinstance(node, ast.Call):
        found = map(ast.unparse, node.keywords)
        return [k for k in found if k.startswith("allow_pickle=") and k != "allow_pickle=False"]
    return []


def judge_import(node: ast.ImportFrom) -> list[str]:
    module = node.module or ""
    if module.split(".")[0] in FORBIDDEN_MODULES:
        return [module]
    full_names = [f"{module}.{alias.name}" for alias in node.names]
    is_loss = module.startswith("torch") and {a.name for a in node.names} & FORBIDDEN_LOSSES
    return [n for n in full_names if n in FORBIDDEN_CALLS] + ([module] if is_loss else [])


def test_the_program_runs_nothing_from_a_file():
    found = {(path, text) for path in PROGRAM for text in offences(path.read_text("utf-8"))}
    assert {(path, text) for path, text in found if "torch.load" not in text} == set()
    assert {path for path, _ in found} <= {RESTRICTED}


def test_the_one_pickle_that_is_read_builds_nothing_but_tensors():
    """torchvision publishes its weights in no other format than .pth."""
    nodes = ast.walk(ast.parse(RESTRICTED.read_text(encoding="utf-8")))
    calls = [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "torch.load"]
    assert len(calls) == 1
    assert "weights_only=True" in [ast.unparse(keyword) for keyword in calls[0].keywords]


@pytest.mark.parametrize(
    ("num_found", "source"),
    [
        (1, "import pickle"),
        (1, "from pickle import loads"),
        (1, "torch.load(path)"),
        (1, "load = torch.load"),
        (1, "from torch import load"),
        (1, "yaml.load(text, Loader)"),
        (1, "from yaml import full_load"),
        (1, "eval(text)"),
        (1, "numpy.load(path, allow_pickle=True)"),
        (1, "F.cross_entropy(logits, target)"),
        (1, "torch.nn.functional.nll_loss(a, b)"),
        (1, "from torch.nn.functional import cross_entropy"),
        (0, "model.eval()"),
        (0, "torch.compile(model)"),
        (0, "yaml.safe_load(text)"),
        (0, "from crossent.loss import cross_entropy"),
        (0, "np.load(path, allow_pickle=False)"),
    ],
)
def test_the_search_finds_what_is_forbidden_and_no_more(num_found, source):
    assert len(offences(source)) == num_found
