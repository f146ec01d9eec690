"""crossent itself: train.py as a user calls it, with its log, metrics, checkpoints and validation.

Only a stopwatch is put around its step and its epoch.
"""

import tempfile
from typing import Any

import train
from benchmarks.contenders.common import Stopwatch, arguments


def watched(watch: Stopwatch) -> None:
    """Let the trainer tell the stopwatch what it does."""
    from crossent.training.loop import Trainer

    train_step, train_epoch, finish_epoch = (
        Trainer.train_step,
        Trainer.train_epoch,
        Trainer.finish_epoch,
    )

    def step(self: Trainer, *words: Any) -> None:
        train_step(self, *words)
        watch.step_done()

    def epoch(self: Trainer, *words: Any, **options: Any) -> None:
        watch.num_images = len(self.batches.image_set)
        watch.epoch_begins()
        train_epoch(self, *words, **options)
        watch.training_ends()

    def finish(self: Trainer, *words: Any) -> dict[str, Any]:
        record = finish_epoch(self, *words)
        watch.epoch_ends()
        return record

    Trainer.train_step = step  # type: ignore[method-assign, assignment]
    Trainer.train_epoch = epoch  # type: ignore[method-assign]
    Trainer.finish_epoch = finish  # type: ignore[method-assign, assignment]


def main() -> None:
    watch, args = Stopwatch(), arguments()
    watched(watch)
    with tempfile.TemporaryDirectory() as folder:
        train.main(
            [
                "data.source=folder",
                f"data.root={args.root}",
                f"data.image_size={args.image_size}",
                f"data.cache_dir={args.cache or folder}",
                f"train.batch_size={args.batch_size}",
                f"train.epochs={args.epochs}",
                f"--out={folder}/run",
            ]
        )
    watch.report()


if __name__ == "__main__":
    main()
