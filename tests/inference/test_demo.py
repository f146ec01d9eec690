"""The demo: its answers, and its page in a headless browser, without any request elsewhere."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from crossent.inference.demo import NUM_EXAMPLES, SIDE, WELCOME, answer, own_examples
from crossent.inference.explain import explain, predict_one
from data.drawings import draw
from tests.data.pictures import scene
from tests.evaluation.parts import crossent
from tests.report.browser import skip_but_not_in_ci

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "demo" / "bin" / "python"  # as `make test` sets it up
EXAMPLES = "document.querySelectorAll('.gallery-item')"
TEXT = "document.querySelector('#derivation textarea').value"


def test_answers_are_those_of_explain_with_a_heat_map_of_the_pictures_shape(
    classifier, pictures, monkeypatch
):
    monkeypatch.chdir(pictures)  # the folder is not shown
    scene(1, 160, 40).save(pictures / "wide.png")
    path, heat_maps = str(pictures / "wide.png"), []
    for label in classifier.class_names:
        probs, heat, text = answer(classifier, path, label, "ja")
        expected = predict_one(classifier, "wide.png")
        assert text == explain(expected, label, "ja")
        assert probs == expected.probs
        heat_maps.append(heat)
    (heat, *_) = filter(None, heat_maps)
    assert heat.size == (SIDE, SIDE // 4)
    darkened = np.asarray(heat).mean() / np.asarray(scene(1, 160, 40)).mean()
    assert 0.2 < darkened < 1
    assert answer(classifier, None, "fox", "en") == [None, None, WELCOME]
    *_, text = answer(classifier, str(pictures / "b" / "page.jpg"), None, "en")
    assert "page.jpg cannot be used: not a picture but HTML" in text
    assert str(pictures) not in text


def test_examples_are_the_runs_own_validation_pictures(classifier, tmp_path):
    settings = {"data": {"source": "folder", "root": str(tmp_path / "gone")}}
    of_folder = replace(classifier, header={**classifier.header, "settings": settings})
    assert own_examples(of_folder, tmp_path) == []
    drawn = own_examples(classifier, tmp_path)  # a run on drawings: the last are for validation
    assert Path(drawn[-1]).name == "drawing 2995.png" and len(drawn) == NUM_EXAMPLES
    assert np.array_equal(np.asarray(Image.open(drawn[-1])), draw(0, 2995, 192))


# The tests below need the running demo, and most of them a browser.
@pytest.fixture(scope="module")
def address(run_path):
    python = PYTHON if PYTHON.exists() else importlib.util.find_spec("gradio") and sys.executable
    if not python:
        skip_but_not_in_ci("gradio is not installed: make .venv/demo/ready")
    command = [str(python), "-m", "crossent", "demo", str(run_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        line = process.stdout.readline()
        assert line.startswith("open http://127.0.0.1:"), line
        yield line.split()[1]
        process.terminate()


@pytest.mark.slow
def test_the_page_answers_and_is_no_wider_than_the_window(browser, address, tmp_path, classifier):
    browser.open(address, width=375)
    browser.wait_until(f"{EXAMPLES}.length == {NUM_EXAMPLES}")
    path = tmp_path / "scene.png"
    scene(5).save(path)
    browser.choose_file(path, "#picture input[type=file]")
    browser.wait_until(f"{TEXT}.startsWith('scene.png: one picture')")
    browser.wait_until("document.querySelector('#heat img') !== null")
    expected = predict_one(classifier, str(path))
    bars = browser.evaluate("document.querySelector('#bars').innerText")
    for name, y in expected.probs.items():
        assert name in bars and f"{y:.0%}" in bars
    assert f"{-math.log2(max(expected.probs.values())):.6f} bits" in browser.evaluate(TEXT)

    browser.evaluate(f"{EXAMPLES}[0].click()")
    browser.wait_until(f"{TEXT}.startsWith('drawing 2970.png: one picture')")
    browser.evaluate("document.querySelectorAll('#language input')[1].click()")
    browser.wait_until(f"{TEXT}.includes('モデルの答えは')")
    for width in (375, 1280):
        browser.resize(width)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert len(browser.requests()) > 5
    assert [url for url in browser.requests() if not url.startswith(address)] == []
    assert browser.events_of("Runtime.exceptionThrown") == []


@pytest.mark.slow
def test_the_server_gives_no_file_that_was_not_uploaded(address, tmp_path):
    """A request made by hand, with the path of a file that was not uploaded."""
    scene(1).save(tmp_path / "private.png")
    picture = {"path": str(tmp_path / "private.png"), "meta": {"_type": "gradio.FileData"}}
    with urlopen(f"{address}config") as config:
        functions = json.load(config)["dependencies"]
    function = next(f["id"] for f in functions if len(f["inputs"]) == 3 and len(f["outputs"]) == 3)
    body = {"fn_index": function, "data": [picture, None, "en"], "session_hash": "by-hand"}
    head = {"Content-Type": "application/json"}
    urlopen(Request(f"{address}gradio_api/queue/join", json.dumps(body).encode(), head)).close()
    with urlopen(f"{address}gradio_api/queue/data?session_hash=by-hand") as events:
        answer = events.read().decode()
    assert "process_completed" in answer and '"success":false' in answer.replace(" ", "")
    assert "private.png: one picture" not in answer


def test_without_gradio_one_line_says_how_to_get_it(run_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    _, err = crossent("demo", run_path, status=2)
    assert err.startswith("error: demo: gradio") and "make demo RUN" in err
