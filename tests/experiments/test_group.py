"""Groups: each picture is predicted by a fold trained without it; seeds have mean and deviation."""

import json
import re
import shutil
import signal

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from crossent.config import load_settings
from crossent.evaluation.scores import Outputs
from crossent.experiments.group import summarise_seeds
from crossent.model_file import load_model, read_tensors, write_tensors
from crossent.resume import first_difference
from crossent.train_run import Caller, train_run
from crossent.training.run_folder import RunFolder, read_json
from crossent.training.trainer import Trainer
from tests.evaluation.parts import CPU, crossent, train
from tests.experiments.parts import TINY, InSecondEpoch, answers, quick
from tests.forked import Command

FOLDS = ("fold-1", "fold-2")


def epoch_of_model(run):
    return load_model(run, CPU).header["metrics"]["epoch"]


def test_every_picture_is_predicted_once_and_the_numbers_are_those_of_all_predictions(folds):
    path, out = folds
    found = read_json(path / "summary.json")
    ys, parts, names = zip(*(answers(path / name) for name in FOLDS), strict=True)
    assert [fold["num_images"] for fold in found["folds"]] == [*map(len, names)]
    fold_of = {name: fold for fold, some in enumerate(names) for name in some}
    assert sum(map(len, names)) == len(fold_of) == 63
    for copy in (name for name in fold_of if "copy" in name):  # a near-duplicate
        assert fold_of[copy] == fold_of[copy.replace("-copy", "")]
    assert all(np.ptp(np.bincount(labels)) <= 2 for labels in parts)

    y, labels = np.concatenate(ys), np.concatenate(parts)
    predicted = y.argmax(axis=1)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, predicted),
        "E": sklearn_metrics.log_loss(labels, y),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, rel=1e-5)
        assert found[name]["low"] < value < found[name]["high"]
    confusion = sklearn_metrics.confusion_matrix(labels, predicted)
    assert found["confusion_matrix"] == confusion.tolist()
    assert f"63 pictures: accuracy {found['accuracy']['value']:.1%} (" in out
    for fold in found["folds"]:
        assert re.search(rf"{fold['run']} +{fold['num_images']} +{fold['accuracy']:.1%}", out)
    assert (path / "E-curves.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "epoch"), [(["data.folds=2", "data.fold=1"], 2), ([], 1)], ids=["fold", "run"]
)
def test_only_a_fold_keeps_its_last_model_if_E_rises(root, tmp_path, monkeypatch, words, epoch):
    rising = (torch.tensor([[E, 0.5, 0.0]]) for E in range(1, 99))
    monkeypatch.setattr(Trainer, "validate", lambda trainer: next(rising))
    settings = load_settings("tests/tiny.yaml", [*words, f"data.root={root}"]).settings
    train_run(settings, tmp_path / "run", False, Caller("", silent=True))
    assert epoch_of_model(tmp_path / "run") == epoch


def test_a_fold_trained_alone_equals_that_of_the_group(root, folds, tmp_path):
    train(*quick(root), "data.folds=2", "data.fold=2", "--out", tmp_path / "alone")
    assert first_difference(RunFolder(folds[0] / "fold-2"), RunFolder(tmp_path / "alone")) is None


def test_killed_in_the_middle_of_a_fold_stopped_by_ctrl_c_and_resumed(root, folds, tmp_path):
    path = tmp_path / "group"
    words = [*quick(root), "data.folds=2", "train.checkpoint_every=1 steps"]
    killed = InSecondEpoch("killed", "fold-2")
    Command(tmp_path, *words, "--out", path, mishap=killed).end(-signal.SIGKILL)
    assert not (path / "summary.json").exists()
    stopped = InSecondEpoch("SIGINT", "fold-2")
    out, err = Command(tmp_path, "--resume", path, mishap=stopped).end(130)
    assert f"{path / 'fold-1'} is finished" in out
    saved = f"SIGINT: saved in {path / 'fold-2' / 'last.safetensors'}"
    assert out.splitlines()[-1] == f"{saved}; resume with: python train.py --resume {path}"
    assert err == ""
    train("--resume", path)
    for name in FOLDS:
        assert first_difference(RunFolder(folds[0] / name), RunFolder(path / name)) is None
    assert (path / "summary.json").read_bytes() == (folds[0] / "summary.json").read_bytes()


