"""Your own pictures, listed in a CSV table: path and label, optionally split and group."""

import csv
import os
from collections import Counter
from pathlib import Path

from data import DataError
from data.advice import plural, some
from data.folder import SPLIT_NAMES, about_groups, class_name, group_of, list_folder, stamp
from data.images import File, FileTable

COLUMNS = ("path", "label", "split", "group")
NUM_SHOWN = 5  # mistakes

Row = dict[str, str]  # each of `COLUMNS`


def list_labels(path: str | Path, group: str | None = None) -> FileTable:
    """Find the files in a table; their paths are relative to its folder.

    Args:
        group: as in `list_folder`, for the rows without a group.

    Raises:
        DataError: the mistakes in the table, one per line, each with its line number.
    """
    root, rows, mistakes = Path(os.path.abspath(path)).parent, _read(path), []
    seen: dict[str, tuple[int, Row]] = {}
    for line, row in rows:
        row["path"] = os.path.normpath(row["path"]) if row["path"] else ""
        row["split"] = SPLIT_NAMES.get(row["split"].lower(), row["split"])
        if wrong := _mistake(root, row, *seen.setdefault(row["path"], (line, row))):
            mistakes.append(f"{line}: {wrong}")
    if not rows:
        mistakes.append("2: expected one row per picture")
    if mistakes:
        more = [f"and {len(mistakes) - NUM_SHOWN} more"] if len(mistakes) > NUM_SHOWN else []
        raise DataError("\n".join([*(f"{path}:{m}" for m in mistakes[:NUM_SHOWN]), *more]))
    used = {row["path"]: row for _, row in rows if row["split"] != "test"}
    if not used:
        raise DataError(f"{path}: every row has split test; expected rows to train on")
    splits = {row["split"] for row in used.values()}
    if "" in splits and len(splits) > 1:
        raise DataError(f"{path}: some rows have a split, others do not; fill in all or none")
    class_names = sorted({row["label"] for row in used.values()})
    files = [
        File(
            name,
            class_names.index(row["label"]),
            row["split"] if "val" in splits else "",
            row["group"] or group_of(name, os.path.dirname(name), group),
            *stamp(os.path.join(root, name)),
        )
        for name, row in used.items()
    ]
    num_test = len(seen) - len(used)
    notes = [f"{plural(num_test, 'row')} of split test: not used"] if num_test else []
    if splits == {"train"}:
        notes.append("no row has split val: a share of each class is kept for validation")
    return FileTable(root, class_names, files, (), [*notes, *about_groups(files, group)])


def list_pictures(root: str | Path, group: str | None = None, to_train: bool = True) -> FileTable:
    """Find the files of a folder, or those in a table (.csv)."""
    if str(root).lower().endswith(".csv") and os.path.isfile(root):
        table = list_labels(root, group)
    else:
        table = list_folder(root, group, to_train)
    cases = Counter(map(str.casefold, table.class_names))
    if alike := [name for name in table.class_names if cases[name.casefold()] > 1]:
        table.warnings.append(
            f"names that differ only in case are different classes: {some(alike)}"
        )
    return table


def _mistake(root: Path, row: Row, first_line: int, first: Row) -> str:
    """Return the mistake in a row, or "". `first` is the first row with the same path."""
    if not (row["path"] and row["label"]):
        return "expected a path and a label"
    if not os.path.lexists(root / row["path"]):
        return f"{row['path']}: no such file"
    if row["split"] not in ("", "train", "val", "test"):
        return f"split {row['split']}; expected train, val or test"
    for column in COLUMNS:
        if row[column] != first[column]:
            where = f"{first[column]} in line {first_line}"
            return f"{row['path']}: {column} is {row[column]}, but {where}"
    return ""


def _read(path: str | Path) -> list[tuple[int, Row]]:
    """Return each row, with all of `COLUMNS`, and its line number."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            # a spreadsheet writes semicolons where the decimal point is a comma
            delimiter = max(",;\t", key=file.readline().count)
            file.seek(0)
            reader = csv.DictReader(file, restval="", strict=True, delimiter=delimiter)
            names = [name.strip().lower() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            unknown = [name for name in names if name not in COLUMNS]
            if unknown or not {"path", "label"} <= set(names) or len(set(names)) < len(names):
                raise DataError(
                    f"{path}:1: the columns are {', '.join(map(repr, names)) or 'missing'};"
                    " expected path, label and optionally split and group"
                )
            rows = []
            for row in reader:
                if None in row:
                    raise DataError(f"{path}:{reader.line_num}: more cells than columns")
                cells = {name: row.get(name, "").strip() for name in COLUMNS}
                rows.append((reader.line_num, {**cells, "label": class_name(cells["label"])}))
            return rows
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except csv.Error as error:
        where = f"{path}:{reader.line_num + 1}"  # the line after the last one that was read
        raise DataError(f"{where}: {error}; a closing quote may be missing") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: cannot be read as UTF-8 ({error})") from error
