"""doctor --html: what the doctor found, on one page with thumbnails."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from crossent.files import write_text
from crossent.report.page import Thumbnail, make_environment, make_thumbnail, small
from data.decode import UnusableImage

NUM_PAIRS, NUM_ODD = 12, 6  # to show; --json lists all


class Group(NamedTuple):
    """A section of the page: rows of thumbnails, each with a line above it."""

    id: str
    title: str
    num: int
    rows: list[tuple[str, list[Thumbnail]]]


def write_page(found: Mapping[str, Any], path: Path) -> None:
    """Write the page.

    Args:
        found: as from `data.doctor.examine`.
    """
    root, pairs = Path(found["root"]), found["duplicates"]
    inside = [pair for pair in pairs if not (pair["across_classes"] or pair["across_splits"])]
    odd = [(f"{one['count']:,} {one['kind']}: {one['done']}", one["paths"]) for one in found["odd"]]
    groups = [
        pairs_of("leaks", "In train and in val", [p for p in pairs if p["across_splits"]], root),
        pairs_of("labels", "Under two labels", [p for p in pairs if p["across_classes"]], root),
        pairs_of("twice", "Twice in a class", inside, root),
        Group("odd", "Odd", len(odd), [(t, thumbnails(root, p[:NUM_ODD])) for t, p in odd]),
    ]
    template = make_environment().get_template("doctor.html")
    shown = [group for group in groups if group.num]
    first = "Fix these first" if found["repairs"] else "Problems"
    sections = [("fix", first), *(group[:2] for group in shown), ("classes", "Classes")]
    if found["unusable"]:
        sections.insert(1, ("unusable", "Unusable files"))
    write_text(path, template.render(name=root.name, sections=sections, groups=shown, **found))


def pairs_of(id: str, title: str, pairs: list[dict[str, Any]], root: Path) -> Group:
    words = {"same": "the same file", "nearly": "nearly the same picture"}
    rows = [(words[pair["kind"]], thumbnails(root, pair["paths"])) for pair in pairs[:NUM_PAIRS]]
    return Group(id, title, len(pairs), rows)


def thumbnails(root: Path, names: Iterable[str]) -> list[Thumbnail]:
    """Return small pictures with their names; without those whose names cannot be spelt."""
    found = []
    for name in names:
        with suppress(UnusableImage, ValueError):
            found.append(make_thumbnail(small(root / name), name, name=name))
    return found
