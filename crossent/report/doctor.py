"""doctor --html: the findings of the doctor on one page with thumbnails."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from crossent.files import write_text
from crossent.report.page import Thumbnail, make_environment, make_thumbnail, small
from data.decode import UnusableImage

KINDS = {"same": "the same file", "nearly": "nearly the same picture"}


def write_page(found: Mapping[str, Any], path: Path) -> None:
    """Write the page.

    Args:
        found: as from `data.doctor.examine`.
    """
    root = Path(found["root"])
    leaks, labels, twice = [], [], []
    for pair in found["duplicates"]:
        row = KINDS[pair["kind"]], pair["paths"]
        if pair["across_splits"]:
            leaks.append(row)
        if pair["across_classes"]:
            labels.append(row)
        if not (pair["across_splits"] or pair["across_classes"]):
            twice.append(row)
    odd = [(f"{one['count']:,} {one['kind']}: {one['done']}", one["paths"]) for one in found["odd"]]
    sections = [
        ("fix", "Fix these first" if found["repairs"] else "Problems", True),
        ("unusable", "Unusable files", found["unusable"]),
        *(groups := [
            ("leaks", "In train and in val", leaks),
            ("labels", "Under two labels", labels),
            ("twice", "Twice in a class", twice),
            ("odd", "Odd files", odd),
        ]),
        ("classes", "Classes", True),
    ]  # fmt: skip

    def thumbnails(names: Iterable[str]) -> list[Thumbnail]:
        pictures = []
        for name in names:
            with suppress(UnusableImage, ValueError):  # ValueError: the name cannot be encoded
                pictures.append(make_thumbnail(small(root / name), name))
        return pictures

    html = (
        make_environment()
        .get_template("doctor.html")
        .render(
            name=root.name,
            sections={id: title for id, title, content in sections if content},
            groups=groups,
            thumbnails=thumbnails,
            **found,
        )
    )
    write_text(path, html)
