"""A run from its first line to its last: epochs, the log, checkpoints, the best model."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

from crossent.model_file import write_model
from crossent.training.checkpoint import load_checkpoint, save_checkpoint
from crossent.training.console import Console, TimeLeft
from crossent.training.loop import NotFinite, Progress, Trainer
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted, StopRequest


@dataclass
class Run:
    """A trainer with a folder to live in.

    Args:
        epochs: when to stop.
        description: what model.safetensors says about itself, beside its metrics.
        checkpoint_s: seconds between two checkpoints within an epoch.
    """

    trainer: Trainer
    folder: RunFolder
    epochs: int
    description: dict[str, Any]
    stop: StopRequest
    checkpoint_s: float = 60.0
    console: Console = field(default_factory=Console)
    began: float = field(default_factory=time.perf_counter)
    last_save: float = 0.0

    def start(self) -> None:
        """Evaluate the untrained model and write the first line of the log."""
        class_names = self.description["class_names"]
        E = self.trainer.evaluator(self.trainer.model).means()["E"]
        baseline = math.log(len(class_names))
        self.console.untrained(E, baseline, len(class_names))
        self.log(
            {
                "kind": "start",
                "E": E,
                "baseline": baseline,
                "class_names": class_names,
                "num_params": sum(p.numel() for p in self.trainer.model.parameters()),
            }
        )
        self.save()

    def resume(self) -> bool:
        """Go back to the last checkpoint, drop what was logged after it, and tell if that was all.

        Raises:
            UserError: the checkpoint is damaged, or of another model.
        """
        header = load_checkpoint(self.folder.last, self.trainer.model, self.trainer.optimizer)
        self.trainer.progress = Progress.from_dict(header["progress"])
        self.folder.keep_records(self.trainer.progress.num_records)
        self.began -= self.trainer.progress.elapsed_s
        return self.trainer.progress.epoch >= self.epochs

    def fit(self) -> None:
        """Train to the last epoch.

        Raises:
            Interrupted: a signal came; everything is saved.
            NotFinite: a number was not finite; the state before that step is saved.
        """
        progress = self.trainer.progress
        time_left = TimeLeft(progress.epoch)
        self.console.headings()
        try:
            while progress.epoch < self.epochs:
                record = self.one_epoch()
                self.console.epoch(record, self.epochs, time_left(progress.epoch, self.epochs))
        except (Interrupted, NotFinite):
            self.save()
            raise
        self.log({"kind": "end", "best_epoch": progress.best_epoch, "best_E": progress.best_E})
        self.save()

    def one_epoch(self) -> dict[str, Any]:
        """Train, validate, keep the best model, log, save.

        The order survives a kill at any point: what a resumed run finds too much, it writes again.
        """
        trainer, progress = self.trainer, self.trainer.progress
        with self.console.bar(progress.epoch + 1, len(trainer.batches), progress.batch) as bar:

            def after_step() -> None:
                bar.update()
                if time.perf_counter() - self.last_save > self.checkpoint_s:
                    self.save()

            trainer.train_epoch(self.stop, after_step)
        record = trainer.finish_epoch(trainer.evaluator(trainer.model))
        self.keep_best(record)
        self.log({**record, "elapsed_s": round(self.elapsed_s, 3)})
        self.save()
        return record

    def keep_best(self, record: dict[str, Any]) -> None:
        """model.safetensors: the model with the smallest E on validation so far."""
        progress = self.trainer.progress
        if record["val"]["E"] < progress.best_E:
            progress.best_E, progress.best_epoch = record["val"]["E"], record["epoch"]
            metrics = {"epoch": record["epoch"], **record["val"]}
            write_model(
                self.folder.model, self.trainer.model, {**self.description, "metrics": metrics}
            )

    def log(self, record: dict[str, Any]) -> None:
        self.folder.append(record)
        self.trainer.progress.num_records += 1

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, in all the processes that this run has had."""
        return time.perf_counter() - self.began

    def save(self) -> None:
        """Write last.safetensors."""
        trainer = self.trainer
        trainer.progress.elapsed_s = self.elapsed_s
        header = {
            "class_names": self.description["class_names"],
            "data_fingerprint": self.description["data_fingerprint"],
            "progress": trainer.progress.to_dict(),
        }
        save_checkpoint(self.folder.last, trainer.model, trainer.optimizer, header)
        self.last_save = time.perf_counter()
