"""The folder of a run: the paths of its files, its lock and its log of metrics."""

import errno
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossent.errors import UserError
from crossent.files import write_text

# errors of a file system that has no locks
WITHOUT_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}


class RunFolder:
    """The files of a run; docs/commands.md lists their contents."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.environment = path / "environment.json"
        self.metrics = path / "metrics.jsonl"
        self.last = path / "last.safetensors"
        self.model = path / "model.safetensors"
        self.curve = path / "E-curve.png"
        self.report = path / "report.html"
        self.tensorboard = path / "tensorboard"

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Make the folder and lock it for the `with` block; raise UserError if it is in use.

        After an error before the first checkpoint, a new folder is removed, so that the corrected
        command can use the same name. After a signal it stays, for --resume.
        """
        from filelock import FileLock, Timeout  # 0.06 s: only when something is trained

        is_new, had_config = not self.path.exists(), self.config.exists()
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / ".lock", fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            words = "is in use by another training; wait for its end, or choose another --out"
            raise UserError(f"{self.path} {words}") from None
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            words = f"cannot be locked ({error.strerror}): do not start a second training in it"
            print(f"warning: {self.path} {words}", file=sys.stderr)
        try:
            for temporary in self.path.glob(".*.tmp"):  # left by killed processes
                temporary.unlink()
            yield
        except Exception:
            if not had_config and not self.last.exists():
                self.config.unlink(missing_ok=True)
            if is_new and not any(self.path.glob(f"**/{self.config.name}")):
                shutil.rmtree(self.path, ignore_errors=True)
            raise
        finally:
            lock.release()

    def create(self, config: str) -> None:
        """Make the folder with its config.yaml; raise UserError if it is used already."""
        self.path.mkdir(parents=True, exist_ok=True)
        check_unused(self.path)
        write_text(self.config, config)

    def check_is_run(self) -> None:
        """Raise UserError unless a run has begun here."""
        if not self.config.is_file():
            raise UserError(f"{self.path} is not a run folder: it has no config.yaml")

    def append(self, record: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        line = json.dumps(record, allow_nan=False) + "\n"
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:  # the error of a full disk names no file
            raise OSError(error.errno, error.strerror, str(self.metrics)) from error

    def records(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl, without a last line that a kill cut off."""
        if not self.metrics.exists():
            return []
        text = self.metrics.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def keep_records(self, count: int) -> None:
        """Keep only the first `count` lines: those written before the checkpoint."""
        records = self.records()
        if len(records) < count:
            raise UserError(
                f"{self.metrics} has {len(records)} complete lines, but {self.last} needs {count}; "
                "restore the metrics.jsonl that belongs to this checkpoint"
            )
        write_text(self.metrics, "".join(json.dumps(r) + "\n" for r in records[:count]))


def check_unused(path: Path) -> None:
    """Raise UserError if the folder is that of a run, a group of runs or a sweep."""
    if any((path / name).exists() for name in ("config.yaml", "group.json", "sweep.yaml")):
        is_sweep = (path / "sweep.yaml").exists()
        program = "python -m crossent sweep" if is_sweep else "python train.py"
        words = f"is already used: continue with {program} --resume {path}, or choose another --out"
        raise UserError(f"{path} {words}")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in the file; an empty one if there is no file."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def write_json(path: Path, content: dict[str, Any]) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")
