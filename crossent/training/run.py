"""A run from its first line to its last: epochs, the log, checkpoints, the best model."""

import math
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from crossent.device import generator_states
from crossent.environment import changes, current_environment
from crossent.evaluation.evaluate import Totals
from crossent.model_file import write_model
from crossent.training.checkpoint import (
    check_same_data,
    load_checkpoint,
    read_on_all,
    save_checkpoint,
)
from crossent.training.console import Console
from crossent.training.distributed import Processes
from crossent.training.event_log import EventLog
from crossent.training.not_finite import NotFinite
from crossent.training.run_folder import RunFolder
from crossent.training.samples import SampleLosses
from crossent.training.signals import Interrupted, StopRequest
from crossent.training.trainer import Progress, Trainer, seconds_per_epoch
from data.images import Unusable


class Pruned(Exception):
    """Whoever watches the run has seen enough of it."""


@dataclass
class Run:
    """A trainer with a folder to live in.

    Args:
        epochs: when to stop.
        description: what model.safetensors says about itself, beside its metrics.
        unusable: files that were left out of the data.
        checkpoint_every_s: seconds between two checkpoints within an epoch, or None;
        checkpoint_every_steps: and steps.
        checkpoint_share: of the time, for checkpoints at the ends of epochs: short epochs go
            without. A run that is killed trains again what it had not saved, to the same bytes.
        minutes: train as many epochs as fit into them, by the speed at the start; or None.
        patience: stop after so many epochs without a smaller E on validation; or None.
        keep: the epoch whose weights model.safetensors has: "best" by E on validation, or "last".
        watch: called with the record of each epoch; may raise Pruned.
    """

    trainer: Trainer
    folder: RunFolder
    epochs: int
    description: dict[str, Any]
    unusable: Sequence[Unusable] = ()
    checkpoint_every_s: float | None = 60.0
    checkpoint_every_steps: int | None = None
    checkpoint_share: float = 0.005
    minutes: float | None = None
    patience: int | None = None
    keep: str = "best"
    watch: Callable[[dict[str, Any]], None] | None = None
    stop: StopRequest = field(default_factory=StopRequest)
    console: Console = field(default_factory=Console)
    events: EventLog | None = None  # None writes nothing for TensorBoard
    began: float = field(default_factory=time.perf_counter)
    saved: float = field(default_factory=time.perf_counter)
    save_s: float = 0.0  # what the last save took
    best: tuple[dict[str, Tensor], dict[str, Any]] | None = None  # weights and header, to be saved

    @property
    def processes(self) -> Processes:
        return self.trainer.processes

    def start_or_resume(self) -> None:
        """Go on from the last checkpoint, or begin where there is none: as rank 0 finds it."""
        is_old = self.processes.decide(self.folder.last.exists())
        if self.processes.is_first:
            self.note_environment(is_old)
            self.folder.list_unusable(self.unusable)
        if is_old:
            self.resume()
        else:
            self.start()

    def note_environment(self, is_old: bool) -> None:
        """Write environment.json, and say what of it has changed since the run was stopped."""
        evaluator, fingerprint = self.trainer.evaluator, self.description["data_fingerprint"]
        environment = current_environment(evaluator.device, evaluator.precision, fingerprint)
        environment |= {"processes": self.processes.size, "sums": self.processes.sums}
        if is_old:
            for change in changes(self.folder.read_environment(), environment):
                self.console.line(f"warning: {change}: equal up to rounding, not to the byte")
        self.folder.write_environment(environment)

    def start(self) -> None:
        """Evaluate the untrained model and write the first line of the log."""
        if self.processes.is_first:
            self.folder.keep_records(0)  # none of a process killed before its first checkpoint
        class_names = self.description["class_names"]
        E = self.trainer.validate().means()["E"]
        baseline = math.log(len(class_names))
        if self.events is not None:
            first = next(self.trainer.batches.epoch(0))
            self.events.introduce(self.folder.config.read_text(encoding="utf-8"), first.images)
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
        if self.minutes is not None:
            self.plan_by_time(self.minutes)
        self.trainer.stopwatch("start")
        self.save()

    def resume(self) -> None:
        """Go back to the last checkpoint, and drop what was logged after it.

        Raises:
            UserError: the checkpoint is damaged, or of another model or other pictures.
        """
        trainer, last = self.trainer, self.folder.last
        tensors, header = read_on_all(last, self.processes)
        check_same_data(last, header, self.description)
        load_checkpoint(
            last, tensors, trainer.model, trainer.optimizer, trainer.samples.tensors(),
            average=trainer.averaged, rank=self.processes.rank,
        )  # fmt: skip
        progress = trainer.progress = Progress.from_dict(header["progress"])
        asked_before = header["settings"]["train"]["epochs"]
        if progress.epochs is not None:
            self.set_epochs(progress.epochs_to_do(self.epochs, asked_before))
        if progress.done and not progress.is_enough(self.epochs, self.patience):
            progress.done = False  # more epochs than before: its end is no longer one
            progress.num_records -= 1
        self.began -= progress.elapsed_s
        for phase, seconds in progress.time_s.items():
            trainer.stopwatch.seconds[phase] += seconds
        if self.events is not None:
            self.events.open(progress.epoch + 1)
        if self.processes.is_first:
            self.folder.keep_records(progress.num_records)
        else:
            progress.train = Totals()  # the sums so far are counted once, by rank 0
            trainer.samples = SampleLosses.zeros(len(trainer.samples.total))

    def fit(self) -> None:
        """Train to the last epoch.

        Raises:
            Interrupted: a signal came; everything is saved.
            NotFinite: a number was not finite; the best model is saved, the checkpoint kept.
            Pruned: by `watch`; everything is saved.
            WorkerLost: another process did not answer.
        """
        progress = self.trainer.progress
        if progress.done:
            self.console.line(f"this run is finished: {progress.epoch} epochs are done")
            return
        first, start = progress.epoch, time.perf_counter()
        self.console.headings()
        try:
            while not progress.is_enough(self.epochs, self.patience):
                record = self.one_epoch()
                epoch_s = (time.perf_counter() - start) / (progress.epoch - first)
                left_s = epoch_s * (self.epochs - progress.epoch)
                self.console.epoch(record, self.epochs, left_s)
                if self.watch is not None:
                    self.watch(record)
        except (Interrupted, Pruned):
            self.save()
            raise
        except NotFinite:
            self.save_best()
            raise
        if progress.epoch < self.epochs:
            self.console.line(f"E on validation has not fallen for {self.patience} epochs: stopped")
        stopwatch = self.trainer.stopwatch
        self.console.line(str(stopwatch))
        end = {"kind": "end", "best_epoch": progress.best_epoch, "best_E": progress.best_E}
        self.log({**end, "time_s": {name: round(s, 3) for name, s in stopwatch.seconds.items()}})
        progress.done = True
        self.save()

    def plan_by_time(self, minutes: float) -> None:
        """Decide how many epochs fit; the decision is in every checkpoint, and never taken again.

        So a resumed run has the schedule that it began with, however fast the machine is then.
        """
        own_s = seconds_per_epoch(self.trainer)
        epoch_s = self.processes.add_numbers([own_s])[0] / self.processes.size
        epochs = max(1, int(60 * minutes / epoch_s))
        self.console.line(f"{minutes:g} minutes: {epochs} epochs of about {epoch_s:.1f} s")
        self.set_epochs(epochs)

    def set_epochs(self, epochs: int) -> None:
        """Train for another number of epochs than the settings say."""
        self.epochs = self.trainer.progress.epochs = epochs
        self.trainer.set_epochs(epochs)

    def one_epoch(self) -> dict[str, Any]:
        """Train, validate, keep the best model, log, save.

        The order survives a kill at any point: what a resumed run finds too much, it writes again.
        """
        trainer, progress = self.trainer, self.trainer.progress
        with self.console.bar(progress.epoch + 1, len(trainer.batches), progress.batch) as bar:

            def after_step() -> None:
                bar.update()
                self.save_or_stop(self.checkpoint_is_due())

            trainer.train_epoch(after_step)
        # A stopped validation is done again as a whole; one of several processes goes through with
        # it, since the others wait for its sums.
        with self.stop.raising() if self.processes.size == 1 else nullcontext():
            val = trainer.validate()
        record = trainer.finish_epoch(val)
        self.keep_best(record)
        self.log({**record, "elapsed_s": round(self.elapsed_s, 3)})
        self.save_or_stop(self.checkpoint_is_cheap())
        return record

    def save_or_stop(self, due: bool) -> None:
        """Between two steps: all processes agree, by adding up, whether to save or to stop.

        Args:
            due: whether to save; what rank 0 thinks, counts.
        """
        wishes = [float(due and self.processes.is_first), float(self.stop.signum is not None)]
        save, stop = self.processes.add_numbers(wishes)
        if stop:
            raise Interrupted(self.stop.signum or signal.SIGTERM)
        if save:
            self.save()

    def keep_best(self, record: dict[str, Any]) -> None:
        """Remember the model with the smallest E on validation so far, until the next save."""
        progress = self.trainer.progress
        is_best = record["val"]["E"] < progress.best_E
        if is_best:
            progress.best_E, progress.best_epoch = record["val"]["E"], record["epoch"]
        if is_best or self.keep == "last":
            rejection = self.trainer.rejection()  # all processes take part
            metrics = {"epoch": record["epoch"], **record["val"], **rejection}
            if self.processes.is_first:
                weights = {
                    name: t.clone() for name, t in self.trainer.evaluated.state_dict().items()
                }
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
        if self.processes.is_first:
            self.folder.append(record)
        if self.events is not None:
            self.events.add(record)
        self.trainer.progress.num_records += 1

    @property
    def elapsed_s(self) -> float:
        """Seconds of training so far, in all the processes that this run has had."""
        return time.perf_counter() - self.began

    def save(self) -> None:
        """Write the best model and then last.safetensors, which counts on it to be there.

        Rank 0 writes, with what it needs of the others.
        """
        start, trainer = time.perf_counter(), self.trainer
        trainer.stopwatch("rest")
        trainer.progress.elapsed_s = self.elapsed_s
        trainer.progress.time_s = dict(trainer.stopwatch.seconds)
        states = generator_states(trainer.evaluator.device)
        generators = {name: self.processes.gather(state) for name, state in states.items()}
        header, samples = self.header(), trainer.samples_of_all()
        if self.processes.is_first:
            self.save_best()
            save_checkpoint(
                self.folder.last, trainer.model, trainer.optimizer, generators, header, samples,
                average=trainer.averaged,
            )  # fmt: skip
        self.saved = time.perf_counter()
        self.save_s = self.saved - start
        trainer.stopwatch("checkpoint")

    def save_best(self) -> None:
        """Write model.safetensors if there is a better one than it holds."""
        if self.best is not None:
            write_model(self.folder.model, *self.best)
            self.best = None

    def header(self) -> dict[str, Any]:
        """What last.safetensors says about itself."""
        keys = ("class_names", "data_fingerprint", "settings")
        progress = self.trainer.progress_of_all()
        return {key: self.description[key] for key in keys} | {"progress": progress}
