"""fastai: ImageDataLoaders, aug_transforms on whole batches, a Learner.

Its mixed precision is for CUDA only, so it trains in float32. It drops the last, incomplete
batch.
"""

import fastai.vision.all as fastai

from benchmarks.contenders import common


class Watch(fastai.Callback):
    def __init__(self, log: common.Log) -> None:
        self.log = log

    def before_train(self) -> None:
        self.num_images = 0
        self.log.epoch_begins()

    def after_batch(self) -> None:
        if self.training:
            self.num_images += len(self.x)
        else:
            self.log.answers.append((self.pred.detach(), self.y))

    def after_train(self) -> None:
        self.log.training_ends(self.num_images)

    def after_validate(self) -> None:
        self.log.epoch_ends()


def main() -> None:
    args, model, log = common.start()
    changes = fastai.aug_transforms(max_rotate=10, max_zoom=1, max_warp=0, max_lighting=0.2)
    normalize = fastai.Normalize.from_stats(common.MEAN, common.STD, cuda=False)
    dls = fastai.ImageDataLoaders.from_folder(
        args.root, train="train", valid="val",
        item_tfms=fastai.RandomResizedCrop(common.IMAGE_SIZE, min_scale=0.5),
        batch_tfms=[*changes, fastai.Saturation(0.2), normalize],
        bs=common.BATCH_SIZE, num_workers=common.NUM_WORKERS, device="cpu",
    )  # fmt: skip
    learner = fastai.Learner(
        dls,
        model,
        loss_func=fastai.CrossEntropyLossFlat(),
        opt_func=fastai.SGD,
        metrics=fastai.accuracy,
        wd=common.WEIGHT_DECAY,
        cbs=Watch(log),
    ).to_channelslast(use_amp=False)
    with learner.no_bar(), learner.no_logging():
        learner.fit_one_cycle(args.epochs, lr_max=common.LR)


if __name__ == "__main__":
    main()
