"""The page of doctor --html: the findings of the doctor, with thumbnails."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crossent.files import write_text
from crossent.report.page import ENVIRONMENT, load_small, thumbnail


def write_page(found: Mapping[str, Any], path: Path) -> None:
    """Write the page.

    Args:
        found: from `data.doctor.examine`.
    """
    root = Path(found["root"])

    def thumbnails(names: Iterable[str]) -> list[dict[str, Any]]:
        pictures = ((load_small(root / name), name) for name in names)
        return [thumbnail(picture, name) for picture, name in pictures if picture is not None]

    groups = {
        "pairs": [(in_words(pair), pair["paths"]) for pair in found["duplicates"]],
        "odd": [(f"{o['count']:,} {o['kind']}: {o['done']}", o["paths"]) for o in found["odd"]],
    }
    titles = {
        "fix": "Fix these first" if found["repairs"] else "Problems",
        "unusable": "Unusable files",
        "pairs": "Duplicates",
        "odd": "Odd files",
        "classes": "Classes",
    }
    is_shown = {"fix": True, "classes": True, "unusable": found["unusable"], **groups}
    sections = {name: title for name, title in titles.items() if is_shown[name]}
    html = ENVIRONMENT.get_template("doctor.html").render(
        found, name=root.name, sections=sections, groups=groups, thumbnails=thumbnails
    )
    write_text(path, html)


def in_words(pair: Mapping[str, Any]) -> str:
    words = "the same file" if pair["kind"] == "same" else "nearly the same picture"
    words += ", in train and val" if pair["across_splits"] else ""
    return words + (", under two labels" if pair["across_classes"] else "")
