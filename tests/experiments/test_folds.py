"""Cross-validation: each picture is predicted once, by a model trained without it."""

import json
import os
import re
import shutil
import signal
from collections import Counter

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from crossent.__main__ import main
from crossent.config import load_settings
from crossent.errors import UserError
from crossent.experiments.compare import compare_runs
from crossent.experiments.group import Group, train_group, wants_group
from crossent.train_run import Caller, begin
from crossent.training.console import Console
from crossent.training.distributed import ALONE
from crossent.training.run_folder import RunFolder
from crossent.training.trainer import Trainer
from crossent.verify_resume import first_difference
from tests.experiments.parts import NUM, InSecondEpoch, answers, draw_folder, epoch_of_model, quick
from tests.forked import Command
from tests.training.parts import CPU

FOLDS = ("fold-1", "fold-2")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("drawn") / "pictures")


@pytest.fixture(scope="module")
def group(root, tmp_path_factory):
    """Return the folder of a finished group, and its output."""
    folder = tmp_path_factory.mktemp("folds")
    command = Command(folder, *quick(root), "data.folds=2", "--out", folder / "group")
    return folder / "group", command.end(status=0)[0]


def test_every_picture_is_predicted_once_beside_its_near_duplicates(group):
    found = [answers(group[0] / name)[2] for name in FOLDS]
    fold_of = {name: fold for fold, names in enumerate(found) for name in names}
    assert sum(map(len, found)) == len(fold_of) == NUM + 3
    for copy in (name for name in fold_of if "copy" in name):
        assert fold_of[copy] == fold_of[copy.replace("-copy", "")]
    for name, names in zip(FOLDS, found, strict=True):
        counts = Counter(name.split("/")[0] for name in names)
        assert max(counts.values()) - min(counts.values()) <= 2


def test_the_numbers_are_those_of_all_predictions_together(group):
    found = json.loads((group[0] / "summary.json").read_text())
    parts = [answers(group[0] / name) for name in FOLDS]
    y, labels = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
    predicted = y.argmax(axis=1)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(labels, predicted),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, predicted),
        "E": sklearn_metrics.log_loss(labels, y),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, rel=1e-5)
        assert found[name]["low"] < value < found[name]["high"]
    confusion = sklearn_metrics.confusion_matrix(labels, predicted).tolist()
    assert found["confusion_matrix"] == confusion
    assert [fold["num_images"] for fold in found["folds"]] == [len(part[1]) for part in parts]
    path, out = group
    assert f"63 pictures: accuracy {found['accuracy']['value']:.1%} (" in out
    assert "true \\ predicted" in out
    for fold in found["folds"]:
        assert re.search(rf"{fold['run']} +{fold['num_images']} +{fold['accuracy']:.1%}", out)
    assert (path / "E-curves.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("words", "epoch"), [(["data.folds=2", "data.fold=1"], 2), ([], 1)], ids=["fold", "run"]
)
def test_only_a_fold_keeps_its_last_model_however_E_rises(
    root, tmp_path, monkeypatch, words, epoch
):
    rising = (torch.tensor([[E, 0.5, 0.0]]) for E in range(1, 99))
    monkeypatch.setattr(Trainer, "validate", lambda trainer: next(rising))
    settings = load_settings("tests/tiny.yaml", [*words, f"data.root={root}"]).settings
    folder, caller = RunFolder(tmp_path / "run"), Caller("", silent=True)
    folder.path.mkdir()
    run, _ = begin(settings, folder, ALONE, caller, Console(silent=True))
    run.fit()
    assert epoch_of_model(folder.path) == epoch


def test_a_fold_trained_alone_equals_that_of_the_group(root, group, tmp_path):
    words = ("data.folds=2", "data.fold=2", "--out", tmp_path / "alone")
    Command(tmp_path, *quick(root), *words).end(status=0)
    assert first_difference(RunFolder(group[0] / "fold-2"), RunFolder(tmp_path / "alone")) is None


