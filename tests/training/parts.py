"""A training of less than a second, for the tests of training."""

import numpy as np
import torch

from crossent.evaluation.evaluate import Evaluator
from crossent.training.distributed import ALONE
from crossent.training.optim import SGD, Schedule, TrainingLoss
from crossent.training.run import Run
from crossent.training.run_folder import RunFolder
from crossent.training.trainer import Trainer
from data.augment import Augmentation
from data.batches import TrainBatches
from data.images import ImageSet
from data.preprocess import Preprocessing
from data.sampler import EpochSampler
from models import build_model

CPU = torch.device("cpu")
EPOCHS = 3  # of six steps


def image_set(num, seed, size=20):
    """Return noise that is darker, lighter or redder, depending on its class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % 3
    colours = np.array([[90, 100, 110], [160, 150, 140], [170, 90, 100]])
    noise = rng.normal(0, 40, (num, size, size, 3))
    images = (colours[labels, None, None] + noise).clip(0, 255).astype(np.uint8)
    return ImageSet(images, labels, [f"picture {i}" for i in range(num)])


def make_trainer(lr=0.05, dropout=0.2, mixup=0.3, weight=None, processes=ALONE):
    """Return a trainer with mixup, crops, colours, dropout and balanced sampling."""
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
        rank=processes.rank,
        num_ranks=processes.size,
    )
    val = image_set(15, seed=2, size=16)
    return Trainer(
        model=model,
        criterion=TrainingLoss(weight, label_smoothing=0.1),
        optimizer=SGD(model.parameters(), lr=lr, momentum=0.9, nesterov=True),
        batches=batches,
        evaluator=Evaluator(val, preprocessing, CPU, "fp32", processes.part_of(len(val))),
        schedule=Schedule(num_steps=EPOCHS * len(batches), peak_lr=lr, warmup=0.2, final=0.0),
        processes=processes,
    )


def make_run(path, **options):
    description = {
        "class_names": ["dark", "light", "red"],
        "model": {"name": "small_cnn", "arguments": {"width": 4, "dropout": 0.2}},
        "preprocessing": Preprocessing(16).to_dict(),
        "precision": "fp32",
        "settings": {},
        "data_fingerprint": "none",
    }
    folder = RunFolder(path)
    folder.create("seed: 0\n")
    return Run(make_trainer(), folder, EPOCHS, description, **options)
