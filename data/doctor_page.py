"""The doctor's findings as a page for people and as JSON for scripts."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from data.advice import guessing_loss, plural
from data.decode import ODDITIES
from data.doctor import Examination, examine
from data.duplicates import Duplicate
from data.listing import NO_CLASS, printable

NUM_SHOWN = 10  # of a list that may have thousands


def run_doctor(
    root: str | Path,
    as_json: bool = False,
    image_size: int = 64,
    val_fraction: float = 0.2,
    seed: int = 0,
    epochs: int | None = None,
    train_images_per_s: float | None = None,
) -> int:
    """Examines a folder and prints what was found.

    Args:
        root: folder of the classes, or of train and val.
        as_json: one JSON object instead of a page.
        image_size: side in pixels that the training will use.
        val_fraction: as in `load_folder`.
        seed: as in `load_folder`.
        epochs: of the training, for an estimate of how long it takes; with the next one.
        train_images_per_s: how fast the model trains here, as measured by the caller.

    Returns:
        The exit status: 1 if something must be repaired, else 0.

    Raises:
        ValueError: no such folder.
    """
    found = examine(root, image_size, val_fraction, seed)
    training_s = None
    if epochs and train_images_per_s:
        training_s = epochs * sum(_train_counts(found).values()) / train_images_per_s
    if as_json:
        print(
            json.dumps({**as_dict(found), "training_s": training_s}, indent=2, ensure_ascii=False)
        )
    else:
        print(page(found, training_s))
    return 1 if found.repairs else 0


def as_dict(found: Examination) -> dict[str, Any]:
    """Everything, with nothing left out of the lists."""
    return {
        "root": printable(str(found.root)),
        "num_images": len(found.files),
        "classes": {
            name: {split: found.num_images(name, split) for split in ("train", "val")}
            for name in found.class_names
        },
        "unusable": [{"path": u.path, "reason": u.reason} for u in found.unusable],
        "odd": [
            {"kind": kind, "done": ODDITIES[kind], "count": len(paths), "paths": paths}
            for kind, paths in found.odd().items()
        ],
        "duplicates": [_duplicate_as_dict(found, duplicate) for duplicate in found.duplicates],
        "sizes": found.sizes(),
        "guessing_E": guessing_loss(_train_counts(found)) if found.files else None,
        "decode_s": round(found.decode_s, 3),
        "pixel_bytes": found.pixel_bytes(),
        "repairs": found.repairs,
        "warnings": found.warnings,
    }


def page(found: Examination, training_s: float | None = None) -> str:
    """One page for a terminal.

    Args:
        found: by `examine`.
        training_s: how long all epochs will take, in seconds, if that is known.
    """
    sections = [
        [f"{printable(str(found.root))}: {plural(len(found.files), 'picture')} can be used"],
        list(_classes(found)),
        list(_unusable(found)),
        list(_odd(found)),
        *_duplicates(found),
        list(_sizes_and_cost(found, training_s)),
        _bullets("To be repaired", found.repairs),
        _bullets("Good to know", found.warnings),
        ["Repair the above first." if found.repairs else "Nothing must be repaired."],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def _train_counts(found: Examination) -> dict[str, int]:
    return {name: found.num_images(name, "train") for name in found.class_names}


def _duplicate_as_dict(found: Examination, duplicate: Duplicate) -> dict[str, Any]:
    return {
        "paths": _names(found, duplicate),
        "kind": "same" if duplicate.same_content else "nearly",
        "across_classes": duplicate.across_classes,
        "across_splits": duplicate.across_splits,
    }


def _classes(found: Examination) -> Iterator[str]:
    if NO_CLASS in found.class_names or not found.files:
        return
    counts = _train_counts(found)
    total = sum(counts.values()) or 1
    width = max(len("class"), *(len(name) for name in counts))
    yield f"  {'class':{width}}  {'train':>8}  {'val':>8}  share of train"
    rows = [
        f"{name:{width}}  {num:8,}  {found.num_images(name, 'val'):8,}  {num / total:8.1%}"
        for name, num in counts.items()
    ]
    yield from _shown(rows, most=40)
    yield (
        f"  Guessing these shares gives E = {guessing_loss(counts):.4f}"
        f" (equal shares: ln {len(counts)} = {math.log(len(counts)):.4f})."
    )


def _unusable(found: Examination) -> Iterator[str]:
    if not found.unusable:
        return
    yield f"Cannot be used ({len(found.unusable)}), left out of training and validation:"
    width = max(len(unusable.path) for unusable in found.unusable[:NUM_SHOWN])
    yield from _shown([f"{u.path:{width}}  {u.reason}" for u in found.unusable])


def _odd(found: Examination) -> Iterator[str]:
    odd = found.odd()
    if not odd:
        return
    yield "Odd, but can be used:"
    width = max(len(kind) for kind in odd)
    for kind, paths in odd.items():
        yield f"  {len(paths):5,} {kind:{width}}  {ODDITIES[kind]}"
        more = f", ... and {len(paths) - 3:,} more" if len(paths) > 3 else ""
        yield f"        {'':{width}}  {', '.join(paths[:3])}{more}"


def _duplicates(found: Examination) -> Iterator[list[str]]:
    kinds = {
        "One picture under two labels": [d for d in found.duplicates if d.across_classes],
        "One picture in train and in val": [d for d in found.duplicates if d.across_splits],
        "One picture twice in a class": [
            d for d in found.duplicates if not (d.across_classes or d.across_splits)
        ],
    }
    for title, duplicates in kinds.items():
        if duplicates:
            pairs = sorted(_pair(found, duplicate) for duplicate in duplicates)
            yield [f"{title} ({plural(len(pairs), 'pair')}):", *_shown(pairs)]


def _pair(found: Examination, duplicate: Duplicate) -> str:
    relation = "is" if duplicate.same_content else "is nearly"
    first, second = _names(found, duplicate)
    return f"{first}  {relation}  {second}"


def _names(found: Examination, duplicate: Duplicate) -> list[str]:
    return sorted(found.files[index].name for index in (duplicate.first, duplicate.second))


def _sizes_and_cost(found: Examination, training_s: float | None) -> Iterator[str]:
    if not found.files:
        return
    sizes = {name: f"{width} x {height}" for name, (width, height) in found.sizes().items()}
    yield (
        f"Sizes: smallest {sizes['min']}, median {sizes['median']}, largest {sizes['max']} pixels."
    )
    num_files = len(found.files) + len(found.unusable)
    yield (
        f"Time:  decoding took {found.decode_s:.1f} s ({num_files / found.decode_s:,.0f} files/s);"
        " training does it once and keeps the result."
    )
    if training_s is not None:
        yield f"       Training will take about {training_s / 60:,.1f} minutes."
    yield (
        f"Space: {found.pixel_bytes() / 1e6:,.1f} MB on disk at {found.image_size} pixels, mapped"
        " into memory and given back when others need it."
    )


def _bullets(title: str, sentences: Sequence[str]) -> list[str]:
    return [f"{title}:", *(f"  - {sentence}" for sentence in sentences)] if sentences else []


def _shown(lines: Sequence[str], most: int = NUM_SHOWN) -> Iterator[str]:
    for line in lines[:most]:
        yield f"  {line}"
    if len(lines) > most:
        yield f"  ... and {len(lines) - most:,} more (--json lists all)"
