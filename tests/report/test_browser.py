"""The report in a browser: no error, no request, nothing wider than the window."""

import os
import tempfile

import pytest

from tests.report.browser import Browser, find_browser
from tests.report.parts import make_data, make_page
from tests.report.test_report import HOSTILE, PARTS


@pytest.fixture(scope="module")
def browser():
    if find_browser() is None:
        message = "no Chromium on this machine: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        found = Browser(profile)
        yield found
        found.close()


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Hostile names, a hundred classes, a run without an epoch."""
    root = tmp_path_factory.mktemp("reports")
    hostile = make_data(num_val=12, class_names=HOSTILE[:3], names=HOSTILE)
    make_page(root / "hostile", hostile)
    make_page(root / "hundred", make_data(100, num_val=200))
    make_page(root / "empty", make_data(), epochs=0, has_model=False)
    return {name: root / name / "report.html" for name in ("hostile", "hundred", "empty")}


@pytest.mark.parametrize("name", ["hostile", "hundred", "empty"])
@pytest.mark.parametrize("width", [375, 1280])
def test_a_page_opens_without_a_word(browser, reports, name, width):
    browser.open(reports[name], width, dark=width == 375)
    assert browser.told("Log.entryAdded") == []
    assert browser.told("Runtime.exceptionThrown") == []
    assert browser.told("Runtime.consoleAPICalled") == []
    urls = [told["request"]["url"] for told in browser.told("Network.requestWillBeSent")]
    requests = [url for url in urls if not url.startswith("data:")]
    assert requests == [reports[name].resolve().as_uri()], "the page itself and nothing else"
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    broken = "[...document.images].filter((image) => image.naturalWidth === 0).length"
    assert browser.evaluate(broken) == 0


def test_the_parts_are_there(browser, reports):
    browser.open(reports["hostile"])
    ids = browser.evaluate("[...document.querySelectorAll('main > section')].map((s) => s.id)")
    assert set(ids) == PARTS
    links = browser.evaluate("[...document.querySelectorAll('nav a')].map((a) => a.hash)")
    assert links == [f"#{name}" for name in ids]


def test_a_phone_shows_it_on_some_screens(browser, reports):
    browser.open(reports["hostile"], 375)
    assert browser.evaluate("document.documentElement.scrollHeight") < 6000


def test_numbers_are_one_click_away(browser, reports):
    browser.open(reports["hostile"])
    table = "document.querySelector('#progress table')"
    assert browser.evaluate(f"{table}.checkVisibility()") is False
    browser.evaluate("document.querySelector('#progress summary').click()")
    assert browser.evaluate(f"{table}.checkVisibility()") is True
    assert "0.3333" in browser.evaluate(f"{table}.innerText")


def test_both_schemes_can_be_read(browser, reports):
    """The contrast of text and paper, by the formula of WCAG 2: 4.5 is asked for."""
    for dark in (False, True):
        browser.open(reports["hostile"], dark=dark)
        for selector in ("body", ".note", ".chart figcaption", ".confusion td", "nav a"):
            assert contrast(browser, selector, "color") >= 4.5, (selector, dark)
        for selector in (".chart svg text", ".chart svg text:last-child"):
            assert contrast(browser, selector, "fill") >= 4.5, (selector, dark)
        assert contrast(browser, ".chart svg path[style*='--second']", "stroke") >= 3, dark


def contrast(browser, selector, ink):
    colours = browser.evaluate(
        f"""(() => {{
          let element = document.querySelector({selector!r});
          const ink = getComputedStyle(element)[{ink!r}];
          const isClear = (c) => c === 'rgba(0, 0, 0, 0)';
          const paper = (e) => getComputedStyle(e).backgroundColor;
          while (isClear(paper(element))) element = element.parentElement;
          const canvas = document.createElement('canvas').getContext('2d');
          const rgb = (colour) => {{
            canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
          }};
          return [rgb(ink), rgb(paper(element))];
        }})()"""
    )
    light, dark = sorted(map(luminance, colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(rgb):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in rgb)
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
