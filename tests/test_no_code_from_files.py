"""Nothing in the program may run or unpickle what a file holds; and the loss is our own."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("crossent", "data", "models")
PROGRAM = sorted([ROOT / "train.py", *(p for f in FOLDERS for p in (ROOT / f).rglob("*.py"))])

RESTRICTED = ROOT / "crossent" / "pretrained.py"  # may call torch.load, but see below

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
        return [
            ast.unparse(k) for k in node.keywords if k.arg == "allow_pickle" and not is_false(k)
        ]
    return []


def judge_import(node: ast.ImportFrom) -> list[str]:
    module = node.module or ""
    if module.split(".")[0] in FORBIDDEN_MODULES:
        return [module]
    full_names = [f"{module}.{alias.name}" for alias in node.names]
    is_loss = module.startswith("torch") and {a.name for a in node.names} & FORBIDDEN_LOSSES
    return [n for n in full_names if n in FORBIDDEN_CALLS] + ([module] if is_loss else [])


def is_false(keyword: ast.keyword) -> bool:
    return isinstance(keyword.value, ast.Constant) and keyword.value.value is False


@pytest.mark.parametrize("path", PROGRAM, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_program_runs_nothing_from_a_file(path):
    found = offences(path.read_text(encoding="utf-8"))
    assert [text for text in found if path != RESTRICTED or "torch.load" not in text] == []


def test_the_one_pickle_that_is_read_builds_nothing_but_tensors():
    """torchvision publishes its weights in no other format than .pth."""
    nodes = ast.walk(ast.parse(RESTRICTED.read_text(encoding="utf-8")))
    calls = [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "torch.load"]
    assert len(calls) == 1
    assert "weights_only=True" in [ast.unparse(keyword) for keyword in calls[0].keywords]


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "torch.load(path)",
        "load = torch.load",
        "from torch import load",
        "yaml.load(text, Loader)",
        "from yaml import full_load",
        "eval(text)",
        "exec(text)",
        "numpy.load(path, allow_pickle=True)",
        "F.cross_entropy(logits, target)",
        "torch.nn.functional.nll_loss(a, b)",
        "from torch.nn.functional import cross_entropy",
        "nn.CrossEntropyLoss()",
    ],
)
def test_the_search_finds(source):
    assert len(offences(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "model.eval()",
        "torch.compile(model)",
        "yaml.safe_load(text)",
        "from crossent.loss import cross_entropy",
        "np.load(path, allow_pickle=False)",
    ],
)
def test_the_search_lets_pass(source):
    assert offences(source) == []
