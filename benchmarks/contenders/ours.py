"""crossent itself: train.py as a user calls it, with its log, metrics, checkpoints and validation.

Only a stopwatch is put around its step and its epoch.
"""

import tempfile
from collections.abc import Sequence
from typing import Any

import train
from benchmarks.contenders.common import Stopwatch, arguments
from crossent.cli import run_main


def put_around_the_trainer(watch: Stopwatch) -> None:
    """Let the trainer tell the stopwatch what it does."""
    from crossent.training.trainer import Trainer

    step, epoch, finish = Trainer.train_step, Trainer.train_epoch, Trainer.finish_epoch

    def train_step(self: Trainer, batch: Any, lr: float | None = None) -> None:
        step(self, batch, lr)
        watch.step_done(len(batch))

    def train_epoch(self: Trainer, after_step: Any) -> None:
        if self.progress.epoch == 0:
            watch.begins()
        epoch(self, after_step)
        watch.training_ends()

    def finish_epoch(self: Trainer, val: Any) -> dict[str, Any]:
        record = finish(self, val)
        watch.epoch_ends(len(self.evaluator.image_set))
        return record

    Trainer.train_step = train_step  # type: ignore[method-assign]
    Trainer.train_epoch = train_epoch  # type: ignore[method-assign]
    Trainer.finish_epoch = finish_epoch  # type: ignore[method-assign]


def main() -> None:
    watch, args = Stopwatch(), arguments()

    def watched_train(words: Sequence[str]) -> int:
        put_around_the_trainer(watch)
        return train.main(words)

    with tempfile.TemporaryDirectory() as folder:
        words = [
            "data.source=folder",
            f"data.root={args.root}",
            f"data.image_size={args.image_size}",
            f"data.cache_dir={args.cache or folder}",
            f"train.batch_size={args.batch_size}",
            f"train.epochs={args.epochs}",
            f"--out={folder}/run",
        ]
        if run_main(watched_train, words) != 0:
            raise SystemExit("crossent has failed")
    watch.report()


if __name__ == "__main__":
    main()
