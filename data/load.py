"""Make a data set from a table of files: decode, find duplicates, split."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from data import DataError
from data.advice import about_classes, plural, some
from data.cache import Decoding, Found, decode_table
from data.decode import Facts
from data.duplicates import Pairs, duplicate_pairs, group_ids, prints_of
from data.folder import class_name
from data.images import (
    Data,
    File,
    FileTable,
    ImageSet,
    PictureRows,
    Pixels,
    Unusable,
    UnusableImage,
    fingerprint,
)
from data.labels import list_pictures
from data.split import draw_folds, split_train_val


@dataclass(frozen=True)
class Split:
    """The split into train and val, for a table without one."""

    val_fraction: float  # share of each class for validation, above 0 and below 1
    seed: int
    num_folds: int | None = None  # if given, fold `fold` of this many is val instead
    fold: int = 1


def load_folder(
    root: str | Path,
    image_size: int,
    split: Split,
    train_size: int,
    on_bad: str,
    decoding: Decoding,
    group: str | None = None,
) -> Data:
    """Load all pictures of a folder, decoded in parallel and kept in a cache, as two splits.

    The rows and the drawn split depend on the content of the files, not on their names or order.

    Args:
        root: folder of the classes, or of train and val; or a table, as in `list_labels`.
        image_size: side of the validation pictures in pixels.
        split: not used if there is a val folder.
        train_size: side of the training pictures in pixels.
        on_bad: "skip" leaves out the files that cannot be used and lists them; "error" raises.
        group: which pictures stay in the same split, as in `list_folder`.

    Raises:
        DataError: the mistake in the folder, in one sentence.
    """
    table = list_pictures(root, group)
    if len(table.class_names) < 2:
        raise DataError(f"{root}: only one class, {table.class_names[0]}; expected two or more")
    if split.num_folds and any(file.split for file in table.files):
        raise DataError(f"{root}: has a split already; folds need pictures without one")
    data, catalog = _load(table, (train_size, image_size), split, decoding)
    if data.unusable and on_bad == "error":
        raise DataError(
            f"{root}: {plural(len(data.unusable), 'file')} cannot be used"
            f" ({_named(data.unusable)}); repair or remove them, or set data.on_bad to skip"
        )
    if lacking := catalog.lacks():
        raise DataError(f"{root}: {lacking[0]}")
    return data


def load_folder_for_evaluation(
    root: str | Path, class_names: Sequence[str], image_size: int, decoding: Decoding
) -> Data:
    """Load all pictures of a folder, or of its val folder, as validation pictures of a model.

    Raises:
        DataError: as in `load_folder`; or the folder has a class that the model does not have.
    """
    table = list_pictures(root, to_train=False)
    if unknown := [name for name in table.class_names if name not in class_names]:
        raise DataError(f"{root}: the model has classes {some(class_names)}, not {some(unknown)}")
    has_val = any(file.split == "val" for file in table.files)
    files = [
        replace(file, split="val", label=class_names.index(table.class_names[file.label]))
        for file in table.files
        if file.split == "val" or not has_val
    ]
    found = {file.label for file in files}
    if missing := [name for label, name in enumerate(class_names) if label not in found]:
        table.warnings.append(f"{root}: no pictures of {some(missing)}")
    table = replace(table, class_names=class_names, files=files)
    return _load(table, (image_size, image_size), Split(0.0, 0), decoding)[0]


@dataclass(frozen=True)
class Catalog:
    """The files that can be used, ordered by their content."""

    table: FileTable
    files: list[File]
    facts: list[Facts]
    splits: list[str]  # "train" or "val"
    pairs: Pairs  # (P, 2) indices of files that show (nearly) the same picture
    unusable: list[Unusable]

    @classmethod
    def of(cls, table: FileTable, found: Found, split: Split) -> "Catalog":
        """Sort the usable files, find the duplicates, draw the split."""
        verdicts = [(file, found[file.key][0]) for file in table.files]
        bad = [Unusable(f.name, str(v)) for f, v in verdicts if isinstance(v, UnusableImage)]
        unusable = sorted([*table.unusable, *bad], key=lambda one: one.path)
        usable = [(file, facts) for file, facts in verdicts if isinstance(facts, Facts)]
        usable.sort(key=lambda pair: (pair[1].sha256, pair[0].label, pair[0].name))
        files, facts = [file for file, _ in usable], [facts for _, facts in usable]
        pairs = duplicate_pairs([f.sha256 for f in facts], [f.difference_hash for f in facts])
        splits = _splits(table, files, facts, pairs, split)
        return cls(table, files, facts, splits, pairs, unusable)

    def counts(self, split: str) -> dict[str, int]:
        """Return the number of files of each class in a split."""
        files = zip(self.files, self.splits, strict=True)
        counts = Counter(file.label for file, own_split in files if own_split == split)
        return {name: counts[label] for label, name in enumerate(self.table.class_names)}

    def across(self, i: int, j: int) -> tuple[bool, bool]:
        """Return whether two files differ in class, and whether they differ in split."""
        return self.files[i].label != self.files[j].label, self.splits[i] != self.splits[j]

    def lacks(self) -> list[str]:
        """Return what is missing for training, one sentence each."""
        found = []
        in_val = self.counts("val")
        for name, count in self.counts("train").items():
            if not count:
                others = "all of its pictures are in val" if in_val[name] else "there are no files"
                bad = [one for one in self.unusable if name in class_name(one.path).split(os.sep)]
                found.append(
                    f"class {name} has no usable picture to train on"
                    f" ({_named(bad) or others}): add some, or remove the class"
                )
        if "val" not in self.splits and self.files:
            why = "add more that are not duplicates or of one group (those stay together, in train)"
            if self.files[0].split:
                why = "val has no usable picture; add some of every class, or remove val"
            found.append(f"no picture is left for validation: {why}")
        return found

    def advice(self) -> tuple[list[str], list[str]]:
        """Return what must be repaired, and notes."""
        pairs = [self.across(i, j) for i, j in self.pairs.tolist()]
        repairs, notes = [], about_classes(self.counts("train"), self.counts("val"))
        if num := sum(labels for labels, _ in pairs):
            repairs.append(f"{plural(num, 'pair')} of duplicates under two labels: keep one")
        if num := sum(splits for _, splits in pairs):
            repairs.append(f"{plural(num, 'pair')} of duplicates in train and in val: keep one")
        if num := pairs.count((False, False)):
            notes.append(f"{plural(num, 'pair')} of duplicates in one class and split")
        groups = set(zip((file.group for file in self.files), self.splits, strict=True))
        in_train, in_val = ({g for g, own in groups if own == split} for split in ("train", "val"))
        if parted := sorted(in_train & in_val - {""}):
            repairs.append(f"{plural(len(parted), 'group')} in both train and val: {some(parted)}")
        return repairs, notes


def _load(
    table: FileTable, sizes: tuple[int, int], split: Split, decoding: Decoding
) -> tuple[Data, Catalog]:
    """Decode the files of a table to the sizes for train and val, and split them."""
    pixels, found, warnings = decode_table(table, list(dict.fromkeys(sizes)), decoding)
    catalog = Catalog.of(table, found, split)
    if not catalog.files:
        reasons = _named(catalog.unusable) or "the folders are empty"
        raise DataError(f"{table.root}: no usable picture ({reasons})")
    sets, content = [], {}
    for side, size in zip(("train", "val"), sizes, strict=True):
        indices = [i for i, split_name in enumerate(catalog.splits) if split_name == side]
        files, facts = [catalog.files[i] for i in indices], [catalog.facts[i] for i in indices]
        rows = np.array([found[file.key][1] for file in files], np.int64)
        images = cast(Pixels, PictureRows(pixels[str(size)], rows))
        labels, sha256s = [file.label for file in files], [f.sha256 for f in facts]
        prints = prints_of(sha256s, [f.difference_hash for f in facts])
        names = [file.path for file in files]
        sets.append(ImageSet(images, np.array(labels, np.int64), names, prints))
        content[side] = sha256s, labels
    repairs, notes = catalog.advice()
    train, val = sets
    data = Data(
        train,
        val,
        class_names=list(table.class_names),
        fingerprint=fingerprint(table.class_names, content),
        unusable=catalog.unusable,
        warnings=[*table.warnings, *warnings, *repairs, *notes],
        summary=f"{len(train) + len(val):,} pictures in {len(table.class_names)} classes"
        f" ({len(train):,} train, {len(val):,} val); {len(catalog.unusable):,} unusable,"
        f" {plural(len(catalog.pairs), 'pair')} of duplicates",
    )
    return data, catalog


def _splits(
    table: FileTable, files: list[File], facts: list[Facts], pairs: Pairs, split: Split
) -> list[str]:
    if all(file.split for file in files):
        return [file.split for file in files]
    sha256s, labels = [f.sha256 for f in facts], [file.label for file in files]
    groups = group_ids(len(files), pairs, [file.group for file in files])
    if split.num_folds is None:
        return split_train_val(sha256s, labels, groups, split.val_fraction, split.seed)
    folds = draw_folds(sha256s, labels, groups, split.num_folds, split.seed)
    spread = Counter(label for label, _ in set(zip(labels, folds, strict=True)))
    alone = [table.class_names[label] for label, num_folds in spread.items() if num_folds == 1]
    if alone or len(set(folds)) < split.num_folds:
        raise DataError(
            f"{table.root}: too few pictures for {split.num_folds} folds"
            + (f" (all pictures of {alone[0]} are in one)" if alone else "")
            + "; near-duplicates count as one picture"
        )
    return ["val" if fold == split.fold else "train" for fold in folds]


def _named(unusable: Sequence[Unusable]) -> str:
    """Return the first few reasons, each with the names of a few files."""
    paths: dict[str, list[str]] = {}
    for one in unusable:
        paths.setdefault(one.reason, []).append(one.path)
    named = [f"{some(names)}: {reason}" for reason, names in paths.items()]
    return "; ".join(named[:3]) + (f"; and {len(named) - 3} other reasons" if named[3:] else "")
