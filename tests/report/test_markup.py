import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossent.report.markup import Markup, element, join, readable, shorten
from tests.report.parts import Page


@given(st.text())
def test_any_text_comes_back_as_text(text):
    page = Page(element("p", text, title=text))
    assert [tag for tag, _ in page.elements] == ["p"]
    assert page.text == readable(text).replace("\r", "\n")
    assert page.all("p")[0]["title"] == readable(text)


@pytest.mark.parametrize("text", ["\x00", "\ud800", "\x1b[31m", "\x85", "\uffff"[:0] + "\x0c"])
def test_what_no_page_may_hold_is_marked(text):
    found = element("p", text)
    found.encode("utf-8")
    assert "\ufffd" in found


def test_markup_is_not_escaped_again():
    assert element("b", element("i", "a & b")) == "<b><i>a &amp; b</i></b>"
    assert join(["<", Markup("<br>"), None, 3]) == "&lt;<br>3"


def test_attributes():
    found = element("input", class_="a", data_x="1", open=True, hidden=None, checked=False)
    assert found == '<input class="a" data-x="1" open></input>'


def test_a_long_name_loses_its_middle():
    assert shorten("short") == "short"
    assert shorten("a" * 50 + "b" * 50, 21) == "a" * 10 + "…" + "b" * 10
