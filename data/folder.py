"""Your own pictures: root/CLASS/*, or root/train/CLASS/* and root/val/CLASS/*."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from data.advice import about_classes, about_duplicates, summary_line
from data.cache import CacheEntry, DamagedCache, open_entry, remove_entry
from data.decode import Facts
from data.duplicates import DuplicateCounts
from data.files import default_cache_dir
from data.images import Data, ImageSet, Unusable, fingerprint
from data.listing import Listing, list_folder
from data.pictures import Pictures, Plan


def load_folder(
    root: str | Path,
    image_size: int,
    val_fraction: float,
    seed: int,
    train_size: int | None = None,
    cache_dir: str | Path | None = None,
    on_bad: str = "skip",
    use_cache: bool = True,
    num_folds: int | None = None,
    fold: int = 1,
) -> Data:
    """Decodes every picture of a folder once, in parallel, and keeps the result for the next time.

    Rows are ordered by the content of the files, and so is the split drawn where there is no val
    folder: renaming or reordering files changes nothing. A file that is there twice in one class
    gives two equal rows, on the same side.

    Args:
        root: folder of the classes, or of train and val.
        image_size: side in pixels of the validation pictures.
        val_fraction: share of each class for validation, above 0 and below 1; not used with val/.
        seed: of the split.
        train_size: side in pixels of the training pictures; `image_size` by default.
        cache_dir: where decoded pictures are kept; `default_cache_dir()` by default.
        on_bad: "skip" leaves out what cannot be used and lists it; "error" raises.
        use_cache: False decodes into memory and writes nothing.
        num_folds: cut the pictures into so many parts, of which number `fold` (from 1) validates,
            instead of val_fraction.

    Raises:
        ValueError: what is wrong with the folder, the arguments or the cache, in one sentence.
    """
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction is {val_fraction}; expected a share between 0 and 1")
    if num_folds and not 1 <= fold <= num_folds:
        raise ValueError(f"fold is {fold}; expected 1 to {num_folds}, one of the folds")
    listing = list_folder(root)
    if len(listing.class_names) < 2:
        raise ValueError(
            f"{root}: only one class, {listing.class_names[0]}; expected two folders or more"
        )
    if num_folds and any(entry.split for entry in listing.entries):
        raise ValueError(f"{root}: has folders train and val; folds are drawn where there are none")
    plan = Plan(train_size or image_size, image_size, val_fraction, seed, num_folds, fold)
    return _load(listing, plan, _place(cache_dir, use_cache), on_bad)


def load_folder_for_evaluation(
    root: str | Path,
    class_names: Sequence[str],
    image_size: int,
    cache_dir: str | Path | None = None,
    on_bad: str = "skip",
    use_cache: bool = True,
) -> Data:
    """All pictures of a folder as one validation set, its classes those of a model, by name.

    Of a folder with train and val, val is taken. Classes of the model that the folder lacks are a
    warning. Arguments and errors are those of `load_folder`.

    Raises:
        ValueError: a class that the model does not know.
    """
    listing = list_folder(root)
    strangers = sorted(set(listing.class_names) - set(class_names))
    if strangers:
        raise ValueError(
            f"{root}: found the class {strangers[0]}; the model knows only {', '.join(class_names)}"
        )
    has_val = any(entry.split == "val" for entry in listing.entries)
    entries = [replace(e, split="val") for e in listing.entries if e.split == "val" or not has_val]
    missing = [name for name in class_names if name not in {entry.class_name for entry in entries}]
    warnings = [f"{root}: no pictures of {name}" for name in missing]
    listing = replace(
        listing,
        entries=entries,
        class_names=list(class_names),
        warnings=[*listing.warnings, *warnings],
    )
    plan = Plan(image_size, image_size, val_fraction=0.0, seed=0)
    return _load(listing, plan, _place(cache_dir, use_cache), on_bad)


def _place(cache_dir: str | Path | None, use_cache: bool) -> Path | None:
    if not use_cache:
        return None
    return Path(cache_dir) if cache_dir else default_cache_dir()


def _load(listing: Listing, plan: Plan, place: Path | None, on_bad: str) -> Data:
    if on_bad not in ("skip", "error"):
        raise ValueError(f"on_bad is {on_bad!r}; expected skip or error")
    with closing(Pictures(listing, plan, place)) as pictures:
        pictures.read([i for i in range(len(listing.entries)) if i not in pictures.verdicts])
        unusable = pictures.unusable()
        _check_usable(listing, pictures.facts(), unusable, on_bad)
        if plan.val_fraction:  # a model that is only evaluated needs none to train on
            _check_classes(listing, pictures.facts())
        warnings = list(listing.warnings)
        entry = _open_or_none(place, pictures.key(), warnings)
        if entry is None:
            entry = pictures.build()
            unusable = pictures.unusable()  # anew: a file may have gone meanwhile
        return _as_data(listing, pictures.facts(), entry, unusable, warnings)


def _open_or_none(place: Path | None, key: str, warnings: list[str]) -> CacheEntry | None:
    if place is None:
        return None
    try:
        return open_entry(place, key)
    except DamagedCache as error:
        warnings.append(f"the cache was damaged and is made anew: {error}")
        remove_entry(place / key)
        return None


def _check_usable(
    listing: Listing, facts: dict[int, Facts], unusable: list[Unusable], on_bad: str
) -> None:
    if unusable and on_bad == "error":
        raise ValueError(
            f"{listing.root}: {len(unusable)} files cannot be used ({_some(unusable)}); repair or"
            " remove them, or set data.on_bad to skip"
        )
    if not facts:
        raise ValueError(f"{listing.root}: no picture that can be used ({_some(unusable)})")


def _check_classes(listing: Listing, facts: dict[int, Facts]) -> None:
    train = Counter(e.class_name for e in (listing.entries[i] for i in facts) if e.split != "val")
    for name in listing.class_names:
        if not train[name]:
            num_files = sum(entry.class_name == name for entry in listing.entries)
            raise ValueError(
                f"{listing.root}: class {name} has no picture to train on that can be used"
                f" ({num_files} files); repair its pictures or remove its folder"
            )


def _some(unusable: list[Unusable], num_named: int = 5) -> str:
    if not unusable:
        return "the folders are empty"
    named = "; ".join(f"{u.path}: {u.reason}" for u in unusable[:num_named])
    return named + (f"; and {len(unusable) - num_named} more" if len(unusable) > num_named else "")


def _as_data(
    listing: Listing,
    facts: dict[int, Facts],
    entry: CacheEntry,
    unusable: list[Unusable],
    warnings: list[str],
) -> Data:
    train = _image_set(listing, facts, entry, "train")
    val = _image_set(listing, facts, entry, "val")
    duplicates = DuplicateCounts(**entry.notes["duplicates"])
    repairs, notes = about_duplicates(duplicates)
    num_classes = len(listing.class_names)
    if len(train):
        counts = [_counts(listing.class_names, split) for split in (train, val)]
        notes = about_classes(*counts) + notes
    rows = {name: (split.sha256s, split.labels) for name, split in entry.splits.items()}
    return Data(
        train,
        val,
        listing.class_names,
        fingerprint(listing.class_names, rows),
        unusable,
        [*warnings, *repairs, *notes],
        summary_line(len(train), len(val), num_classes, len(unusable), duplicates),
    )


def _image_set(
    listing: Listing, facts: dict[int, Facts], entry: CacheEntry, split: str
) -> ImageSet:
    """The rows of a split, with the names that their files have today."""
    cached = entry.splits[split]
    label_of = {name: label for label, name in enumerate(listing.class_names)}
    names: dict[tuple[str, int], list[str]] = defaultdict(list)
    for index, file in facts.items():
        if listing.entries[index].split in (split, ""):
            file_label = label_of[listing.entries[index].class_name]
            names[file.sha256, file_label].append(listing.entries[index].name)
    for equal in names.values():
        equal.sort(reverse=True)
    keys = zip(cached.sha256s, cached.labels, strict=True)
    rows = [names[key].pop() for key in keys]
    return ImageSet(cached.images, np.array(cached.labels, np.int64), rows)


def _counts(class_names: Sequence[str], split: ImageSet) -> dict[str, int]:
    counts = np.bincount(split.labels, minlength=len(class_names)).tolist()
    return dict(zip(class_names, counts, strict=True))
