"""A look at every file before the training: what is there, what cannot be used, what is odd."""

import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from data.advice import about_classes, about_duplicates, plural
from data.decode import ODDITIES, Facts, UnusableImage
from data.duplicates import Duplicate, count
from data.images import Unusable
from data.listing import NO_CLASS, Listing, list_files, list_folder
from data.pictures import Plan, draw_splits
from data.workers import Job, inspect_files


@dataclass(frozen=True)
class File:
    """A file that can be used."""

    name: str  # below the root
    class_name: str
    split: str  # "train" or "val"
    facts: Facts


@dataclass(frozen=True)
class Examination:
    """What was found out. `repairs` must be put right before a training can be trusted."""

    root: Path
    class_names: list[str]
    files: dict[int, File]
    unusable: list[Unusable]
    duplicates: list[Duplicate]  # of `files`, by their keys
    repairs: list[str]
    warnings: list[str]
    image_size: int
    decode_s: float  # wall clock for all files, on all cores

    def num_images(self, class_name: str, split: str) -> int:
        """How many files of a class and split can be used."""
        return self._counts[class_name, split]

    @cached_property
    def _counts(self) -> Counter[tuple[str, str]]:
        return Counter((file.class_name, file.split) for file in self.files.values())

    def odd(self) -> dict[str, list[str]]:
        """Names of the files with each oddity, for those that occur."""
        odd = {
            kind: [file.name for file in self.files.values() if kind in file.facts.odd]
            for kind in ODDITIES
        }
        return {kind: names for kind, names in odd.items() if names}

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Width and height of the smallest, the median and the largest picture, by area."""
        sizes = sorted(
            ((file.facts.width, file.facts.height) for file in self.files.values()),
            key=lambda size: (size[0] * size[1], size),
        )
        if not sizes:
            return {}
        return {"min": sizes[0], "median": sizes[len(sizes) // 2], "max": sizes[-1]}

    def pixel_bytes(self) -> int:
        """What the decoded pictures take: on disk in the cache, in memory while it is read."""
        return 3 * self.image_size**2 * len(self.files)


def examine(
    root: str | Path, image_size: int = 64, val_fraction: float = 0.2, seed: int = 0
) -> Examination:
    """Opens every file once, in parallel, and draws the split that a training would draw.

    Args:
        root: folder of the classes, or of train and val. The files of any other folder are
            examined all the same, and what is wrong with the folder is the first of `repairs`.
        image_size: side in pixels that the training will use.
        val_fraction: as in `load_folder`.
        seed: as in `load_folder`.

    Raises:
        ValueError: no such folder.
    """
    listing, repairs = _list(root)
    started = time.perf_counter()
    facts, unusable = _inspect(listing, image_size)
    decode_s = time.perf_counter() - started
    plan = Plan(image_size, image_size, val_fraction, seed)
    splits, duplicates = draw_splits(listing, facts, plan)
    files = {
        i: File(listing.entries[i].name, listing.entries[i].class_name, splits[i], facts[i])
        for i in facts
    }
    examination = Examination(
        listing.root,
        listing.class_names,
        files,
        unusable,
        duplicates,
        repairs,
        list(listing.warnings),
        image_size,
        decode_s,
    )
    _advise(examination)
    return examination


def _list(root: str | Path) -> tuple[Listing, list[str]]:
    try:
        listing = list_folder(root)
    except ValueError as error:
        if not Path(root).is_dir():
            raise
        return list_files(root), [str(error)]
    if len(listing.class_names) == 1:
        return listing, [f"only one class, {listing.class_names[0]}: nothing to tell apart"]
    return listing, []


def _inspect(listing: Listing, image_size: int) -> tuple[dict[int, Facts], list[Unusable]]:
    facts, unusable = {}, list(listing.unusable)
    jobs = [Job(entry.path, (image_size,)) for entry in listing.entries]
    for index, result in inspect_files(jobs, description="examining"):
        if isinstance(result, UnusableImage):
            unusable.append(Unusable(listing.entries[index].name, str(result)))
        else:
            facts[index] = result.facts
    return dict(sorted(facts.items())), sorted(unusable, key=lambda u: u.path)


def _advise(found: Examination) -> None:
    """Adds to `repairs` and `warnings` what follows from the files."""
    train = {name: found.num_images(name, "train") for name in found.class_names}
    val = {name: found.num_images(name, "val") for name in found.class_names}
    for name, num_train in train.items():
        if not num_train:
            found.repairs.append(f"class {name} has no picture to train on: add some or remove it")
    if found.unusable:
        found.repairs.append(
            f"{plural(len(found.unusable), 'file')} cannot be used: repair or remove"
        )
    repairs, warnings = about_duplicates(count(found.duplicates))
    found.repairs.extend(repairs)
    if NO_CLASS not in train:
        found.warnings.extend(about_classes(train, val))
    found.warnings.extend(warnings)
    sides = np.array([min(f.facts.width, f.facts.height) for f in found.files.values()])
    if num_small := int((sides < found.image_size).sum()):
        found.warnings.append(
            f"{plural(num_small, 'picture')} smaller than {found.image_size} pixels: enlarged"
        )
