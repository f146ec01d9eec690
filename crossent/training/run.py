"""A whole run: its epochs, log, checkpoints and best model."""

import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from crossent.device import changes, current_environment, generator_states
from crossent.evaluation.confidence import rejection_curve
from crossent.files import fsync
from crossent.model_file import MODEL, write_tensors
from crossent.training.checkpoint import load_checkpoint, save_checkpoint
from crossent.training.console import HEADINGS, Console, EventLog, short
from crossent.training.distributed import Processes
from crossent.training.run_folder import RunFolder, read_json, write_json
from crossent.training.signals import Interrupted, StopRequest
from crossent.training.trainer import Progress, Totals, Trainer
from data.images import Unusable


class Pruned(Exception):
    """The early end of a run, which `Run.watch` raises."""


@dataclass
class Run:
    """A trainer with its run folder."""

    trainer: Trainer
    folder: RunFolder
    epochs: int
    description: dict[str, Any]  # the header of model.safetensors, without its metrics
    unusable: Sequence[Unusable] = ()  # files that were left out of the data
    checkpoint_every_s: float | None = 60.0
    checkpoint_every_steps: int | None = None
    # Store the last model, not the one with the smallest E: a fold must not choose its epoch by the
    # pictures that measure it.
    keeps_last: bool = False
    watch: Callable[[dict[str, Any]], None] | None = None  # takes each epoch's record; may prune
    stop: StopRequest = field(default_factory=StopRequest)
    console: Console = field(default_factory=Console)
    events: EventLog | None = None  # for TensorBoard
    began_at: float = field(default_factory=time.perf_counter)  # seconds on this clock
    saved_at: float = field(default_factory=time.perf_counter)

    @property
    def processes(self) -> Processes:
        return self.trainer.processes

    @property
    def kept_epoch(self) -> int:
        """The epoch of the model in the folder."""
        progress = self.trainer.progress
        return progress.epoch if self.keeps_last else progress.best_epoch

    @property
    def elapsed_s(self) -> float:
        """The duration of the run, without the time between two processes."""
        return self.trainer.progress.elapsed_s + time.perf_counter() - self.began_at

    def start_or_resume(self) -> None:
        """Resume from the checkpoint, or start if rank 0 finds none."""
        is_resumed = self.processes.broadcast(self.folder.last.exists())
        if self.processes.is_first:
            self.write_environment(is_resumed)
        self.resume() if is_resumed else self.start()

    def write_environment(self, is_resumed: bool) -> None:
        """Write environment.json; warn of changes since the run was stopped."""
        evaluator, fingerprint = self.trainer.evaluator, self.description["data_fingerprint"]
        environment = current_environment(evaluator.device, evaluator.precision, fingerprint)
        environment |= {"processes": self.processes.size, "sums": self.processes.sums}
        environment["unusable"] = [asdict(file) for file in self.unusable]
        if is_resumed:
            for change in changes(read_json(self.folder.environment), environment):
                self.console.line(f"warning: {change}: the results are equal up to rounding only")
        write_json(self.folder.environment, environment)

    def start(self) -> None:
        """Evaluate the untrained model and write the first line of the log."""
        trainer, class_names = self.trainer, self.description["class_names"]
        if self.processes.is_first:
            self.folder.keep_records(0)  # drop lines of a process killed before a checkpoint
        E, baseline = trainer.validate()[:, 0].mean().item(), math.log(len(class_names))
        self.console.untrained(E, baseline, len(class_names))
        num_train, num_val = len(trainer.batches.image_set), len(trainer.evaluator.image_set)
        self.log({
            "kind": "start", "E": E, "baseline": baseline, "class_names": class_names,
            "num_params": sum(p.numel() for p in trainer.model.parameters()),
            "num_images": {"train": num_train, "val": num_val, "unusable": len(self.unusable)},
        })  # fmt: skip
        self.save()

    def resume(self) -> None:
        """Load the last checkpoint, and drop the lines that were logged after it."""
        trainer = self.trainer
        header = load_checkpoint(self.folder.last, trainer, self.description)
        progress = trainer.progress = Progress.from_dict(header["progress"])
        if progress.done and progress.epoch < self.epochs:
            progress.done = False  # more epochs are requested: drop the line "end"
            progress.num_records -= 1
        if self.processes.is_first:
            self.folder.keep_records(progress.num_records)
        else:
            progress.train = Totals()  # only rank 0 keeps the sums so far
            trainer.losses.zero_()

    def fit(self) -> None:
        """Train to the last epoch; do nothing if the run is finished.

        Raises:
            Interrupted: a signal arrived; the run is saved.
            NotFinite: a number was not finite; the best model and the checkpoint stay.
            Pruned: `watch` raised it; the run is saved.
            WorkerLost: another process did not answer.
        """
        progress = self.trainer.progress
        if progress.done:
            return
        first, start = progress.epoch, time.perf_counter()
        self.console.line(HEADINGS)
        try:
            while progress.epoch < self.epochs:
                record = self.one_epoch()
                epoch_s = (time.perf_counter() - start) / (progress.epoch - first)
                self.console.epoch(record, self.epochs, epoch_s * (self.epochs - progress.epoch))
                if self.watch is not None:
                    self.watch(record)
        except (Interrupted, Pruned):
            self.save()
            raise
        self.end()

    def end(self) -> None:
        """Write the last line of the log, save, and print which epoch was kept."""
        progress = self.trainer.progress
        self.log({"kind": "end", "best_epoch": progress.best_epoch, "best_E": progress.best_E})
        progress.done = True
        self.save()
        if self.processes.is_first:
            record = next(r for r in self.folder.records() if r.get("epoch") == self.kept_epoch)
            num_images = len(self.trainer.evaluator.image_set)
            self.console.kept(record, num_images, self.folder.model)

    def what_next(self) -> str:
        """Return the next command, or what to try if E ended above ln K."""
        start, *_, last, _ = self.folder.records()
        E, E_train, baseline = last["val"]["E"], last["train"]["E"], start["baseline"]
        if E <= baseline:
            return f"next: python -m crossent evaluate {self.folder.path}"
        lr, num_classes = self.trainer.schedule.peak_lr, len(start["class_names"])
        what = f"above ln {num_classes} = {baseline:.4f}, the value of a uniform guess"
        advice = f"try optim.lr={lr / 10:g} (it was {lr:g}), or see train.py --find-lr"
        if E_train < baseline:
            advice = f"the model overfits (E = {short(E_train)} in training): try more pictures, "
            advice += "fewer epochs, train.mixup=0.3 or a larger optim.weight_decay"
        return f"E on validation ended at {short(E)}, {what}: {advice}"

    def one_epoch(self) -> dict[str, Any]:
        """Train, validate, store the best model, log and save, in an order that survives a kill."""
        trainer, progress = self.trainer, self.trainer.progress
        with self.console.bar(progress.epoch + 1, len(trainer.batches), progress.batch) as bar:
            for _ in trainer.train_epoch():
                bar.update()
                self.save_or_stop()
        val = trainer.validate()
        record = trainer.finish_epoch(val)
        self.keep_best(record, val)
        self.log({**record, "elapsed_s": round(self.elapsed_s, 3)})
        self.save_or_stop()
        return record

    def save_or_stop(self) -> None:
        """Save if a checkpoint is due, or stop after a signal; all processes do so together."""
        every_s, every_steps = self.checkpoint_every_s, self.checkpoint_every_steps
        by_time = every_s is not None and time.perf_counter() - self.saved_at > every_s
        by_steps = every_steps is not None and self.trainer.step % every_steps == 0
        is_due = self.processes.is_first and (by_time or by_steps)
        save, stop = self.processes.add_numbers([is_due, self.stop.signum is not None])
        if stop:
            raise Interrupted(self.stop.signum or signal.SIGTERM)
        if save:
            self.save()

    def keep_best(self, record: dict[str, Any], val: Tensor) -> None:
        """Write model.safetensors if this epoch is the best so far, or if `keeps_last`."""
        trainer, progress, E = self.trainer, self.trainer.progress, record["val"]["E"]
        is_best = progress.best_E is None or E < progress.best_E
        if is_best:
            progress.best_E, progress.best_epoch = E, record["epoch"]
        if is_best or self.keeps_last:
            _, confidence, right = val.T.numpy()
            metrics = {
                "epoch": record["epoch"], **record["val"],
                "num_images": len(val), "rejection": rejection_curve(confidence, right > 0),
            }  # fmt: skip
            if self.processes.is_first:
                header = {"kind": MODEL, **self.description, "metrics": metrics}
                write_tensors(self.folder.model, trainer.evaluated.state_dict(), header)

    def log(self, record: dict[str, Any]) -> None:
        if self.processes.is_first:
            self.folder.append(record)
        if self.events is not None:
            self.events.add(record)
        self.trainer.progress.num_records += 1

    def save(self) -> None:
        """Write last.safetensors, after flushing the metrics that it refers to."""
        trainer = self.trainer
        states = generator_states(trainer.evaluator.device)
        generators = {name: self.processes.gather(state) for name, state in states.items()}
        totals, elapsed_s = trainer.train_totals(), self.elapsed_s
        progress = asdict(replace(trainer.progress, train=totals, elapsed_s=elapsed_s))
        losses = self.processes.total(trainer.losses)
        keys = ("class_names", "data_fingerprint", "settings")
        header = {key: self.description[key] for key in keys} | {"progress": progress}
        if self.processes.is_first:
            fsync(self.folder.metrics)  # the checkpoint counts its lines
            save_checkpoint(self.folder.last, trainer, generators, losses, header)
        self.saved_at = time.perf_counter()
