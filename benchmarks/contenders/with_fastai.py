"""fastai: ImageDataLoaders, aug_transforms on whole batches, a Learner.

Its mixed precision is for CUDA only, so it trains in float32. It leaves out what does not fill a
batch.
"""

import warnings

warnings.simplefilter("ignore")  # of its imports

from fastai.vision.all import (  # noqa: E402
    SGD,
    Callback,
    CrossEntropyLossFlat,
    ImageDataLoaders,
    Learner,
    Normalize,
    RandomResizedCrop,
    Saturation,
    accuracy,
    aug_transforms,
)

from benchmarks.contenders.common import (  # noqa: E402
    LR,
    MEAN,
    STD,
    WEIGHT_DECAY,
    Stopwatch,
    arguments,
    small_cnn,
)


class Watch(Callback):
    def __init__(self, watch: Stopwatch) -> None:
        self.watch = watch

    def before_fit(self) -> None:
        self.watch.begins()

    def after_batch(self) -> None:
        if self.training:
            self.watch.step_done(len(self.x))

    def after_train(self) -> None:
        self.watch.training_ends()

    def after_validate(self) -> None:
        self.watch.epoch_ends(len(self.dls.valid_ds))


def main() -> None:
    watch, args = Stopwatch(), arguments()
    size = args.image_size
    changes = aug_transforms(max_rotate=10, max_zoom=1, max_warp=0, max_lighting=0.2)
    dls = ImageDataLoaders.from_folder(
        args.root,
        train="train",
        valid="val",
        item_tfms=RandomResizedCrop(size, min_scale=0.5),
        batch_tfms=[*changes, Saturation(0.2), Normalize.from_stats(MEAN, STD, cuda=False)],
        bs=args.batch_size,
        num_workers=args.workers,
        device="cpu",
    )
    learner = Learner(
        dls,
        small_cnn(args.root),
        loss_func=CrossEntropyLossFlat(),
        opt_func=SGD,
        metrics=accuracy,
        wd=WEIGHT_DECAY,
        cbs=Watch(watch),
    ).to_channelslast(use_amp=False)
    with learner.no_bar(), learner.no_logging():
        learner.fit(args.epochs, lr=LR)
    watch.report()


if __name__ == "__main__":
    main()
