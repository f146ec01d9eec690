"""model.weights from a run, a file or torchvision: which are used, and which are refused."""

import os
import shutil

import pytest
import torch
import torchvision
import yaml

from crossent.build import make_model, make_optimizer
from crossent.config import Settings, flat_values, load_settings
from crossent.errors import UserError
from crossent.model_file import load_model, write_tensors
from crossent.pretrained import follow_weights, load_body, read_pretrained
from data.preprocess import Preprocessing
from models import build_model, libraries, published
from models.head import is_of_head
from tests.data.pictures import make_folder
from tests.forked import ROOT, Command
from tests.training.parts import CPU


def keep_weights(name, folder):
    """Write random weights where torch stores them below TORCH_HOME; return them."""
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name).state_dict()
    url = torchvision.models.get_model_weights(name).DEFAULT.url
    path = folder / "hub" / "checkpoints" / url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save(theirs, path)
    return theirs


def test_all_but_the_head_comes_from_the_other_run(smoke_run):
    model, weights = build_model("small_cnn", 5, width=8), str(smoke_run.path)
    load_body(model, weights, "")
    theirs, _ = read_pretrained(weights, "")
    for name, tensor in model.state_dict().items():
        expected = torch.zeros_like(tensor) if is_of_head(model, name) else theirs[name]
        assert torch.equal(tensor, expected), name
    with pytest.raises(UserError, match=r"another .*; set model.name=small_cnn model.width=8$"):
        load_body(build_model("small_cnn", 3, width=4), weights, "")


OLD = {
    "model.name": "small_cnn", "model.width": 8, "data.image_size": 32, "data.mean": (0.4, 0.5, 0.6)
}  # fmt: skip


@pytest.mark.parametrize("own", [{}, {"data.image_size": 48}, {"model.name": "resnet9"}], ids=str)
@pytest.mark.parametrize("where", ["argument", "file"])
def test_settings_follow_the_weights_unless_they_are_given_with_them(
    smoke_run, tmp_path, own, where
):
    """photos.yaml gives a model and a size, but no weights."""
    weights = shutil.copy(smoke_run.model, tmp_path / "old.safetensors")
    config, given = ROOT / "configs/photos.yaml", {"model.weights": str(weights)} | own
    words = ["data.root=.", *(f"{name}={value}" for name, value in given.items())]
    if where == "file":
        sections: dict[str, dict[str, object]] = {"model": {}, "data": {}}
        for name, value in given.items():
            section, _, key = name.partition(".")
            sections[section][key] = value
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"base": str(config)} | sections))
        config, words = tmp_path / "own.yaml", ["data.root=."]
    loaded = load_settings(config, words)
    settings = follow_weights(loaded.settings, loaded.kept)
    found = flat_values(settings)
    assert {name: found[name] for name in OLD} == OLD | own
    weights.unlink()
    assert follow_weights(settings) == settings, "the weights are needed once"


def test_the_sizes_that_torchvision_trained_with_are_settings():
    for name in libraries.names("torchvision"):
        size = published(f"torchvision/{name}").image_size
        assert Settings(data={"image_size": size}).data.image_size == size
    assert published("torchvision/resnet18").image_size == 224


def test_mnasnet_is_read_from_torchvisions_file_and_from_ours(tmp_path, monkeypatch):
    """It needs the version of its layers, which a file of plain tensors lacks."""
    theirs, name = keep_weights("mnasnet0_5", tmp_path), "torchvision/mnasnet0_5"
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = build_model(name, 3)  # their head has 1,000 classes, ours 3
    load_body(model, "DEFAULT", name)
    header = {"class_names": ["a", "b", "c"], "preprocessing": Preprocessing(64).to_dict()}
    header |= {"kind": "model", "model": {"name": name, "arguments": {"dropout": 0.0}}}
    write_tensors(tmp_path / "model.safetensors", model.state_dict(), header)
    again = load_model(tmp_path, CPU).model
    for key, tensor in again.state_dict().items():
        expected = torch.zeros_like(tensor) if is_of_head(model, key) else theirs[key]
        assert torch.equal(tensor, expected), key


def test_finetuning_starts_from_the_file_that_torch_has_stored(tmp_path):
    """All layers of a model of torchvision are trained, from random weights in the file."""
    theirs = keep_weights("shufflenet_v2_x0_5", tmp_path)
    make_folder(tmp_path / "pictures", {"dog": 5, "fox": 5})
    run = tmp_path / "run"
    words = ["-c", "configs/pretrained.yaml", f"data.root={tmp_path / 'pictures'}"]
    words += ["model.name=torchvision/shufflenet_v2_x0_5", "train.freeze=false", "train.ema=null"]
    words += ["train.epochs=1", "train.batch_size=4", "optim.lr=0.001", "optim.weight_decay=0"]
    words += ["data.image_size=32", "train.threads=1"]  # 224 pixels would take long
    command = Command(tmp_path, *words, "--out", run, TORCH_HOME=str(tmp_path))
    assert "untrained E = 0.6931 on validation" in command.end(status=0)[0]
    model = load_model(run, CPU)
    assert model.preprocessing == Preprocessing(32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    trained = model.model.state_dict()
    assert trained["fc.weight"].shape == (2, 1024) and trained["fc.weight"].any()
    moved = (trained["conv1.0.weight"] - theirs["conv1.0.weight"]).abs().max()
    assert 0 < moved < 0.01, "it starts from the weights of the file, and learns"
    kept = trained["conv1.1.running_var"] / theirs["conv1.1.running_var"]
    assert (kept > 0.8).all(), "also from its statistics: two steps keep 0.9^2 of them"


def test_without_a_network_the_message_says_where_to_put_the_file(tmp_path, monkeypatch):
    def unreachable(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    expected = rf"model.weights: .*no route.* get https://.*resnet18-.* put it at {tmp_path}/.*pth"
    with pytest.raises(UserError, match=expected):
        read_pretrained("DEFAULT", "torchvision/resnet18")


class Evil:
    """An object whose pickle runs a command when it is loaded."""

    def __reduce__(self):
        return os.system, ("touch executed",)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil.pth is damaged or contains more than tensors"):
        libraries.read_pth(tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()


def test_a_file_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"not safetensors")
    for name, message in [
        (tmp_path / "a.safetensors", "damaged or not a safetensors file"),
        (tmp_path / "missing", "no such file; expected a model file, or a run"),
        ("DEFAULT", "small_cnn has no DEFAULT weights; set model.name=eff"),
    ]:
        with pytest.raises(UserError, match=message):
            read_pretrained(str(name), "small_cnn")


def test_the_body_learns_at_its_own_rate_or_not_at_all():
    def shares(**sections):
        """Return the share of the learning rate by parameter; 0 where it is frozen."""
        settings = Settings(model={"width": 4}, **sections)
        model = make_model(settings, 3)
        groups = make_optimizer(settings, model).param_groups
        found = {id(p): group["lr_share"] for group in groups for p in group["params"]}
        return {name: found.get(id(p), 0) for name, p in model.named_parameters()}

    for body, found in ((0.1, shares(optim={"body_lr": 0.1})), (0, shares(train={"freeze": True}))):
        assert found == {name: 1.0 if name.startswith("head") else body for name in found}
