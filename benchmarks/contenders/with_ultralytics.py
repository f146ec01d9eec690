"""ultralytics' trainer of classifiers, with a model of one's own through `get_model`.

On a CPU it allows no workers and no mixed precision; it knows no rotation for classifiers. With
--tuned it keeps decoded pictures in memory (cache="ram").
"""

import os
import tempfile
from pathlib import Path
from typing import Any

CONFIG = tempfile.TemporaryDirectory()  # instead of the user's own
os.environ |= {"YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": CONFIG.name}

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from ultralytics.models.yolo.classify import ClassificationTrainer  # noqa: E402
from ultralytics.nn.tasks import ClassificationModel  # noqa: E402

from benchmarks.contenders.common import (  # noqa: E402
    LR,
    MOMENTUM,
    WEIGHT_DECAY,
    Stopwatch,
    arguments,
    small_cnn,
)


class Net(ClassificationModel):
    """Our network in the place of one that is described in YAML."""

    def __init__(self, root: Path) -> None:
        nn.Module.__init__(self)
        self.model = nn.Sequential(small_cnn(root))
        self.yaml: dict[str, Any] = {}
        self.save: list[int] = []
        self.stride = torch.tensor([1.0])

    def predict(self, x: Tensor, *_: Any, **__: Any) -> Tensor | tuple[Tensor, Tensor]:
        logits: Tensor = self.model(x)
        return logits if self.training else (logits.softmax(1), logits)


def main() -> None:
    watch, args = Stopwatch(), arguments()

    class Trainer(ClassificationTrainer):
        def get_model(self, *_: Any, **__: Any) -> Net:
            return Net(args.root)

        def preprocess_batch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
            self.num_images = len(batch["img"])
            return super().preprocess_batch(batch)  # type: ignore[no-any-return]

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            overrides={
                "model": "small_cnn.yaml",
                "data": str(args.root),
                "epochs": args.epochs,
                "imgsz": args.image_size,
                "batch": args.batch_size,
                "workers": args.workers,
                "cache": args.tuned,
                "device": "cpu",
                "optimizer": "SGD",
                "lr0": LR,
                "momentum": MOMENTUM,
                "weight_decay": WEIGHT_DECAY,
                "nbs": args.batch_size,  # a step after each batch
                "scale": 0.5,
                "fliplr": 0.5,
                "hsv_h": 0.0,
                "hsv_s": 0.2,
                "hsv_v": 0.2,
                "auto_augment": "",
                "erasing": 0.0,
                "plots": False,
                "project": folder,
            }
        )

        def epoch_ends(trainer: Any) -> None:
            if len(watch.ended_s) < args.epochs:  # the best model is validated once more at the end
                watch.epoch_ends(len(trainer.test_loader.dataset))

        trainer.add_callback("on_train_start", lambda _: watch.begins())
        trainer.add_callback("on_train_batch_end", lambda t: watch.step_done(t.num_images))
        trainer.add_callback("on_train_epoch_end", lambda _: watch.training_ends())
        trainer.add_callback("on_fit_epoch_end", epoch_ends)
        trainer.train()
    watch.report()


if __name__ == "__main__":
    main()
