"""The ceiling: forward and backward of the same model on one batch in memory, and nothing else."""

import torch

from benchmarks.contenders.common import Stopwatch, arguments, small_cnn
from crossent.device import autocast, choose_precision, compute_the_same_every_time, prepare

NUM_STEPS = 60  # an epoch of them


def main() -> None:
    watch, args = Stopwatch(), arguments()
    compute_the_same_every_time()
    device = torch.device("cpu")
    model = prepare(small_cnn(args.root), device).train()
    images = torch.randn(args.batch_size, 3, args.image_size, args.image_size)
    images = images.to(memory_format=torch.channels_last)
    precision = choose_precision("auto", device)
    slope = torch.randn(args.batch_size, len(list((args.root / "train").iterdir())))
    watch.num_images = NUM_STEPS * args.batch_size
    for _ in range(args.epochs):
        watch.epoch_begins()
        for _ in range(NUM_STEPS):
            with autocast(device, precision):
                logits = model(images)
            for parameter in model.parameters():
                parameter.grad = None
            logits.backward(slope)
            watch.step_done()
        watch.training_ends()
        watch.epoch_ends()
    watch.report()


if __name__ == "__main__":
    main()
