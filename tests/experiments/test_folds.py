"""Cross-validation: every picture is judged once, by a model that had not seen it."""

import json
import os
import re
import shutil
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from crossent.__main__ import main
from crossent.config import load_settings
from crossent.errors import UserError
from crossent.evaluation.evaluate import Totals
from crossent.experiments.group import Group, wants_group
from crossent.training.run_folder import RunFolder
from crossent.verify_resume import first_difference
from tests import drill, forked
from tests.experiments.parts import NUM, answers, draw_folder, epoch_of_model, quick
from tests.forked import Command, Mishap
from tests.training.parts import EPOCHS, make_run

FOLDS = ("fold-1", "fold-2")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("drawn") / "pictures")


@pytest.fixture(scope="module")
def group(root, tmp_path_factory):
    """The folder of a finished group, and what it printed."""
    folder = tmp_path_factory.mktemp("folds")
    command = Command(folder, *quick(root), "data.folds=2", "--out", folder / "group")
    return folder / "group", command.end(status=0)[0]


@dataclass(frozen=True)
class InSecondFold(Mishap):
    """Befalls the process when the second fold has finished its first epoch."""

    def arm(self, run):
        happen = forked.MISHAPS[self.what]
        second = RunFolder(run / "fold-2")
        drill.die = lambda: happen(run) if len(second.records()) > 1 else None
        drill.arm(self.place, self.step)


def test_every_picture_is_judged_once_beside_its_near_duplicates(group):
    found = [answers(group[0] / name)[2] for name in FOLDS]
    fold_of = {name: fold for fold, names in enumerate(found) for name in names}
    assert sum(map(len, found)) == len(fold_of) == NUM + 3
    for copy in (name for name in fold_of if "copy" in name):
        assert fold_of[copy] == fold_of[copy.replace("-copy", "")]
    for names in found:
        counts = Counter(name.split("/")[0] for name in names)
        assert max(counts.values()) - min(counts.values()) <= 2


def test_the_numbers_are_those_of_all_answers_together(group):
    found = json.loads((group[0] / "summary.json").read_text())
    parts = [answers(group[0] / name) for name in FOLDS]
    y, labels = (np.concatenate([part[n] for part in parts]) for n in (0, 1))
    said = y.argmax(axis=1)
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(labels, said),
        "balanced_accuracy": sklearn_metrics.balanced_accuracy_score(labels, said),
        "E": sklearn_metrics.log_loss(labels, y),
    }
    for name, value in expected.items():
        assert found[name]["value"] == pytest.approx(value, rel=1e-5)
        assert found[name]["low"] < value < found[name]["high"]
    confusion = sklearn_metrics.confusion_matrix(labels, said).tolist()
    assert found["confusion_matrix"] == confusion
    assert [fold["num_images"] for fold in found["folds"]] == [len(part[1]) for part in parts]


