"""From a table of files to the two splits of a data set: decode, find duplicates, split."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from data.advice import about_classes, about_duplicates, plural
from data.cache import Found, decode_table
from data.decode import Facts, UnusableImage
from data.duplicates import Pairs, duplicate_pairs, group_ids
from data.errors import DataError
from data.images import Data, ImageSet, PictureRows, Pixels, Unusable, fingerprint
from data.split import draw_folds, split_train_val
from data.table import File, FileTable


@dataclass(frozen=True)
class Split:
    """How to split the pictures where the table does not say."""

    val_fraction: float  # share of each class for validation
    seed: int
    num_folds: int | None = None  # cut into so many parts, of which number `fold` validates,
    fold: int = 1  # in place of a share


@dataclass(frozen=True)
class Catalog:
    """The files that can be used, in the order of their content: names have no say in it."""

    table: FileTable
    files: list[File]
    facts: list[Facts]
    splits: list[str]  # "train" or "val"
    pairs: Pairs  # (P, 2) indices of files that show one picture

    @classmethod
    def of(cls, table: FileTable, found: Found, split: Split) -> "Catalog":
        """Sort the usable files, find the duplicates, draw the split."""
        verdicts = [(file, found[file.key][0]) for file in table.files]
        usable = [(file, facts) for file, facts in verdicts if isinstance(facts, Facts)]
        usable.sort(key=lambda pair: (pair[1].sha256, pair[0].label, pair[0].name))
        files, facts = [file for file, _ in usable], [facts for _, facts in usable]
        pairs = duplicate_pairs([f.sha256 for f in facts], [f.difference_hash for f in facts])
        return cls(table, files, facts, _splits(table, files, facts, pairs, split), pairs)

    def counts(self, split: str) -> dict[str, int]:
        """Return the number of files of each class in a split."""
        labels = zip(self.files, self.splits, strict=True)
        counts = Counter(file.label for file, of in labels if of == split)
        return {name: counts[label] for label, name in enumerate(self.table.class_names)}

    def across(self, i: int, j: int) -> tuple[bool, bool]:
        """Return whether two files are of different classes, and of different splits."""
        return self.files[i].label != self.files[j].label, self.splits[i] != self.splits[j]

    def advice(self) -> tuple[list[str], list[str]]:
        """Return what must be repaired, and what is good to know."""
        kinds = Counter(self.across(i, j) for i, j in self.pairs.tolist())
        num_labels, num_splits = (sum(n for k, n in kinds.items() if k[at]) for at in (0, 1))
        repairs, notes = about_duplicates(num_labels, num_splits, kinds[False, False])
        return repairs, about_classes(self.counts("train"), self.counts("val")) + notes


def load_table(
    table: FileTable,
    image_size: int,
    train_size: int,
    split: Split | None,
    on_bad: str = "skip",
    use_cache: bool = True,
    cache_dir: str | Path | None = None,
) -> Data:
    """Decode the files of a table, and split them; `split` is None where all is for validation.

    Raises:
        DataError: nothing is left to train on, or on_bad is "error" and a file cannot be used.
    """
    sizes = list(dict.fromkeys((train_size, image_size)))
    place = Path(cache_dir) if cache_dir else None
    pixels, found, warnings = decode_table(table, sizes, use_cache, place)
    unusable = list_unusable(table, found)
    catalog = Catalog.of(table, found, split or Split(0.0, 0))
    _check_usable(catalog, unusable, on_bad)
    if split:
        _check_classes(catalog)
    if "val" not in catalog.splits:
        raise DataError(
            f"{table.root}: no picture is left for validation (near-duplicates stay together, and "
            "most stay in train): add different pictures, or a val folder with a folder per class"
        )
    sets, content = [], {}
    for side, size in (("train", train_size), ("val", image_size)):
        indices = [i for i, of in enumerate(catalog.splits) if of == side]
        files = [catalog.files[i] for i in indices]
        rows = np.array([found[file.key][1] for file in files], np.int64)
        images = cast(Pixels, PictureRows(pixels[str(size)], rows))
        labels = [file.label for file in files]
        sets.append(ImageSet(images, np.array(labels, np.int64), [file.name for file in files]))
        content[side] = [catalog.facts[i].sha256 for i in indices], labels
    train, val = sets
    repairs, notes = catalog.advice()
    return Data(
        train,
        val,
        list(table.class_names),
        fingerprint(list(table.class_names), content),
        unusable,
        [*table.warnings, *warnings, *repairs, *notes],
        f"{len(train) + len(val):,} pictures in {len(table.class_names)} classes"
        f" ({len(train):,} train, {len(val):,} val);"
        f" {len(unusable):,} unusable, {plural(len(catalog.pairs), 'pair')} of duplicates",
    )


def list_unusable(table: FileTable, found: Found) -> list[Unusable]:
    """Return the files and folders to leave out, by name."""
    verdicts = ((file, found[file.key][0]) for file in table.files)
    bad = [Unusable(f.name, str(v)) for f, v in verdicts if isinstance(v, UnusableImage)]
    return sorted([*table.unusable, *bad], key=lambda unusable: unusable.path)


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
    if len(set(folds)) < split.num_folds:
        raise DataError(
            f"{table.root}: too few pictures for {split.num_folds} folds; near-duplicates count"
            " once"
        )
    for label, name in enumerate(table.class_names):
        if len({fold for fold, of in zip(folds, labels, strict=True) if of == label}) == 1:
            raise DataError(
                f"{table.root}: all pictures of {name} are in one fold, so that its model would "
                "never see them; near-duplicates stay together: add others"
            )
    return ["val" if fold == split.fold else "train" for fold in folds]


def _check_usable(catalog: Catalog, unusable: list[Unusable], on_bad: str) -> None:
    root = catalog.table.root
    named = "; ".join(f"{u.path}: {u.reason}" for u in unusable[:5]) or "the folders are empty"
    named += f"; and {len(unusable) - 5} more" if len(unusable) > 5 else ""
    if unusable and on_bad == "error":
        raise DataError(
            f"{root}: {len(unusable)} files cannot be used ({named}); repair or remove them, or set"
            " data.on_bad to skip"
        )
    if not catalog.files:
        raise DataError(f"{root}: no picture that can be used ({named})")


def _check_classes(catalog: Catalog) -> None:
    for name, count in catalog.counts("train").items():
        if not count:
            raise DataError(
                f"{catalog.table.root}: class {name} has no picture to train on that can be used;"
                " repair its pictures or remove its folder"
            )
