"""Lightning: a LightningModule and the Trainer, with bf16-mixed and persistent workers."""

import tempfile
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.contenders import common
from benchmarks.contenders.plain import make_loaders


class Classifier(lightning.LightningModule):
    def __init__(self, model: nn.Module, answers: list[tuple[Tensor, Tensor]]) -> None:
        super().__init__()
        self.model, self.answers = model, answers

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, target = batch
        loss = F.cross_entropy(self.model(images.to(memory_format=torch.channels_last)), target)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        images, target = batch
        logits = self.model(images.to(memory_format=torch.channels_last))
        self.log("val_loss", F.cross_entropy(logits, target))
        self.answers.append((logits, target))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return common.sgd(self)


class Watch(lightning.Callback):
    def __init__(self, metrics: common.Log) -> None:
        self.metrics = metrics

    def on_train_epoch_start(self, *_: Any) -> None:
        self.metrics.epoch_begins()

    def on_validation_start(self, trainer: Any, _: Any) -> None:
        self.metrics.training_ends(len(trainer.train_dataloader.dataset))

    def on_validation_end(self, *_: Any) -> None:
        self.metrics.epoch_ends()


def main() -> None:
    args = common.arguments()
    loaders, log = make_loaders(args.root, persistent=True), common.Log(args.metrics)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=args.epochs,
            accelerator="cpu",
            precision="bf16-mixed" if common.HAS_BF16 else "32-true",
            callbacks=[Watch(log)],
            default_root_dir=folder,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
        )
        network = common.small_cnn(args.root).to(memory_format=torch.channels_last)
        trainer.fit(Classifier(network, log.answers), *loaders)


if __name__ == "__main__":
    main()
