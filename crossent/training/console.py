"""What a person sees of a run: lines, a progress bar where there is a terminal, TensorBoard."""

import sys
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from data.images import Data

MAX_LISTED = 10  # files, of those left out
NUM_PICTURES = 32  # for TensorBoard
LN_K_TOLERANCE = 0.01  # nats
HEADINGS = ("epoch", "E train", "E val", "acc train", "acc val", "images/s", "left")
ROW = "{:>9}  {:>8}  {:>8}  {:>9}  {:>8}  {:>8}  {:>6}"


class Console:
    """Prints to standard output, unless silent; a bar goes to standard error if on a terminal."""

    def __init__(self, silent: bool = False) -> None:
        self.silent = silent

    def line(self, text: str) -> None:
        if not self.silent:
            tqdm.write(text)  # above the bar, if there is one
            sys.stdout.flush()

    def data(self, data: Data) -> None:
        """How many pictures of what; which files were left out, and why; what to look at."""
        self.line(
            f"{len(data.train):,} training and {len(data.val):,} validation pictures of "
            f"{len(data.class_names)} classes: {', '.join(data.class_names)}"
        )
        if data.summary:
            self.line(data.summary)
        for warning in data.warnings:
            self.line(f"warning: {warning}")
        if data.unusable:
            self.line(f"left out, {len(data.unusable)} files that cannot be used:")
        for bad in data.unusable[:MAX_LISTED]:
            self.line(f"  {bad.path}: {bad.reason}")
        if len(data.unusable) > MAX_LISTED:
            self.line(f"  ... and {len(data.unusable) - MAX_LISTED} more: unusable.csv of the run")

    def finished(self, path: Path, records: list[dict[str, Any]]) -> None:
        """That there is nothing to go on with."""
        num_epochs = sum(record["kind"] == "epoch" for record in records)
        self.line(f"{path} is finished: {num_epochs} epochs are done; nothing to do")

    def untrained(self, E: float, baseline: float, num_classes: int) -> None:
        """The first line of every run: where E starts, and where it ought to."""
        self.line(
            f"untrained E = {E:.4f} on validation; a model that knows nothing: "
            f"ln {num_classes} = {baseline:.4f}"
        )
        if abs(E - baseline) > LN_K_TOLERANCE:
            self.line("warning: E starts away from ln K: the untrained model prefers some class")

    def headings(self) -> None:
        self.line(ROW.format(*HEADINGS))

    def epoch(self, record: dict[str, Any], epochs: int, left_s: float) -> None:
        """A row of the table: one epoch."""
        train, val = record["train"], record["val"]
        cells = [
            f"{record['epoch']}/{epochs}", short(train["E"]), short(val["E"]),
            f"{train['accuracy']:.1%}", f"{val['accuracy']:.1%}",
            f"{record['images_per_s']:.0f}", duration(left_s),
        ]  # fmt: skip
        self.line(ROW.format(*cells))

    def bar(self, epoch: int, total: int, done: int) -> "tqdm[Any]":
        """A bar over the batches of an epoch; nothing is drawn off a terminal."""
        return tqdm(
            total=total, initial=done, desc=f"epoch {epoch}", unit="batch", leave=False,
            disable=self.silent or None, mininterval=0.2,
        )  # fmt: skip


def short(E: float) -> str:
    """E in at most 8 characters: 1.0986, or 1.00e+30 where it has exploded."""
    return f"{E:.4f}" if E < 999 else f"{E:.2e}"


def duration(seconds: float) -> str:
    """1:05 for 65 seconds, 2:00:05 for two hours and five."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class EventLog:
    """RUN/tensorboard: the numbers of metrics.jsonl; a step of TensorBoard is an epoch.

    After a kill and a resume a new file says from which epoch on the old one no longer counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, first_epoch: int) -> None:
        from torch.utils.tensorboard import SummaryWriter  # 0.2 s: only when something is trained

        self.writer = SummaryWriter(str(self.path), purge_step=first_epoch)

    def introduce(self, settings: str, images: Tensor) -> None:
        """Write the settings as YAML, and the first batch (N, 3, S, S) as the model sees it."""
        self.open(0)
        self.writer.add_text("settings", "    " + settings.replace("\n", "\n    "), 0)
        shown = images[:NUM_PICTURES].cpu()
        shown = (shown - shown.amin()) / (shown.amax() - shown.amin())
        self.writer.add_images("augmented training pictures", shown, 0)

    def add(self, record: dict[str, Any]) -> None:
        """Write a line of metrics.jsonl, on its way to the disk before the next checkpoint."""
        scalars, epoch = {}, record.get("epoch", 0)
        if record["kind"] == "start":
            scalars["E/val"] = record["E"]
        if record["kind"] == "epoch":
            scalars = {
                f"{n}/{split}": record[split][n]
                for split in ("train", "val")
                for n in record[split]
            }
            scalars |= {"lr": record["lr"], "images_per_s": record["images_per_s"]}
        for name, value in scalars.items():
            self.writer.add_scalar(name, value, epoch)
        self.writer.flush()
