"""The commands as a user types them: output, files, exit status."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from crossent.evaluation.intervals import wilson
from tests.data.pictures import make_files
from tests.forked import ROOT, SMOKE, Command

NAMES = ["dog", "fox", "wolf"]
TINY = ROOT / "tests/tiny.yaml"


def python(program, **environment):
    """Return what a program prints in a new interpreter, which has imported nothing else."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, check=True,
    ).stdout  # fmt: skip


@pytest.fixture
def pictures(tmp_path):
    """Make a dog, two foxes, a wolf, and an empty file."""
    names = ["dog/d.jpg", "fox/a.jpg", "wolf/c.jpg", "fox/b.jpg", "fox/bad.jpg"]
    return make_files(tmp_path / "pictures", names)


def test_a_terminal_without_japanese_gets_escapes():
    program = "from crossent.errors import run_main; run_main(lambda words: print('狐') or 0, [])"
    assert python(program, PYTHONIOENCODING="ascii") == "\\u72d0\n"


def test_train_prints_where_E_starts_and_leaves_the_run_folder(smoke_run):
    run, out = smoke_run, (smoke_run.path.parent / "printed").read_text()
    lines = out.splitlines()
    assert "untrained E = 1.0986 on validation; a uniform guess: ln 3 = 1.0986" in lines
    assert len([line for line in lines if "/2 " in line]) == 2, "one row per epoch"
    assert "\r" not in out, "no progress bar without a terminal"
    assert {p.name for p in run.path.iterdir()} >= {
        "config.yaml", "environment.json", "metrics.jsonl", "last.safetensors",
        "model.safetensors", "report.html", "tensorboard",
    }  # fmt: skip
    assert not list(run.path.glob(".*.tmp"))
    start, first, second, end = run.records()
    counts = {"train": 24, "val": 6, "unusable": 0}
    assert start == {
        "kind": "start", "E": pytest.approx(math.log(3), abs=1e-6), "baseline": math.log(3),
        "class_names": NAMES, "num_params": start["num_params"], "num_images": counts,
    }  # fmt: skip
    assert set(first) == {
        "kind", "epoch", "step", "lr", "train", "val", "images_per_s", "elapsed_s",
    }  # fmt: skip
    assert [(e["epoch"], e["step"]) for e in (first, second)] == [(1, 3), (2, 6)]
    best = min((first, second), key=lambda e: e["val"]["E"])
    assert (end["best_epoch"], end["best_E"]) == (best["epoch"], best["val"]["E"])
    accuracy = wilson(round(6 * best["val"]["accuracy"]), 6).text(".1%")
    kept = f"kept epoch {best['epoch']}: accuracy {accuracy}, E = {best['val']['E']:.4f}"
    assert f"{kept}; {run.model}" in lines
    environment = json.loads(run.environment.read_text())
    assert environment["packages"]["torch"] and len(environment["data_fingerprint"]) == 64
    with Image.open(run.curve) as picture:
        assert picture.size == (1200, 675)


def test_E_falls_from_the_first_epoch(tmp_path):
    """Use configs/smoke.yaml, the smallest config."""
    path = tmp_path / "a"
    words = ("-c", "configs/smoke.yaml", "train.threads=1", "--out", path)
    out, _ = Command(tmp_path, *words).end(status=0)
    records = map(json.loads, (path / "metrics.jsonl").read_text().splitlines())
    losses = [record["val"]["E"] for record in records if record["kind"] == "epoch"]
    assert losses == sorted(losses, reverse=True) and losses[0] < math.log(3)
    assert out.splitlines()[-1] == f"next: python -m crossent evaluate {path}"


def test_evaluate_gives_the_numbers_of_the_log(smoke_run, command):
    found = json.loads(command("crossent", "evaluate", smoke_run.path, "--json").out)
    *_, end = records = smoke_run.records()
    best = records[end["best_epoch"]]
    assert best["val"]["E"] == end["best_E"]
    assert math.isclose(found["E"]["value"], end["best_E"], rel_tol=1e-5)  # on other threads
    assert found["accuracy"]["value"] == best["val"]["accuracy"]
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]
    assert "mean_confidence" in found
    assert found["class_names"] == NAMES
    assert set(found["per_class"]["fox"]) == {"precision", "recall", "f1", "support"}
    assert sum(map(sum, found["confusion_matrix"])) == found["num_images"] == 6
    assert found["unusable"] == []
    table = command("crossent", "evaluate", smoke_run.path).out
    assert f"E = {found['E']['value']:.4f}" in table
    assert all(s in table for s in ("true \\ predicted", "Mean confidence"))


