"""A whole run: its epochs, log, checkpoints and best model."""

import math
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import Tensor

from crossent.device import changes, current_environment
from crossent.evaluation.confidence import rejection_curve
from crossent.evaluation.intervals import wilson
from crossent.files import fsync
from crossent.model_file import MODEL, write_tensors
from crossent.training.checkpoint import load_checkpoint, save_checkpoint
from crossent.training.console import HEADINGS, LN_K_TOLERANCE, Console, EventLog, short
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
    checkpoint_every: float | str = 60.0  # seconds, or "500 steps"
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
        """Resume from the checkpoint, or start if rank 0 finds none; write environment.json."""
        is_resumed = self.processes.broadcast(self.folder.last.exists())
        if self.processes.is_first:
            evaluator, fingerprint = self.trainer.evaluator, self.description["data_fingerprint"]
            now = current_environment(evaluator.device, evaluator.precision, fingerprint)
            now |= {"processes": self.processes.size, "sums": self.processes.sums}
            now["unusable"] = [asdict(file) for file in self.unusable]
            before = read_json(self.folder.environment) if is_resumed else now
            for change in changes(before, now):
                self.console.line(f"warning: {change}: the results are equal up to rounding only")
            write_json(self.folder.environment, now)
        self.resume() if is_resumed else self.start()

    def start(self) -> None:
        """Evaluate the untrained model and write the first line of the log."""
        trainer, class_names = self.trainer, self.description["class_names"]
        if self.processes.is_first:
            self.folder.keep_records(0)  # drop lines of a process killed before a checkpoint
        E, baseline = trainer.validate()[:, 0].mean().item(), math.log(len(class_names))
        guess = f"ln {len(class_names)} = {baseline:.4f}"
        self.console.line(f"untrained E = {E:.4f} on validation; a uniform guess: {guess}")
        if abs(E - baseline) > LN_K_TOLERANCE:
            self.console.line("warning: that is not ln K: the untrained model prefers some class")
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
        """Train to the last epoch and print which one is kept; do nothing if the run is finished.

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
        self.log({"kind": "end", "best_epoch": progress.best_epoch, "best_E": progress.best_E})
        progress.done = True
        self.save()
        if self.processes.is_first:
            kept, num = self.kept_epoch, len(self.trainer.evaluator.image_set)
            val = next(r["val"] for r in self.folder.records() if r.get("epoch") == kept)
            accuracy = wilson(round(val["accuracy"] * num), num).text(".1%")
            what = f"accuracy {accuracy}, E = {short(val['E'])}; {self.folder.model}"
            self.console.line(f"kept epoch {kept}: {what}")

    def what_next(self) -> str:
        """Return the next command, or what to try if E ended above ln K."""
        start, *_, last, _ = self.folder.records()
        E, E_train, baseline = last["val"]["E"], last["train"]["E"], start["baseline"]
        if E <= baseline:
            return f"next: python -m crossent evaluate {self.folder.path}"
        lr, guess = self.trainer.schedule.peak_lr, f"ln {len(start['class_names'])}"
        advice = f"try optim.lr={lr / 10:g} (it was {lr:g}), or see train.py --find-lr"
        if E_train < baseline:
            advice = f"the model overfits (E = {short(E_train)} in training): try more pictures, "
            advice += "fewer epochs, train.mixup=0.3 or a larger optim.weight_decay"
        what = f"above {guess} = {baseline:.4f}, the value of a uniform guess"
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
        every = self.checkpoint_every
        if isinstance(every, str):
            is_due = self.trainer.step % int(every.split()[0]) == 0
        else:
            is_due = time.perf_counter() - self.saved_at > every
        own = [is_due and self.processes.is_first, self.stop.signum is not None]
        save, stop = self.processes.add_numbers(own)
        if stop:
            raise Interrupted(self.stop.signum or signal.SIGTERM)
        if save:
            self.save()

    def keep_best(self, record: dict[str, Any], val: Tensor) -> None:
        """Write model.safetensors if this epoch is the best so far, or if `keeps_last`."""
        progress, E = self.trainer.progress, record["val"]["E"]
        is_best = progress.best_E is None or E < progress.best_E
        if is_best:
            progress.best_E, progress.best_epoch = E, record["epoch"]
        if self.processes.is_first and (is_best or self.keeps_last):
            _, confidence, right = val.T.numpy()
            metrics = {
                "epoch": record["epoch"], **record["val"],
                "num_images": len(val), "rejection": rejection_curve(confidence, right > 0),
            }  # fmt: skip
            header = {"kind": MODEL, **self.description, "metrics": metrics}
            write_tensors(self.folder.model, self.trainer.evaluated.state_dict(), header)

    def log(self, record: dict[str, Any]) -> None:
        if self.processes.is_first:
            self.folder.append(record)
        if self.events is not None:
            self.events.add(record)
        self.trainer.progress.num_records += 1

    def save(self) -> None:
        """Write last.safetensors, after flushing the metrics that it refers to."""
        totals = self.trainer.train_totals()
        progress = asdict(replace(self.trainer.progress, train=totals, elapsed_s=self.elapsed_s))
        keys = ("class_names", "data_fingerprint", "settings")
        header = {key: self.description[key] for key in keys} | {"progress": progress}
        if self.processes.is_first:
            fsync(self.folder.metrics)  # the checkpoint counts its lines
        save_checkpoint(self.folder.last, self.trainer, header)
        self.saved_at = time.perf_counter()