def test_a_finished_group_resumes_only_with_settings_that_all_runs_allow(root, folds, tmp_path):
    path = tmp_path / "longer"
    shutil.copytree(folds[0], path)
    for word, reason in {"optim.lr=0.2": "optim.lr: 0.03 -> 0.2", "data.folds=3": "2 -> 3"}.items():
        assert reason in train(word, "--resume", path, status=2)[1]
    assert (path / "group.yaml").read_bytes() == (folds[0] / "group.yaml").read_bytes()
    used = f"is already used: continue with python train.py --resume {path}"
    assert used in train(*quick(root), "--out", path, status=2)[1]
    message = f"is a group of runs; name one, such as {path / 'fold-1'}"
    assert message in crossent("evaluate", path, status=2)[1]
    config = (path / "group.yaml").read_text()  # earlier versions had data.on_bad
    (path / "group.yaml").write_text(config.replace("data:\n", "data:\n  on_bad: skip\n"))
    train("train.epochs=3", "--resume", path)
    assert [epoch_of_model(path / name) for name in FOLDS] == [3, 3]
    assert load_settings(path / "group.yaml").settings.train.epochs == 3
    tensors, header = read_tensors(path / "fold-1" / "model.safetensors")
    header["settings"]["data"]["on_bad"] = "skip"
    write_tensors(path / "fold-1" / "model.safetensors", tensors, header)
    (comparison,) = json.loads(crossent("compare", folds[0], path, "--json")[0])["comparisons"]
    old, new = (read_json(one / "summary.json")["accuracy"]["value"] for one in (folds[0], path))
    assert comparison["num_images"] == 63
    assert comparison["accuracy"]["value"] == pytest.approx(new - old)
    _, err = crossent("compare", path, path / "fold-1", status=2)
    assert re.search(r"have different validation pictures .* or data\.folds", err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.folds=3", "--seeds", "2"], "--seeds and data.folds"),
        (["--seeds", "0"], "--seeds 0: expected 2 or more"),
        (["data.folds=3", "torchrun"], "leave out torchrun"),
        (["data.folds=3", "data.root=missing"], "missing"),
        (["data.folds=70"], "too few pictures for 70"),
    ],
    ids=str,
)
def test_after_a_mistake_the_same_folder_can_be_used(root, tmp_path, monkeypatch, words, message):
    if "torchrun" in words:
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", words.pop())
    assert message in train(*quick(root, *words), "--out", tmp_path / "group", status=2)[1]
    assert not (tmp_path / "group").exists()


def test_seeds_share_the_pictures_and_are_compared_picture_by_picture(tmp_path):
    path, names = tmp_path / "group", ["seed-5", "seed-6"]
    out, _ = train(*TINY, "seed=5", "--seeds", "2", "--out", path)
    (y, labels, pictures), other = (answers(path / name) for name in names)
    assert np.array_equal(other[1], labels) and other[2] == pictures
    config = (path / "seed-6" / "config.yaml").read_text()
    assert "seed: 6" in config and "  seed: 5" in config  # data.seed is that of the split

    losses = [-np.log(probs[np.arange(len(labels)), labels]) for probs in (y, other[0])]
    assert not np.allclose(*losses)
    found, means = json.loads((path / "summary.json").read_text()), np.mean(losses, axis=1)
    assert found["E"]["mean"]["value"] == pytest.approx(means.mean(), rel=1e-5)
    assert found["E"]["standard_deviation"] == pytest.approx(means.std(ddof=1), rel=1e-3)
    assert found["E"]["mean"]["low"] < means.mean() < found["E"]["mean"]["high"]
    assert [seed["run"] for seed in found["seeds"]] == names
    assert f"{means.mean():.4f}" in out and "2 seeds, the same 12 validation pictures" in out

    words = ("compare", path / "seed-5", path)
    text, facts = crossent(*words)[0], json.loads(crossent(*words, "--json")[0])
    assert text.startswith("12 pictures, the same for all")
    assert "group minus seed-5" in text and "group/seed-6" in text
    (comparison,) = facts["comparisons"]
    assert comparison["second"] == "group"
    assert comparison["E"]["value"] == pytest.approx(means.mean() - means[0], rel=1e-4)


def test_the_interval_of_a_share_stays_between_0_and_1():
    """Two seeds that differ much have a wide interval: Student's t of one degree of freedom."""
    right = np.array([[1] * 9 + [0], [1] * 4 + [0] * 6])
    text, facts = summarise_seeds([Outputs(np.eye(2)[1 - r], np.zeros(10, int)) for r in right])
    assert facts["accuracy"]["mean"] == {"value": 0.65, "low": 0.0, "high": 1.0}
    assert "0.0% to 100.0%" in text and facts["E"]["mean"]["low"] >= 0
