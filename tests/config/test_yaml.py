"""YAML 1.2 values; hostile text is refused with its line; any file gives settings or UserError."""

import math
import os
import time

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crossent.config import FIELDS, load_settings, to_yaml
from crossent.config.load import MAX_CHARS, format_value, read_argument, read_yaml, value_of
from crossent.config.settings import SECTIONS
from crossent.errors import UserError

REFUSED = "tags, anchors and aliases are refused"
DEEP = "is nested deeper than 20 levels"
HOSTILE = {
    "tag that runs a command": ("a: 1\nb: !!python/object/apply:os.mkdir [made]", 2, REFUSED),
    "tag of plain YAML": ("seed: !!int 3", 1, REFUSED),
    "anchor": ("seed: 1\ndata: &d\n  flip: 1", 2, REFUSED),
    "alias": ("seed: 1\ndata: *d", 2, REFUSED),
    "duplicate key": ("optim:\n  lr: 1\n  lr: 1", 3, "lr is given twice, first in line 2"),
    "dotted key": ("optim.lr: 1", 1, "optim.lr is for the command line"),
    "list as key": ("[a, b]: 1", 1, "a key must be a word"),
    "second document": ("seed: 1\n---\nseed: 2", 2, "but found another document"),
    "tab": ("optim:\n\tlr: 1", 2, "found character '\\t' that cannot start any token"),
    "syntax": ("optim:\n  lr: [1, 2\nseed: 1", 3, "expected ',' or ']', but got ':'"),
    "escape sequence": ("seed: 1\n# \x1b[31m", 2, "unacceptable character #x001b"),
    "not UTF-8": ("seed: 1\n# f\udcfcchse", 2, "unacceptable character #xdcfc"),
    "character out of range": ('x: "\\UFFFFFFFF"', 1, "Python int too large"),
    "version out of range": ("%YAML 1." + "9" * 5000, 1, "value has 5000 digits"),
    "too large": ("#" * (MAX_CHARS + 1), 1, "is larger than 100 kB"),
    "deep lists": ("[" * 50_000, 1, DEEP),
    "deep mappings": ("{a: " * 20_000, 1, DEEP),
}
# From the table and the examples of YAML 1.2.2, 10.3.2, and where 1.1 (PyYAML) differs.
PLAIN_WORDS = {
    "null": None, "~": None, "": None, "true": True, "False": False, "no": "no", "on": "on",
    "y": "y", "0": 0, "-19": -19, "+7": 7, "010": 10.0, "0o14": "0o14", "0xC": "0xC", "-0.0": -0.0,
    "12:30:45": "12:30:45", "1_000": "1_000", "0.": 0.0, ".5": 0.5, "+12e03": 12000.0,
    "1e-3": 0.001, "-2E+05": -200000.0, ".inf": math.inf, "-.Inf": -math.inf, "+.INF": math.inf,
    ".NaN": math.nan, "inf": "inf", "nan": "nan", "1e": "1e", ".": ".", "1.2.3": "1.2.3",
    "2024-01-01": "2024-01-01", "\u0663": "\u0663",  # a digit to Python, none to YAML
    "7" * 5000: math.inf, "1e" + "9" * 99: math.inf,
}  # fmt: skip


def read(text):
    """Return the value of a document without problems."""
    node, problems = read_yaml(text)
    assert problems == []
    return value_of(node)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_and_nothing_executed(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, line, words = HOSTILE[name]
    start_s = time.perf_counter()
    _, ((found, problem),) = read_yaml(content)
    assert time.perf_counter() - start_s < 10  # measured: under 0.5
    assert (found, words in problem) == (line, True), problem
    assert len(problem) < 300 and problem.isprintable()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("word", PLAIN_WORDS, ids=lambda word: word[:12] or "empty")
def test_word_has_its_yaml_1_2_value(word):
    for value in (read_argument(word)[0], read(f"key: {word}")["key"]):
        assert (type(value), repr(value)) == (type(PLAIN_WORDS[word]), repr(PLAIN_WORDS[word]))


scalars = st.none() | st.booleans() | st.integers(-(10**90), 10**90)
scalars |= st.floats(allow_nan=False, allow_infinity=False) | st.text()


@settings(deadline=None, max_examples=50)
@given(st.recursive(scalars, lambda inner: st.lists(inner, max_size=4), max_leaves=10))
@example(["a ", " a", "a #b", "a: b", "a, b", "[c]", "\u2028\ufeff\x85🦊", *PLAIN_WORDS])
@example("no")
def test_written_value_is_read_again(value):
    text = format_value(value)
    assert "\n" not in text
    # repr tells 1 from 1.0 and True
    assert repr(read(f"key: {text}  # comment")) == repr({"key": value})


KEYS = sorted({name.split(".")[-1] for name in FIELDS} | set(SECTIONS) | {"base", "<<"})
WORDS = [*KEYS, "fox.yaml", ".nan", "1e999", "-1", "9" * 200, "no", "true", "null", "[1, 2]"]
MARKS = [*":-?,[]{}#&*!|>'\"%@`~\\", ": ", "- ", "\n", "\n  ", "\n---\n", "\n...\n", "\t", "!!int "]
MARKS += ["&a ", "*a ", "\\U99999999", "\\x", "%YAML 1.1\n", "%TAG ! tag:x,1:\n", "\0", "\u2028"]

# Pieces of YAML get further into the reader than letters by chance.
pieces = st.lists(st.sampled_from(WORDS + MARKS) | st.text(max_size=3), max_size=40).map("".join)
# Known names with any values get as far as the schema.
words = st.sampled_from(WORDS) | st.floats().map(repr) | st.integers().map(str)
lines = st.lists(st.tuples(st.sampled_from(sorted(FIELDS)), words), max_size=6)
texts = (pieces | st.text()).map(lambda text: text.encode("utf-8", "surrogatepass"))


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    content=st.just(b"") | texts | st.binary(),
    arguments=st.lists(pieces | st.text(), max_size=3),
    values=lines,
)
def test_settings_that_can_be_saved_or_printable_lines(write, content, arguments, values):
    path = write(content)
    overrides = arguments + [f"{name}={value}" for name, value in values]
    start_s = time.perf_counter()
    try:
        loaded = load_settings(path, overrides)
    except UserError as error:
        message = str(error)
        assert all(line.isprintable() and line for line in message.split("\n"))
    else:
        path.write_text(to_yaml(loaded.settings))
        assert load_settings(path).settings == loaded.settings
    assert time.perf_counter() - start_s < 10
