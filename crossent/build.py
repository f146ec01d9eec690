"""Build the parts of a run from its settings; the parts themselves take only plain arguments."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossent.config import Settings, load_settings, saved_settings
from crossent.device import choose_device, choose_precision, prepare, set_up
from crossent.errors import UserError
from crossent.evaluation.evaluate import Evaluator
from crossent.model_file import Classifier
from crossent.pretrained import load_body
from crossent.resume import check_same_result
from crossent.training.batch_norm import use_global_batch_norm
from crossent.training.distributed import ALONE, Processes
from crossent.training.optim import SGD, Schedule, TrainingLoss, WeightAverage
from crossent.training.trainer import Trainer
from data.advice import about_training
from data.augment import Augmentation
from data.batches import TrainBatches
from data.cache import Decoding
from data.cifar import load_cifar
from data.drawings import load_drawings
from data.images import Data
from data.load import Split, load_folder, load_folder_for_evaluation
from data.preprocess import Preprocessing
from data.sampler import EpochSampler
from models import arguments_of, build_model
from models.head import freeze_body, is_of_head


def make_trainer(
    settings: Settings, data: Data, processes: Processes = ALONE, load_weights: bool = True
) -> Trainer:
    """Return a trainer before its first step.

    Args:
        load_weights: whether to read `model.weights`; rank 0 decides. False when a run is resumed.
    """
    train = settings.train
    set_up(train.threads)
    device = choose_device(train.device)
    precision = choose_precision(train.precision, device)
    torch.manual_seed(settings.seed)  # the same initial weights in all processes
    model = make_model(settings, len(data.class_names))
    if processes.broadcast(load_weights) and settings.model.weights is not None:
        load_body(model, settings.model.weights, settings.model.name)
    model = prepare(model, device)
    if processes.size > 1:
        use_global_batch_norm(model)
        torch.manual_seed(settings.seed + processes.rank)  # dropout differs per process
    batches = make_batches(settings, data, device, processes)
    num_steps, rows = train.epochs * len(batches), processes.part_of(len(data.val))
    weights, smoothing = class_weights(settings, data), settings.loss.label_smoothing
    return Trainer(
        model=model,
        criterion=TrainingLoss(weights, label_smoothing=smoothing).to(device),
        optimizer=make_optimizer(settings, model),
        batches=batches,
        evaluator=Evaluator(data.val, batches.preprocessing, device, precision, rows),
        schedule=Schedule(num_steps, settings.optim.lr, **settings.schedule.model_dump()),
        processes=processes,
        average=WeightAverage(model, train.ema * len(batches)) if train.ema else None,
        is_pretrained=settings.model.weights is not None,
    )


def make_data(settings: Settings) -> Data:
    """Load the training pictures and the validation pictures, with warnings."""
    data, size, seed = settings.data, preprocessing_of(settings).image_size, settings.data_seed
    share, workers = data.val_fraction, data.workers
    if data.source == "drawings":
        found = load_drawings(data.num_images, size, share, seed, workers)
    elif data.source == "cifar":
        found = load_cifar(data.root, size, seed)
    else:
        split, root = Split(share, seed, data.folds, data.fold or 1), data.labels or data.root or ""
        decoding = Decoding(data.cache_dir, workers)
        found = load_folder(root, size, split, decoding, data.group)
    counts = np.bincount(found.train.labels, minlength=len(found.class_names)).tolist()
    by_class = dict(zip(found.class_names, counts, strict=True))
    from_scratch = data.source == "folder" and settings.model.weights is None
    found.warnings.extend(about_training(by_class, settings.num_corrections, from_scratch))
    return found


def preprocessing_of(settings: Settings) -> Preprocessing:
    """Return the preprocessing in the settings; null stands for the default without weights."""
    data, default = settings.data, Preprocessing(64)
    return Preprocessing(
        data.image_size or default.image_size, data.mean or default.mean, data.std or default.std
    )


def make_batches(
    settings: Settings, data: Data, device: torch.device, processes: Processes
) -> TrainBatches:
    """Return the augmented batches of the training pictures.

    Raises:
        UserError: a batch has fewer samples than there are processes.
    """
    d, t = settings.data, settings.train
    order = EpochSampler(data.train.labels, t.batch_size, settings.seed, d.sampling == "balanced")
    smallest = order.num_slots // order.num_batches
    if smallest < processes.size:
        raise UserError(
            f"train.batch_size={t.batch_size} gives batches of {smallest}; expected at least one "
            f"sample for each of {processes.size} processes"
        )
    augmentation = Augmentation(
        crop=d.crop, aspect=d.aspect, flip=d.flip, rotation=d.rotation,
        brightness=d.brightness, contrast=d.contrast, saturation=d.saturation, mixup=t.mixup,
    )  # fmt: skip
    return TrainBatches(
        data.train, len(data.class_names), order, augmentation, preprocessing_of(settings), device,
        rank=processes.rank, num_ranks=processes.size,
    )  # fmt: skip


def model_arguments(settings: Settings) -> dict[str, Any]:
    """Return the arguments of `build_model`, which model.safetensors stores."""
    return settings.model.model_dump(include=arguments_of(settings.model.name))


def make_model(settings: Settings, num_classes: int) -> nn.Module:
    """Return the untrained model; with `train.freeze`, training changes only its head.

    Raises:
        UserError: there is no such model, or it cannot take pictures of this size.
    """
    name, size = settings.model.name, preprocessing_of(settings).image_size
    try:
        model = build_model(name, num_classes, **model_arguments(settings))
        with torch.no_grad():  # one picture of zeros; in `eval` mode no layer changes its state
            model.eval()(torch.zeros(1, 3, size, size))
    except ValueError as error:
        raise UserError(f"model.name: {error}") from None
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"model.name={name} cannot take pictures of data.image_size={size} ({reason})"
        ) from None
    model.train()
    if settings.train.freeze:
        freeze_body(model)
    return model


def class_weights(settings: Settings, data: Data) -> Tensor | None:
    """Return class weights (K,), or None; `balanced` gives each class the same total weight."""
    setting, num_classes = settings.loss.class_weights, len(data.class_names)
    if setting == "none":
        return None
    if setting == "balanced":
        counts = np.bincount(data.train.labels, minlength=num_classes)
        return torch.tensor(1 / np.maximum(1, counts), dtype=torch.float32)
    if len(setting) != num_classes:
        raise UserError(
            f"loss.class_weights has {len(setting)} numbers; expected {num_classes}, "
            f"one for each of {', '.join(data.class_names)}"
        )
    return torch.tensor(setting)


def make_optimizer(settings: Settings, model: nn.Module) -> SGD:
    """Return SGD for the parameters that are not frozen; the body has the rate lr x body_lr.

    Weight decay acts on matrices and kernels, not on biases and scales.
    """
    optim = settings.optim
    groups: dict[tuple[float, float], dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        decay = optim.weight_decay if parameter.ndim > 1 else 0.0
        share = 1.0 if is_of_head(model, name) else optim.body_lr
        if parameter.requires_grad:
            group = {"params": [], "weight_decay": decay, "lr_share": share}
            groups.setdefault((decay, share), group)["params"].append(parameter)
    return SGD(
        list(groups.values()),
        lr=optim.lr,  # the peak; Trainer.train_step sets the rate of each step
        momentum=optim.momentum,
        nesterov=optim.nesterov and optim.momentum > 0,
        foreach=True,  # fused=True would misread momentum whose memory layout differs
    )


def data_to_evaluate(
    classifier: Classifier, root: str | None = None, overrides: Sequence[str] = ()
) -> Data:
    """Return the validation pictures of the model's run, or all pictures of another folder.

    Args:
        overrides: where the pictures of the run are now, such as data.root=FOLDER.

    Raises:
        UserError: the pictures of the run have changed or moved; or the other folder has a class
            that the model does not have, or no pictures.
    """
    old = saved_settings("the model", classifier.header["settings"])
    settings = with_moved_pictures(old, overrides)
    data = settings.data
    if root is not None:
        decoding = Decoding(data.cache_dir, data.workers)
        size = classifier.preprocessing.image_size
        return load_folder_for_evaluation(root, classifier.class_names, size, decoding)
    path = data.labels or data.root or ""
    if data.source == "folder" and not os.path.exists(path):
        where = "data.root=FOLDER" if data.labels is None else "data.labels=FILE"
        raise UserError(
            f"{path}: the pictures of the run are gone; if they have moved, add {where}"
        )
    found = make_data(settings)
    if found.fingerprint != classifier.header["data_fingerprint"]:
        raise UserError(
            "the pictures have changed since this model was trained; "
            "to measure on other pictures, add --data DIR"
        )
    return found


def with_moved_pictures(old: Settings, overrides: Sequence[str]) -> Settings:
    """Return the settings of a run, with overrides that do not change its result."""
    settings = load_settings(old, overrides).settings
    check_same_result("the run", old, settings)
    return settings