def test_compare_needs_the_same_pictures(smoke_run, command, mistake, pictures, tmp_path):
    other = tmp_path / "other"
    words = (*SMOKE, "train.epochs=1", "data.num_images=60")
    Command(tmp_path, *words, "--out", other).end(status=0)
    err = mistake("crossent", "compare", smoke_run.path, other)
    assert "different validation pictures" in err and "--data" in err
    compare = ("crossent", "compare", smoke_run.path, other, "--data", pictures)
    out, found = command(*compare).out, json.loads(command(*compare, "--json").out)
    assert out.startswith("4 pictures, the same for all")
    assert "other minus run" in out and "points apart" in out
    assert "Settings of run -> other: data.num_images: 30 -> 60; train.epochs: 2 -> 1\n" in out
    (comparison,) = found["comparisons"]
    difference = found["runs"][1]["accuracy"]["value"] - found["runs"][0]["accuracy"]["value"]
    assert math.isclose(comparison["accuracy"]["value"], difference, abs_tol=1e-12)
    assert len(comparison["gained"]) - len(comparison["lost"]) == round(4 * difference)


def test_evaluate_on_another_folder_agrees_with_predict(smoke_run, command, mistake, pictures):
    evaluate = ("crossent", "evaluate", smoke_run.path, "--data", pictures)
    found = json.loads(command(*evaluate, "--json").out)
    assert [found["per_class"][name]["support"] for name in NAMES] == [1, 2, 1]
    (unusable,) = found["unusable"]
    assert "bad.jpg" in unusable["path"] and "empty" in unusable["reason"]
    counted = [[0] * 3 for _ in NAMES]
    predicted = command("crossent", "predict", smoke_run.path, pictures, "--json").out
    for one in map(json.loads, predicted.splitlines()):
        if "label" in one:
            assert one["label"] == max(one["probs"], key=one["probs"].get)
            counted[NAMES.index(Path(one["path"]).parent.name)][NAMES.index(one["label"])] += 1
    assert counted == found["confusion_matrix"]
    (pictures / "fox").rename(pictures / "bear")
    assert "bear" in mistake(*evaluate)


def test_doctor_names_unusable_files(command, tmp_path):
    names = [f"{NAMES[i % 3]}/{i}.jpg" for i in range(18)]
    folder = make_files(tmp_path / "pictures", [*names, "fox/bad.jpg"])
    table, config = folder / "labels.csv", folder / "own.yaml"
    rows = [f"{name},{name.split('/')[0]}\n" for name in (*names, "fox/bad.jpg")]
    table.write_text("path,label\n" + "".join(rows))
    config.write_text(f"base: {TINY}\ndata: {{labels: {table}, group: '[0-9]+'}}")
    found = json.loads(command("crossent", "doctor", "-c", config, "--json", status=1).out)
    assert {"num_images", "classes", "unusable", "odd", "duplicates", "warnings"} <= found.keys()
    assert found["num_images"] == 18
    assert [u["path"] for u in found["unusable"]] == ["fox/bad.jpg"]


