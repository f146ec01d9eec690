"""A look at every file before the training: what cannot be used, what leaks, what is odd."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data.advice import guessing_loss, plural
from data.cache import decode_files, verdict_of
from data.decode import ODDITIES, Facts
from data.errors import DataError
from data.folder import NO_CLASS, list_files, list_folder
from data.load_table import Catalog, Split, list_unusable
from data.table import FileTable, printable

NUM_SHOWN = 10  # of a list that may have thousands


def run_doctor(
    root: str | Path,
    as_json: bool = False,
    image_size: int = 64,
    split: Split = Split(0.2, seed=0),  # noqa: B008 - it never changes
    training_s: Callable[[Mapping[str, int]], float] | None = None,
) -> int:
    """Examine a folder and print what was found; return 1 if something must be repaired, else 0.

    Args:
        image_size, split: as the training will have them.
        training_s: how long a training on so many pictures of each class takes, in seconds.

    Raises:
        DataError: no such folder.
    """
    found = examine(root, image_size, split)
    if training_s and found["num_images"]:
        counts = {name: classes["train"] for name, classes in found["classes"].items()}
        found["training_s"] = training_s(counts)
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else page(found))
    return 1 if found["repairs"] else 0


def examine(root: str | Path, image_size: int, split: Split) -> dict[str, Any]:
    """Open every file once, in parallel, and draw the split that a training would draw.

    The files of any folder are examined; what is wrong with the folder is the first of `repairs`.
    """
    table, repairs = _list(root)
    decoded = decode_files(table, table.files, [image_size], "examining")
    found = {file.key: (verdict_of(result), -1) for file, result in decoded}
    catalog = Catalog.of(table, found, split)
    train, val = catalog.counts("train"), catalog.counts("val")
    unusable = list_unusable(table, found)
    repairs += [
        f"class {name} has no picture to train on: add some or remove it"
        for name, count in train.items()
        if not count
    ]
    if unusable:
        repairs.append(f"{plural(len(unusable), 'file')} cannot be used: repair or remove")
    leaks, notes = catalog.advice()
    warnings = [*table.warnings, *notes]
    if small := sum(min(f.width, f.height) < image_size for f in catalog.facts):
        warnings.append(f"{plural(small, 'picture')} smaller than {image_size} pixels: enlarged")
    return {
        "root": printable(str(table.root)),
        "num_images": len(catalog.files),
        "classes": {name: {"train": train[name], "val": val[name]} for name in train},
        "unusable": [asdict(one) for one in unusable],
        "odd": _odd(catalog),
        "duplicates": [_duplicate(catalog, i, j) for i, j in catalog.pairs.tolist()],
        "sizes": _sizes(catalog.facts),
        "guessing_E": guessing_loss(train) if catalog.files else None,
        "image_size": image_size,
        "repairs": repairs + leaks,
        "warnings": warnings,
    }


def _list(root: str | Path) -> tuple[FileTable, list[str]]:
    """Return the files, and what is wrong with their folder."""
    try:
        table = list_folder(root)
    except DataError as error:
        return list_files(root), [str(error)]
    if len(table.class_names) == 1:
        return table, [f"only one class, {table.class_names[0]}: nothing to tell apart"]
    return table, []


def _odd(catalog: Catalog) -> list[dict[str, Any]]:
    both = list(zip(catalog.files, catalog.facts, strict=True))
    names = {kind: sorted(f.name for f, facts in both if kind in facts.odd) for kind in ODDITIES}
    return [
        {"kind": kind, "done": ODDITIES[kind], "count": len(paths), "paths": paths}
        for kind, paths in names.items()
        if paths
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
    two_labels, two_splits, twice = [], [], []
    for pair in found["duplicates"]:
        line = f"  {'is' if pair['kind'] == 'same' else 'is nearly'}  ".join(pair["paths"])
        if pair["across_classes"]:
            two_labels.append(line)
        if pair["across_splits"]:
            two_splits.append(line)
        if not (pair["across_classes"] or pair["across_splits"]):
            twice.append(line)
    sections = [
        [f"{found['root']}: {plural(found['num_images'], 'picture')} can be used"],
        *([_classes(found), _cost(found)] if found["num_images"] else []),
        _section(
            "Cannot be used, left out of training and validation",
            [f"{one['path']}  {one['reason']}" for one in found["unusable"]],
        ),
        _section(
            "Odd, but can be used",
            [f"{one['count']:5,} {one['kind']}: {one['done']}" for one in found["odd"]],
        ),
        _section(f"One picture under two labels ({plural(len(two_labels), 'pair')})", two_labels),
        _section(
            f"One picture in train and in val ({plural(len(two_splits), 'pair')})", two_splits
        ),
        _section(f"One picture twice in a class ({plural(len(twice), 'pair')})", twice),
        _section("Fix these first", [f"- {one}" for one in found["repairs"]], most=1000),
        _section("Good to know", [f"- {one}" for one in found["warnings"]], most=1000),
        [] if found["repairs"] else ["No problems found."],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _classes(found: Mapping[str, Any]) -> list[str]:
    classes = found["classes"]
    if NO_CLASS in classes:
        return []
    total = sum(counts["train"] for counts in classes.values()) or 1
    rows = [
        f"{name}: {n['train']:,} train ({n['train'] / total:.1%}), {n['val']:,} val"
        for name, n in classes.items()
    ]
    return [
        *_section("Classes", rows, most=40),
        f"  Guessing the shares of train gives E = {found['guessing_E']:.4f}"
        f" (equal shares: ln {len(classes)} = {math.log(len(classes)):.4f}).",
    ]


def _cost(found: Mapping[str, Any]) -> list[str]:
    sizes = {name: f"{width} x {height}" for name, (width, height) in found["sizes"].items()}
    lines = [
        f"Sizes: smallest {sizes['min']}, median {sizes['median']}, largest {sizes['max']} pixels."
    ]
    if "training_s" in found:
        lines.append(f"Training will take about {found['training_s'] / 60:,.1f} minutes.")
    return lines


def _section(title: str, lines: Sequence[str], most: int = NUM_SHOWN) -> list[str]:
    if not lines:
        return []
    more = [f"... and {len(lines) - most:,} more (--json lists all)"] if len(lines) > most else []
    return [f"{title}:", *(f"  {line}" for line in [*lines[:most], *more])]
