"""Your own pictures: root/CLASS/*, or root/train/CLASS/* and root/val/CLASS/*."""

import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from data import DataError
from data.advice import plural, some
from data.images import FileTable, Unusable, find_file, printable

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

Tree = dict[str, tuple[list[str], list[str]]]  # by folder: the folders and files right below it


def list_folder(root: str | Path, group: str | None = None, to_train: bool = True) -> FileTable:
    """Find the files of root/CLASS/*, or of root/train/CLASS/* and root/val/CLASS/*.

    Args:
        group: which files stay in the same split: "folder" for those in one folder below the
            class, or those with the same match of this regular expression in their path.
        to_train: refuse folders that are probably not classes.

    Raises:
        DataError: there is no such folder, or its folders are not classes.
    """
    root, tree, unusable, warnings = _search(root)
    split_of, notes = _split_folders(root, tree[""][0])
    first = next(iter(split_of))
    class_names = sorted({class_name(name) for name in tree[first][0]})
    if not class_names:
        raise DataError(f"{root}: no folders; expected ROOT/CLASS/*.jpg, or data.labels=FILE.csv")
    if to_train:
        _check_classes(root, first, tree, group)
    label_of, files = {}, []
    for parent, split in split_of.items():
        folders, beside = tree[parent]
        if beside:
            notes.append(f"{plural(len(beside), 'file')} beside the class folders: not used")
        for name in folders:
            if class_name(name) not in class_names:
                raise DataError(
                    f"{root / parent / name}: train has no class of that name, only"
                    f" {some(class_names)}; rename the folder, or add the class to train"
                )
            label_of[os.path.join(parent, name)] = class_names.index(class_name(name)), split
    names = {name for parent in split_of for name in tree[parent][0]}
    forms = Counter(map(class_name, names))
    if twice := [name for name in class_names if forms[name] > 1]:
        notes.append(f"folder names that differ only in Unicode form are one class: {some(twice)}")
    depth = 2 if first else 1  # of the class folders
    for folder, (_, beside) in tree.items():
        parts = folder.split(os.sep)
        top, inner = os.sep.join(parts[:depth]), "".join(parts[depth : depth + 1])
        if top in label_of:
            for path in (os.path.join(folder, name) for name in beside):
                files.append(find_file(root, path, *label_of[top], group_of(path, inner, group)))
    return FileTable(root, class_names, files, unusable, [*notes, *warnings])


def list_files(root: str | Path) -> list[str]:
    """Return the paths, from the root on, of all files below it, whatever its folders are."""
    tree = _search(root)[1]
    return [os.path.join(folder, name) for folder, (_, names) in tree.items() for name in names]


def group_of(path: str, folder: str, group: str | None) -> str:
    """Return the group of a file; `folder` is the folder that may be its group."""
    if group is None or group == "folder":
        return folder if group else ""
    found = re.search(group, printable(path))
    if found is None:
        return ""
    return " ".join(filter(None, found.groups())) if found.re.groups else found[0]


def class_name(name: str) -> str:
    """Return a class name in Unicode form NFC: many letters can be written in two ways."""
    return printable(unicodedata.normalize("NFC", name))


def _split_folders(root: Path, folders: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return the split of each folder that contains the classes, and notes about others."""
    found: dict[str, str] = {}
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
        return {"": ""}, []
    notes = [f"{name} is not used" for name in [*rest, found.pop("test", "")] if name]
    if "val" not in found:
        return {found["train"]: ""}, notes
    notes += [f"{name} is used as {own}" for own, name in found.items() if name.lower() != own]
    return {found["train"]: "train", found["val"]: "val"}, notes


def _check_classes(root: Path, parent: str, tree: Tree, group: str | None) -> None:
    """Refuse folders that contain the classes and are not classes themselves."""

    def folders_in(folder: str) -> list[str]:
        folders, files = tree.get(folder, ([], []))
        return folders if len(files) <= len(folders) else []

    names, _ = tree[parent]
    if len(names) == 1:
        inner = os.path.join(parent, names[0])
        while len(inside := folders_in(inner)) == 1:
            inner = os.path.join(inner, inside[0])
        if inside:
            advice = f"set data.root={root / inner}, which has {some(inside)}"
            raise DataError(f"{root}: has only one folder; {advice}")
    holders = defaultdict(set)  # by the name of a folder inside: the folders that have one
    for name in names:
        for inner in folders_in(os.path.join(parent, name)):
            holders[class_name(inner).casefold()].add(name)
    common = sorted(inner for inner, own in holders.items() if len(own) >= max(2, len(names) / 2))
    if len(common) > 1 and group is None:
        names = sorted(set().union(*(holders[inner] for inner in common)))
        raise DataError(
            f"{root}: {some(names)} all contain folders called {some(common)}. Which are the"
            f" classes? If {some(common)} are: move their pictures together, or set data.root to"
            f" one folder, such as {root / parent / names[0]}; if {some(names)} are: set"
            " data.group=folder"
        )


def _search(root: str | Path) -> tuple[Path, Tree, list[Unusable], list[str]]:
    """Search a folder and what it links to, every folder once per class.

    Returns:
        the absolute path of the root, the folders below it, those that cannot be searched, notes.
    """
    if not os.path.isdir(root):
        what = "is a file" if os.path.exists(root) else "no such folder"
        raise DataError(f"{root}: {what}; data.root is the folder of the classes")
    root = Path(os.path.abspath(root))
    tree: Tree = {}
    unusable: list[Unusable] = []
    sidecars: Counter[str] = Counter()

    def cannot_read(error: OSError) -> None:
        path = os.path.relpath(error.filename, root)
        if path == "." or path.lower() in SPLIT_NAMES:
            raise DataError(f"{error.filename}: cannot be read ({error.strerror})") from error
        unusable.append(Unusable(printable(path), f"unreadable folder: {error.strerror}"))

    # A link to a folder above has no end, and gives the pictures of all classes to one of them.
    parents = [*root.parents, *Path(os.path.realpath(root)).parents]
    seen = {"": set(map(os.path.realpath, parents))}  # by class: the folders in it and above
    for folder, folders, names in os.walk(root, onerror=cannot_read, followlinks=True):
        path, target = folder[len(os.path.join(root, "")) :], os.path.realpath(folder)
        parts = path.split(os.sep)
        top = os.sep.join(parts[: 2 if parts[0].lower() in SPLIT_NAMES else 1])  # the class
        own = seen.setdefault(top, set(seen[os.path.dirname(top)]))
        if target in own:
            reason = "a link to a folder above it, or to one of the same class"
            unusable.append(Unusable(printable(path), reason))
            folders[:], names = [], []
        own.add(target)
        folders[:] = sorted(filter(_is_visible, folders))
        suffixes = {name: os.path.splitext(name)[1].lower() for name in filter(_is_visible, names)}
        sidecars.update(suffix for suffix in suffixes.values() if suffix in _SIDECARS)
        tree[path] = folders, [name for name in suffixes if suffixes[name] not in _SIDECARS]
    notes = []
    if sidecars:
        kinds = ", ".join(suffix for suffix, _ in sidecars.most_common(5))
        notes.append(f"{plural(sidecars.total(), 'file')} skipped by extension ({kinds})")
    return root, tree, unusable, notes


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _SYSTEM_FILES
