"""The demo in a headless browser: a picture, a label, hostile files, nothing from outside."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.pictures import SHARED, scene

ROOT = Path(__file__).resolve().parents[2]
MISSING = [name for name in ("gradio", "selenium") if importlib.util.find_spec(name) is None]
MISSING += [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync "
    "--window-size=1200,1400"
)
PATIENCE_S = 60


@pytest.fixture(scope="module")
def address(run_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "crossent", "demo", str(run_path)],
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
def browser(tmp_path_factory):
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    chromium = shutil.which("chromium")
    assert chromium is not None
    options.binary_location = chromium
    for flag in [*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options, service)
    yield driver
    driver.quit()


@pytest.fixture
def page(browser, address):
    browser.get(address)
    wait_for_text(browser, "Drop a picture")
    return browser


def find(page, selector):
    from selenium.webdriver.common.by import By

    return page.find_elements(By.CSS_SELECTOR, selector)


def wait_until(page, condition):
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    ignored = [StaleElementReferenceException]
    return WebDriverWait(page, PATIENCE_S, 0.1, ignored).until(condition)


def derivation(page):
    return "".join(element.text for element in find(page, "#derivation"))


def wait_for_text(page, text):
    wait_until(page, lambda page: text in derivation(page))


def upload(page, path):
    """Put a file where the picture goes, as dropping it there does."""
    clear = find(page, "#picture button[aria-label*='Remove'], #picture button[aria-label='Clear']")
    if clear:
        page.execute_script("arguments[0].click()", clear[0])
        wait_for_text(page, "Drop a picture")
    wait_until(page, lambda page: find(page, "#picture input[type=file]"))
    find(page, "#picture input[type=file]")[0].send_keys(str(path))


def test_a_picture_gets_bars_a_derivation_and_with_a_label_its_E(
    page, tmp_path, crossent, run_path
):
    scene(5).save(tmp_path / "scene.png")
    upload(page, tmp_path / "scene.png")
    wait_for_text(page, "scene.png")
    bars = find(page, "#bars")[0].text
    assert all(name in bars for name in ("dog", "fox", "wolf"))
    assert wait_until(page, lambda page: find(page, "#heat img"))
    box = find(page, "input[aria-label='what it shows (t)']")[0]
    box.click()
    wait_until(page, lambda page: find(page, "ul[role=listbox] li"))
    wolf = next(item for item in find(page, "ul[role=listbox] li") if "wolf" in item.text)
    page.execute_script(
        "arguments[0].dispatchEvent(new MouseEvent('mousedown', {bubbles: true}))", wolf
    )
    wait_for_text(page, "The right answer is wolf")
    words = ("explain", run_path, tmp_path / "scene.png", "--label", "wolf", "--format", "json")
    expected = json.loads(crossent(*words)[0])
    assert f"{expected['E']['bits']:.6f} bits" in derivation(page)


def test_a_drawing_can_be_taken(page):
    button = next(button for button in find(page, "button") if button.text == "a drawn fox")
    page.execute_script("arguments[0].click()", button)
    wait_for_text(page, "fox.png: one picture")
    wait_for_text(page, "The model says")


def test_nothing_comes_from_elsewhere(page, address):
    script = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    names = page.execute_script(script)
    assert len(names) > 5
    own = (address, "data:", "blob:")
    assert [name for name in names if not name.startswith(own)] == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/bad_images beside the repository")
def test_hostile_files_get_a_kind_message(page):
    """Each either works or is refused by name; after all of them the page still works."""
    answers = {}
    for path in sorted((SHARED / "bad_images").iterdir()):
        if path.suffix != ".csv":
            upload(page, path)
            wait_for_text(page, path.name)
            answers[path.name] = derivation(page)
    refused = {name for name, text in answers.items() if "cannot be used" in text}
    assert {"empty.jpg", "lfs_pointer.jpg", "looks_like.jpg", "truncated_jpeg.jpg"} <= refused
    assert "portrait_exif_6.jpg" not in refused
    assert not any("Traceback" in text or "Error" in text for text in answers.values())
