"""Lightning: a LightningModule and the Trainer, with bf16-mixed and persistent workers."""

import logging
import tempfile
import warnings
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
        return torch.optim.SGD(
            self.parameters(), common.LR, common.MOMENTUM, weight_decay=common.WEIGHT_DECAY
        )


class Watch(lightning.Callback):
    def __init__(self, metrics: common.Log, num_train: int) -> None:
        self.metrics, self.num_train = metrics, num_train

    def on_train_epoch_start(self, *_: Any) -> None:
        self.metrics.epoch_begins()

    def on_validation_start(self, trainer: Any, _: Any) -> None:
        self.metrics.answers.clear()  # of the sanity check
        if not trainer.sanity_checking:
            self.metrics.training_ends(self.num_train)

    def on_validation_end(self, trainer: Any, _: Any) -> None:
        if not trainer.sanity_checking:
            self.metrics.epoch_ends()


def main() -> None:
    args = common.arguments()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    train_loader, val_loader = make_loaders(args, persistent=True)
    num_train = len(train_loader.dataset)  # type: ignore[arg-type]
    log = common.Log(args.metrics)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=args.epochs,
            accelerator="cpu",
            precision="bf16-mixed" if common.HAS_BF16 else "32-true",
            callbacks=[Watch(log, num_train)],
            default_root_dir=folder,
            enable_progress_bar=False,
        )
        network = common.small_cnn(args.root).to(memory_format=torch.channels_last)
        model = Classifier(network, log.answers)
        trainer.fit(model, train_loader, val_loader)


if __name__ == "__main__":
    main()
