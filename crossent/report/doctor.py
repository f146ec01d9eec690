"""The page of doctor --html: the findings of the doctor, with thumbnails."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from crossent.files import write_text
from crossent.report.page import Thumbnail, load_small, make_environment, make_thumbnail
from data.decode import UnusableImage


def write_page(found: Mapping[str, Any], path: Path) -> None:
    """Write the page.

    Args:
        found: from `data.doctor.examine`.
    """
    root = Path(found["root"])
    pairs = sorted(found["duplicates"], key=lambda p: (-p["across_splits"], -p["across_classes"]))
    odd = [(f"{one['count']:,} {one['kind']}: {one['done']}", one["paths"]) for one in found["odd"]]
    groups = {"pairs": [(in_words(pair), pair["paths"]) for pair in pairs], "odd": odd}
    sections = {
        "fix": "Fix these first" if found["repairs"] else "Problems",
        **({"unusable": "Unusable files"} if found["unusable"] else {}),
        **({"pairs": "Duplicates"} if pairs else {}),
        **({"odd": "Odd files"} if odd else {}),
        "classes": "Classes",
    }

    def thumbnails(names: Iterable[str]) -> list[Thumbnail]:
        pictures = []
        for name in names:
            with suppress(UnusableImage, ValueError):  # ValueError: the name cannot be encoded
                pictures.append(make_thumbnail(load_small(root / name), name))
        return pictures

    html = (
        make_environment()
        .get_template("doctor.html")
        .render(
            name=root.name,
            sections=sections,
            groups=groups,
            thumbnails=thumbnails,
            **found,
        )
    )
    write_text(path, html)


def in_words(pair: Mapping[str, Any]) -> str:
    """Describe in what way two files are equal, and whether they differ in split or label."""
    text = "the same file" if pair["kind"] == "same" else "nearly the same picture"
    text += ", in train and val" if pair["across_splits"] else ""
    return text + (", under two labels" if pair["across_classes"] else "")
