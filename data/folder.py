"""Your own pictures: root/CLASS/*, or root/train/CLASS/* and root/val/CLASS/*."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from data import DataError
from data.images import Unusable
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


def list_folder(root: str | Path) -> FileTable:
    """Find the files of root/CLASS/*, or of root/train/CLASS/* and root/val/CLASS/*.

    Raises:
        DataError: no such folder, or its folders are no classes.
    """
    try:
        return _list_classes(_checked(root))
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror})") from error


def list_files(root: str | Path) -> FileTable:
    """Find every file below a root, whatever the folders are called: for a look at them."""
    return _search(_checked(root), [NO_CLASS], [(_checked(root), 0, "train")])


def walk(
    folder: str | Path, leave_out: Callable[[str, str], None] = lambda path, reason: None
) -> Iterator[str]:
    """Yield every visible file below a folder in the order of names, each folder once.

    Symbolic links are followed. `leave_out` is called with each folder that is not searched, and
    the reason.
    """

    def cannot_read(error: OSError) -> None:
        leave_out(error.filename, f"unreadable folder: {error.strerror}")

    seen = set()
    for path, folders, names in os.walk(folder, onerror=cannot_read, followlinks=True):
        status = os.stat(path)
        if (status.st_dev, status.st_ino) in seen:
            leave_out(path, "a link to a folder that was searched already")
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(filter(_is_visible, folders))
        yield from (os.path.join(path, name) for name in sorted(filter(_is_visible, names)))


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
    """Search folders of a label and a split, with all below."""
    files: list[File] = []
    unusable: list[Unusable] = []
    sidecars: Counter[str] = Counter()

    def leave_out(path: str, reason: str) -> None:
        unusable.append(Unusable(printable(os.path.relpath(path, root)), reason))

    for place, label, split in places:
        for path in walk(place, leave_out):
            if (suffix := _suffix(path)) in _SIDECARS:
                sidecars[suffix] += 1
            else:
                below_root = path[len(os.path.join(root, "")) :]
                files.append(File(below_root, label, split, "", *_stamp(path)))
    warnings = []
    if sidecars:
        kinds = ", ".join(suffix for suffix, _ in sidecars.most_common(5))
        warnings.append(f"passed over by their names, no pictures ({kinds}): {sidecars.total()}")
    return FileTable(root, class_names, files, unusable, warnings)


def _stamp(path: str) -> tuple[int, int]:
    """Return size and time of change; -1 for a file that vanished, or a link to nothing."""
    try:
        status = os.stat(path)
        return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)
    except OSError:  # whoever opens the file will say why
        return -1, -1
