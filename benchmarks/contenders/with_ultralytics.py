"""ultralytics' trainer of classifiers, with our model through `get_model`.

On a CPU it allows no workers and no mixed precision; it has no rotation for classifiers. With
--tuned it keeps decoded pictures in memory (cache="ram").
"""

import os
import tempfile
from typing import Any

CONFIG = tempfile.TemporaryDirectory()  # so that the user's own is not used
os.environ |= {"YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": CONFIG.name}

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from ultralytics.models.yolo.classify import ClassificationTrainer  # noqa: E402
from ultralytics.nn.tasks import ClassificationModel  # noqa: E402

from benchmarks.contenders import common  # noqa: E402

VALIDATED: list[Tensor] = []  # logits of one validation, of the averaged weights


class Net(ClassificationModel):
    """Our network instead of one that is described in YAML."""

    def __init__(self, model: nn.Module) -> None:
        nn.Module.__init__(self)
        self.model = nn.Sequential(model)
        self.yaml: dict[str, Any] = {}
        self.save: list[int] = []
        self.stride = torch.tensor([1.0])

    def predict(self, x: Tensor, *_: Any, **__: Any) -> Tensor | tuple[Tensor, Tensor]:
        logits: Tensor = self.model(x)
        if self.training:
            return logits
        VALIDATED.append(logits)
        return logits.softmax(1), logits


def main() -> None:
    args, model, log = common.start()
    with tempfile.TemporaryDirectory() as folder:
        overrides = {
            "model": "small_cnn.yaml", "data": str(args.root), "imgsz": common.IMAGE_SIZE,
            "batch": common.BATCH_SIZE, "workers": common.NUM_WORKERS, "cache": args.tuned,
            "epochs": args.epochs, "device": "cpu", "plots": False, "project": folder,
            "optimizer": "SGD", "lr0": common.LR, "momentum": common.MOMENTUM,
            "weight_decay": common.WEIGHT_DECAY,
            "nbs": common.BATCH_SIZE,  # a step after each batch
            "scale": 0.5, "fliplr": 0.5, "hsv_h": 0.0, "hsv_s": 0.2, "hsv_v": 0.2,
            "auto_augment": "", "erasing": 0.0,
        }  # fmt: skip
        trainer = ClassificationTrainer(overrides=overrides)
        trainer.get_model = lambda *_, **__: Net(model)

        def training_ends(trainer: Any) -> None:
            log.training_ends(len(trainer.train_loader.dataset))

        def epoch_ends(trainer: Any) -> None:
            if log.num_epochs < args.epochs:  # the best model is validated once more at the end
                labels = torch.tensor([s[1] for s in trainer.test_loader.dataset.samples])
                log.answers.append((torch.cat(VALIDATED)[-len(labels) :].cpu(), labels))
                VALIDATED.clear()
                log.epoch_ends()

        trainer.add_callback("on_train_epoch_start", lambda _: log.epoch_begins())
        trainer.add_callback("on_train_epoch_end", training_ends)
        trainer.add_callback("on_fit_epoch_end", epoch_ends)
        trainer.train()


if __name__ == "__main__":
    main()
