"""Make a data set from a table of files: decode, find duplicates, split."""

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data import DataError
from data.advice import about_classes, plural, some
from data.cache import Decoding, Rows, decode_table
from data.decode import Facts, size_to_train
from data.duplicates import Pairs, duplicate_pairs, group_ids, prints_of
from data.folder import class_name
from data.images import Data, File, FileTable, ImageSet, PictureRows, Unusable, fingerprint
from data.labels import list_pictures
from data.split import draw_folds, groups_in_order, split_train_val


@dataclass(frozen=True)
class Split:
    """The split into train and val, for a table without one."""

    val_fraction: float  # share of each class for validation, above 0 and below 1
    seed: int
    num_folds: int | None = None  # if given, fold `fold` of this many is val instead
    fold: int = 1


def load_folder(
    root: str | Path, image_size: int, split: Split, decoding: Decoding, group: str | None = None
) -> Data:
    """Load all pictures of a folder, decoded in parallel and kept in a cache, as two splits.

    The rows and the drawn split depend on the content of the files, not on their names or order.
    Files that cannot be used are left out and listed.

    Args:
        root: folder of the classes, or of train and val; or a table (.csv).
        image_size: side of the validation pictures in pixels.
        split: not used if there is a val folder.
        group: which pictures stay in the same split, as in `list_folder`.

    Raises:
        DataError: the mistake in the folder, in one sentence.
    """
    table = list_pictures(root, group)
    if split.num_folds and any(file.split for file in table.files):
        raise DataError(f"{root}: has a split already; folds need pictures without one")
    catalog = make_catalog(table, (size_to_train(image_size), image_size), split, decoding)
    if lacking := catalog.lacks():
        raise DataError(f"{root}: {lacking[0]}")
    return catalog.data()


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
    catalog = make_catalog(table, (image_size, image_size), Split(0.0, 0), decoding)
    if not catalog.files:
        reasons = _named(table.unusable) or "the folders are empty"
        raise DataError(f"{root}: no usable picture ({reasons})")
    return catalog.data()


@dataclass(frozen=True)
class Catalog:
    """The files that can be used, ordered by their content, and their pixels."""

    table: FileTable  # all files
    files: list[File]  # each with its split
    facts: list[Facts]
    pairs: Pairs  # (P, 2) indices of files that show (nearly) the same picture
    sizes: tuple[int, int]  # of the training and the validation pictures
    pixels: Rows
    rows: npt.NDArray[np.int64]  # of the files in `pixels`

    def counts(self, split: str) -> dict[str, int]:
        """Return the number of files of each class in a split."""
        counts = Counter(file.label for file in self.files if file.split == split)
        return {name: counts[label] for label, name in enumerate(self.table.class_names)}

    def duplicates(self) -> list[dict[str, Any]]:
        """Return the pairs of files that show (nearly) the same picture, the worst first."""
        found = []
        for i, j in self.pairs.tolist():
            one, other = self.files[i], self.files[j]
            is_same = self.facts[i].sha256 == self.facts[j].sha256
            found.append(
                {
                    "paths": sorted([one.name, other.name]),
                    "kind": "same" if is_same else "nearly",
                    "across_classes": one.label != other.label,
                    "across_splits": one.split != other.split,
                }
            )
        return sorted(found, key=lambda pair: -pair["across_splits"] - pair["across_classes"])

    def lacks(self) -> list[str]:
        """Return what is missing for training, one sentence each."""
        found, val, table = [], self.counts("val"), self.table
        for name in [name for name, count in self.counts("train").items() if not count]:
            own = {file.name for file in table.files if table.class_names[file.label] == name}
            paths = [(one, class_name(one.path)) for one in table.unusable]
            bad = [one for one, path in paths if one.path in own or name in path.split(os.sep)]
            why = _named(bad) or ("all of them are in val" if val[name] else "it has no file")
            found.append(
                f"class {name} has no usable picture to train on ({why}): add some, or remove it"
            )
        if self.files and not any(val.values()):
            advice = "add more: duplicates and pictures of one group stay together, in train"
            if self.table.files[0].split:
                advice = "add some of every class to val, or remove val"
            found.append(f"no picture is left for validation: {advice}")
        return found

    def advice(self) -> tuple[list[str], list[str]]:
        """Return what must be repaired, and notes."""
        pairs = [(pair["across_classes"], pair["across_splits"]) for pair in self.duplicates()]
        repairs, notes = [], about_classes(self.counts("train"), self.counts("val"))
        for index, where in enumerate(("under two labels", "in train and in val")):
            if num := sum(pair[index] for pair in pairs):
                repairs.append(f"{plural(num, 'pair')} of duplicates {where}: keep one")
        if num := pairs.count((False, False)):
            notes.append(f"{plural(num, 'pair')} of duplicates in one class and split")
        groups = {(file.group, file.split) for file in self.files if file.group}
        if parted := sorted(g for g, split in groups if split == "val" and (g, "train") in groups):
            repairs.append(f"{plural(len(parted), 'group')} in both train and val: {some(parted)}")
        return repairs, notes

    def data(self) -> Data:
        """Return the pictures of both splits."""
        sets, content = [], {}
        for split, size in zip(("train", "val"), self.sizes, strict=True):
            ids = [i for i, file in enumerate(self.files) if file.split == split]
            labels = [self.files[i].label for i in ids]
            sha256s = [self.facts[i].sha256 for i in ids]
            prints = prints_of(sha256s, [self.facts[i].difference_hash for i in ids])
            images: Any = PictureRows(self.pixels[str(size)], self.rows[ids])
            names = [self.files[i].path for i in ids]
            sets.append(ImageSet(images, np.array(labels, np.int64), names, prints))
            content[split] = sha256s, labels
        repairs, notes = self.advice()
        warnings = [*self.table.warnings, *repairs, *notes]
        (train, val), class_names = sets, list(self.table.class_names)
        sha256 = fingerprint(class_names, content)
        summary = (
            f"{len(self.files):,} pictures in {len(class_names)} classes ({len(train):,} train,"
            f" {len(val):,} val); {len(self.table.unusable):,} unusable,"
            f" {plural(len(self.pairs), 'pair')} of duplicates"
        )
        return Data(train, val, class_names, sha256, self.table.unusable, warnings, summary)