def test_the_table_says_it(group):
    path, out = group
    found = json.loads((path / "summary.json").read_text())
    assert f"63 pictures: accuracy {found['accuracy']['value']:.1%} (" in out
    assert f"Balanced accuracy (mean recall) {found['balanced_accuracy']['value']:.1%} (" in out
    assert "true \\ predicted" in out
    for fold in found["folds"]:
        assert re.search(rf"{fold['run']} +{fold['num_images']} +{fold['accuracy']:.1%}", out)
    assert (path / "E-curves.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(("keep", "epoch"), [("last", EPOCHS), ("best", 1)])
def test_the_last_model_is_kept_however_E_rises(tmp_path, keep, epoch):
    run = make_run(tmp_path / "run")
    run.keep = keep
    rising = iter(range(1, 99))
    validate = run.trainer.validate
    run.trainer.validate = lambda: Totals(E=next(rising) * validate().count, count=15)
    run.start()
    run.fit()
    assert epoch_of_model(run.folder.path) == epoch


def test_no_fold_chooses_its_epoch(group):
    for name in FOLDS:
        assert load_settings(group[0] / name / "config.yaml").settings.train.keep == "last"


def test_a_fold_alone_is_that_of_the_group(root, group, tmp_path):
    words = ("data.folds=2", "data.fold=2", "train.keep=last", "--out", tmp_path / "alone")
    Command(tmp_path, *quick(root), *words).end(status=0)
    assert first_difference(RunFolder(group[0] / "fold-2"), RunFolder(tmp_path / "alone")) is None


def test_killed_in_the_middle_of_a_fold_stopped_by_ctrl_c_and_resumed(root, group, tmp_path):
    path = tmp_path / "group"
    words = [*quick(root), f"data.folds={len(FOLDS)}", "train.checkpoint_every=1 steps"]
    killed = InSecondFold("killed", "after a step")
    Command(tmp_path, *words, "--out", path, mishap=killed).end(-signal.SIGKILL)
    assert not (path / "summary.json").exists()
    stopped = InSecondFold("SIGINT", "after a step")
    out, err = Command(tmp_path, "--resume", path, mishap=stopped).end(130)
    assert f"{path / 'fold-1'} is finished" in out
    saved = f"SIGINT: saved in {path / 'fold-2' / 'last.safetensors'}"
    assert out.splitlines()[-1] == f"{saved}; go on with: python train.py --resume {path}"
    assert err == ""
    Command(tmp_path, "--resume", path).end(status=0)
    for name in FOLDS:
        assert first_difference(RunFolder(group[0] / name), RunFolder(path / name)) is None
    assert (path / "summary.json").read_bytes() == (group[0] / "summary.json").read_bytes()


def test_a_finished_group_goes_on_only_in_ways_that_all_runs_allow(group, tmp_path):
    path = tmp_path / "group"
    shutil.copytree(group[0], path)
    _, err = Command(tmp_path, "optim.lr=0.2", "--resume", path).end(2)
    assert "optim.lr: 0.03 -> 0.2" in err and err.count("\n") == 1
    assert (path / "group.yaml").read_bytes() == (group[0] / "group.yaml").read_bytes()
    Command(tmp_path, "train.epochs=3", "--resume", path).end(status=0)
    assert [epoch_of_model(path / name) for name in FOLDS] == [3, 3]
    assert load_settings(Group(path).config).settings.train.epochs == 3
    found = Command(tmp_path, "crossent", "compare", "--json", group[0], path).end(status=0)[0]
    (comparison,) = json.loads(found)["comparisons"]
    accuracies = [
        json.loads((folder / "summary.json").read_text())["accuracy"]["value"]
        for folder in (group[0], path)
    ]
    assert comparison["num_images"] == NUM + 3
    assert comparison["accuracy"]["value"] == pytest.approx(accuracies[1] - accuracies[0])


def test_a_group_is_not_compared_with_one_of_its_folds(group, tmp_path):
    _, err = Command(tmp_path, "crossent", "compare", group[0], group[0] / "fold-1").end(2)
    assert "data.folds" in err and err.count("\n") == 1


@pytest.mark.parametrize("command", ["evaluate", "export", "report", "predict", "explain"])
def test_where_one_run_is_needed_a_group_names_one(tmp_path, command):
    group, picture = Group(tmp_path / "group"), draw_folder(tmp_path / "one", 1) / "dog/000.png"
    group.path.mkdir()
    group.create(load_settings(None, folder_words(3)).settings, None)
    words = [picture] if command in ("predict", "explain") else []
    with pytest.raises(UserError) as caught:
        main([command, str(group.path), *map(str, words)])
    example = group.path / "fold-1"
    assert str(caught.value) == f"{group.path} is a group of runs; name one, such as {example}"


def test_dry_run_and_print_config_make_no_group(root, tmp_path):
    path = tmp_path / "group"
    words = [*quick(root), "data.folds=3", "--out", path]
    out, _ = Command(tmp_path, "--dry-run", *words).end(status=0)
    assert "one step done: E = 1.0986" in out
    out, _ = Command(tmp_path, "--print-config", *words).end(status=0)
    assert "folds: 3" in out
    assert not path.exists()


def test_a_mistake_gives_the_folder_back(root, tmp_path):
    path = tmp_path / "group"
    wrong = [*quick(tmp_path / "missing"), "data.folds=2", "--out", path]
    _, err = Command(tmp_path, *wrong).end(2)
    assert "missing" in err and err.count("\n") == 1
    assert not Group(path).exists and not Group(path).config.exists()


def test_a_mistake_of_a_later_run_keeps_those_before(tmp_path):
    group, settings = Group(tmp_path), load_settings(None, folder_words(3)).settings
    with suppress(UserError), group.beginning(settings, None):
        RunFolder(tmp_path / "fold-1").create("")
        raise UserError("fold-2 cannot be read")
    assert group.exists and group.config.exists()


def folder_words(num_folds):
    return ["data.source=folder", "data.root=here", f"data.folds={num_folds}"]


@pytest.mark.parametrize("word", ["data.folds=2", "data.folds=4", "data.folds=null"])
def test_the_number_of_folds_stays(tmp_path, word):
    group = Group(tmp_path)
    group.create(load_settings(None, folder_words(3)).settings, None)
    before = group.config.read_bytes()
    other = load_settings(group.config, [word]).settings
    with pytest.raises(UserError, match=r"data\.folds: 3 -> ") as caught:
        group.keep_config(other)
    assert "\n" not in str(caught.value) and group.config.read_bytes() == before


def test_a_used_folder_is_refused(root, group):
    words = ("data.folds=3", "--out", group[0])
    _, err = Command(group[0].parent, *quick(root), *words).end(2)
    assert f"--resume {group[0]}" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.fold=1"], "argument data.fold=1: data.fold is one of data.folds; say how many"),
        (["data.folds=3", "data.fold=4"], "data.fold is 4, but there are only 3 folds"),
        (["data.folds=3"], "argument data.folds=3: data.folds needs data.source folder"),
    ],
    ids=" ".join,
)
def test_settings_that_contradict_each_other(words, message):
    source = [] if message.endswith("folder") else ["data.source=folder", "data.root=here"]
    with pytest.raises(UserError, match=message):
        load_settings(None, [*source, *words])


@pytest.mark.parametrize(
    ("words", "num_seeds", "message"),
    [
        (["data.folds=3"], 2, "--seeds and data.folds are two questions"),
        (["data.folds=3", "train.patience=5"], None, "train.patience would end each fold"),
        ([], 1, "--seeds 1: expected 2 or more"),
    ],
)
def test_a_group_that_makes_no_sense(words, num_seeds, message):
    settings = load_settings(None, ["data.source=folder", "data.root=here", *words]).settings
    with pytest.raises(UserError, match=message):
        wants_group(None, settings, num_seeds)


def test_torchrun_is_refused(monkeypatch):
    monkeypatch.setitem(os.environ, "TORCHELASTIC_RUN_ID", "1")
    words = ["data.source=folder", "data.root=here", "data.folds=3"]
    with pytest.raises(UserError, match="leave out torchrun"):
        wants_group(None, load_settings(None, words).settings, None)
    assert not wants_group(None, load_settings(None, [*words, "data.fold=1"]).settings, None)


def test_too_few_pictures_for_so_many_folds(tmp_path):
    root = draw_folder(tmp_path / "pictures", num=6)
    words = ("data.folds=20", "--out", tmp_path / "group")
    _, err = Command(tmp_path, *quick(root), *words).end(2)
    assert "too few pictures for 20 folds" in err and err.count("\n") == 1
