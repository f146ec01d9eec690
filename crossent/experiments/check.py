"""Three controls that tell a broken pipeline from a hard problem; each has an expected number.

a few steps       everything can be built, E starts at ln K, every weight gets a gradient
one batch         a batch that is repeated is learned: E goes to 0, also in validation
shuffled labels   nothing can be learned: E on validation stays at the entropy of the classes
"""

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice, repeat
from typing import Any

import numpy as np

from crossent.build import make_data, make_trainer
from crossent.config import Settings, with_values
from crossent.evaluation.intervals import Floats
from crossent.training.console import LN_K_TOLERANCE
from crossent.training.find_lr import do_step, endless_batches
from crossent.training.not_finite import NotFinite
from crossent.training.trainer import Trainer
from data.batches import Batch
from data.images import Data, ImageSet
from models.head import train_mode

MAX_STEPS = 150
LOOK_EVERY = 10  # steps: the statistics of batch normalisation follow the weights with a delay
NUM_LEARNED = 16  # pictures of the one batch
LEARNED = 0.05  # nats: the predictions are correct and confident
LEARNED_IN_VAL = 0.5  # nats: higher, because batch normalisation uses other statistics there
Z_CHANCE = 3.3  # standard deviations: fewer than one in a thousand controls fail by chance
PLAIN: dict[str, Any] = {
    "data.crop": 1.0, "data.aspect": 1.0, "data.flip": 0.0, "data.rotation": 0.0,
    "data.brightness": 0.0, "data.contrast": 0.0, "data.saturation": 0.0,
    "data.sampling": "natural", "loss.class_weights": "none", "loss.label_smoothing": 0.0,
    "model.dropout": 0.0, "optim.weight_decay": 0.0,
    "train.mixup": 0.0, "train.ema": None, "train.freeze": False,
}  # fmt: skip
MAX_VAL = 500  # validation pictures; more would outlast --seconds
Verdict = tuple[bool, str]  # whether the control passed, and what was measured


def check(settings: Settings, max_seconds: float) -> Iterator[Verdict]:
    """Yield the verdict of each control, which trains for at most `max_seconds`."""
    num_images, batch_size = min(600, settings.data.num_images), min(64, settings.train.batch_size)
    fewer = {"data.num_images": num_images, "train.batch_size": batch_size}
    settings = with_values(settings, fewer)
    data = make_data(settings)
    some = np.arange(0, len(data.val), math.ceil(len(data.val) / MAX_VAL))
    data = replace(data, val=data.val.take(some))
    for name, control in CONTROLS.items():
        try:
            passed, text = control(settings, data, max_seconds)
        except NotFinite as error:
            passed, text = False, str(error)
        yield passed, f"{'PASS' if passed else 'FAIL'}  {name:<15}  {text}"


def few_steps(settings: Settings, data: Data, max_seconds: float) -> Verdict:
    trainer = trainer_of(settings, data)
    untrained, expected = losses_of(trainer, data.val).mean(), math.log(len(data.class_names))
    silent = learning = [(n, p) for n, p in trainer.model.named_parameters() if p.requires_grad]
    # The last layer starts at 0, so the others get a gradient from the second step on.
    for batch in islice(endless_batches(trainer), 3):
        trainer.train_step(batch)
        silent = [(name, p) for name, p in silent if p.grad is None or not p.grad.any()]
    found = f"all {len(learning)} tensors have a gradient"
    if silent:
        found = f"{len(silent)} of {len(learning)} tensors have no gradient, such as {silent[0][0]}"
    text = f"untrained E = {untrained:.4f}, expected ln K = {expected:.4f}; after 3 steps {found}"
    return abs(untrained - expected) <= LN_K_TOLERANCE and not silent, text


def one_batch(settings: Settings, data: Data, max_seconds: float) -> Verdict:
    size = min(NUM_LEARNED, settings.train.batch_size, len(data.val))
    pictures = data.val.take(np.linspace(0, len(data.val) - 1, size).astype(int))
    plain = with_values(settings, {**PLAIN, "train.batch_size": size})
    trainer = trainer_of(plain, replace(data, train=pictures))
    batch = next(trainer.batches.epoch(0))
    for step, E in enumerate(train_steps(trainer, repeat(batch), max_seconds), start=1):
        is_learned = step % LOOK_EVERY == 0 and E < LEARNED
        if is_learned and losses_of(trainer, pictures).mean() < LEARNED_IN_VAL:
            break
    E_val = losses_of(trainer, pictures).mean()
    text = (
        f"{size} pictures, {step} steps: E = {E:.4f}, expected below {LEARNED}; "
        f"in validation {E_val:.4f}, expected below {LEARNED_IN_VAL}"
    )
    if E >= LEARNED:
        text += "; a larger optim.lr may help, or more --seconds"
    elif E_val >= LEARNED_IN_VAL:
        text += "; training and validation do not see the same pictures with the same labels"
    return bool(E < LEARNED and E_val < LEARNED_IN_VAL), text


def shuffled_labels(settings: Settings, data: Data, max_seconds: float) -> Verdict:
    labels = np.random.default_rng(settings.seed).permutation(data.train.labels)
    trainer = trainer_of(settings, replace(data, train=replace(data.train, labels=labels)))
    num_steps = sum(1 for _ in train_steps(trainer, endless_batches(trainer), max_seconds))
    losses = losses_of(trainer, data.val)
    shares = np.bincount(data.val.labels) / len(losses)
    guessed = -np.log(shares[data.val.labels])  # (N,) E of predicting the shares of the classes
    # differences per picture, so that unequal classes do not widen the margin
    chance = Z_CHANCE * (guessed - losses).std() / math.sqrt(len(losses))
    E, entropy = losses.mean(), guessed.mean()
    text = (
        f"{num_steps} steps: E on validation = {E:.4f}, expected at least {entropy - chance:.4f}: "
        f"the entropy of the classes, {entropy:.4f}, minus a margin for chance"
    )
    return bool(entropy - E <= chance), text


CONTROLS = {"a few steps": few_steps, "one batch": one_batch, "shuffled labels": shuffled_labels}


def trainer_of(settings: Settings, data: Data) -> Trainer:
    """Return a trainer whose schedule has the length of a control."""
    trainer = make_trainer(settings, data)
    trainer.schedule = replace(trainer.schedule, num_steps=MAX_STEPS)
    train_mode(trainer.model)
    return trainer


def train_steps(trainer: Trainer, batches: Iterable[Batch], max_seconds: float) -> Iterator[float]:
    """Train until the steps or the seconds are used up; yield E of each step."""
    deadline = time.perf_counter() + max_seconds
    for batch in islice(batches, MAX_STEPS):
        yield do_step(trainer, batch)
        if time.perf_counter() > deadline:
            return


def losses_of(trainer: Trainer, image_set: ImageSet) -> Floats:
    """Return (N,) E of each picture, computed as in validation."""
    evaluator = replace(trainer.evaluator, image_set=image_set, rows=None)
    losses = evaluator.outputs(trainer.evaluated).losses
    train_mode(trainer.model)
    return losses
