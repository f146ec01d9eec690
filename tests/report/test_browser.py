"""The report in a browser: no error, no request, nothing wider than the window, readable."""

import re

import pytest

from tests.report.parts import HOSTILE, make_data, make_page


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Write reports with hostile names, with a hundred classes, and of a run without an epoch."""
    root = tmp_path_factory.mktemp("reports")
    make_page(root / "hostile", make_data(class_names=HOSTILE[:3], names=HOSTILE))
    make_page(root / "hundred", make_data(100, num_val=200))
    make_page(root / "empty", make_data(), epochs=0)
    return root


@pytest.mark.parametrize("name", ["hostile", "hundred", "empty"])
@pytest.mark.parametrize("width", [375, 1280])
def test_a_page_opens_without_a_message(browser, reports, name, width):
    path = reports / name / "report.html"
    browser.open(path, width, dark=width == 375)
    for event in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
        assert browser.events_of(event) == []
    assert browser.requests() == [path.resolve().as_uri()], "the page itself and nothing else"
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate("document.documentElement.scrollHeight") < 6000
    assert path.stat().st_size < 3e6
    assert browser.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")


@pytest.mark.parametrize("dark", [False, True])
def test_both_schemes_can_be_read_and_numbers_are_one_click_away(browser, reports, dark):
    """The contrast of text and background, as WCAG 2 defines it: 4.5 or more for text."""
    browser.open(reports / "hostile" / "report.html", dark=dark)
    for selector in ("body", ".note", ".chart figcaption", ".confusion td", "nav a"):
        assert contrast(browser, selector, "color") >= 4.5, selector
    assert contrast(browser, ".chart svg text", "fill") >= 4.5
    assert contrast(browser, ".chart svg path[style*='--second']", "stroke") >= 3
    table = "document.querySelector('#progress table')"
    assert browser.evaluate(f"{table}.checkVisibility()") is False
    browser.evaluate("document.querySelector('#progress summary').click()")
    assert browser.evaluate(f"{table}.checkVisibility()") is True
    assert "0.3333" in browser.evaluate(f"{table}.innerText")


COLOURS_OF = """((selector, ink) => {
  let element = document.querySelector(selector);
  const colour = getComputedStyle(element)[ink];
  const paper = (e) => getComputedStyle(e).backgroundColor;
  while (paper(element) === 'rgba(0, 0, 0, 0)') element = element.parentElement;
  return [colour, paper(element)];
})"""


def contrast(browser, selector, ink):
    colours = browser.evaluate(f"{COLOURS_OF}({selector!r}, {ink!r})")
    light, dark = sorted((luminance(colour) + 0.05 for colour in colours), reverse=True)
    return light / dark


def luminance(colour):
    """Return the luminance of "rgb(0, 103, 165)" or "color(srgb 0.3 0.4 0.5)", a mixed colour."""
    numbers = map(float, re.findall(r"[\d.]+", colour))
    rgb = [v if "srgb" in colour else v / 255 for v in numbers]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
