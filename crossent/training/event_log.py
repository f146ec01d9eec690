"""RUN/tensorboard: the numbers of metrics.jsonl for TensorBoard, with settings and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

NUM_PICTURES = 32


class EventLog:
    """Event files; the step of TensorBoard is the epoch, 0 before training.

    Each line is on its way to the disk before the checkpoint of its epoch is written. After a kill
    and a resume the new file says from which epoch on the old one no longer counts, and TensorBoard
    shows every epoch once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer: SummaryWriter | None = None

    def open(self, first_epoch: int = 0) -> "SummaryWriter":
        """Begin a file; older files no longer count from `first_epoch` on."""
        from torch.utils.tensorboard import SummaryWriter  # 0.2 s: only when something is trained

        self.writer = SummaryWriter(str(self.path), purge_step=first_epoch)
        return self.writer

    def introduce(self, settings: str, images: Tensor) -> None:
        """Write what a run starts from: its settings, and the first batch as the model sees it.

        Args:
            settings: YAML.
            images: (N, 3, S, S) float, normalised; shown from their darkest to their brightest.
        """
        writer = self.writer or self.open()
        writer.add_text("settings", "    " + settings.replace("\n", "\n    "), 0)
        shown = images[:NUM_PICTURES].detach().float().cpu()
        low, high = shown.amin(), shown.amax()
        writer.add_images("augmented training pictures", (shown - low) / (high - low), 0)
        writer.flush()

    def add(self, record: dict[str, Any]) -> None:
        """Write a line of metrics.jsonl."""
        writer = self.writer or self.open()
        if record["kind"] == "start":
            writer.add_scalar("E/val", record["E"], 0)
        if record["kind"] == "epoch":
            for split in ("train", "val"):
                for name, value in record[split].items():
                    writer.add_scalar(f"{name}/{split}", value, record["epoch"])
            for name in ("lr", "images_per_s"):
                writer.add_scalar(name, record[name], record["epoch"])
        writer.flush()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
