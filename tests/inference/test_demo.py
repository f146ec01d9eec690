"""The demo: what it answers, and its page in a headless browser, with nothing from outside."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image
from torch import nn

from crossent.inference.demo import NUM_EXAMPLES, SIDE, WELCOME, answer, copied, own_examples
from crossent.inference.derivation import as_markdown
from crossent.inference.explain import explain
from crossent.inference.paths import run_settings, validation_files
from data.drawings import draw
from models.head import Head
from tests.data.pictures import SHARED, make_folder, scene
from tests.report.browser import Browser, find_browser

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "demo" / "bin" / "python"  # as `make test` sets it up
PICTURE = "document.querySelector('#picture')"
EXAMPLES = "document.querySelectorAll('#examples .gallery-item')"
TEXT = "document.querySelector('#derivation').innerText"


def test_without_a_picture_it_says_what_to_do(classifier):
    assert answer(classifier, None, "fox", "en") == [None, None, WELCOME]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_probabilities_and_derivation_are_those_of_explain(
    classifier, pictures, monkeypatch, language
):
    monkeypatch.chdir(pictures / "a")
    probs, _, text = answer(classifier, str(pictures / "a" / "2.png"), "wolf", language)
    expected = explain(classifier, "2.png", "wolf")
    assert text == as_markdown(expected, language)
    assert probs == dict(zip(expected.class_names, expected.probs, strict=True))


def test_the_servers_folders_are_nobodys_business(classifier, pictures):
    for path in (pictures / "a" / "2.png", pictures / "b" / "page.jpg"):
        *_, text = answer(classifier, str(path), None, "en")
        assert path.name in text and str(path.parent) not in text
    assert "**page.jpg cannot be used:** not a picture but HTML" in text


def test_the_heat_map_lies_on_the_picture_in_its_own_shape(classifier, tmp_path):
    path = tmp_path / "wide.png"
    scene(1, 160, 40).save(path)
    _, heat, _ = answer(classifier, str(path), None, "en")
    assert heat.size == (SIDE, SIDE // 4)
    darkened = np.asarray(heat).mean() / np.asarray(scene(1, 160, 40)).mean()
    assert 0.2 < darkened < 1


class NoMap(nn.Module):
    """As a transformer: nothing between pixels and logits has a height and a width."""

    def __init__(self):
        super().__init__()
        self.head = Head(3, 3)

    def forward(self, x):
        return self.head(x.mean(dim=(2, 3)))


def test_a_model_without_a_map_still_answers(classifier, pictures):
    flat = replace(classifier, model=NoMap())
    probs, heat, _ = answer(flat, str(pictures / "a" / "2.png"), "fox", "en")
    assert heat is None
    assert probs == pytest.approx(dict.fromkeys(classifier.class_names, 1 / 3))


def test_examples_are_the_runs_own_validation_pictures(classifier, tmp_path):
    root = make_folder(tmp_path / "flowers", {"daisy": 15, "rose": 15, "tulip": 30})
    settings = {"data": {"source": "folder", "root": str(root), "cache": False}}
    of_folder = replace(classifier, header={**classifier.header, "settings": settings})
    validation = validation_files(run_settings(of_folder))
    found = own_examples(of_folder, tmp_path)
    assert found == validation[::2] and len(found) == NUM_EXAMPLES
    copies = copied(found, tmp_path)
    assert [Path(copy).read_bytes() for copy in copies] == [Path(p).read_bytes() for p in found]
    shutil.rmtree(root)
    assert own_examples(of_folder, tmp_path) == []
    drawn = own_examples(classifier, tmp_path)  # a run on drawings: the last are for validation
    assert Path(drawn[-1]).name == "drawing 2999.png" and len(drawn) == NUM_EXAMPLES
    pixels = np.asarray(Image.open(drawn[-1]))
    assert np.array_equal(pixels, draw(0, 2999, 192))


def python_with_gradio() -> str | None:
    if PYTHON.exists():
        return str(PYTHON)
    return sys.executable if importlib.util.find_spec("gradio") else None


def skip_but_not_in_ci(message: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


# What follows takes a browser.
@pytest.fixture(scope="module")
def address(run_path):
    python = python_with_gradio()
    if python is None:
        skip_but_not_in_ci("gradio is not installed: make .venv/demo/ready")
    process = subprocess.Popen(
        [str(python), "-m", "crossent", "demo", str(run_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    line = process.stdout.readline()
    assert line.startswith("open http://127.0.0.1:"), line
    yield line.split()[1]
    process.terminate()
    process.wait(timeout=30)
    process.stdout.close()


@pytest.fixture(scope="module")
def browser():
    if find_browser() is None:
        skip_but_not_in_ci("no Chromium on this machine: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        found = Browser(Path(profile))
        yield found
        found.close()


@pytest.fixture
def page(browser, address):
    browser.open(address)
    browser.wait_until(f"{PICTURE} && {TEXT}.includes('Drop a picture')")
    return browser


def drop(page, path):
    """Let go of a file above the place for the picture, with the mouse."""
    if page.evaluate(f"{PICTURE}.querySelector('img') !== null"):
        page.evaluate(f"{PICTURE}.querySelector('button[aria-label*=Remove], .close').click()")
        page.wait_until(f"{TEXT}.includes('Drop a picture')")  # the server knows that it is gone
    page.wait_until(f"{PICTURE}.innerText.includes('Drop')")
    page.drop(path, "#picture")


def choose(page, name):
    """Pick what the picture shows from the list."""
    page.evaluate("document.querySelector('#label input').focus()")
    options = "[...document.querySelectorAll('#label [role=option]')]"
    page.wait_until(f"{options}.length > 0")
    mouse = "new MouseEvent('mousedown', {bubbles: true})"
    page.evaluate(f"{options}.find(e => e.innerText.includes('{name}')).dispatchEvent({mouse})")


def explained(crossent, run_path, path, *words):
    return json.loads(crossent("explain", run_path, path, *words, "--format", "json")[0])


@pytest.mark.slow
def test_a_dropped_picture_gets_bars_a_heat_map_and_with_a_label_its_E(
    page, tmp_path, crossent, run_path
):
    path = tmp_path / "scene.png"
    scene(5).save(path)
    drop(page, path)
    page.wait_until(f"{TEXT}.startsWith('scene.png: one picture')")
    page.wait_until("document.querySelector('#heat img') !== null")
    bars = page.evaluate("document.querySelector('#bars').innerText")
    for name, y in explained(crossent, run_path, path)["y"].items():
        assert name in bars and f"{y:.0%}" in bars
    choose(page, "wolf")
    page.wait_until(f"{TEXT}.includes('The true class is wolf')")
    expected = explained(crossent, run_path, path, "--label", "wolf")
    assert f"{expected['E']['bits']:.6f} bits" in page.evaluate(TEXT)


@pytest.mark.slow
def test_a_new_picture_forgets_the_label_of_the_last_one(page, tmp_path):
    for name in ("first.png", "second.png"):
        scene(len(name)).save(tmp_path / name)
    drop(page, tmp_path / "first.png")
    page.wait_until(f"{TEXT}.includes('first.png')")
    choose(page, "fox")
    page.wait_until(f"{TEXT}.includes('The true class is fox')")
    drop(page, tmp_path / "second.png")
    page.wait_until(f"{TEXT}.includes('second.png') && {TEXT}.includes('No label was given')")


@pytest.mark.slow
def test_an_example_can_be_taken_and_told_in_japanese(page):
    page.evaluate(f"{EXAMPLES}[0].click()")
    page.wait_until(f"{TEXT}.startsWith('drawing 2994.png: one picture')")
    page.evaluate("document.querySelectorAll('#language input')[1].click()")
    page.wait_until(f"{TEXT}.includes('モデルの答えは')")


@pytest.mark.slow
@pytest.mark.parametrize("width", [375, 1280])
def test_the_page_is_no_wider_than_the_window(page, address, width):
    page.open(address, width)
    page.wait_until(f"{EXAMPLES}.length == {NUM_EXAMPLES}")
    page.evaluate(f"{EXAMPLES}[0].click()")
    page.wait_until("document.querySelector('.katex') !== null")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_nothing_comes_from_elsewhere_and_nothing_is_wrong(page, address):
    urls = [told["request"]["url"] for told in page.told("Network.requestWillBeSent")]
    assert len(urls) > 5
    assert [url for url in urls if not url.startswith((address, "data:", "blob:"))] == []
    assert page.told("Runtime.exceptionThrown") == []


@pytest.mark.slow
def test_no_file_of_the_server_can_be_asked_for(page, address, tmp_path):
    """A request made by hand, with the path of a file that was not uploaded."""
    scene(1).save(tmp_path / "private.png")
    picture = {"path": str(tmp_path / "private.png"), "meta": {"_type": "gradio.FileData"}}
    with urlopen(f"{address}config") as answer:
        functions = json.load(answer)["dependencies"]
    (asking,) = [f["id"] for f in functions if len(f["inputs"]) == 2]
    body = {"fn_index": asking, "data": [picture, "en"], "session_hash": "by-hand"}
    post(f"{address}gradio_api/queue/join", body)
    with urlopen(f"{address}gradio_api/queue/data?session_hash=by-hand") as events:
        told = events.read().decode()
    assert "process_completed" in told and '"success":false' in told.replace(" ", "")
    assert "private.png: one picture" not in told


def post(url, body):
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_a_file_that_is_too_large_is_refused_before_it_is_read(page, tmp_path):
    path = tmp_path / "large.jpg"
    path.write_bytes(b"\xff\xd8\xff" + bytes(2**25))
    drop(page, path)
    page.wait_until("document.body.innerText.includes('exceed the maximum allowed size')")


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/bad_images beside the repository")
def test_hostile_files_get_a_kind_message(page):
    """Each either works or is refused by name; after all of them the page still works."""
    answers = {}
    for path in sorted((SHARED / "bad_images").iterdir()):
        if path.suffix != ".csv":
            drop(page, path)
            page.wait_until(f"{TEXT}.startsWith('{path.name}')")
            answers[path.name] = page.evaluate(TEXT)
    refused = {name for name, text in answers.items() if "cannot be used" in text}
    assert {"empty.jpg", "lfs_pointer.jpg", "looks_like.jpg", "truncated_jpeg.jpg"} <= refused
    assert "portrait_exif_6.jpg" not in refused
    assert not any("Traceback" in text or "Error" in text for text in answers.values())


@pytest.mark.slow
def test_without_gradio_one_line_says_how_to_get_it(run_path):
    if importlib.util.find_spec("gradio"):
        pytest.skip("gradio is installed")
    words = [sys.executable, "-m", "crossent", "demo", str(run_path)]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.startswith("error: demo: gradio") and result.stderr.count("\n") == 1
    assert "make demo RUN" in result.stderr
