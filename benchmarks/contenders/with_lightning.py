"""Lightning: a LightningModule and the Trainer, with bf16-mixed and workers that stay."""

import logging
import tempfile
import warnings
from typing import Any

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.contenders.common import (
    LR,
    MOMENTUM,
    WEIGHT_DECAY,
    Stopwatch,
    arguments,
    small_cnn,
)
from benchmarks.contenders.plain import make_loaders


class Classifier(lightning.LightningModule):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, target = batch
        loss = F.cross_entropy(self.model(images.to(memory_format=torch.channels_last)), target)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        images, target = batch
        logits = self.model(images.to(memory_format=torch.channels_last))
        self.log("val_loss", F.cross_entropy(logits, target))
        self.log("val_acc", (logits.argmax(1) == target).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY)


class Watch(lightning.Callback):
    def __init__(self, watch: Stopwatch, num_val: int) -> None:
        self.watch, self.num_val = watch, num_val

    def on_train_start(self, *_: Any) -> None:
        self.watch.begins()

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, _: int
    ) -> None:
        self.watch.step_done(len(batch[0]))

    def on_validation_start(self, trainer: Any, _: Any) -> None:
        if not trainer.sanity_checking:
            self.watch.training_ends()

    def on_validation_end(self, trainer: Any, _: Any) -> None:
        if not trainer.sanity_checking:
            self.watch.epoch_ends(self.num_val)


def main() -> None:
    watch, args = Stopwatch(), arguments()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    train_loader, val_loader = make_loaders(args, persistent=True)
    model = Classifier(small_cnn(args.root).to(memory_format=torch.channels_last))
    num_val = len(val_loader.dataset)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=args.epochs,
            accelerator="cpu",
            precision="bf16-mixed",
            callbacks=[Watch(watch, num_val)],
            default_root_dir=folder,
            enable_progress_bar=False,
        )
        trainer.fit(model, train_loader, val_loader)
    watch.report()


if __name__ == "__main__":
    main()
