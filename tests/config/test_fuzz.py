"""Any file and any arguments give settings or a UserError, and nothing else."""

import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crossent.config import FIELDS, load_settings, to_yaml
from crossent.config.settings import SECTIONS
from crossent.errors import UserError

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
