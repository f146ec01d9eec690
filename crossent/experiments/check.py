"""Three controls that tell a broken pipeline from a hard problem; each has a number to expect.

a few steps       everything can be built, E starts at ln K, every weight gets a gradient
one batch         what is seen again and again is learned: E goes to 0, also as validation sees it
shuffled labels   what cannot be known is not learned: E on validation stays at the entropy
"""

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from crossent.build import build, make_data
from crossent.config import Settings, with_values
from crossent.evaluation.intervals import Floats
from crossent.loss import cross_entropy
from crossent.training.console import LN_K_TOLERANCE
from crossent.training.find_lr import E_of_step, endless_batches
from crossent.training.not_finite import NotFinite
from crossent.training.run_folder import RunFolder
from crossent.training.trainer import Trainer
from data.advice import guessing_loss
from data.batches import Batch
from data.images import Data, ImageSet
from models.head import train_mode

FEW_STEPS = 3  # the last layer starts at 0: only from the second step on the others get a gradient
MAX_STEPS = 150
LOOK_EVERY = 10  # steps: statistics of batch normalisation follow the weights with a delay
MAX_BATCH = 64
LEARNED_BY_HEART = 16  # pictures
MAX_VAL = 500  # pictures to validate with
MAX_DRAWINGS = 600
LEARNED = 0.05  # nats: right, and sure of it
SEEN_OTHERWISE = 0.5  # nats: the same pictures, resized by Pillow instead of by the augmentation
Z_CHANCE = 3.3  # one in a thousand such controls goes wrong by chance
PLAIN: dict[str, Any] = {
    "data.crop": 1.0, "data.aspect": 1.0, "data.flip": 0.0, "data.rotation": 0.0,
    "data.brightness": 0.0, "data.contrast": 0.0, "data.saturation": 0.0,
    "loss.label_smoothing": 0.0, "loss.class_weights": "none", "model.dropout": 0.0,
    "optim.weight_decay": 0.0, "train.mixup": 0.0, "train.ema": None, "train.freeze": False,
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What was measured, and what was to be expected."""

    control: str
    passed: bool
    text: str

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'FAIL'}  {self.control:<15}  {self.text}"


def check(settings: Settings, max_seconds: float) -> Iterator[Verdict]:
    """Yield the verdicts, one by one, after at most so many seconds of training for each."""
    num_images = min(MAX_DRAWINGS, settings.data.num_images)
    batch_size = min(MAX_BATCH, settings.train.batch_size)
    fewer = {"data.num_images": num_images, "train.batch_size": batch_size}
    settings = with_values(settings, fewer)
    data = make_data(settings)
    every = slice(None, None, math.ceil(len(data.val) / MAX_VAL))
    val = ImageSet(data.val.images[every], data.val.labels[every], data.val.names[every])
    for name, control in CONTROLS.items():
        try:
            yield Verdict(name, *control(settings, replace(data, val=val), max_seconds))
        except NotFinite as error:
            yield Verdict(name, False, str(error))


def few_steps(settings: Settings, data: Data, max_seconds: float) -> tuple[bool, str]:
    """Everything is built, and every tensor of weights learns."""
    trainer = trainer_of(settings, data)
    untrained, expected = trainer.validate().means()["E"], math.log(len(data.class_names))
    train_mode(trainer.model)
    learning = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
    silent = dict(learning)
    for batch in itertools.islice(endless_batches(trainer), FEW_STEPS):
        trainer.train_step(batch)
        silent = {name: p for name, p in silent.items() if p.grad is None or not p.grad.any()}
    text = f"{FEW_STEPS} steps; untrained E = {untrained:.4f}, expected ln K = {expected:.4f}; "
    if silent:
        text += f"no gradient arrives at {len(silent)} of {len(learning)} tensors, such as "
        text += next(iter(silent))
    else:
        text += f"a gradient arrives at all {len(learning)} tensors"
    return abs(untrained - expected) <= LN_K_TOLERANCE and not silent, text


def one_batch(settings: Settings, data: Data, max_seconds: float) -> tuple[bool, str]:
    """A batch that is shown again and again is learned by heart."""
    size = min(LEARNED_BY_HEART, settings.train.batch_size)
    plain = with_values(settings, {**PLAIN, "train.overfit_batch": True, "train.batch_size": size})
    trainer = trainer_of(plain, data)
    pictures = as_validation(data.train, next(trainer.batches.epoch(0)), trainer)
    deadline, step, E, seen = time.perf_counter() + max_seconds, 0, math.inf, math.inf
    while (E >= LEARNED or seen >= SEEN_OTHERWISE) and step < MAX_STEPS:
        for batch in itertools.islice(endless_batches(trainer), LOOK_EVERY):
            E = E_of_step(trainer, batch)
        step, seen = step + LOOK_EVERY, float(losses_of(trainer, pictures).mean())
        train_mode(trainer.model)
        if time.perf_counter() > deadline:
            break
    text = (
        f"{size} pictures, {step} steps: E = {E:.4f}, expected below {LEARNED}; "
        f"as validation sees them {seen:.4f}, expected below {SEEN_OTHERWISE}"
    )
    if E >= LEARNED:
        text += "; a larger optim.lr may help" + (", or --seconds" if step < MAX_STEPS else "")
    elif seen >= SEEN_OTHERWISE:
        text += "; training and validation do not see the same pictures with the same labels"
    return E < LEARNED and seen < SEEN_OTHERWISE, text


def shuffled_labels(settings: Settings, data: Data, max_seconds: float) -> tuple[bool, str]:
    """Labels that say nothing teach nothing: if E falls anyway, the answers leak somewhere."""
    labels = np.random.default_rng(settings.seed).permutation(data.train.labels)
    trainer = trainer_of(settings, replace(data, train=replace(data.train, labels=labels)))
    deadline, step = time.perf_counter() + max_seconds, 0
    for step, batch in enumerate(endless_batches(trainer), start=1):
        trainer.train_step(batch)
        if step == MAX_STEPS or time.perf_counter() > deadline:
            break
    counts = np.bincount(data.val.labels, minlength=len(data.class_names))
    entropy = guessing_loss(dict(zip(data.class_names, counts.tolist(), strict=True)))
    losses = losses_of(trainer, data.val)
    # picture by picture, so that a rare class among them does not count as chance
    gain = -np.log(counts[data.val.labels] / len(losses)) - losses
    chance = Z_CHANCE * float(gain.std()) / math.sqrt(len(gain))
    E = float(losses.mean())
    text = (
        f"{step} steps: E on validation = {E:.4f}, expected about {entropy:.4f}, the entropy of "
        "the classes, or more"
    )
    if E < entropy:
        text += f"; chance reaches {entropy - chance:.4f}"
    return entropy - E <= chance, text


CONTROLS = {"a few steps": few_steps, "one batch": one_batch, "shuffled labels": shuffled_labels}


def trainer_of(settings: Settings, data: Data) -> Trainer:
    """Build one that keeps nothing, with a schedule of as many steps as a control has."""
    trainer = build(settings, data, RunFolder(Path("unused"))).trainer
    trainer.schedule = replace(trainer.schedule, num_steps=MAX_STEPS)
    train_mode(trainer.model)
    return trainer


def losses_of(trainer: Trainer, image_set: ImageSet) -> Floats:
    """Return (N,) E of each picture, the way that validation goes."""
    evaluator = replace(trainer.evaluator, image_set=image_set, rows=None)
    losses = [
        cross_entropy(logits.cpu().double(), batch.target.cpu(), reduction="none")
        for batch, logits in evaluator.logits(trainer.evaluated)
    ]
    found: Floats = torch.cat(losses).numpy()
    return found


def as_validation(train: ImageSet, batch: Batch, trainer: Trainer) -> ImageSet:
    """Return the pictures of a training batch as if for validation, past all augmentation."""
    ids = np.unique(batch.sample_ids)
    size = (trainer.batches.preprocessing.image_size,) * 2
    images = [Image.fromarray(train.images[i]).resize(size, Image.Resampling.BILINEAR) for i in ids]
    pixels = np.stack([np.asarray(image) for image in images])
    return ImageSet(pixels, train.labels[ids], [train.names[i] for i in ids])
