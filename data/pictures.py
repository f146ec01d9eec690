"""The files of a data set on their way to rows: what is known of each, and its pixels."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from data.cache import CachedSplit, CacheEntry, Rows, Spool, build_entry, open_entry, sweep
from data.decode import DECODER, Facts, Inspection, UnusableImage
from data.duplicates import Duplicate, classify, count, group_ids, same_or_near
from data.images import Unusable
from data.listing import Listing, printable
from data.seen import Verdict, load_seen, save_seen
from data.split import draw_folds, split_train_val
from data.workers import Job, inspect_files

SPLITTER = 1  # count up when the same files would be split or ordered otherwise


@dataclass(frozen=True)
class Plan:
    """What is to be made of the files."""

    train_size: int
    val_size: int
    val_fraction: float
    seed: int
    num_folds: int | None = None  # then `fold` validates and the others train
    fold: int = 1

    def sizes(self, split: str) -> tuple[int, ...]:
        """The sides at which a file is needed, as long as only this much of its split is known."""
        sizes = {"train": [self.train_size], "val": [self.val_size]}
        return tuple(dict.fromkeys(sizes.get(split, [self.train_size, self.val_size])))


class Pictures:
    """The files of a listing, what is known of them, and their pixels while these are needed."""

    def __init__(self, listing: Listing, plan: Plan, place: Path | None) -> None:
        self.listing, self.plan, self.place = listing, plan, place
        self.listed_ns = time.time_ns()
        self.spool = Spool(place)
        self.spooled: set[int] = set()
        self.verdicts: dict[int, Verdict] = self._remembered()

    def close(self) -> None:
        self.spool.close()

    def _remembered(self) -> dict[int, Verdict]:
        if self.place is None:
            return {}
        seen = load_seen(self.place, self.listing.root)
        keys = [(entry.path, entry.stamp) for entry in self.listing.entries]
        return {i: seen[key] for i, key in enumerate(keys) if key[1] and key in seen}

    def read(self, indices: Sequence[int]) -> None:
        """Opens these files, and remembers what they are."""
        entries = self.listing.entries
        jobs = [Job(entries[i].path, self.plan.sizes(entries[i].split)) for i in indices]
        for number, result in inspect_files(jobs):
            index = indices[number]
            self.verdicts[index] = self._keep(index, result)
        if indices and self.place is not None:
            save_seen(self.place, self.listing.root, entries, self.verdicts, self.listed_ns)

    def _keep(self, index: int, result: Inspection | UnusableImage) -> Verdict:
        if isinstance(result, UnusableImage):
            return result
        for pixels in result.pixels:
            self.spool.put(index, pixels)
        self.spooled.add(index)
        return result.facts

    def facts(self) -> dict[int, Facts]:
        """Of the usable files, by their index in the listing."""
        return {i: v for i, v in sorted(self.verdicts.items()) if isinstance(v, Facts)}

    def unusable(self) -> list[Unusable]:
        """The files and folders to leave out, by name."""
        entries = self.listing.entries
        bad = [
            Unusable(entries[i].name, str(verdict))
            for i, verdict in self.verdicts.items()
            if isinstance(verdict, UnusableImage)
        ]
        return sorted([*self.listing.unusable, *bad], key=lambda unusable: unusable.path)

    def key(self) -> str:
        """Names all that the cached pixels and their order depend on."""
        labels, plan = labels_of(self.listing), self.plan
        if all(entry.split for entry in self.listing.entries):  # nothing is drawn
            plan = replace(plan, val_fraction=0.0, seed=0, num_folds=None, fold=1)
        content = sorted(
            (self.listing.entries[i].split, labels[i], facts.sha256)
            for i, facts in self.facts().items()
        )
        parts = [DECODER, SPLITTER, asdict(plan), content]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def build(self) -> CacheEntry:
        """Decodes what is not decoded yet, splits, orders, and writes the result to its place."""
        self.read([index for index in self.facts() if index not in self.spooled])
        splits, duplicates = draw_splits(self.listing, self.facts(), self.plan)
        rows = self._rows(splits)
        notes = {"root": printable(str(self.listing.root)), "duplicates": asdict(count(duplicates))}
        if self.place is None:
            return CacheEntry({name: _in_memory(self.spool, r) for name, r in rows.items()}, notes)
        key = self.key()  # anew: a file may have changed since
        sweep(self.place)
        build_entry(self.place, key, self.spool, rows, notes)
        entry = open_entry(self.place, key)
        assert entry
        return entry

    def _rows(self, splits: dict[int, str]) -> dict[str, Rows]:
        labels, facts = labels_of(self.listing), self.facts()
        order = sorted(facts, key=lambda i: (facts[i].sha256, labels[i]))
        rows = {}
        for name, size in (("train", self.plan.train_size), ("val", self.plan.val_size)):
            indices = [i for i in order if splits[i] == name]
            sha256s = [facts[i].sha256 for i in indices]
            rows[name] = Rows(indices, sha256s, [labels[i] for i in indices], size)
        return rows


def labels_of(listing: Listing) -> list[int]:
    """The class index of each file."""
    label_of = {name: label for label, name in enumerate(listing.class_names)}
    return [label_of[entry.class_name] for entry in listing.entries]


def draw_splits(
    listing: Listing, facts: dict[int, Facts], plan: Plan
) -> tuple[dict[int, str], list[Duplicate]]:
    """Train or val for each usable file, as the folders say or as drawn; and the duplicates."""
    labels = labels_of(listing)
    # In the order of their content, so that neither names nor the listing have a say.
    indices = sorted(facts, key=lambda i: (facts[i].sha256, labels[i]))
    ordered = [facts[i] for i in indices]
    pairs = same_or_near(ordered)
    splits = [listing.entries[i].split for i in indices]
    if not all(splits):
        sha256s = [file.sha256 for file in ordered]
        groups = group_ids(len(indices), pairs)
        ordered_labels = [labels[i] for i in indices]
        if plan.num_folds is None:
            splits = split_train_val(sha256s, ordered_labels, groups, plan.val_fraction, plan.seed)
        else:
            folds = draw_folds(sha256s, ordered_labels, groups, plan.num_folds, plan.seed)
            check_folds(folds, ordered_labels, plan.num_folds, listing)
            splits = ["val" if fold == plan.fold else "train" for fold in folds]
    class_names = [listing.entries[i].class_name for i in indices]
    duplicates = [
        replace(duplicate, first=indices[duplicate.first], second=indices[duplicate.second])
        for duplicate in classify(pairs, ordered, class_names, splits)
    ]
    return dict(zip(indices, splits, strict=True)), duplicates


def check_folds(folds: list[int], labels: list[int], num_folds: int, listing: Listing) -> None:
    """Raise ValueError if a fold is empty, or a model would never see a class."""
    if len(set(folds)) < num_folds:
        raise ValueError(
            f"{listing.root}: too few pictures for {num_folds} folds; near-duplicates count once"
        )
    for label, name in enumerate(listing.class_names):
        homes = {fold for fold, of in zip(folds, labels, strict=True) if of == label}
        if len(homes) == 1:
            raise ValueError(
                f"{listing.root}: all pictures of {name} are in one fold, so that its model would "
                "never see them; near-duplicates stay together: add others"
            )


def _in_memory(spool: Spool, rows: Rows) -> CachedSplit:
    images = np.empty((len(rows.indices), rows.size, rows.size, 3), np.uint8)
    for row, index in enumerate(rows.indices):
        images[row] = spool.get(index, rows.size)
    return CachedSplit(images, rows.sha256s, rows.labels)
