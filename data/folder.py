"""Your own pictures: root/CLASS/*, or root/train/CLASS/* and root/val/CLASS/*."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data.errors import DataError
from data.images import Data, Unusable
from data.load_table import Split, load_table
from data.table import File, FileTable, printable

# What systems and tools leave behind. Names that start with a dot are passed over anyway.
_DEBRIS = {"__macosx", "thumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin"}
# Files that people keep beside their pictures. They are counted, not called damaged pictures.
_SIDECARS = frozenset(
    ".txt .md .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .html .htm .pdf .doc .docx .py"
    " .ipynb .sh .log .db .sqlite .npy .npz .pkl .pt .pth .safetensors .parquet .tfrecord .zip"
    " .tar .gz .tgz .7z .rar .mp3 .wav .mp4 .mov .avi .mkv".split()
)

NO_CLASS = "(no class)"  # of files that lie in no folder of a class


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
    """Decode every picture of a folder once, in parallel, and keep the result for the next time.

    Rows are ordered by the content of the files, and so is the split drawn where there is no val
    folder: renaming or reordering files changes nothing.

    Args:
        root: folder of the classes, or of train and val.
        image_size: side in pixels of the validation pictures.
        val_fraction: share of each class for validation, above 0 and below 1; not used with val/.
        train_size: side in pixels of the training pictures; `image_size` by default.
        cache_dir: where decoded pictures are kept; `default_cache_dir()` by default.
        on_bad: "skip" leaves out what cannot be used and lists it; "error" raises.
        use_cache: False decodes into memory and writes nothing.
        num_folds, fold: cut the pictures into so many parts, of which this one (from 1) validates.

    Raises:
        DataError: what is wrong with the folder, in one sentence.
    """
    table = list_folder(root)
    if len(table.class_names) < 2:
        raise DataError(
            f"{root}: only one class, {table.class_names[0]}; expected two folders or more"
        )
    if num_folds and any(file.split for file in table.files):
        raise DataError(f"{root}: has folders train and val; folds are drawn where there are none")
    split = Split(val_fraction, seed, num_folds, fold)
    return load_table(
        table, image_size, train_size or image_size, split, on_bad, use_cache, cache_dir
    )


def load_folder_for_evaluation(
    root: str | Path,
    class_names: Sequence[str],
    image_size: int,
    use_cache: bool = True,
    cache_dir: str | Path | None = None,
) -> Data:
    """Load all pictures of a folder, or its val, as one validation set with the classes of a model.

    Raises:
        DataError: as `load_folder`, or a class that the model does not know.
    """
    table = list_folder(root)
    for name in table.class_names:
        if name not in class_names:
            raise DataError(
                f"{root}: found the class {name}; the model knows only {', '.join(class_names)}"
            )
    has_val = any(file.split == "val" for file in table.files)
    files = [
        replace(file, split="val", label=class_names.index(table.class_names[file.label]))
        for file in table.files
        if file.split == "val" or not has_val
    ]
    found = {class_names[file.label] for file in files}
    missing = [f"{root}: no pictures of {name}" for name in class_names if name not in found]
    warnings = [*table.warnings, *missing]
    table = replace(table, class_names=class_names, files=files, warnings=warnings)
    return load_table(table, image_size, image_size, None, use_cache=use_cache, cache_dir=cache_dir)


def list_folder(root: str | Path) -> FileTable:
    """Find the files of root/CLASS/*, or of root/train/CLASS/* and root/val/CLASS/*."""
    try:
        return _list_classes(_checked(root))
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror})") from error


def list_files(root: str | Path) -> FileTable:
    """Find every file below a root, whatever the folders are called: for a look at them."""
    return _search(_checked(root), [NO_CLASS], [(_checked(root), 0, "train")])


def _checked(root: str | Path) -> Path:
    if not Path(root).is_dir():
        what = "a file" if Path(root).exists() else "no such folder"
        raise DataError(f"{root}: {what}; data.root is the folder that holds the classes")
    return Path(os.path.abspath(root))


def _list_classes(root: Path) -> FileTable:
    folders = _folders(root)
    parents = [(root, "")]
    if {"train", "val"} <= folders:
        parents = [(root / "train", "train"), (root / "val", "val")]
    elif folders in ({"train"}, {"train", "test"}):
        parents = [(root / "train", "")]
    else:
        _check_not_half_split(root, folders)
    class_names = sorted(_folders(parents[0][0]))
    if not class_names:
        raise DataError(f"{root}: expected a folder for each class, root/CLASS/*.jpg; found none")
    strangers = sorted(_folders(parents[-1][0]) - set(class_names))
    if strangers:
        raise DataError(
            f"{root / 'val' / strangers[0]}: train has no class of that name, only"
            f" {', '.join(class_names)}; rename the folder, or add the class to train"
        )
    places = [
        (parent / name, label, split)
        for parent, split in parents
        for label, name in enumerate(class_names)
        if (parent / name).is_dir()
    ]
    table = _search(root, class_names, places)
    names = [name for parent, _ in parents for name in os.listdir(parent) if _is_visible(name)]
    num_beside = sum(name not in class_names and _suffix(name) not in _SIDECARS for name in names)
    if num_beside:
        table.warnings.insert(0, f"{num_beside} files beside the folders of the classes: not used")
    return table


def _check_not_half_split(root: Path, names: set[str]) -> None:
    """A split under other names than ours would silently become classes called "train" and so."""
    other = [name for name in ("valid", "validation", "dev", "test") if name in names]
    if "train" in names and other:
        raise DataError(f"{root}: found train and {other[0]}; rename {other[0]} to val")
    if names == {"val"}:
        raise DataError(f"{root}: found val but no train; expected root/train/CLASS beside it")


def _folders(root: Path) -> set[str]:
    """Return the names of the visible folders right below root."""
    return {entry.name for entry in os.scandir(root) if _is_visible(entry.name) and entry.is_dir()}


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _DEBRIS


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _search(
    root: Path, class_names: list[str], places: Sequence[tuple[Path, int, str]]
) -> FileTable:
    """Search folders of a label and a split, with all below, each once whatever links say."""
    files: list[File] = []
    unusable: list[Unusable] = []
    sidecars: Counter[str] = Counter()

    def leave_out(path: str, reason: str) -> None:
        unusable.append(Unusable(printable(os.path.relpath(path, root)), reason))

    def cannot_read(error: OSError) -> None:
        leave_out(error.filename, f"unreadable folder: {error.strerror}")

    for place, label, split in places:
        seen = set()
        for path, folders, names in os.walk(place, onerror=cannot_read, followlinks=True):
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in seen:
                leave_out(path, "a link to a folder that was searched already")
                folders.clear()
                continue
            seen.add((status.st_dev, status.st_ino))
            folders[:] = filter(_is_visible, folders)
            for name in filter(_is_visible, names):
                if _suffix(name) in _SIDECARS:
                    sidecars[_suffix(name)] += 1
                else:
                    below_root = os.path.join(path, name)[len(os.path.join(root, "")) :]
                    files.append(File(below_root, label, split, "", *_stamp(path, name)))
    warnings = []
    if sidecars:
        kinds = ", ".join(suffix for suffix, _ in sidecars.most_common(5))
        warnings.append(f"passed over by their names, no pictures ({kinds}): {sidecars.total()}")
    return FileTable(root, class_names, files, unusable, warnings)


def _stamp(path: str, name: str) -> tuple[int, int]:
    try:
        status = os.stat(os.path.join(path, name))
        return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)
    except OSError:  # it vanished, or is a link to nothing; opening it will say which
        return -1, -1
