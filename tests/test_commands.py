"""The commands as a user types them: what they print, which files they leave, how they exit."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from crossent.errors import run_main
from data.drawings import draw, label
from tests.forked import ROOT, Command
from train import main as train_main
from train import parse_arguments

SMOKE = ("-c", "tests/tiny.yaml", "train.threads=1")
PRINT_A_FOX = "from crossent.errors import run_main; run_main(lambda words: print('狐') or 0, [])"


def python(*words, **environment):
    """A new interpreter, for what importing itself shows; others are forked, which is faster."""
    process = subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONWARNINGS": "error::UserWarning", **environment}, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout, process.stderr


@pytest.fixture(scope="module")
def train(tmp_path_factory):
    """Call train.py: words in; standard output and error out."""
    folder = tmp_path_factory.mktemp("said")
    return lambda *words, status=0: Command(folder, *words).end(status, timeout_s=300)


@pytest.fixture(scope="module")
def crossent(train):
    """Call python -m crossent."""
    return lambda *words, status=0: train("crossent", *words, status=status)


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "smoke"
    out, _ = train(*SMOKE, "--out", path)
    return path, out


@pytest.fixture
def pictures(tmp_path):
    """Two foxes, a wolf, a dog, and a file that is no picture."""
    folder = tmp_path / "pictures"
    for name, index in {"fox/a.png": 1, "fox/b.png": 4, "wolf/c.png": 2, "dog/d.png": 0}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(0, index, 100)).save(folder / name)
    (folder / "fox" / "page.jpg").write_text("<html>not a picture</html>")
    return folder


def read_records(path):
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def test_a_terminal_without_japanese_gets_escapes():
    assert python("-c", PRINT_A_FOX, PYTHONIOENCODING="ascii") == ("\\u72d0\n", "")


def test_settings_may_stand_behind_options():
    args = parse_arguments(["-c", "a.yaml", "seed=1", "--out", "run", "train.epochs=2"])
    assert (args.overrides, args.out) == (["seed=1", "train.epochs=2"], Path("run"))


def test_train_says_where_E_starts_and_what_to_do_next(run):
    lines = run[1].splitlines()
    assert f"untrained E = 1.0986 on validation; a uniform guess: ln 3 = {math.log(3):.4f}" in lines
    assert len([line for line in lines if "/2 " in line]) == 2, "one row per epoch"
    assert "\r" not in run[1], "no progress bar off a terminal"


@pytest.mark.parametrize("seed", [0, 1])
def test_E_falls_from_the_first_epoch(train, tmp_path, seed):
    """Promise 6, on the smallest of the configs that we ship."""
    words = ("-c", "configs/smoke.yaml", "train.threads=1", f"seed={seed}", "--out", tmp_path / "a")
    out = train(*words)[0]
    losses = [r["val"]["E"] for r in read_records(tmp_path / "a") if r["kind"] == "epoch"]
    assert losses == sorted(losses, reverse=True) and losses[0] < math.log(3)
    assert out.splitlines()[-1].endswith(f"next: python -m crossent evaluate {tmp_path / 'a'}")


def test_train_leaves_the_run_folder_of_the_design(run):
    path, _ = run
    assert {p.name for p in path.iterdir()} >= {
        "config.yaml", "environment.json", "metrics.jsonl", "last.safetensors",
        "model.safetensors", "E-curve.png", "report.html", "tensorboard", "origins.json",
    }  # fmt: skip
    assert [r["kind"] for r in read_records(path)] == ["start", "epoch", "epoch", "end"]
    environment = json.loads((path / "environment.json").read_text())
    assert environment["packages"]["torch"] and len(environment["data_fingerprint"]) == 64
    with Image.open(path / "E-curve.png") as picture:
        assert picture.size == (1200, 675)


def test_evaluate_gives_the_numbers_of_the_log(run, crossent):
    path, _ = run
    found = json.loads(crossent("evaluate", path, "--json")[0])
    end = read_records(path)[-1]
    best = read_records(path)[end["best_epoch"]]
    assert best["val"]["E"] == end["best_E"]
    assert math.isclose(found["E"]["value"], end["best_E"], rel_tol=1e-5)  # on other threads
    assert found["accuracy"]["value"] == best["val"]["accuracy"]
    assert found["accuracy"]["low"] < found["accuracy"]["value"] < found["accuracy"]["high"]
    assert {"calibration", "coverage", "shortcuts"} <= found.keys()
    assert found["class_names"] == ["dog", "fox", "wolf"]
    assert set(found["per_class"]["fox"]) == {"precision", "recall", "f1", "support"}
    assert sum(map(sum, found["confusion_matrix"])) == found["num_images"] == 12
    assert found["unusable"] == []
    table, _ = crossent("evaluate", path)
    assert f"E = {found['E']['value']:.4f}" in table
    assert "true \\ predicted" in table and "only the border" in table and "temperature" in table


def test_report_can_be_written_again(run, crossent):
    path, _ = run
    report = path / "report.html"
    before = report.read_text()
    assert "Cross-entropy E" in before and "tests/tiny.yaml:" in before
    report.unlink()
    out, _ = crossent("report", path)
    assert str(report) in out
    assert "Cross-entropy E" in report.read_text()


def test_compare_tells_runs_apart_on_the_same_pictures_only(run, train, crossent, pictures):
    other, fewer = pictures.with_name("other"), pictures.with_name("fewer")
    train(*SMOKE, "train.epochs=1", "--out", other)
    out, _ = crossent("compare", run[0], other)
    assert "other minus smoke" in out and "points apart" in out
    assert "Settings of smoke -> other: train.epochs: 2 -> 1\n" in out
    found = json.loads(crossent("compare", run[0], other, "--json")[0])
    (comparison,) = found["comparisons"]
    difference = found["runs"][1]["accuracy"]["value"] - found["runs"][0]["accuracy"]["value"]
    assert math.isclose(comparison["accuracy"]["value"], difference, abs_tol=1e-12)
    assert len(comparison["gained"]) - len(comparison["lost"]) == round(12 * difference)
    train(*SMOKE, "train.epochs=1", "data.num_images=30", "--out", fewer)
    _, err = crossent("compare", run[0], fewer, status=2)
    assert "other validation pictures" in err and "--data" in err and err.count("\n") == 1
    out, _ = crossent("compare", run[0], fewer, "--data", pictures)
    assert out.startswith("4 pictures, the same for all")


def test_evaluate_on_another_folder_agrees_with_predict(run, crossent, pictures):
    found = json.loads(crossent("evaluate", run[0], "--data", pictures, "--json")[0])
    names = ["dog", "fox", "wolf"]
    assert [found["per_class"][name]["support"] for name in names] == [1, 2, 1]
    (unusable,) = found["unusable"]
    assert "page.jpg" in unusable["path"] and "HTML" in unusable["reason"]
    counted = [[0] * 3 for _ in names]
    for line in crossent("predict", run[0], pictures, "--json")[0].splitlines():
        one = json.loads(line)
        if "label" in one:
            counted[names.index(Path(one["path"]).parent.name)][names.index(one["label"])] += 1
    assert counted == found["confusion_matrix"]
    (pictures / "fox").rename(pictures / "bear")
    _, err = crossent("evaluate", run[0], "--data", pictures, status=2)
    assert "bear" in err and err.count("\n") == 1


def test_doctor_names_what_is_to_be_repaired_and_how_long_the_training_takes(crossent, pictures):
    found = json.loads(crossent("doctor", pictures, "--json", status=1)[0])
    assert {"num_images", "classes", "unusable", "odd", "duplicates", "warnings"} <= found.keys()
    assert found["num_images"] == 4
    assert [u["path"] for u in found["unusable"]] == ["fox/page.jpg"]
    (pictures / "fox" / "page.jpg").unlink()
    out, _ = crossent("doctor", pictures, "-c", "tests/tiny.yaml")
    assert "Training will take about" in out


def test_predict_names_every_file_in_order(run, crossent, pictures):
    paths = [pictures / "wolf" / "c.png", pictures / "fox"]
    out, _ = crossent("predict", run[0], *paths, "--json")
    wolf, *foxes = map(json.loads, out.splitlines())
    assert wolf["path"] == str(paths[0])
    assert set(wolf["probs"]) == {"dog", "fox", "wolf"}
    assert math.isclose(sum(wolf["probs"].values()), 1, abs_tol=1e-5)
    assert wolf["label"] == max(wolf["probs"], key=wolf["probs"].get)
    assert [Path(f["path"]).name for f in foxes] == ["a.png", "b.png", "page.jpg"]
    assert set(foxes[2]) == {"path", "error"} and "HTML" in foxes[2]["error"]
    table, _ = crossent("predict", run[0], pictures, "--top", "1")
    assert "1 of 5 files could not be used" in table


def test_own_pictures_from_a_folder(train, tmp_path):
    for index in range(30):
        path = tmp_path / "pictures" / ["hound", "reynard", "grey"][label(index)] / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(0, index, 64)).save(path)
    (path.parent / "empty.jpg").touch()
    words = [*SMOKE, "data.source=folder", "--out", tmp_path / "run"]
    for more in ((), ("data.folds=2",)):
        _, err = train(*words, f"data.root={tmp_path / 'nowhere'}", *more, status=2)
        assert "no such folder" in err and not (tmp_path / "run").exists()
    pictures, run = path.parents[1], tmp_path / "run"
    root = f"data.root={os.path.relpath(pictures, ROOT)}"
    out, _ = train(*words, root, f"data.cache_dir={tmp_path / 'cache'}")
    assert "empty.jpg" in out
    start = read_records(run)[0]
    assert start["class_names"] == ["grey", "hound", "reynard"]
    assert start["num_images"] == {"train": 24, "val": 6, "unusable": 1}
    listed = (run / "unusable.csv").read_text().splitlines()
    assert listed[0] == "path,reason" and "empty.jpg,empty" in listed[1] and len(listed) == 2
    assert f"  root: {pictures}\n" in (run / "config.yaml").read_text()
    before, _ = train("crossent", "evaluate", run)
    moved = pictures.rename(tmp_path / "moved")
    _, err = train("crossent", "evaluate", run, status=2)
    assert "if they have moved, add data.root=FOLDER to evaluate" in err
    assert train("crossent", "evaluate", run, f"data.root={moved}")[0] == before
    _, err = train("crossent", "evaluate", run, f"data.root={moved}", "data.flip=1", status=2)
    assert "data.flip: 0.5 -> 1.0" in err
    (moved / "grey" / "another.jpg").write_bytes((moved / "hound" / "0.jpg").read_bytes())
    _, err = train("crossent", "evaluate", run, f"data.root={moved}", status=2)
    assert "the pictures have changed" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("optim.lrr=1",), "argument optim.lrr=1: optim.lrr is not a setting"),
        (("model.name=small_cn",), "did you mean small_cnn"),
        (("--epochs", "3"), "--epochs is not an option; did you mean train.epochs=3?"),
        (("--nonsense",), "--nonsense is not an option; see --help"),
        (("configs/photos.yaml",), "did you mean -c configs/photos.yaml?"),
        (("-c", "missing.yaml"), "missing.yaml"),
        (("--resume", "missing"), "missing"),
        (("-c", "configs/photos.yaml", "data.root=missing"), "missing"),
        ((*SMOKE, "loss.class_weights=[1, 2]"), "has 2 numbers; expected 3"),
        (("crossent", "predict", "none", "a.jpg"), "none: no such file; expected a run"),
        (("crossent", "report", "configs"), "is not a run folder"),
        (("crossent", "compare", "missing"), "compare needs two runs or more"),
        (("crossent", "explain", "README.md"), "no IMAGE is named"),
        (("crossent", "sweep"), "either -c SWEEP.yaml or --resume FOLDER"),
        (("crossent", "verify-resume", "--kills", "0"), "expected 1 or more"),
    ],
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else "",
)
def test_a_mistake_is_one_sentence_and_exit_status_2(train, words, message):
    _, err = train(*words, status=2)
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_dry_run_keeps_nothing_and_a_used_folder_is_refused(run, train, tmp_path):
    out, _ = train(*SMOKE, "--dry-run", "--out", tmp_path / "run")
    assert "one step done: E = 1.0986" in out
    assert not (tmp_path / "run").exists()
    _, err = train(*SMOKE, "--out", run[0], status=2)
    assert "--resume" in err


def test_find_lr_says_what_it_found_where_it_cannot_draw(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lr-finder.png").mkdir()
    config = str(ROOT / SMOKE[1])
    assert run_main(train_main, ["-c", config, "train.threads=1", "--find-lr"]) == 2
    out, err = capsys.readouterr()
    assert "E falls fastest at optim.lr=" in out and "lr-finder.png: cannot be written" in err


def test_print_config_shows_origins(train):
    out, _ = train(*SMOKE, "optim.lr=0.5", "--print-config")
    assert "argument optim.lr=0.5" in out and "tests/tiny.yaml:" in out


def test_explain_prints_the_example_of_the_article(crossent):
    assert "E = -sum_k t_k log y_k = 1.108663 nats" in crossent("explain")[0]


def test_without_a_command_all_are_listed(crossent):
    out, _ = crossent()
    names = "evaluate predict explain doctor report compare sweep export demo check verify-resume"
    for name in names.split():
        assert sum(line.split()[:1] == [name] for line in out.splitlines()) == 1, name
    _, err = crossent("evalute", status=2)
    assert "invalid choice: 'evalute'" in err


@pytest.mark.parametrize(
    ("module", "words"), [("train", []), ("crossent", []), ("crossent", ["predict"])]
)
def test_help_needs_no_heavy_import(module, words):
    """The half second of the design, checked by what is imported and not by a clock."""
    program = (
        "import sys, runpy, atexit\n"
        "heavy = ('torch', 'numpy', 'matplotlib', 'pydantic', 'PIL')\n"
        "atexit.register(lambda: print('HEAVY', *[m for m in heavy if m in sys.modules]))\n"
        f"sys.argv = {['', *words, '--help']!r}\n"
        f"runpy.run_module({module!r}, run_name='__main__')\n"
    )
    out, _ = python("-c", program)
    assert "usage:" in out
    assert out.splitlines()[-1].strip() == "HEAVY"


def test_no_command_waits_for_a_compiler(tmp_path):
    """torch imports its own at the slightest touch, and that takes 0.75 s."""
    words = [*SMOKE, "--out", str(tmp_path / "run")]
    program = (
        "import sys, train, crossent.__main__\n"
        f"assert train.main({words!r}) == 0\n"
        f"assert crossent.__main__.main(['evaluate', {words[-1]!r}]) == 0\n"
        "print([name in sys.modules for name in ('torch.nn', 'torch._dynamo')])"
    )
    assert python("-c", program)[0].endswith("[True, False]\n")
