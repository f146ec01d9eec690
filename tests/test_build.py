"""The model and device that settings ask for; the installation; nothing runs code from a file."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import crossent
from crossent.build import make_model
from crossent.config import load_settings
from crossent.device import choose_device, choose_precision
from crossent.errors import UserError


@pytest.mark.parametrize("name", ["alexnet", "maxvit_t"])
def test_a_model_that_cannot_take_pictures_of_this_size_is_refused(name):
    words = [f"model.name=torchvision/{name}", "data.image_size=32"]
    expected = rf"torchvision/{name} .* data\.image_size=32 \("
    with pytest.raises(UserError, match=expected) as caught:
        make_model(load_settings(None, words).settings, 3)
    assert "\n" not in str(caught.value)


def test_an_installation_is_found_beside_a_folder_of_its_name(tmp_path):
    """In the folder above a checkout, sys.path first has the checkout, without an __init__.py."""
    (tmp_path / "crossent").symlink_to(Path(crossent.__file__).parents[1])
    command = [sys.executable, "-c", "import crossent; print(crossent.__all__)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == f"{crossent.__all__}\n", done.stderr


def test_a_device_that_cannot_be_used_is_refused_in_one_line(monkeypatch):
    """torch can see a GPU without kernels and put tensors on it; the first kernel fails."""

    def fail(*args, **options):
        raise RuntimeError("CUDA error: no kernel image is available\nCompile with ...")

    for name in ("cuda:99", "abacus"):
        with pytest.raises(UserError, match=f"'{name}' cannot be used here"):
            choose_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "zeros", fail)
    with pytest.raises(UserError, match=r"'cuda:0' cannot be used here \(CUDA error") as caught:
        choose_device("auto")
    assert "train.device=cpu" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("fast", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_follows_the_hardware(monkeypatch, fast, expected):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: fast)
    assert choose_precision("auto", torch.device("cpu")) == expected
    assert choose_precision("bf16", torch.device("cpu")) == "bf16"


ROOT = Path(__file__).resolve().parents[1]
PACKAGES = [path for f in ("crossent", "data", "models") for path in (ROOT / f).rglob("*.py")]
PROGRAM = sorted([ROOT / "train.py", *PACKAGES])

RESTRICTED = ROOT / "models" / "libraries.py"
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


def test_the_program_runs_nothing_from_a_file():
    """The exception is one call of torch.load, because torchvision publishes only .pth files."""
    nodes = {path: [*ast.walk(ast.parse(path.read_text("utf-8")))] for path in PROGRAM}
    names = [(path, name) for path in PROGRAM for node in nodes[path] for name in names_in(node)]
    found = [(path, name) for path, name in names if FORBIDDEN.fullmatch(name)]
    assert found == [(RESTRICTED, "torch.load")]
    calls = [node for node in nodes[RESTRICTED] if isinstance(node, ast.Call)]
    (load,) = [call for call in calls if ast.unparse(call.func) == "torch.load"]
    assert "weights_only=True" in [ast.unparse(keyword) for keyword in load.keywords]