def test_killed_in_the_middle_of_a_fold_stopped_by_ctrl_c_and_resumed(root, group, tmp_path):
    path = tmp_path / "group"
    words = [*quick(root), f"data.folds={len(FOLDS)}", "train.checkpoint_every=1 steps"]
    killed = InSecondEpoch("killed", "fold-2")
    Command(tmp_path, *words, "--out", path, mishap=killed).end(-signal.SIGKILL)
    assert not (path / "summary.json").exists()
    stopped = InSecondEpoch("SIGINT", "fold-2")
    out, err = Command(tmp_path, "--resume", path, mishap=stopped).end(130)
    assert f"{path / 'fold-1'} is finished" in out
    saved = f"SIGINT: saved in {path / 'fold-2' / 'last.safetensors'}"
    assert out.splitlines()[-1] == f"{saved}; resume with: python train.py --resume {path}"
    assert err == ""
    Command(tmp_path, "--resume", path).end(status=0)
    for name in FOLDS:
        assert first_difference(RunFolder(group[0] / name), RunFolder(path / name)) is None
    assert (path / "summary.json").read_bytes() == (group[0] / "summary.json").read_bytes()


def test_a_finished_group_resumes_only_with_settings_that_all_runs_allow(group, tmp_path):
    path = tmp_path / "group"
    shutil.copytree(group[0], path)
    for word, reason in {"optim.lr=0.2": "optim.lr: 0.03 -> 0.2", "data.folds=3": "2 -> 3"}.items():
        with pytest.raises(UserError, match=reason):
            train_group(load_settings(Group(path).config, [word]).settings, path, True, None)
    assert (path / "group.yaml").read_bytes() == (group[0] / "group.yaml").read_bytes()
    with pytest.raises(UserError, match=f"is a group of runs; name one, such as {path / FOLDS[0]}"):
        main(["evaluate", str(path)])
    Command(tmp_path, "train.epochs=3", "--resume", path).end(status=0)
    assert [epoch_of_model(path / name) for name in FOLDS] == [3, 3]
    assert load_settings(Group(path).config).settings.train.epochs == 3
    (comparison,) = compare_runs([group[0], path], None, CPU)[1]["comparisons"]
    accuracies = [
        json.loads((folder / "summary.json").read_text())["accuracy"]["value"]
        for folder in (group[0], path)
    ]
    assert comparison["num_images"] == NUM + 3
    assert comparison["accuracy"]["value"] == pytest.approx(accuracies[1] - accuracies[0])
    with pytest.raises(UserError, match=r"have different validation pictures .* or data\.folds"):
        compare_runs([path, path / "fold-1"], None, CPU)


def test_after_a_mistake_the_same_folder_can_be_used(tmp_path):
    path, root = tmp_path / "group", draw_folder(tmp_path / "pictures", num=6)
    for where, message in ((tmp_path / "missing", "missing"), (root, "too few pictures for 20")):
        words = ("data.folds=20", "--out", path)
        _, err = Command(tmp_path, *quick(where), *words).end(2)
        assert message in err and err.count("\n") == 1
    path.mkdir()
    (path / "group.json").write_text("{}")
    with pytest.raises(
        UserError, match=f"is already used: continue with python train.py --resume {path}"
    ):
        train_group(settings_of("data.folds=3"), path, False, None)


def settings_of(*words):
    return load_settings(None, ["data.source=folder", "data.root=here", *words]).settings


@pytest.mark.parametrize(
    ("words", "num_seeds", "rank", "message"),
    [
        (["data.folds=3"], 2, None, "--seeds and data.folds"),
        ([], 0, None, "--seeds 0: expected 2 or more"),
        (["data.folds=3"], None, "1", "leave out torchrun"),
    ],
)
def test_contradictory_arguments_are_refused(words, num_seeds, rank, message, monkeypatch):
    if rank:
        monkeypatch.setitem(os.environ, "TORCHELASTIC_RUN_ID", rank)
    with pytest.raises(UserError, match=message):
        wants_group(None, settings_of(*words), num_seeds)
    assert not wants_group(None, settings_of("data.folds=3", "data.fold=1"), None)
