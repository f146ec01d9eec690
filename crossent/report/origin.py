"""Where it comes from: settings, pictures, machine, and the command that makes it again."""

import shlex
from collections.abc import Iterator

from crossent.config import FIELDS, flat_values, format_value
from crossent.report.markup import Markup, details, element, note, shorten, table, warn
from crossent.report.state import RunState

MAX_LISTED = 50


def settings(state: RunState) -> Iterator[Markup]:
    """Those that somebody chose, then all of them."""
    values = flat_values(state.settings)
    rows = {
        name: [
            name,
            shorten(format_value(value), 60),
            shorten(state.origins.get(name, "-"), 60),
            FIELDS[name].description,
        ]
        for name, value in values.items()
    }
    chosen = [row for name, row in rows.items() if state.origins.get(name, "default") != "default"]
    head = ["setting", "value", "from", "meaning"]
    if chosen:
        yield table(head, chosen, class_="wide")
    yield details(
        f"All {len(rows)} settings", table(head, rows.values(), class_="wide"), open_=not chosen
    )


def pictures(state: RunState) -> Iterator[Markup]:
    """What the doctor said of the data, and what was left out."""
    if state.problem:
        yield warn(f"without the pictures this page is shorter: {state.problem}")
    if state.data is not None and state.data.summary:
        yield note(state.data.summary)
    elif state.start is not None:
        counts = state.start["num_images"]
        yield note(
            f"{counts['train']:,} training and {counts['val']:,} validation pictures; "
            f"{counts['unusable']:,} files could not be used."
        )
    if state.data is not None and state.data.warnings:
        yield element("ul", *(element("li", text) for text in state.data.warnings))
    fingerprint = state.environment.get("data_fingerprint")
    if fingerprint:
        yield element("p", "Fingerprint of the pictures: ", element("code", fingerprint))
    if state.unusable:
        rows = [[shorten(u.path, 80), u.reason] for u in state.unusable[:MAX_LISTED]]
        if len(state.unusable) > MAX_LISTED:
            rows.append([f"and {len(state.unusable) - MAX_LISTED:,} more", "unusable.csv has all"])
        yield details(f"{len(state.unusable):,} files left out", table(["file", "why"], rows))


def machine(state: RunState) -> Iterator[Markup]:
    """Versions, device, revision."""
    rows = []
    for name, value in state.environment.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {version}" for key, version in value.items())
        if isinstance(value, list):
            value = shlex.join(map(str, value))
        rows.append([name.replace("_", " "), shorten(str(value), 200)])
    yield (
        table(["environment", "value"], rows, class_="wrap")
        if rows
        else note("Nothing is recorded yet.")
    )


def again(state: RunState) -> Iterator[Markup]:
    """The commands that make this run again, and those that go on from here."""
    path = shlex.quote(str(state.folder.path))
    lines = []
    revision = state.environment.get("git_revision")
    if revision:
        lines.append(f"git checkout {revision.removesuffix('+changes')}")
    lines.append(f"python train.py -c {path}/config.yaml --out {path}-again")
    yield element("pre", element("code", "\n".join(lines)), tabindex=0)
    if revision and revision.endswith("+changes"):
        yield note("Files of the program differed from this revision when it was trained.")
    yield note(
        "The same machine, packages, threads and pictures give the same bytes; another machine "
        "adds in another order, and agrees to some digits."
    )
