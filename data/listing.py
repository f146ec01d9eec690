"""Which files of a folder are pictures of which class, before any of them is opened."""

import os
from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field
from pathlib import Path

from data.images import Unusable

# What systems and tools leave behind. Names that start with a dot are passed over anyway.
_DEBRIS = {
    "__macosx",
    "thumbs.db",
    "desktop.ini",
    "ehthumbs.db",
    "icon\r",
    "@eadir",
    "$recycle.bin",
}
# Files that people keep beside their pictures. They are counted, not called damaged pictures.
_SIDECARS = frozenset(
    [".txt", ".md", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini"]
    + [".html", ".htm", ".pdf", ".doc", ".docx", ".py", ".ipynb", ".sh", ".log", ".db", ".sqlite"]
    + [".npy", ".npz", ".pkl", ".pt", ".pth", ".safetensors", ".parquet", ".tfrecord"]
    + [".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".mp3", ".wav", ".mp4", ".mov", ".avi", ".mkv"]
)
_OTHER_NAMES_FOR_VAL = ("valid", "validation", "dev")

NO_CLASS = "(no class)"  # of files that lie in no folder of a class

Stamp = tuple[int, int, int, int]  # size in bytes, mtime in ns, ctime in ns, inode


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that should be a picture."""

    path: str  # to open it; may hold bytes that are no text, as Python's file system names do
    name: str  # below the root, safe to print
    class_name: str
    split: str  # "train" or "val", or "" where the split is still to be made
    stamp: Stamp | None  # None where not even this could be read


@dataclass(frozen=True)
class Listing:
    """What was found below a root."""

    root: Path
    class_names: list[str]  # of train, sorted by name
    entries: list[Entry]
    unusable: list[Unusable] = field(default_factory=list)  # folders and links of no use
    warnings: list[str] = field(default_factory=list)


def list_folder(root: str | Path) -> Listing:
    """Finds the files of root/CLASS/*, or of root/train/CLASS/* and root/val/CLASS/*.

    Raises:
        ValueError: no such folder, no classes, or a class in val that train lacks.
    """
    try:
        _check_root(Path(root))
        return _list_classes(Path(os.path.abspath(root)))
    except OSError as error:
        raise ValueError(f"{root}: cannot be read ({error.strerror})") from error


def list_files(root: str | Path) -> Listing:
    """Every file below a root, whatever the folders are called: for a look at them."""
    _check_root(Path(root))
    root = Path(os.path.abspath(root))
    search = _Search(root)
    search.folder(root, NO_CLASS, "train")
    return Listing(root, [NO_CLASS], search.entries, search.unusable, search.warnings())


def _list_classes(root: Path) -> Listing:
    search, folders = _Search(root), _folders(root)
    if {"train", "val"} <= folders.keys() or folders.keys() in ({"train"}, {"train", "test"}):
        class_names = sorted(_folders(root / "train"))
        search.split(root / "train", "train" if "val" in folders else "")
        if "val" in folders:
            _check_val_classes(root, class_names)
            search.split(root / "val", "val")
    else:
        _check_not_half_split(root, folders.keys())
        class_names = sorted(folders)
        search.split(root, "")
    if not class_names:
        raise ValueError(f"{root}: expected a folder for each class, root/CLASS/*.jpg; found none")
    return Listing(root, class_names, search.entries, search.unusable, search.warnings())


def printable(path: str) -> str:
    """A path as text that any terminal and any JSON file takes: `\\xff` for what is no text."""
    if path.isascii() and path.isprintable():  # nearly all, and there may be a million
        return path
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _check_root(root: Path) -> None:
    if not root.exists():
        raise ValueError(f"{root}: no such folder; data.root is the folder that holds the classes")
    if not root.is_dir():
        raise ValueError(f"{root}: a file; expected the folder that holds the classes")


def _folders(root: Path) -> dict[str, str]:
    """Names and paths of the visible folders right below root."""
    return {entry.name: entry.path for entry in _scan(root) if entry.is_dir()}


def _scan(folder: str | Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        visible = [
            e for e in entries if not e.name.startswith(".") and e.name.lower() not in _DEBRIS
        ]
    return sorted(visible, key=lambda entry: entry.name)


def _check_not_half_split(root: Path, names: Set[str]) -> None:
    """A split under other names than ours would silently become classes called "train" and so."""
    other = [name for name in (*_OTHER_NAMES_FOR_VAL, "test") if name in names]
    if "train" in names and other:
        raise ValueError(f"{root}: found train and {other[0]}; rename {other[0]} to val")
    if "val" in names and len(names) == 1:
        raise ValueError(f"{root}: found val but no train; expected root/train/CLASS beside it")


def _check_val_classes(root: Path, class_names: list[str]) -> None:
    strangers = sorted(_folders(root / "val").keys() - set(class_names))
    if strangers:
        raise ValueError(
            f"{root / 'val' / strangers[0]}: train has no class of that name, only"
            f" {', '.join(class_names)}; rename the folder, or add the class to train"
        )


class _Search:
    """Walks folders, whatever they hold, and collects what was found."""

    def __init__(self, root: Path) -> None:
        self.root_length = len(os.path.join(root, ""))  # of what every path starts with
        self.entries: list[Entry] = []
        self.unusable: list[Unusable] = []
        self.sidecars: Counter[str] = Counter()
        self.beside = 0  # files that lie beside the folders of the classes

    def split(self, folder: Path, split: str) -> None:
        """All classes below one folder."""
        for entry in _scan(folder):
            if entry.is_dir():
                self.folder(Path(entry.path), entry.name, split)
            elif Path(entry.name).suffix.lower() not in _SIDECARS:
                self.beside += 1

    def folder(self, folder: Path, class_name: str, split: str) -> None:
        """One class: its folder and all below it, each entered once however links may lead."""
        todo, seen = [str(folder)], set()
        while todo:
            path = todo.pop()
            try:
                status = os.stat(path)
                identity = (status.st_dev, status.st_ino)
                found = _scan(path) if identity not in seen else None
            except OSError as error:
                self._leave_out(path, f"unreadable folder: {error.strerror}")
                continue
            if found is None:
                self._leave_out(path, "a link to a folder that was searched already")
                continue
            seen.add(identity)
            files = [entry for entry in found if not entry.is_dir()]
            self._add(files, class_name, split)
            todo += [entry.path for entry in found if entry.is_dir()]

    def _add(self, files: list["os.DirEntry[str]"], class_name: str, split: str) -> None:
        for file in files:
            suffix = os.path.splitext(file.name)[1].lower()
            if suffix in _SIDECARS:
                self.sidecars[suffix] += 1
                continue
            name = self._name(file.path)
            self.entries.append(Entry(file.path, name, class_name, split, _stamp(file)))

    def _leave_out(self, path: str, reason: str) -> None:
        self.unusable.append(Unusable(self._name(path), reason))

    def _name(self, path: str) -> str:
        return printable(path[self.root_length :])

    def warnings(self) -> list[str]:
        warnings = []
        if self.beside:
            warnings.append(f"{self.beside} files beside the folders of the classes: not used")
        if self.sidecars:
            kinds = ", ".join(suffix for suffix, _ in self.sidecars.most_common(5))
            warnings.append(
                f"passed over by their names, no pictures ({kinds}): {self.sidecars.total()}"
            )
        return warnings


def _stamp(file: "os.DirEntry[str]") -> Stamp | None:
    try:
        status = file.stat()
    except OSError:  # it vanished, or is a link to nothing; opening it will say which
        return None
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
