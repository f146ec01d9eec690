"""Your own pictures: root/CLASS/*, or root/train/CLASS/* and root/val/CLASS/*."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data import DataError
from data.advice import plural, some
from data.images import File, FileTable, Unusable, printable

# Files and folders that systems and tools create. Names that start with a dot are skipped too.
_SYSTEM_FILES = {"__macosx", "thumbs.db", "desktop.ini", "icon\r", "@eadir", "$recycle.bin"}
# Files that people keep beside their pictures. They are counted, not reported as damaged.
_SIDECARS = frozenset(
    ".txt .md .csv .tsv .json .jsonl .xml .yaml .yml .toml .ini .html .htm .pdf .doc .docx .py"
    " .ipynb .sh .log .db .sqlite .npy .npz .pkl .pt .pth .safetensors .parquet .tfrecord .zip"
    " .tar .gz .tgz .7z .rar .mp3 .wav .mp4 .mov .avi .mkv".split()
)
SPLIT_NAMES = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip

NO_CLASS = "(no class)"  # of files in a folder without class folders


def list_folder(root: str | Path, group: str | None = None, to_train: bool = True) -> FileTable:
    """Find the files of root/CLASS/*, or of root/train/CLASS/* and root/val/CLASS/*.

    Args:
        group: which files stay in the same split: "folder" for those in one folder below the
            class, or those with the same match of this regular expression in their path.
        to_train: refuse folders that are probably not classes.

    Raises:
        DataError: there is no such folder, or its folders are not classes.
    """
    root = _checked(root)
    try:
        splits, notes = _split_folders(root)
        table = _list_classes(root, splits, group)
        if to_train:
            _check_classes(root, splits[0][0], group)
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror})") from error
    return replace(table, warnings=[*notes, *table.warnings, *about_groups(table.files, group)])


def list_files(root: str | Path) -> FileTable:
    """Find every file below a root, whatever its folders are called."""
    root = _checked(root)
    return _search(root, [NO_CLASS], [(root, 0, "train")])


def group_of(path: str, folder: str, group: str | None) -> str:
    """Return the group of a file; `folder` is the folder that may be its group."""
    if group is None or group == "folder":
        return folder if group else ""
    found = re.search(group, printable(path))
    if found is None:
        return ""
    return " ".join(filter(None, found.groups())) if found.re.groups else found[0]


def about_groups(files: Sequence[File], group: str | None) -> list[str]:
    """Return a warning about files without a group, if `group` is set.

    Raises:
        DataError: no file has a group.
    """
    alone = sorted(file.name for file in files if not file.group)
    if not group or not alone:
        return []
    if len(alone) == len(files):
        raise DataError(f"data.group={group} gives no file a group, for example {some(alone)}")
    return [f"data.group={group}: {plural(len(alone), 'file')} in no group: {some(alone)}"]


def class_name(name: str) -> str:
    """Return a class name in Unicode form NFC: many letters can be written in two ways."""
    return printable(unicodedata.normalize("NFC", name))


def _checked(root: str | Path) -> Path:
    if not Path(root).is_dir():
        what = "is a file" if Path(root).exists() else "no such folder"
        raise DataError(f"{root}: {what}; data.root is the folder of the classes")
    return Path(os.path.abspath(root))


def _split_folders(root: Path) -> tuple[list[tuple[Path, str]], list[str]]:
    """Return the folders that contain the classes, each with its split, and notes about others."""
    found: dict[str, str] = {}
    folders, _ = _entries(root)
    for name in folders:
        if split := SPLIT_NAMES.get(name.lower()):
            if split in found:
                raise DataError(f"{root}: {found[split]} and {name} both mean {split}: rename one")
            found[split] = name
    rest = [name for name in folders if name not in found.values()]
    if found and not rest and "train" not in found:
        names = " and ".join(found.values())
        raise DataError(f"{root}: found {names} but no train; expected root/train/CLASS too")
    if "train" not in found or (rest and len(found) == 1):
        return [(root, "")], []
    notes = [f"{name} is not used" for name in [*rest, found.get("test")] if name]
    if "val" not in found:
        return [(root / found["train"], "")], notes
    notes += [
        f"{name} is used as {split}" for split, name in found.items() if name.lower() != split
    ]
    return [(root / found[split], split) for split in ("train", "val")], notes


def _list_classes(root: Path, splits: Sequence[tuple[Path, str]], group: str | None) -> FileTable:
    class_names = sorted({class_name(name) for name in _entries(splits[0][0])[0]})
    if not class_names:
        raise DataError(
            f"{root}: has no folders; expected a folder for each class, root/CLASS/*.jpg, or a"
            " table with data.labels=FILE.csv"
        )
    searched, num_beside, spellings = [], 0, set()
    for parent, split in splits:
        folders, beside = _entries(parent)
        num_beside += len(beside)
        for name in folders:
            if class_name(name) not in class_names:
                raise DataError(
                    f"{parent / name}: train has no class of that name, only {some(class_names)};"
                    " rename the folder, or add the class to train"
                )
            searched.append((parent / name, class_names.index(class_name(name)), split))
        spellings.update(folders)
    table = _search(root, class_names, searched, group)
    if num_beside:
        table.warnings.insert(0, f"{plural(num_beside, 'file')} beside the class folders: not used")
    forms = Counter(map(class_name, spellings))
    if twice := [name for name in class_names if forms[name] > 1]:
        table.warnings.append(
            f"folder names that differ only in Unicode form are one class: {some(twice)}"
        )
    return table


def _check_classes(root: Path, parent: Path, group: str | None) -> None:
    """Refuse folders that contain the classes and are not classes themselves."""
    names, _ = _entries(parent)
    if len(names) == 1:  # `load_folder` refuses a single class
        inner = parent / names[0]
        while len(inside := _folders_in(inner)) == 1:
            inner = inner / inside[0]
        if inside:
            raise DataError(
                f"{root}: has only one folder; set data.root={inner}, which has {some(inside)}"
            )
        return
    inside_of = {
        name: {class_name(sub).casefold() for sub in _folders_in(parent / name)} for name in names
    }
    holders = Counter(sub for inside in inside_of.values() for sub in inside)
    common = sorted(sub for sub, num in holders.items() if num >= max(2, len(names) / 2))
    if len(common) > 1 and group is None:
        names = [name for name in names if inside_of[name] & set(common)]
        raise DataError(
            f"{root}: {some(names)} all contain folders called {some(common)}. Which are the"
            f" classes? If {some(common)} are: move their pictures together, or set data.root to"
            f" one folder, such as {parent / names[0]}; if {some(names)} are: set data.group=folder"
        )


def _entries(root: Path) -> tuple[list[str], list[str]]:
    """Return the visible folders right below root, and the files there that may be pictures."""
    entries = [entry for entry in os.scandir(root) if _is_visible(entry.name)]
    folders = sorted(entry.name for entry in entries if entry.is_dir())
    files = (entry.name for entry in entries if not entry.is_dir())
    return folders, [name for name in files if _suffix(name) not in _SIDECARS]


def _folders_in(root: Path) -> list[str]:
    """Return the folders right below root; none if root has more files or is unreadable."""
    try:
        folders, files = _entries(root)
    except OSError:
        return []
    return folders if len(files) <= len(folders) else []


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _SYSTEM_FILES


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _search(
    root: Path,
    class_names: list[str],
    class_folders: Sequence[tuple[Path, int, str]],
    group: str | None = None,
) -> FileTable:
    """Search folders, each with its label and split; follow links, but search no folder twice."""
    files: list[File] = []
    unusable: list[Unusable] = []
    sidecars: Counter[str] = Counter()

    def leave_out(path: str, reason: str) -> None:
        unusable.append(Unusable(printable(os.path.relpath(path, root)), reason))

    def cannot_read(error: OSError) -> None:
        leave_out(error.filename, f"unreadable folder: {error.strerror}")

    for top, label, split in class_folders:
        above = map(os.stat, (*top.parents, *Path(os.path.realpath(top)).parents))
        seen = dict.fromkeys(
            ((up.st_dev, up.st_ino) for up in above), "a link to a folder above it"
        )
        for folder, folders, names in os.walk(top, onerror=cannot_read, followlinks=True):
            status = os.stat(folder)
            if (status.st_dev, status.st_ino) in seen:
                leave_out(folder, seen[status.st_dev, status.st_ino])
                folders.clear()
                continue
            seen[status.st_dev, status.st_ino] = "a link to a folder that was searched already"
            folders[:] = filter(_is_visible, folders)
            inside = os.path.relpath(folder, top).partition(os.sep)[0].removeprefix(".")
            for name in filter(_is_visible, names):
                if _suffix(name) in _SIDECARS:
                    sidecars[_suffix(name)] += 1
                else:
                    path = os.path.join(folder, name)[len(os.path.join(root, "")) :]
                    group_name = group_of(path, inside, group)
                    size_and_time = stamp(os.path.join(root, path))
                    files.append(File(path, label, split, group_name, *size_and_time))
    warnings = []
    if sidecars:
        kinds = ", ".join(suffix for suffix, _ in sidecars.most_common(5))
        warnings.append(f"{plural(sidecars.total(), 'file')} skipped by extension ({kinds})")
    return FileTable(root, class_names, files, unusable, warnings)


def stamp(path: str) -> tuple[int, int]:
    """Return the size and the time of change of a file; -1 if there is no such file."""
    try:
        status = os.stat(path)
        return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns)
    except OSError:  # decoding reports the reason
        return -1, -1
