"""The output of a run: lines, a progress bar, TensorBoard."""

import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from crossent.errors import discard_output
from data.advice import listing, plural
from data.images import Data

LN_K_TOLERANCE = 0.01  # nats
ROW = "{:>9}  {:>8}  {:>8}  {:>9}  {:>8}  {:>8}  {:>6}"
HEADINGS = ROW.format("epoch", "E train", "E val", "acc train", "acc val", "images/s", "left")


class Console:
    """Lines on standard output and a progress bar on standard error, unless silent."""

    def __init__(self, silent: bool = False) -> None:
        self.silent = silent

    def line(self, text: str) -> None:
        if self.silent:
            return
        try:
            tqdm.write(text)  # above the bar, if there is one
            sys.stdout.flush()
        except BrokenPipeError:  # the run continues without a reader
            self.silent = True
            discard_output()

    def data(self, data: Data) -> None:
        """Print the number of pictures, the warnings, and the files that cannot be used."""
        self.line(
            f"{len(data.train):,} training and {len(data.val):,} validation pictures of "
            f"{len(data.class_names)} classes: {', '.join(data.class_names)}"
        )
        if data.summary:
            self.line(data.summary)
        for warning in data.warnings:
            self.line(f"warning: {warning}")
        if data.unusable:
            title = f"left out {plural(len(data.unusable), 'file')} that cannot be used"
            lines = [f"{bad.path}: {bad.reason}" for bad in data.unusable]
            self.line(listing(title, lines, "a run has all in environment.json"))

    def epoch(self, record: dict[str, Any], epochs: int, left_s: float) -> None:
        """Print the row of an epoch; `left_s` is the estimated time to the end, in seconds."""
        train, val = record["train"], record["val"]
        self.line(ROW.format(
            f"{record['epoch']}/{epochs}", short(train["E"]), short(val["E"]),
            f"{train['accuracy']:.1%}", f"{val['accuracy']:.1%}",
            f"{record['images_per_s']:.0f}", tqdm.format_interval(left_s),
        ))  # fmt: skip

    def bar(self, epoch: int, total: int, done: int) -> "tqdm[Any]":
        """Return a progress bar over the batches of an epoch; only a terminal shows it."""
        return tqdm(
            total=total, initial=done, desc=f"epoch {epoch}", unit="batch", leave=False,
            disable=self.silent or None, mininterval=0.2,
        )  # fmt: skip


def short(E: float) -> str:
    """Return E in at most 8 characters, such as 1.0986 or 1.00e+30."""
    return f"{E:.4f}" if E < 999 else f"{E:.2e}"


class EventLog:
    """The log for TensorBoard: the numbers of metrics.jsonl, with epochs as steps."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: Any = None

    def add(self, record: dict[str, Any]) -> None:
        """Write the numbers of one line of metrics.jsonl.

        The first one makes TensorBoard ignore entries of earlier processes from its epoch on.
        """
        if record["kind"] == "end":
            return
        epoch, scalars = record.get("epoch", 0), {"E/val": record.get("E")}
        if self.writer is None:
            from torch.utils.tensorboard import SummaryWriter  # 0.2 s: only for a training

            self.writer = SummaryWriter(str(self.path), purge_step=epoch)
        if record["kind"] == "epoch":
            scalars = {key: record[key] for key in ("lr", "images_per_s")}
            for split in ("train", "val"):
                scalars |= {f"{name}/{split}": value for name, value in record[split].items()}
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, epoch)
        self.writer.flush()
