"""A run from its first line to its last: epochs, the log, checkpoints, the best model."""

import math
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from crossent.environment import describe_environment
from crossent.evaluation.evaluate import Totals
from crossent.model_file import write_model
from crossent.training.checkpoint import generator_states, load_checkpoint, save_checkpoint
from crossent.training.console import Console, TimeLeft
from crossent.training.loop import NotFinite, Progress, Trainer
from crossent.training.run_folder import RunFolder
from crossent.training.signals import Interrupted, StopRequest
from crossent.training.world import World
from data.images import Unusable


@dataclass
class Run:
    """A trainer with a folder to live in.

    Args:
        epochs: when to stop.
        description: what model.safetensors says about itself, beside its metrics.
        unusable: files that were left out of the data.
        checkpoint_every_s: seconds between two checkpoints within an epoch, or None;
        checkpoint_every_steps: and steps. At the end of an epoch there is always one.
    """

    trainer: Trainer
    folder: RunFolder
    epochs: int
    description: dict[str, Any]
    unusable: Sequence[Unusable] = ()
    checkpoint_every_s: float | None = 60.0
    checkpoint_every_steps: int | None = None
    stop: StopRequest = field(default_factory=StopRequest)
    console: Console = field(default_factory=Console)
    began: float = field(default_factory=time.perf_counter)
    saved: float = field(default_factory=time.perf_counter)

    @property
    def world(self) -> World:
        return self.trainer.world

    def start_or_resume(self) -> None:
        """Go on from the last checkpoint, or begin where there is none."""
        self.stop.install()
        if self.world.is_first:
            self.describe_environment()
            self.folder.list_unusable(self.unusable)
        if self.folder.last.exists():
            self.resume()
        else:
            self.start()

    def describe_environment(self) -> None:
        evaluator, fingerprint = self.trainer.evaluator, self.description["data_fingerprint"]
        environment = describe_environment(evaluator.device, evaluator.precision, fingerprint)
        self.folder.describe_environment({**environment, "processes": self.world.size})

    def start(self) -> None:
        """Evaluate the untrained model and write the first line of the log."""
        class_names = self.description["class_names"]
        E = self.trainer.validate().means()["E"]
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
                    "unusable": len(self.unusable),
                },
            }
        )
        self.save()

    def resume(self) -> None:
        """Go back to the last checkpoint, and drop what was logged after it.

        Raises:
            UserError: the checkpoint is damaged, or of another model.
        """
        trainer = self.trainer
        header = load_checkpoint(
            self.folder.last, trainer.model, trainer.optimizer, self.world.rank
        )
        trainer.progress = Progress.from_dict(header["progress"])
        self.began -= trainer.progress.elapsed_s
        if self.world.is_first:
            self.folder.keep_records(trainer.progress.num_records)
        else:
            trainer.progress.train = Totals()  # the sums so far are counted once, by rank 0

    def fit(self) -> None:
        """Train to the last epoch.

        Raises:
            Interrupted: a signal came; everything is saved.
            NotFinite: a number was not finite; the state before that step is saved.
            WorkerLost: another process did not answer.
        """
        progress = self.trainer.progress
        if progress.epoch >= self.epochs:
            self.console.line(f"this run is finished: {progress.epoch} epochs are done")
            return
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
                self.save_or_stop()

            trainer.train_epoch(after_step)
        record = trainer.finish_epoch()
        self.keep_best(record)
        self.log({**record, "elapsed_s": round(self.elapsed_s, 3)})
        self.save()
        return record

    def save_or_stop(self) -> None:
        """Between two steps: all processes agree, by adding up, whether to save or to stop."""
        due = self.world.is_first and self.checkpoint_is_due()
        wishes = [float(due), float(self.stop.signum is not None)]
        save, stop = self.world.add_numbers(wishes)
        if stop:
            raise Interrupted(self.stop.signum or signal.SIGTERM)
        if save:
            self.save()

    def keep_best(self, record: dict[str, Any]) -> None:
        """model.safetensors: the model with the smallest E on validation so far."""
        progress = self.trainer.progress
        if record["val"]["E"] < progress.best_E:
            progress.best_E, progress.best_epoch = record["val"]["E"], record["epoch"]
            rejection = self.trainer.rejection()  # all processes take part
            metrics = {"epoch": record["epoch"], **record["val"], **rejection}
            if self.world.is_first:
                header = {**self.description, "metrics": metrics}
                write_model(self.folder.model, self.trainer.model, header)

    def checkpoint_is_due(self) -> bool:
        every_s, every_steps = self.checkpoint_every_s, self.checkpoint_every_steps
        by_time = every_s is not None and time.perf_counter() - self.saved > every_s
        by_steps = every_steps is not None and self.trainer.step % every_steps == 0
        return by_time or by_steps

    def log(self, record: dict[str, Any]) -> None:
        if self.world.is_first:
            self.folder.append(record)
        self.trainer.progress.num_records += 1

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, in all the processes that this run has had."""
        return time.perf_counter() - self.began

    def save(self) -> None:
        """Write last.safetensors: rank 0 alone, with what it needs of the others."""
        trainer = self.trainer
        trainer.progress.elapsed_s = self.elapsed_s
        header = {
            "class_names": self.description["class_names"],
            "data_fingerprint": self.description["data_fingerprint"],
            "progress": trainer.progress_of_all(),
        }
        generators = generator_states(self.world)
        if self.world.is_first:
            save_checkpoint(self.folder.last, trainer.model, trainer.optimizer, generators, header)
        self.saved = time.perf_counter()
