"""The program neither runs nor unpickles what is in a file; and it uses its own loss."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("crossent", "data", "models")
PROGRAM = sorted([ROOT / "train.py", *(p for f in FOLDERS for p in (ROOT / f).rglob("*.py"))])

RESTRICTED = ROOT / "models" / "libraries.py"  # may call torch.load, but see below

FORBIDDEN = re.compile(
    r"(pickle|cPickle|_pickle|dill|cloudpickle|marshal|shelve|joblib)(\..+)?"
    r"|eval|exec|compile|__import__|allow_pickle"
    r"|torch\.(load|save|jit\.load|hub\.load)"
    r"|yaml\.(load|load_all|full_load|unsafe_load)"
    r"|(F|functional|nn|torch\.nn|torch\.nn\.functional)"
    r"\.(cross_entropy|nll_loss|CrossEntropyLoss|NLLLoss)"
)


def names_in(node: ast.AST) -> list[str]:
    """Return the dotted names that a node imports or uses."""
    match node:
        case ast.Import(names=found):
            return [alias.name for alias in found]
        case ast.ImportFrom(module=module, names=found):
            return [f"{module}.{alias.name}" for alias in found]
        case ast.Name() | ast.Attribute():
            return [ast.unparse(node)]
        case ast.keyword(arg="allow_pickle") if ast.unparse(node.value) != "False":
            return ["allow_pickle"]
    return []


def offences(source: str) -> list[str]:
    """Return the forbidden names in a program."""
    names = [name for node in ast.walk(ast.parse(source)) for name in names_in(node)]
    return [name for name in names if FORBIDDEN.fullmatch(name)]


def test_the_program_runs_nothing_from_a_file():
    found = {(path, name) for path in PROGRAM for name in offences(path.read_text("utf-8"))}
    assert found <= {(RESTRICTED, "torch.load")}


def test_the_only_pickle_that_is_read_gives_only_tensors():
    """torchvision publishes its weights in no other format than .pth."""
    nodes = ast.walk(ast.parse(RESTRICTED.read_text(encoding="utf-8")))
    calls = [n for n in nodes if isinstance(n, ast.Call) and ast.unparse(n.func) == "torch.load"]
    assert len(calls) == 1
    assert "weights_only=True" in [ast.unparse(keyword) for keyword in calls[0].keywords]


BAD = """
import pickle; from pickle import loads; torch.load(path); load = torch.load; from torch import load
yaml.load(text, Loader); from yaml import full_load; eval(text); np.load(path, allow_pickle=True)
F.cross_entropy(z, t); torch.nn.functional.nll_loss(a, b); nn.CrossEntropyLoss()
from torch.nn.functional import cross_entropy
"""
GOOD = """
model.eval(); torch.compile(model); yaml.safe_load(text); np.load(path, allow_pickle=False)
from crossent.loss import cross_entropy; cross_entropy(logits, target)
"""


@pytest.mark.parametrize(("text", "is_bad"), [(BAD, True), (GOOD, False)], ids=["bad", "good"])
def test_the_search_finds_what_is_forbidden_and_no_more(text, is_bad):
    for statement in filter(None, re.split(r"[;\n] *", text)):
        assert bool(offences(statement)) == is_bad, statement