def make_catalog(
    table: FileTable, sizes: tuple[int, int], split: Split, decoding: Decoding
) -> Catalog:
    """Decode the files, sort those that can be used, find the duplicates, draw the split."""
    pixels, found = decode_table(table, sizes, decoding)
    usable = []
    for file in table.files:
        verdict, row = found[file.key]
        if isinstance(verdict, Facts):
            usable.append((file, verdict, row))
        else:
            table.unusable.append(Unusable(file.name, str(verdict)))
    table.unusable.sort(key=lambda one: one.path)
    usable.sort(key=lambda one: (one[1].sha256, one[0].label, one[0].name))
    files, facts = [file for file, _, _ in usable], [own for _, own, _ in usable]
    sha256s, labels = [own.sha256 for own in facts], [file.label for file in files]
    pairs, is_complete = duplicate_pairs(sha256s, [own.difference_hash for own in facts])
    if not is_complete:
        table.warnings.append("too many pictures look alike: the search finds only equal ones")
    if not all(file.split for file in files):
        ids = group_ids(len(files), pairs, [file.group for file in files])
        groups = groups_in_order(sha256s, ids, split.seed)
        if split.num_folds is None:
            splits = split_train_val(groups, labels, split.val_fraction)
        else:
            folds = draw_folds(groups, labels, split.num_folds)
            splits = ["val" if fold == split.fold else "train" for fold in folds]
            spread = Counter(label for label, _ in set(zip(labels, folds, strict=True)))
            alone = [table.class_names[label] for label, num in spread.items() if num == 1]
            if alone or len(set(folds)) < split.num_folds:
                raise DataError(
                    f"{table.root}: too few pictures for {split.num_folds} folds"
                    + (f" (all pictures of {alone[0]} are in one)" if alone else "")
                    + "; near-duplicates count as one picture"
                )
        files = [replace(file, split=own) for file, own in zip(files, splits, strict=True)]
    rows = np.array([row for _, _, row in usable], np.int64)
    return Catalog(table, files, facts, pairs, sizes, pixels, rows)


def _named(unusable: Sequence[Unusable]) -> str:
    """Return the first few reasons, each with the names of a few files."""
    paths = defaultdict(list)
    for one in unusable:
        paths[one.reason].append(one.path)
    named = [f"{some(names)}: {reason}" for reason, names in paths.items()]
    return "; ".join(named[:3]) + (f"; and {len(named) - 3} other reasons" if named[3:] else "")
