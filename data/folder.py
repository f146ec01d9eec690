"""Your own pictures: root/CLASS/*, or root/train/CLASS/* and root/val/CLASS/*."""

import os
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import replace
from pathlib import Path

from data.errors import DataError
from data.images import Data, Unusable
from data.load import Split, load_table
from data.table import File, FileTable, printable

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
        DataError: what is wrong with the folder or the arguments, in one sentence.
    """
    if not 0 < val_fraction < 1:
        raise DataError(f"val_fraction is {val_fraction}; expected a share between 0 and 1")
    if num_folds and not 1 <= fold <= num_folds:
        raise DataError(f"fold is {fold}; expected 1 to {num_folds}, one of the folds")
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
    cache_dir: str | Path | None = None,
    on_bad: str = "skip",
    use_cache: bool = True,
) -> Data:
    """Load all pictures of a folder as one validation set, its classes those of a model, by name.

    Of a folder with train and val, val is taken. Classes of the model that the folder lacks are a
    warning. Arguments and errors are those of `load_folder`.

    Raises:
        DataError: a class that the model does not know.
    """
    table = list_folder(root)
    strangers = sorted(set(table.class_names) - set(class_names))
    if strangers:
        raise DataError(
            f"{root}: found the class {strangers[0]}; the model knows only {', '.join(class_names)}"
        )
    has_val = any(file.split == "val" for file in table.files)
    label_of = {name: label for label, name in enumerate(class_names)}
    files = [
        replace(file, split="val", label=label_of[table.class_names[file.label]])
        for file in table.files
        if file.split == "val" or not has_val
    ]
    found = {file.label for file in files}
    missing = [f"{root}: no pictures of {n}" for n, label in label_of.items() if label not in found]
    warnings = [*table.warnings, *missing]
    table = FileTable(table.root, class_names, files, table.unusable, warnings)
    return load_table(table, image_size, image_size, None, on_bad, use_cache, cache_dir)


def list_folder(root: str | Path) -> FileTable:
    """Find the files of root/CLASS/*, or of root/train/CLASS/* and root/val/CLASS/*.

    Raises:
        DataError: no such folder, no classes, or a class in val that train lacks.
    """
    try:
        _check_root(Path(root))
        return _list_classes(Path(os.path.abspath(root)))
    except OSError as error:
        raise DataError(f"{root}: cannot be read ({error.strerror})") from error


def list_files(root: str | Path) -> FileTable:
    """Find every file below a root, whatever the folders are called: for a look at them."""
    _check_root(Path(root))
    search = _Search(Path(os.path.abspath(root)), [NO_CLASS])
    search.folder(search.root, 0, "train")
    return search.table()


def _list_classes(root: Path) -> FileTable:
    folders = _folders(root)
    if {"train", "val"} <= folders or folders in ({"train"}, {"train", "test"}):
        search = _Search(root, sorted(_folders(root / "train")))
        search.classes(root / "train", "train" if "val" in folders else "")
        if "val" in folders:
            _check_val_classes(root, search.class_names)
            search.classes(root / "val", "val")
    else:
        _check_not_half_split(root, folders)
        search = _Search(root, sorted(folders))
        search.classes(root, "")
    if not search.class_names:
        raise DataError(f"{root}: expected a folder for each class, root/CLASS/*.jpg; found none")
    return search.table()


def _check_root(root: Path) -> None:
    if not root.exists():
        raise DataError(f"{root}: no such folder; data.root is the folder that holds the classes")
    if not root.is_dir():
        raise DataError(f"{root}: a file; expected the folder that holds the classes")


def _check_not_half_split(root: Path, names: Set[str]) -> None:
    """A split under other names than ours would silently become classes called "train" and so."""
    other = [name for name in (*_OTHER_NAMES_FOR_VAL, "test") if name in names]
    if "train" in names and other:
        raise DataError(f"{root}: found train and {other[0]}; rename {other[0]} to val")
    if names == {"val"}:
        raise DataError(f"{root}: found val but no train; expected root/train/CLASS beside it")


def _check_val_classes(root: Path, class_names: list[str]) -> None:
    strangers = sorted(_folders(root / "val") - set(class_names))
    if strangers:
        raise DataError(
            f"{root / 'val' / strangers[0]}: train has no class of that name, only"
            f" {', '.join(class_names)}; rename the folder, or add the class to train"
        )


def _folders(root: Path) -> set[str]:
    """Return the names of the visible folders right below root."""
    return {entry.name for entry in _scan(root) if entry.is_dir()}


def _scan(folder: str | Path) -> list["os.DirEntry[str]"]:
    with os.scandir(folder) as entries:
        visible = [
            e for e in entries if not e.name.startswith(".") and e.name.lower() not in _DEBRIS
        ]
    return sorted(visible, key=lambda entry: entry.name)


class _Search:
    """Walks folders, whatever they hold, and collects what was found."""

    def __init__(self, root: Path, class_names: list[str]) -> None:
        self.root, self.class_names = root, class_names
        self.files: list[File] = []
        self.unusable: list[Unusable] = []
        self.sidecars: Counter[str] = Counter()
        self.beside = 0  # files that lie beside the folders of the classes

    def classes(self, folder: Path, split: str) -> None:
        """Search all classes below one folder."""
        for entry in _scan(folder):
            if entry.is_dir():
                self.folder(Path(entry.path), self.class_names.index(entry.name), split)
            elif os.path.splitext(entry.name)[1].lower() not in _SIDECARS:
                self.beside += 1

    def folder(self, folder: Path, label: int, split: str) -> None:
        """Search one class: its folder and all below it, each once however links may lead."""
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
            for entry in found:
                if entry.is_dir():
                    todo.append(entry.path)
                else:
                    self._add(entry, label, split)

    def _add(self, entry: "os.DirEntry[str]", label: int, split: str) -> None:
        suffix = os.path.splitext(entry.name)[1].lower()
        if suffix in _SIDECARS:
            self.sidecars[suffix] += 1
            return
        try:
            status = entry.stat()
            stamp = status.st_size, status.st_mtime_ns
        except OSError:  # it vanished, or is a link to nothing; opening it will say which
            stamp = -1, -1
        self.files.append(File(self._below_root(entry.path), label, split, "", *stamp))

    def _leave_out(self, path: str, reason: str) -> None:
        self.unusable.append(Unusable(printable(self._below_root(path)), reason))

    def _below_root(self, path: str) -> str:
        return path[len(os.path.join(self.root, "")) :]

    def table(self) -> FileTable:
        warnings = []
        if self.beside:
            warnings.append(f"{self.beside} files beside the folders of the classes: not used")
        if self.sidecars:
            kinds = ", ".join(suffix for suffix, _ in self.sidecars.most_common(5))
            warnings.append(
                f"passed over by their names, no pictures ({kinds}): {self.sidecars.total()}"
            )
        return FileTable(self.root, self.class_names, self.files, self.unusable, warnings)
