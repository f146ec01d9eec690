"""A look at every file before the training: what cannot be used, what leaks, what is odd."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data import DataError
from data.advice import guessing_loss, hint_at_groups, plural
from data.cache import Decoding, decode_table
from data.decode import ODDITIES, Facts
from data.folder import NO_CLASS, list_files
from data.images import FileTable, printable, size_to_train
from data.labels import list_pictures
from data.load import Catalog, Split

NUM_SHOWN = 10  # of a list that may have thousands


def examine(
    root: str | Path, image_size: int, split: Split, decoding: Decoding, group: str | None
) -> dict[str, Any]:
    """Open every file once, for the training too, and draw the split that a training would draw.

    The files of any folder are examined; what is wrong with the folder is the first of `repairs`.

    Args:
        image_size, split, decoding, group: as the training will have them.

    Returns:
        the findings, in JSON types; nothing must be repaired if `repairs` is empty.

    Raises:
        DataError: no such folder.
    """
    table, repairs = _list(root, group)
    _, found, warnings = decode_table(table, [size_to_train(image_size), image_size], decoding)
    catalog = Catalog.of(table, found, split)
    train, val = catalog.counts("train"), catalog.counts("val")
    repairs += catalog.lacks() if NO_CLASS not in train else []
    if catalog.unusable:
        repairs.append(f"{plural(len(catalog.unusable), 'file')} cannot be used: repair or remove")
    leaks, notes = catalog.advice()
    drawn = [file for file in catalog.files if not (file.split or file.group)]
    notes += hint_at_groups([(file.label, file.path) for file in drawn])
    warnings = [*table.warnings, *warnings, *notes]
    if small := sum(min(f.width, f.height) < image_size for f in catalog.facts):
        warnings.append(f"{plural(small, 'picture')} smaller than {image_size} pixels: enlarged")
    return {
        "root": printable(str(table.root)),
        "num_images": len(catalog.files),
        "classes": {name: {"train": train[name], "val": val[name]} for name in train},
        "unusable": [asdict(one) for one in catalog.unusable],
        "odd": _odd(catalog),
        "duplicates": [_duplicate(catalog, i, j) for i, j in catalog.pairs.tolist()],
        "sizes": _sizes(catalog.facts),
        "guessing_E": guessing_loss(train) if catalog.files else None,
        "image_size": image_size,
        "repairs": repairs + leaks,
        "warnings": warnings,
    }


def _list(root: str | Path, group: str | None) -> tuple[FileTable, list[str]]:
    """Return the files, and what is wrong with their folder."""
    try:
        table = list_pictures(root, group)
    except DataError as error:
        if not Path(root).is_dir():
            raise
        return list_files(root), [str(error)]
    if len(table.class_names) == 1:
        return table, [f"only one class, {table.class_names[0]}: nothing to tell apart"]
    return table, []


def _odd(catalog: Catalog) -> list[dict[str, Any]]:
    paths: dict[str, list[str]] = {kind: [] for kind in ODDITIES}
    for file, facts in zip(catalog.files, catalog.facts, strict=True):
        for kind in facts.odd:
            paths[kind].append(file.name)
    return [
        {"kind": kind, "done": ODDITIES[kind], "count": len(names), "paths": sorted(names)}
        for kind, names in paths.items()
        if names
    ]


def _duplicate(catalog: Catalog, i: int, j: int) -> dict[str, Any]:
    across_classes, across_splits = catalog.across(i, j)
    return {
        "paths": sorted([catalog.files[i].name, catalog.files[j].name]),
        "kind": "same" if catalog.facts[i].sha256 == catalog.facts[j].sha256 else "nearly",
        "across_classes": across_classes,
        "across_splits": across_splits,
    }


def _sizes(facts: Sequence[Facts]) -> dict[str, tuple[int, int]]:
    sizes = sorted(((f.width, f.height) for f in facts), key=lambda s: (s[0] * s[1], s))
    return {"min": sizes[0], "median": sizes[len(sizes) // 2], "max": sizes[-1]} if sizes else {}


def page(found: Mapping[str, Any]) -> str:
    """Return the findings as one page for a terminal."""
    pairs: dict[str, list[str]] = {}
    for pair in found["duplicates"]:
        where = "under two labels" if pair["across_classes"] else "with one label"
        where += ", in train and in val" if pair["across_splits"] else ""
        joint = "  is  " if pair["kind"] == "same" else "  is nearly  "
        pairs.setdefault(where, []).append(joint.join(pair["paths"]))
    unusable = [f"{one['path']}  {one['reason']}" for one in found["unusable"]]
    odd = [f"{one['count']:5,} {one['kind']}: {one['done']}" for one in found["odd"]]
    sections = [
        [f"{found['root']}: {plural(found['num_images'], 'picture')} can be used"],
        *(_overview(found) if found["num_images"] else []),
        _section("Cannot be used, left out of training and validation", unusable),
        _section("Odd, but can be used", odd),
        *(
            _section(f"One picture twice, {where} ({plural(len(lines), 'pair')})", lines)
            for where, lines in pairs.items()
        ),
        _section("Fix these first", [f"- {one}" for one in found["repairs"]], most=1000),
        _section("Good to know", [f"- {one}" for one in found["warnings"]], most=1000),
        [] if found["repairs"] else ["No problems found."],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _overview(found: Mapping[str, Any]) -> Iterator[list[str]]:
    """Yield what the pictures are, and what to expect of a training with them."""
    classes = found["classes"]
    total = sum(counts["train"] for counts in classes.values()) or 1
    rows = [
        f"{name}: {n['train']:,} train ({n['train'] / total:.1%}), {n['val']:,} val"
        for name, n in classes.items()
    ]
    if NO_CLASS not in classes:
        yield _section("Classes", rows, most=40)
    sizes = (f"{name} {width} x {height}" for name, (width, height) in found["sizes"].items())
    yield [f"Sizes in pixels: {', '.join(sizes)}."]
    if len(classes) > 1:
        yield [
            f"Guessing the shares of train gives E = {found['guessing_E']:.4f}"
            f" (equal shares: ln {len(classes)} = {math.log(len(classes)):.4f})."
        ]
    if "training_s" in found:
        yield [f"Training will take about {found['training_s'] / 60:,.1f} minutes."]


def _section(title: str, lines: Sequence[str], most: int = NUM_SHOWN) -> list[str]:
    rest = [f"... and {len(lines) - most:,} more (--json lists all)"] if len(lines) > most else []
    return [f"{title}:", *(f"  {line}" for line in [*lines[:most], *rest])] if lines else []
