"""A run from its first line to its last: epochs, the log, checkpoints, the best model."""

import math
import time
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from crossent.environment import changes, describe_environment
from crossent.model_file import write_model
from crossent.training.checkpoint import (
    check_same_data,
    generator_states,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)
from crossent.training.console import Console, TimeLeft
from crossent.training.crash import keep_crash
from crossent.training.loop import NotFinite, Progress, Trainer
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted, StopRequest


@dataclass
class Run:
    """A trainer with a folder to live in.

    Args:
        epochs: when to stop.
        description: what model.safetensors says about itself, beside its metrics.
        num_unusable: files that were left out of the data.
        checkpoint_every_s: seconds between two checkpoints within an epoch, or None;
        checkpoint_every_steps: and steps.
        checkpoint_share: of the time, for checkpoints at the ends of epochs: short epochs go
            without. A run that is killed trains again what it had not saved, to the same bytes.
    """

    trainer: Trainer
    folder: RunFolder
    epochs: int
    description: dict[str, Any]
    num_unusable: int = 0
    checkpoint_every_s: float | None = 60.0
    checkpoint_every_steps: int | None = None
    checkpoint_share: float = 0.005
    stop: StopRequest = field(default_factory=StopRequest)
    console: Console = field(default_factory=Console)
    began: float = field(default_factory=time.perf_counter)
    saved: float = field(default_factory=time.perf_counter)
    save_s: float = 0.0  # what the last save took
    best: tuple[dict[str, Tensor], dict[str, Any]] | None = None  # weights and header, to be saved

    def start_or_resume(self) -> None:
        """Go on from the last checkpoint, or begin where there is none."""
        evaluator = self.trainer.evaluator
        environment = describe_environment(
            evaluator.device, evaluator.precision, self.description["data_fingerprint"]
        )
        if self.folder.last.exists():
            for change in changes(self.folder.read_environment(), environment):
                self.console.line(f"warning: {change}: equal up to rounding, not to the byte")
            self.resume()
        else:
            self.start()
        self.folder.describe_environment(environment)

    def start(self) -> None:
        """Evaluate the untrained model and write the first line of the log."""
        self.folder.keep_records(0)  # of a process that was killed before its first checkpoint
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
                "num_images": {
                    "train": len(self.trainer.batches.image_set),
                    "val": len(self.trainer.evaluator.image_set),
                    "unusable": self.num_unusable,
                },
            }
        )
        self.save()

    def resume(self) -> None:
        """Go back to the last checkpoint, and drop what was logged after it.

        Raises:
            UserError: the checkpoint is damaged, or of another model or other pictures.
        """
        trainer, last = self.trainer, self.folder.last
        check_same_data(last, read_checkpoint(last)[1], self.description)
        header = load_checkpoint(last, trainer.model, trainer.optimizer)
        trainer.progress = Progress.from_dict(header["progress"])
        if trainer.progress.done and trainer.progress.epoch < self.epochs:
            trainer.progress.done = False  # more epochs than before: its end is no longer one
            trainer.progress.num_records -= 1
        self.folder.keep_records(trainer.progress.num_records)
        self.began -= trainer.progress.elapsed_s

    def fit(self) -> None:
        """Train to the last epoch.

        Raises:
            Interrupted: a signal came; everything is saved.
            NotFinite: a number was not finite; the step is kept in RUN/crash.
        """
        progress = self.trainer.progress
        if progress.done:
            self.console.line(f"this run is finished: {progress.epoch} epochs are done")
            return
        time_left = TimeLeft(progress.epoch)
        self.console.headings()
        try:
            while progress.epoch < self.epochs:
                record = self.one_epoch()
                self.console.epoch(record, self.epochs, time_left(progress.epoch, self.epochs))
        except Interrupted:
            self.save()
            raise
        except NotFinite as error:
            self.save_best()
            raise keep_crash(self.folder, self.trainer, self.header(), error) from None
        self.log({"kind": "end", "best_epoch": progress.best_epoch, "best_E": progress.best_E})
        progress.done = True
        self.save()

    def one_epoch(self) -> dict[str, Any]:
        """Train, validate, keep the best model, log, save.

        The order survives a kill at any point: what a resumed run finds too much, it writes again.
        """
        trainer, progress = self.trainer, self.trainer.progress
        with self.console.bar(progress.epoch + 1, len(trainer.batches), progress.batch) as bar:

            def after_step() -> None:
                bar.update()
                if self.checkpoint_is_due():
                    self.save()

            trainer.train_epoch(self.stop, after_step)
        with self.stop.raising():  # a stopped validation is done again as a whole
            val = trainer.evaluator(trainer.model)
        record = trainer.finish_epoch(val)
        self.keep_best(record)
        self.log({**record, "elapsed_s": round(self.elapsed_s, 3)})
        if self.checkpoint_is_cheap():
            self.save()
        return record

    def keep_best(self, record: dict[str, Any]) -> None:
        """Remember the model with the smallest E on validation so far, until the next save."""
        progress = self.trainer.progress
        if record["val"]["E"] < progress.best_E:
            progress.best_E, progress.best_epoch = record["val"]["E"], record["epoch"]
            metrics = {"epoch": record["epoch"], **record["val"]}
            weights = {name: t.clone() for name, t in self.trainer.model.state_dict().items()}
            self.best = weights, {**self.description, "metrics": metrics}

    def checkpoint_is_due(self) -> bool:
        every_s, every_steps = self.checkpoint_every_s, self.checkpoint_every_steps
        by_time = every_s is not None and time.perf_counter() - self.saved > every_s
        by_steps = every_steps is not None and self.trainer.step % every_steps == 0
        return by_time or by_steps

    def checkpoint_is_cheap(self) -> bool:
        """Whether one at the end of this epoch keeps within the share of time for checkpoints."""
        return time.perf_counter() - self.saved >= self.save_s / self.checkpoint_share

    def log(self, record: dict[str, Any]) -> None:
        self.folder.append(record)
        self.trainer.progress.num_records += 1

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, in all the processes that this run has had."""
        return time.perf_counter() - self.began

    def save(self) -> None:
        """Write the best model and then last.safetensors, which counts on it to be there."""
        start = time.perf_counter()
        self.save_best()
        trainer = self.trainer
        trainer.progress.elapsed_s = self.elapsed_s
        save_checkpoint(
            self.folder.last, trainer.model, trainer.optimizer, generator_states(), self.header()
        )
        self.saved = time.perf_counter()
        self.save_s = self.saved - start

    def save_best(self) -> None:
        """Write model.safetensors if there is a better one than it holds."""
        if self.best is not None:
            write_model(self.folder.model, *self.best)
            self.best = None

    def header(self) -> dict[str, Any]:
        """What last.safetensors says about itself."""
        keys = ("class_names", "data_fingerprint", "settings")
        progress = self.trainer.progress.to_dict()
        return {key: self.description[key] for key in keys} | {"progress": progress}
