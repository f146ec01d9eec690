"""The check of all files before training: unusable and odd ones, duplicates, leaks."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.advice import hint_at_groups, listing, plural
from data.cache import Decoding
from data.decode import ODDITIES, size_to_train
from data.images import printable
from data.labels import list_pictures
from data.load import Split, make_catalog


def examine(
    root: str | Path, image_size: int, split: Split, decoding: Decoding, group: str | None
) -> dict[str, Any]:
    """Decode every file and draw the split as training does; return the findings.

    Args:
        image_size, split, decoding, group: those of the training.

    Returns:
        the findings, in JSON types. `repairs` lists what must be repaired before training.

    Raises:
        DataError: there is no such folder, or its folders are not classes.
    """
    table = list_pictures(root, group)
    catalog = make_catalog(table, (size_to_train(image_size), image_size), split, decoding)
    train, val, repairs = catalog.counts("train"), catalog.counts("val"), catalog.lacks()
    if table.unusable:
        repairs.append(f"{plural(len(table.unusable), 'file')} cannot be used: repair or remove")
    leaks, notes = catalog.advice()
    alone = [(file.label, file.path) for file in table.files if not (file.split or file.group)]
    notes += hint_at_groups(alone)
    pictures = list(zip(catalog.files, catalog.facts, strict=True))
    odd = {k: sorted(file.name for file, own in pictures if k in own.odd) for k in ODDITIES}
    return {
        "root": printable(str(table.root)),
        "num_images": len(catalog.files),
        "classes": {name: {"train": train[name], "val": val[name]} for name in train},
        "unusable": [asdict(one) for one in table.unusable],
        "odd": [
            {"kind": kind, "done": ODDITIES[kind], "count": len(paths), "paths": paths}
            for kind, paths in odd.items()
            if paths
        ],
        "duplicates": catalog.duplicates(),
        "image_size": image_size,
        "repairs": repairs + leaks,
        "warnings": [*table.warnings, *notes],
    }


def page(found: Mapping[str, Any]) -> str:
    """Return the findings as text for a terminal."""
    first = f"{found['root']}: {plural(found['num_images'], 'picture')} can be used."
    sections = {
        "Classes": [
            f"{name}: {n['train']:,} train, {n['val']:,} val"
            for name, n in found["classes"].items()
        ],
        "Cannot be used": [f"{one['path']}  {one['reason']}" for one in found["unusable"]],
        "Odd, but can be used": [
            f"{one['count']:5,} {one['kind']}: {one['done']}" for one in found["odd"]
        ],
        "Duplicates": [
            ("  equals  " if pair["kind"] == "same" else "  resembles  ").join(pair["paths"])
            + (", under two labels" if pair["across_classes"] else "")
            + (", in train and in val" if pair["across_splits"] else "")
            for pair in found["duplicates"]
        ],
        "Fix these first": found["repairs"],
        "Good to know": found["warnings"],
    }
    parts = [listing(*one, "--json lists all") for one in sections.items() if one[1]]
    end = [] if found["repairs"] else ["No problems found."]
    return "\n\n".join([first, *parts, *end])
