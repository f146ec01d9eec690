"""Your own pictures: in folders, or listed in a CSV table: path and label, also split and group."""

import csv
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from data import DataError
from data.advice import plural, some
from data.folder import SPLIT_NAMES, class_name, group_of, list_folder
from data.images import FileTable, find_file

COLUMNS = ("path", "label", "split", "group")


def list_pictures(root: str | Path, group: str | None = None, to_train: bool = True) -> FileTable:
    """Find the files of a folder, or those in a table (.csv).

    Args:
        group: as in `list_folder`; in a table, for the rows without a group.
        to_train: refuse folders that are probably not classes, and a single class.

    Raises:
        DataError: the mistake in the folder or the table, in one sentence.
    """
    if str(root).lower().endswith(".csv") and os.path.isfile(root):
        table = _list_labels(root, group)
    else:
        table = list_folder(root, group, to_train)
    if to_train and len(table.class_names) == 1:
        raise DataError(f"{root}: only one class, {table.class_names[0]}; expected two or more")
    alone = sorted(file.name for file in table.files if not file.group)
    if group and alone and len(alone) == len(table.files):
        raise DataError(f"data.group={group} gives no file a group, for example {some(alone)}")
    if group and alone:
        note = f"data.group={group}: {plural(len(alone), 'file')} in no group: {some(alone)}"
        table.warnings.append(note)
    cases = Counter(map(str.casefold, table.class_names))
    if alike := [name for name in table.class_names if cases[name.casefold()] > 1]:
        note = f"names that differ only in case are different classes: {some(alike)}"
        table.warnings.append(note)
    return table


def _list_labels(path: str | Path, group: str | None) -> FileTable:
    root = Path(os.path.abspath(path)).parent
    rows: dict[str, tuple[int, str, str, str]] = {}
    for line, name, label, split, own_group in _read(path):
        first, *before = rows.setdefault(name, (line, label, split, own_group))
        if not (name and label):
            wrong = "expected a path and a label"
        elif not os.path.lexists(root / name):
            wrong = f"{name}: no such file"
        elif split not in ("", "train", "val", "test"):
            wrong = f"split {split}; expected train, val or test"
        elif before != [label, split, own_group]:
            wrong = f"{name}: line {first} has another label, split or group"
        else:
            continue
        raise DataError(f"{path}:{line}: {wrong}")
    used = {name: row for name, (_, *row) in rows.items() if row[1] != "test"}
    if not used:
        raise DataError(f"{path}: expected one row per picture to train on")
    splits = {split for _, split, _ in used.values()}
    if "" in splits and len(splits) > 1:
        raise DataError(f"{path}: some rows have a split, others do not; fill in all or none")
    class_names = sorted({label for label, _, _ in used.values()})
    files = []
    for name, (label, split, own_group) in used.items():
        own_split = split if "val" in splits else ""
        own_group = own_group or group_of(name, os.path.dirname(name), group)
        files.append(find_file(root, name, class_names.index(label), own_split, own_group))
    num_test = len(rows) - len(used)
    notes = [f"{plural(num_test, 'row')} of split test: not used"] if num_test else []
    if splits == {"train"}:
        notes.append("no row has split val: a share of each class is kept for validation")
    return FileTable(root, class_names, files, [], notes)


def _read(path: str | Path) -> Iterator[tuple[int, str, str, str, str]]:
    """Yield the line number and the cells of each row, in the order of `COLUMNS`."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            # a spreadsheet writes semicolons where the decimal point is a comma
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            reader = csv.DictReader(file, restval="", strict=True, delimiter=delimiter)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            if not {"path", "label"} <= set(names) <= set(COLUMNS) or len(set(names)) < len(names):
                raise DataError(
                    f"{path}:1: the columns are {', '.join(map(repr, names)) or 'missing'};"
                    " expected path, label and optionally split and group"
                )
            for row in reader:
                if None in row:
                    raise DataError(f"{path}:{reader.line_num}: more cells than columns")
                name, label, split, group = (row.get(name, "").strip() for name in COLUMNS)
                name = os.path.normpath(name) if name else ""
                split = SPLIT_NAMES.get(split.lower(), split)
                yield reader.line_num, name, class_name(label), split, group
    except csv.Error as error:
        where = f"{path}:{reader.line_num + 1}"  # the line after the last one that was read
        raise DataError(f"{where}: {error}; a closing quote may be missing") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text in UTF-8 ({error})") from error
