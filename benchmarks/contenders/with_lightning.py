"""Lightning: a LightningModule and the Trainer, with bf16-mixed and persistent workers."""

import tempfile

import lightning
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.contenders import common
from benchmarks.contenders.plain import make_loaders


class Classifier(lightning.LightningModule):
    def __init__(self, model: nn.Module, metrics: common.Log) -> None:
        super().__init__()
        self.model, self.metrics = model, metrics

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        images, target = batch
        loss = F.cross_entropy(self.model(images.to(memory_format=torch.channels_last)), target)
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        images, target = batch
        logits = self.model(images.to(memory_format=torch.channels_last))
        self.log("val_loss", F.cross_entropy(logits, target))
        self.metrics.answers.append((logits, target))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return common.sgd(self)

    def on_train_epoch_start(self) -> None:
        self.metrics.epoch_begins()

    def on_validation_start(self) -> None:
        self.metrics.training_ends(len(self.trainer.train_dataloader.dataset))

    def on_validation_end(self) -> None:
        self.metrics.epoch_ends()


def main() -> None:
    args, model, log = common.start()
    model = model.to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory() as folder:
        trainer = lightning.Trainer(
            max_epochs=args.epochs,
            accelerator="cpu",
            precision="bf16-mixed" if common.HAS_BF16 else "32-true",
            default_root_dir=folder,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(Classifier(model, log), *make_loaders(args.root, persistent=True))


if __name__ == "__main__":
    main()