def test_own_pictures_that_move_and_change(command, mistake, tmp_path):
    names = [f"{['hound', 'reynard', 'grey'][i % 3]}/{i}.jpg" for i in range(30)]
    pictures, run = make_files(tmp_path / "pictures", [*names, "grey/bad.jpg"]), tmp_path / "run"
    for more in ((), ("data.folds=2",)):
        err = mistake(*SMOKE, f"data.root={tmp_path / 'nowhere'}", *more, "--out", run)
        assert "no such folder" in err and not run.exists()
    root = f"data.root={os.path.relpath(pictures, ROOT)}"
    words = (*SMOKE, root, f"data.cache_dir={tmp_path / 'cache'}")
    out, _ = Command(tmp_path, *words, "--out", run).end(status=0)
    assert "bad.jpg" in out
    start = json.loads((run / "metrics.jsonl").read_text().partition("\n")[0])
    assert start["class_names"] == ["grey", "hound", "reynard"]
    assert start["num_images"] == {"train": 24, "val": 6, "unusable": 1}
    (bad,) = json.loads((run / "environment.json").read_text())["unusable"]
    assert bad["path"] == "grey/bad.jpg" and bad["reason"].startswith("empty")
    assert f"  root: {pictures}\n" in (run / "config.yaml").read_text()

    evaluate, compare = ("crossent", "evaluate", run), ("crossent", "compare", run, run)
    report = ("crossent", "report", run)
    before = [command(*asked).out for asked in (evaluate, compare)]
    moved = f"data.root={pictures.rename(tmp_path / 'moved')}"
    assert "if they have moved, add data.root=FOLDER" in mistake(*evaluate)
    assert [command(*asked, moved).out for asked in (evaluate, compare)] == before
    command(*report, moved)
    assert "left out:" not in (run / "report.html").read_text()
    for asked in (evaluate, compare, report):
        assert "data.flip: 0.5 -> 1.0" in mistake(*asked, moved, "data.flip=1")
    (tmp_path / "moved" / "hound" / "0.jpg").rename(tmp_path / "moved" / "grey" / "another.jpg")
    assert "the pictures have changed" in mistake(*evaluate, moved)
    assert command(*report, moved).out.startswith(f"{run / 'report.html'}: ")
    assert "left out: the pictures have changed" in (run / "report.html").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--epochs", "3"), "--epochs is not an option; did you mean train.epochs=3?"),
        (("--nonsense",), "--nonsense is not an option; see --help"),
        (("configs/photos.yaml",), "did you mean -c configs/photos.yaml?"),
        (("--dry-run", "data.root=missing"), "missing: no such folder"),
        (("--dry-run", *SMOKE, "loss.class_weights=[1, 2]"), "has 2 numbers; expected 3"),
        (("crossent", "predict", "none", "a.jpg"), "none: no such file; expected a model"),
        (("crossent", "report", "configs"), "is not a run folder"),
        (("crossent", "compare", "missing"), "compare needs two runs or more"),
        (("crossent", "explain", "README.md"), "IMAGE is missing"),
        (("crossent", "sweep"), "either -c SWEEP.yaml or --resume FOLDER"),
        (("crossent", "doctor"), "name a folder of pictures"),
        (("crossent", "verify-resume", "--kills", "0"), "expected 1 or more"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_sentence_and_exit_status_2(mistake, monkeypatch, words, message):
    monkeypatch.chdir(ROOT)
    assert message in mistake(*words)


def test_print_config_shows_origins_dry_run_keeps_nothing_a_used_folder_is_refused(
    smoke_run, command, mistake, tmp_path
):
    out = command("-c", TINY, "optim.lr=0.5", "--print-config").out
    assert "argument optim.lr=0.5" in out and "tests/tiny.yaml:" in out
    out = command("-c", TINY, "--out", tmp_path / "run", "--dry-run", "seed=1").out
    assert "one step done: E = 1.0986" in out and not (tmp_path / "run").exists()
    assert "--resume" in mistake("-c", TINY, "--out", smoke_run.path)


def test_find_lr_prints_what_it_has_found_before_it_draws(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr-finder.png").mkdir()
    out, err = command("-c", TINY, "--find-lr", status=2)
    assert "E falls fastest at optim.lr=" in out and "lr-finder.png: cannot be written" in err


def test_without_a_command_all_are_listed(command, capsys):
    for words, status in (((), 0), (("evalute",), 2)):
        with pytest.raises(SystemExit) as caught:
            command("crossent", *words)
        assert caught.value.code == status
    out, err = capsys.readouterr()
    names = "evaluate predict explain doctor report compare sweep export demo check verify-resume"
    for name in names.split():
        assert sum(line.split()[:1] == [name] for line in out.splitlines()) == 1, name
    assert "invalid choice: 'evalute'" in err


def test_help_and_settings_need_no_heavy_import():
    """So --help answers in under half a second; a test of the imports needs no clock."""
    program = (
        "import contextlib, runpy, sys\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'PIL', 'pydantic'}\n"
        "for module, *words in [['train'], ['crossent'], ['crossent', 'predict']]:\n"
        "    sys.argv = ['', *words, '--help']\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        runpy.run_module(module, run_name='__main__')\n"
        "    print('HEAVY', heavy & {*sys.modules})\n"
        "import crossent.config\n"
        "print('HEAVY', heavy & {*sys.modules})\n"
    )
    out = python(program)
    assert out.count("usage:") == 3
    heavy = [line for line in out.splitlines() if line.startswith("HEAVY")]
    assert heavy == ["HEAVY set()"] * 3 + ["HEAVY {'pydantic'}"]
