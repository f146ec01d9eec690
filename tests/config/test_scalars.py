"""Words of a config mean what YAML 1.2 says, and values survive being written and read."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crossent.config.document import read_document
from crossent.config.scalars import format_value, parse_scalar, shorten

# From the table and the examples of YAML 1.2.2, 10.3.2, and where 1.1 (PyYAML) differs.
WORDS = {
    "null": None,
    "~": None,
    "": None,
    "true": True,
    "False": False,
    "no": "no",
    "on": "on",
    "y": "y",
    "0": 0,
    "-19": -19,
    "+7": 7,
    "010": 10,
    "0o14": 12,
    "0xC": 12,
    "12:30:45": "12:30:45",
    "1_000": "1_000",
    "0.": 0.0,
    "-0.0": -0.0,
    ".5": 0.5,
    "+12e03": 12000.0,
    "1e-3": 0.001,
    "-2E+05": -200000.0,
    ".inf": math.inf,
    "-.Inf": -math.inf,
    "+.INF": math.inf,
    "inf": "inf",
    "nan": "nan",
    "1e": "1e",
    ".": ".",
    "1.2.3": "1.2.3",
    "2024-01-01": "2024-01-01",
    "\u0663": "\u0663",  # a digit to Python, none to YAML
}


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word or "empty")
def test_word_has_its_yaml_1_2_value(word):
    value = parse_scalar(word)
    assert (type(value), value) == (type(WORDS[word]), WORDS[word])


@pytest.mark.parametrize("word", [".nan", ".NaN", ".NAN"])
def test_nan_is_a_float(word):
    value = parse_scalar(word)
    assert isinstance(value, float)
    assert math.isnan(value)


@pytest.mark.parametrize(
    "word", ["9" * 5000, "0x" + "f" * 5000, "1." + "0" * 5000, "1e" + "9" * 99]
)
def test_endless_number_is_refused(word):
    with pytest.raises(ValueError, match=r"a number of .* characters is more than"):
        parse_scalar(word)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**90), 10**90)
    | st.floats(allow_nan=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=10,
)


@given(values)
@example("a ")
@example(" a")
@example("a #b")
@example("a: b")
@example(["a, b", "[c]"])
def test_written_value_is_read_again(value):
    text = format_value(value)
    assert "\n" not in text
    document = read_document(f"key: {text}  # comment".encode())
    assert document.problems == []
    assert repr(document.value) == repr({"key": value})  # repr tells 1 from 1.0 and True


@pytest.mark.parametrize("word", [word for word in WORDS if WORDS[word] != word])
def test_text_that_looks_like_another_value_stays_text(word):
    assert read_document(f"key: {format_value(word)}".encode()).value == {"key": word}


def test_shortened_text_is_one_printable_line():
    assert shorten("a" * 100, 10) == "aaaaaaa..."
    assert shorten("a\x1b[31m\nb\ud800") == "a\\x1b[31m\\nb\\ud800"
