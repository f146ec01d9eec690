"""The golden losses, which show when numbers change; `python -m tests.golden` writes new ones."""

from pathlib import Path

import torch

from tests.training.parts import make_trainer

PATH = Path(__file__).with_name("golden.txt")
NUM_STEPS = 12


def losses() -> list[float]:
    """Return E of the first training steps: float32, one thread, dropout, mixup, augmentation."""
    torch.set_num_threads(1)
    trainer = make_trainer()
    trainer.model.train()
    sums = [0.0]
    batches = (batch for epoch in range(2) for batch in trainer.batches.epoch(epoch))
    for batch in batches:
        trainer.train_step(batch)
        sums.append(trainer.train_totals().E)
    counts = [len(slots) for epoch in range(2) for slots in trainer.batches.order.batches(epoch)]
    return [(b - a) / n for a, b, n in zip(sums, sums[1:], counts, strict=False)][:NUM_STEPS]


def read() -> tuple[str, list[float]]:
    """Return the golden losses, after the version of torch that computed them."""
    first, *rest = PATH.read_text().splitlines()
    return first.removeprefix("# torch "), [float(line) for line in rest]


if __name__ == "__main__":
    lines = [f"# torch {torch.__version__}", *map(repr, losses())]
    PATH.write_text("\n".join(lines) + "\n")
