"""A look at every file before the training: what cannot be used, what leaks, what is odd."""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data import DataError
from data.advice import about_balance, about_start, guessing_loss, hint_at_groups, plural
from data.cache import Decoding, decode_table
from data.decode import ODDITIES, Facts
from data.folder import NO_CLASS, list_files
from data.images import size_to_train
from data.labels import list_pictures
from data.load import Catalog, Split
from data.table import FileTable, printable

NUM_SHOWN = 10  # of a list that may have thousands


def run_doctor(
    root: str | Path,
    as_json: bool = False,
    image_size: int = 64,
    split: Split = Split(0.2, seed=0),  # noqa: B008 - it never changes
    decoding: Decoding = Decoding(),  # noqa: B008
    training_s: Callable[[Mapping[str, int]], float] | None = None,
    num_corrections: int = 0,
    from_scratch: bool = False,
    also: Callable[[Mapping[str, Any]], None] = lambda found: None,
    group: str | None = None,
) -> int:
    """Examine a folder and print what was found; return 1 if something must be repaired, else 0.

    Args:
        image_size, split, decoding, group: as the training will have them.
        training_s: how long a training on so many pictures of each class takes, in seconds.
        num_corrections: settings that correct the sizes of the classes.
        from_scratch: whether the training starts without pretrained weights.
        also: what else to do with the findings.

    Raises:
        DataError: no such folder.
    """
    found = examine(root, image_size, split, decoding, group)
    counts = {name: classes["train"] for name, classes in found["classes"].items()}
    if len(counts) > 1:
        found["warnings"] += about_balance(counts, num_corrections)
        found["warnings"] += about_start(counts) if from_scratch else []
    if training_s and found["num_images"]:
        found["training_s"] = training_s(counts)
    print(json.dumps(found, indent=2, ensure_ascii=False) if as_json else page(found))
    also(found)
    return 1 if found["repairs"] else 0


def examine(
    root: str | Path, image_size: int, split: Split, decoding: Decoding, group: str | None
) -> dict[str, Any]:
    """Open every file once, for the training too, and draw the split that a training would draw.

    The files of any folder are examined; what is wrong with the folder is the first of `repairs`.
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
    found = []
    for kind, done in ODDITIES.items():
        both = zip(catalog.files, catalog.facts, strict=True)
        if paths := sorted(file.name for file, facts in both if kind in facts.odd):
            found.append({"kind": kind, "done": done, "count": len(paths), "paths": paths})
    return found


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
    across = {(False, False): "twice in a class", (True, False): "under two labels"}
    across |= {(False, True): "in train and in val", (True, True): "under two labels, in both"}
    pairs: dict[str, list[str]] = {name: [] for name in across.values()}
    for pair in found["duplicates"]:
        kind = across[pair["across_classes"], pair["across_splits"]]
        pairs[kind].append(
            f"  {'is' if pair['kind'] == 'same' else 'is nearly'}  ".join(pair["paths"])
        )
    unusable = (f"{one['path']}  {one['reason']}" for one in found["unusable"])
    odd = (f"{one['count']:5,} {one['kind']}: {one['done']}" for one in found["odd"])
    sections = [
        [f"{found['root']}: {plural(found['num_images'], 'picture')} can be used"],
        _classes(found) if found["num_images"] and NO_CLASS not in found["classes"] else [],
        _cost(found) if found["num_images"] else [],
        _section("Cannot be used, left out of training and validation", unusable),
        _section("Odd, but can be used", odd),
        *(
            _section(f"One picture {kind} ({plural(len(lines), 'pair')})", lines)
            for kind, lines in pairs.items()
        ),
        _section("Fix these first", (f"- {one}" for one in found["repairs"]), most=1000),
        _section("Good to know", (f"- {one}" for one in found["warnings"]), most=1000),
        [] if found["repairs"] else ["No problems found."],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _classes(found: Mapping[str, Any]) -> list[str]:
    classes = found["classes"]
    total = sum(counts["train"] for counts in classes.values()) or 1
    rows = [
        f"{name}: {n['train']:,} train ({n['train'] / total:.1%}), {n['val']:,} val"
        for name, n in classes.items()
    ]
    if len(classes) == 1:
        return _section("Classes", rows)
    return [
        *_section("Classes", rows, most=40),
        f"  Guessing the shares of train gives E = {found['guessing_E']:.4f}"
        f" (equal shares: ln {len(classes)} = {math.log(len(classes)):.4f}).",
    ]


def _cost(found: Mapping[str, Any]) -> list[str]:
    sizes = (f"{name} {width} x {height}" for name, (width, height) in found["sizes"].items())
    lines = [f"Sizes in pixels: {', '.join(sizes)}."]
    if "training_s" in found:
        lines.append(f"Training will take about {found['training_s'] / 60:,.1f} minutes.")
    return lines


def _section(title: str, lines: Iterable[str], most: int = NUM_SHOWN) -> list[str]:
    shown = [f"  {line}" for line in lines]
    if len(shown) > most:
        shown[most:] = [f"  ... and {len(shown) - most:,} more (--json lists all)"]
    return [f"{title}:", *shown] if shown else []
