"""A tiny training, in seconds: what the tests of the loop share."""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from crossent import CrossEntropyLoss
from crossent.evaluation.evaluate import Evaluator
from crossent.training.distributed import ALONE, World
from crossent.training.fit import Run
from crossent.training.loop import Trainer
from crossent.training.run_folder import RunFolder
from crossent.training.schedule import lr_at
from data.augment import Augmentation
from data.batches import TrainBatches
from data.images import ImageSet
from data.preprocess import Preprocessing
from data.sampler import EpochSampler
from models import build_model

CPU = torch.device("cpu")
CLASS_NAMES = ["dark", "light", "red"]
EPOCHS = 3


def image_set(num: int, seed: int, size: int = 20) -> ImageSet:
    """Noise that is darker, lighter or redder by its class: easy, but not at once."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 3
    colours = np.array([[90, 100, 110], [160, 150, 140], [170, 90, 100]])
    noise = rng.normal(0, 40, (num, size, size, 3))
    images = (colours[labels, None, None] + noise).clip(0, 255).astype(np.uint8)
    return ImageSet(images, labels, [f"picture {i}" for i in range(num)])


def make_trainer(
    lr: float = 0.05,
    epochs: int = EPOCHS,
    dropout: float = 0.2,
    mixup: float = 0.3,
    weight: torch.Tensor | None = None,
    world: World = ALONE,
) -> Trainer:
    """With everything random on: mixup, crops, colours, dropout, balanced sampling."""
    torch.manual_seed(0)
    model = build_model("small_cnn", 3, width=4, dropout=dropout)
    train = image_set(44, seed=1)
    preprocessing = Preprocessing(16)
    batches = TrainBatches(
        image_set=train,
        num_classes=3,
        order=EpochSampler(train.labels, 8, seed=7, balanced=True),
        augmentation=Augmentation(0.5, 1.3, 0.5, 10, 0.2, 0.2, 0.2, mixup),
        preprocessing=preprocessing,
        device=CPU,
        rank=world.rank,
        num_ranks=world.size,
    )
    val = image_set(15, seed=2, size=16)
    return Trainer(
        model=model,
        criterion=CrossEntropyLoss(weight, label_smoothing=0.1),
        optimizer=torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True),
        batches=batches,
        evaluator=Evaluator(val, preprocessing, CPU, "fp32", world.share(len(val))),
        lr_at=partial(lr_at, num_steps=epochs * len(batches), lr=lr, warmup=0.2, final=0.0),
        world=world,
    )


def make_run(path: Path, epochs: int = EPOCHS) -> Run:
    folder = RunFolder(path)
    if not path.exists():
        folder.create("seed: 0\n")
    description = {
        "class_names": CLASS_NAMES,
        "model": {"name": "small_cnn", "arguments": {"width": 4, "dropout": 0.2}},
        "preprocessing": Preprocessing(16).to_dict(),
        "precision": "fp32",
        "settings": {},
        "data_fingerprint": "none",
    }
    return Run(make_trainer(epochs=epochs), folder, epochs, description)
