"""Your own pictures: root/CLASS/*, or root/train/CLASS/* and root/val/CLASS/*."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from data import DataError
from data.advice import plural, some
from data.images import File, FileTable, Unusable, find_file, printable

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
        parents, notes = _split_folders(root)
        class_names = sorted({class_name(name) for name in _entries(parents[0][0])[0]})
        if not class_names:
            raise DataError(
                f"{root}: has no folders; expected a folder for each class, root/CLASS/*.jpg, or a"
                " table with data.labels=FILE.csv"
            )
        if to_train:
            _check_classes(root, parents[0][0], group)
        class_folders = []
        for parent, split in parents:
            folders, beside = _entries(parent)
            if beside:
                notes.append(f"{plural(len(beside), 'file')} beside the class folders: not used")
            for name in folders:
                if class_name(name) not in class_names:
                    raise DataError(
                        f"{parent / name}: train has no class of that name, only"
                        f" {some(class_names)}; rename the folder, or add the class to train"
                    )
                class_folders.append((parent / name, class_names.index(class_name(name)), split))
        table = _search(root, class_names, class_folders, group)
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror})") from error
    forms = Counter(class_name(name) for name in {folder.name for folder, *_ in class_folders})
    if twice := [name for name in class_names if forms[name] > 1]:
        notes.append(f"folder names that differ only in Unicode form are one class: {some(twice)}")
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
    if not os.path.isdir(root):
        what = "is a file" if os.path.exists(root) else "no such folder"
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
    notes = [f"{name} is not used" for name in [*rest, found.pop("test", "")] if name]
    if "val" not in found:
        return [(root / found["train"], "")], notes
    notes += [f"{name} is used as {own}" for own, name in found.items() if name.lower() != own]
    return [(root / found[split], split) for split in ("train", "val")], notes


def _check_classes(root: Path, parent: Path, group: str | None) -> None:
    """Refuse folders that contain the classes and are not classes themselves."""
    names, _ = _entries(parent)
    if len(names) == 1:
        inner = parent / names[0]
        while len(inside := _folders_in(inner)) == 1:
            inner = inner / inside[0]
        if inside:
            raise DataError(
                f"{root}: has only one folder; set data.root={inner}, which has {some(inside)}"
            )
    holders = defaultdict(set)  # by the name of a folder inside: the folders that have one
    for name in names:
        for inner_name in _folders_in(parent / name):
            holders[class_name(inner_name).casefold()].add(name)
    common = sorted(inner for inner, own in holders.items() if len(own) >= max(2, len(names) / 2))
    if len(common) > 1 and group is None:
        names = sorted(set().union(*(holders[inner] for inner in common)))
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
    start = len(os.path.join(root, ""))

    def leave_out(path: str, reason: str) -> None:
        unusable.append(Unusable(printable(os.path.relpath(path, root)), reason))

    def cannot_read(error: OSError) -> None:
        leave_out(error.filename, f"unreadable folder: {error.strerror}")

    for top, label, split in class_folders:
        # A link to a folder above would add the pictures of all classes to this one.
        seen = {os.path.realpath(up) for up in (*top.parents, *Path(os.path.realpath(top)).parents)}
        for folder, folders, names in os.walk(top, onerror=cannot_read, followlinks=True):
            target = os.path.realpath(folder)
            if target in seen:
                leave_out(folder, "a link to a folder above it, or to one searched already")
                folders.clear()
                continue
            seen.add(target)
            folders[:] = filter(_is_visible, folders)
            inside = os.path.relpath(folder, top).partition(os.sep)[0].removeprefix(".")
            for name in filter(_is_visible, names):
                if _suffix(name) in _SIDECARS:
                    sidecars[_suffix(name)] += 1
                else:
                    path = os.path.join(folder, name)[start:]
                    own_group = group_of(path, inside, group)
                    files.append(find_file(root, path, label, split, own_group))
    warnings = []
    if sidecars:
        kinds = ", ".join(suffix for suffix, _ in sidecars.most_common(5))
        warnings.append(f"{plural(sidecars.total(), 'file')} skipped by extension ({kinds})")
    return FileTable(root, class_names, files, unusable, warnings)
