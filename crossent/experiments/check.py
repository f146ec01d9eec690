"""Three controls that tell a broken pipeline from a hard problem; each has an expected number.

a few steps       everything can be built, E starts at ln K, every weight gets a gradient
one batch         a batch shown again and again is learned: E goes to 0, also in validation
shuffled labels   labels that say nothing teach nothing: E on validation stays at the entropy
"""

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from crossent.build import make_data, make_trainer
from crossent.config import Settings, with_values
from crossent.evaluation.intervals import Floats
from crossent.training.console import LN_K_TOLERANCE
from crossent.training.find_lr import E_of_step, endless_batches
from crossent.training.not_finite import NotFinite
from crossent.training.trainer import Trainer
from data.images import Data, ImageSet
from models.head import train_mode

MAX_STEPS = 150
LOOK_EVERY = 10  # steps: statistics of batch normalisation follow the weights with a delay
LEARNED_BY_HEART = 16  # pictures
MAX_VAL = 500  # pictures to validate with
LEARNED = 0.05  # nats: right, and confident
SEEN_OTHERWISE = 0.5  # nats: the same pictures, resized by Pillow instead of by the augmentation
Z_CHANCE = 3.3  # one in a thousand such controls fails by chance
PLAIN: dict[str, Any] = {
    "data.crop": 1.0, "data.aspect": 1.0, "data.flip": 0.0, "data.rotation": 0.0,
    "data.brightness": 0.0, "data.contrast": 0.0, "data.saturation": 0.0,
    "loss.label_smoothing": 0.0, "loss.class_weights": "none", "model.dropout": 0.0,
    "optim.weight_decay": 0.0, "train.mixup": 0.0, "train.ema": None, "train.freeze": False,
    "train.overfit_batch": True,
}  # fmt: skip
Verdict = tuple[bool, str]  # whether the control passed, and what was measured


def check(settings: Settings, max_seconds: float) -> Iterator[Verdict]:
    """Yield the verdicts, one by one, after at most so many seconds of training for each."""
    num_images, batch_size = min(600, settings.data.num_images), min(64, settings.train.batch_size)
    fewer = {"data.num_images": num_images, "train.batch_size": batch_size}
    settings = with_values(settings, fewer)
    data = make_data(settings)
    every = slice(None, None, math.ceil(len(data.val) / MAX_VAL))
    val = ImageSet(data.val.images[every], data.val.labels[every], data.val.names[every])
    for name, control in CONTROLS.items():
        try:
            passed, text = control(settings, replace(data, val=val), max_seconds)
        except NotFinite as error:
            passed, text = False, str(error)
        yield passed, f"{'PASS' if passed else 'FAIL'}  {name:<15}  {text}"


def few_steps(settings: Settings, data: Data, max_seconds: float) -> Verdict:
    """Everything is built, and every tensor of weights learns."""
    trainer = trainer_of(settings, data)
    untrained, expected = trainer.validate().means()["E"], math.log(len(data.class_names))
    train_mode(trainer.model)
    learning = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
    silent = dict(learning)
    # the last layer starts at 0: the others get a gradient from the second step on
    for batch in itertools.islice(endless_batches(trainer), 3):
        trainer.train_step(batch)
        silent = {name: p for name, p in silent.items() if p.grad is None or not p.grad.any()}
    text = f"untrained E = {untrained:.4f}, expected ln K = {expected:.4f}; after 3 steps "
    if silent:
        text += f"{len(silent)} of {len(learning)} tensors have no gradient, such as "
        text += next(iter(silent))
    else:
        text += f"all {len(learning)} tensors have a gradient"
    return abs(untrained - expected) <= LN_K_TOLERANCE and not silent, text


def one_batch(settings: Settings, data: Data, max_seconds: float) -> Verdict:
    """Show one batch again and again: E goes to 0, also on its pictures as validation sees them."""
    size = min(LEARNED_BY_HEART, settings.train.batch_size)
    trainer = trainer_of(with_values(settings, {**PLAIN, "train.batch_size": size}), data)
    ids = np.unique(next(trainer.batches.epoch(0)).sample_ids)
    shape = (trainer.batches.preprocessing.image_size,) * 2
    images = [Image.fromarray(data.train.images[i]) for i in ids]
    pixels = np.stack([np.asarray(i.resize(shape, Image.Resampling.BILINEAR)) for i in images])
    pictures = ImageSet(pixels, data.train.labels[ids], [data.train.names[i] for i in ids])
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
        f"in validation {seen:.4f}, expected below {SEEN_OTHERWISE}"
    )
    if E >= LEARNED:
        text += "; a larger optim.lr may help, or more --seconds"
    elif seen >= SEEN_OTHERWISE:
        text += "; training and validation do not see the same pictures with the same labels"
    return E < LEARNED and seen < SEEN_OTHERWISE, text


def shuffled_labels(settings: Settings, data: Data, max_seconds: float) -> Verdict:
    """Shuffle the labels: if E on validation falls anyway, answers leak into the training."""
    labels = np.random.default_rng(settings.seed).permutation(data.train.labels)
    trainer = trainer_of(settings, replace(data, train=replace(data.train, labels=labels)))
    deadline, step = time.perf_counter() + max_seconds, 0
    for step, batch in enumerate(endless_batches(trainer), start=1):
        trainer.train_step(batch)
        if step == MAX_STEPS or time.perf_counter() > deadline:
            break
    losses = losses_of(trainer, data.val)
    shares = np.bincount(data.val.labels) / len(losses)
    guessed = -np.log(shares[data.val.labels])  # (N,) E of a model that knows only the shares
    # picture by picture, so that a rare class does not count as chance
    chance = Z_CHANCE * float((guessed - losses).std()) / math.sqrt(len(losses))
    E, entropy = float(losses.mean()), float(guessed.mean())
    text = (
        f"{step} steps: E on validation = {E:.4f}, expected about {entropy:.4f}, the entropy of "
        "the classes, or more"
    )
    if E < entropy:
        text += f"; chance reaches {entropy - chance:.4f}"
    return entropy - E <= chance, text


CONTROLS = {"a few steps": few_steps, "one batch": one_batch, "shuffled labels": shuffled_labels}


def trainer_of(settings: Settings, data: Data) -> Trainer:
    """Build a trainer that keeps nothing, with a schedule of as many steps as a control has."""
    trainer = make_trainer(settings, data)
    trainer = replace(trainer, schedule=replace(trainer.schedule, num_steps=MAX_STEPS))
    train_mode(trainer.model)
    return trainer


def losses_of(trainer: Trainer, image_set: ImageSet) -> Floats:
    """Return (N,) E of each picture, computed as in validation."""
    evaluator = replace(trainer.evaluator, image_set=image_set, rows=None)
    return evaluator.outputs(trainer.evaluated).losses
