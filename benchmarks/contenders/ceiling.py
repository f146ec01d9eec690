"""The ceiling: forward and backward of the same model on one batch in memory, and nothing else."""

import sys
from collections.abc import Sequence

from benchmarks.contenders.common import Stopwatch, arguments, num_classes, small_cnn
from crossent.cli import run_main

NUM_STEPS = 30  # an epoch of them
MAX_EPOCHS = 4


def main(words: Sequence[str]) -> int:
    watch, args = Stopwatch(), arguments()
    import torch

    from crossent.device import (
        autocast,
        choose_precision,
        compute_the_same_every_time,
        keep_freed_memory,
        prepare,
    )

    keep_freed_memory()
    compute_the_same_every_time()
    device = torch.device("cpu")
    model = prepare(small_cnn(args.root), device)
    images = torch.randn(args.batch_size, 3, args.image_size, args.image_size)
    images = images.to(memory_format=torch.channels_last)
    precision = choose_precision("auto", device)
    slope = torch.randn(args.batch_size, num_classes(args.root))
    watch.begins()
    for _ in range(min(args.epochs, MAX_EPOCHS)):
        model.train()
        for _ in range(NUM_STEPS):
            with autocast(device, precision):
                logits = model(images)
            for parameter in model.parameters():
                parameter.grad = None
            logits.backward(slope)
            watch.step_done(len(images))
        watch.training_ends()
        model.eval()
        with torch.inference_mode(), autocast(device, precision):
            for _ in range(NUM_STEPS):
                model(images)
        watch.epoch_ends(num_val=NUM_STEPS * len(images))
    watch.report()
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main, []))
