"""What a config may not hold is refused, in one sentence with its line, quickly, and not run."""

import os
import time

import pytest

from crossent.config.document import MAX_BYTES, Problem, read_document

HOSTILE = {
    "tag that runs a command": (
        b"seed: 1\noptim: !!python/object/apply:os.system ['exit 1']",
        2,
        "the tag tag:yaml.org,2002:python/object/apply:os.system is refused",
    ),
    "tag of plain YAML": (b"seed: !!int 3", 1, "the tag tag:yaml.org,2002:int is refused"),
    "own tag": (b"seed: !fox 3", 1, "the tag !fox is refused"),
    "anchor": (b"seed: 1\ndata: &d\n  flip: 1", 2, "&d is refused"),
    "alias": (b"seed: 1\ndata: *d", 2, "*d is refused"),
    "merge key": (b"<<: {seed: 1}", 1, "the merge key << is refused"),
    "duplicate key": (b"optim:\n  lr: 1\n  lr: 1", 3, "optim.lr is given twice, first in line 2"),
    "duplicate section": (b"optim:\n  lr: 1\noptim:\n  lr: 1", 3, "optim is given twice"),
    "dotted key": (b"optim.lr: 1", 1, "optim.lr is for the command line"),
    "list as key": (b"[a, b]: 1", 1, "a key must be a word"),
    "second document": (b"seed: 1\n---\nseed: 2", 2, "a second document (---) begins here"),
    "tab": (b"optim:\n\tlr: 1", 2, "a tab stands where YAML wants spaces"),
    "syntax": (b"optim:\n  lr: [1, 2\nseed: 1", 3, "is not valid YAML"),
    "NUL": (b"seed: 1\n\0", 2, "holds the character U+0000"),
    "escape sequence": (b"seed: 1\n# \x1b[31m", 2, "holds the character U+001B"),
    "not UTF-8": (b"seed: 1\n# f\xfcchse", 2, "is not UTF-8 text (byte 0xFC)"),
    "UTF-16": ("seed: 1".encode("utf-16"), 1, "is not UTF-8 text (byte 0xFF)"),
    "character out of range": (b'seed: 1\nx: "\\UFFFFFFFF"', 2, "a number out of range"),
    "version out of range": (b"%YAML 1." + b"9" * 5000, 1, "a number out of range"),
    "5,000 digits": (b"seed: " + b"7" * 5000, 1, "a number of 5,000 characters"),
    "too large": (b"#" * (MAX_BYTES + 1), 1, "is larger than 100 kB"),
    "too many keys": (b"".join(b"k%d: 1\n" % i for i in range(9000)), 501, "more than 500 keys"),
    "deep lists": (b"[" * 50_000, 1, "is nested deeper than 20 levels"),
    "deep blocks": (b"- " * 50_000, 1, "is nested deeper than 20 levels"),
    "deep mappings": (b"{a: " * 20_000, 1, "is nested deeper than 20 levels"),
    "deep keys": (b"? " * 50_000, 1, "is nested deeper than 20 levels"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused(name):
    content, line, words = HOSTILE[name]
    start_s = time.perf_counter()
    (problem,) = read_document(content).problems
    assert time.perf_counter() - start_s < 10  # measured: under 0.5
    assert problem.line == line
    assert words in problem.text
    assert "\n" not in problem.text
    assert len(problem.text) < 300


def test_alias_bomb_is_refused_at_its_first_anchor():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    (problem,) = read_document("\n".join(lines).encode()).problems
    assert problem.line == 1
    assert problem.text.startswith("&a0 is refused")


def test_nothing_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read_document(b"a: !!python/object/apply:os.mkdir [made]")
    read_document(b"!!python/object/new:os.mkdir {args: [made]}: 1")
    assert os.listdir(tmp_path) == []


def test_several_problems_are_noted_in_one_reading():
    document = read_document(b"seed: 1\nseed: 2\nx.y: 3\nz: 4")
    assert document.value == {"seed": 1, "z": 4}
    assert [problem.line for problem in document.problems] == [2, 3]


def test_lines_of_keys_are_known():
    document = read_document(b"# comment\nseed: 1\n\noptim:\n  # comment\n  lr: 2\n")
    assert document.lines == {"seed": 2, "optim": 4, "optim.lr": 6}


@pytest.mark.parametrize(
    "content", [b"", b"# only a comment\n", b"---\n...\n", b"null", b"\xef\xbb\xbf"]
)
def test_empty_document_is_nothing(content):
    document = read_document(content)
    assert (document.value, document.problems) == (None, [])


def test_depth_just_within_the_bound_is_read():
    assert read_document(b"[" * 20 + b"]" * 20).problems == []
    assert read_document(b"[" * 21 + b"]" * 21).problems == [
        Problem(1, "is nested deeper than 20 levels; a config needs 3")
    ]


def test_quoted_text_is_text():
    value = read_document(b"a: '1'\nb: \"true\"\nc: |\n  3\n'<<': x").value
    assert value == {"a": "1", "b": "true", "c": "3\n", "<<": "x"}
