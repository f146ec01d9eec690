"""From settings to parts: the last place that knows a Settings. Below, plain arguments only."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossent.config import Settings, settings_from_dict
from crossent.device import (
    choose_device,
    choose_precision,
    compute_the_same_every_time,
    keep_freed_memory,
    prepare,
)
from crossent.errors import UserError
from crossent.evaluation.evaluate import Evaluator
from crossent.loss import CrossEntropyLoss
from crossent.model_file import Classifier
from crossent.pretrained import load_body, read_pretrained
from crossent.training.batch_norm import use_global_batch_norm
from crossent.training.console import Console, EventLog
from crossent.training.distributed import ALONE, Processes
from crossent.training.optim import SGD, Schedule, WeightAverage
from crossent.training.run import Run
from crossent.training.run_folder import RunFolder
from crossent.training.signals import StopRequest
from crossent.training.trainer import Stopwatch, Trainer
from data.augment import Augmentation
from data.batches import TrainBatches
from data.cache import default_cache_dir
from data.errors import DataError
from data.folder import load_folder_for_evaluation
from data.images import Data
from data.preprocess import Preprocessing
from data.sampler import EpochSampler
from data.sources import load_data
from models import build_model
from models.head import freeze_body, is_of_head
from models.torchvision_models import PREFIX


def build(
    settings: Settings,
    data: Data,
    folder: RunFolder,
    processes: Processes = ALONE,
    *,
    stop: StopRequest | None = None,
    console: Console | None = None,
    watch: Callable[[dict[str, Any]], None] | None = None,
    stopwatch: Stopwatch | None = None,
) -> Run:
    """Return a run with all its parts, ready to start or to resume.

    Args:
        stop, console, watch: see `Run`.
        stopwatch: that has timed what came before.
    """
    train = settings.train
    keep_freed_memory()
    compute_the_same_every_time(train.threads)
    device = choose_device(train.device)
    precision = choose_precision(train.precision, device)
    torch.manual_seed(settings.seed)  # the first weights: the same in all processes
    model = make_model(settings, len(data.class_names))
    if settings.model.weights is not None and not processes.decide(folder.last.exists()):
        load_body(model, read_pretrained(settings.model.weights, settings.model.name))
    model = prepare(model, device)
    if processes.size > 1:
        use_global_batch_norm(model, processes)
        torch.manual_seed(settings.seed + processes.rank)  # dropout: each process its own
    batches = make_batches(settings, data, device, processes)
    rows = processes.part_of(len(data.val))
    trainer = Trainer(
        model=model,
        criterion=make_criterion(settings, data).to(device),
        optimizer=make_optimizer(settings, model),
        batches=batches,
        evaluator=Evaluator(data.val, batches.preprocessing, device, precision, rows),
        schedule=make_schedule(settings, len(batches)),
        processes=processes,
        average=WeightAverage(model, train.ema * len(batches)) if train.ema else None,
        stopwatch=stopwatch or Stopwatch(),
    )
    return Run(
        trainer,
        folder,
        train.epochs,
        description=describe(settings, data, trainer),
        unusable=data.unusable,
        minutes=train.minutes,
        patience=train.patience,
        keep=train.keep,
        checkpoint_every_s=train.checkpoint_every_s,
        checkpoint_every_steps=train.checkpoint_every_steps,
        watch=watch,
        stop=stop or StopRequest(),
        console=console or Console(silent=not processes.is_first),
        events=EventLog(folder.tensorboard) if processes.is_first else None,
    )


def describe(settings: Settings, data: Data, trainer: Trainer) -> dict[str, Any]:
    """What model.safetensors says about itself."""
    return {
        "class_names": data.class_names,
        "model": {"name": settings.model.name, "arguments": model_arguments(settings)},
        "preprocessing": trainer.batches.preprocessing.to_dict(),
        "precision": trainer.evaluator.precision,
        "settings": settings.model_dump(mode="json"),
        "data_fingerprint": data.fingerprint,
    }


def make_data(settings: Settings) -> Data:
    """Load both splits.

    Raises:
        UserError: the pictures cannot be used as they are.
    """
    data = settings.data
    arguments: dict[str, Any] = {
        "image_size": preprocessing_of(settings).image_size,
        "train_size": train_size(settings),
        "seed": settings.data_seed,
    }
    if data.source == "drawings":
        arguments |= {"num_images": data.num_images, "val_fraction": data.val_fraction}
    if data.source == "folder":
        arguments |= {"root": data.root, "val_fraction": data.val_fraction, "on_bad": data.on_bad}
        arguments |= {"use_cache": data.cache, "cache_dir": data.cache_dir}
        arguments |= {"num_folds": data.folds, "fold": data.fold or 1}
    if data.source == "cifar":
        arguments |= {"root": data.root or default_cache_dir() / "cifar"}
    try:
        return load_data(data.source, **arguments)
    except DataError as error:
        raise UserError(str(error)) from error


def train_size(settings: Settings) -> int:
    """The side of stored training pictures: a quarter more, so that crops keep their detail."""
    return preprocessing_of(settings).image_size * 5 // 4


def preprocessing_of(settings: Settings) -> Preprocessing:
    """What `follow_weights` has left open is as for a model from scratch."""
    data, default = settings.data, Preprocessing(64)
    return Preprocessing(
        data.image_size or default.image_size, data.mean or default.mean, data.std or default.std
    )


def make_batches(
    settings: Settings, data: Data, device: torch.device, processes: Processes
) -> TrainBatches:
    """The training pictures in augmented batches.

    Raises:
        UserError: a batch has fewer samples than there are processes.
    """
    d, t = settings.data, settings.train
    order = EpochSampler(data.train.labels, t.batch_size, settings.seed, d.sampling == "balanced")
    smallest = order.num_slots // order.num_batches
    if smallest < processes.size:
        raise UserError(
            f"train.batch_size={t.batch_size} gives batches of {smallest}; expected at least a "
            f"sample for each of {processes.size} processes"
        )
    return TrainBatches(
        image_set=data.train,
        num_classes=len(data.class_names),
        order=order,
        augmentation=Augmentation(
            crop=d.crop,
            aspect=d.aspect,
            flip=d.flip,
            rotation=d.rotation,
            brightness=d.brightness,
            contrast=d.contrast,
            saturation=d.saturation,
            mixup=t.mixup,
        ),
        preprocessing=preprocessing_of(settings),
        device=device,
        rank=processes.rank,
        num_ranks=processes.size,
        only_first=t.overfit_batch,
    )


def model_arguments(settings: Settings) -> dict[str, Any]:
    """What `build_model` takes, and model.safetensors stores."""
    if settings.model.name.startswith(PREFIX):
        return {"dropout": settings.model.dropout}
    return {"width": settings.model.width, "dropout": settings.model.dropout}


def make_model(settings: Settings, num_classes: int) -> nn.Module:
    """The untrained model, its body frozen if only the head is to learn.

    Raises:
        UserError: no such model, or one that cannot take pictures of this size.
    """
    try:
        model = build_model(settings.model.name, num_classes, **model_arguments(settings))
    except ValueError as error:
        raise UserError(f"model.name: {error}") from None
    size, only = preprocessing_of(settings).image_size, getattr(model, "image_size", None)
    if only not in (None, size):  # a vision transformer has a place code for each patch
        raise UserError(f"data.image_size is {size}; {settings.model.name} takes {only} only")
    check_runs(model, settings.model.name, size)
    if settings.train.freeze:
        freeze_body(model)
    return model


@torch.no_grad()
def check_runs(model: nn.Module, name: str, image_size: int) -> None:
    """Show the model one black picture, without a trace: no layer draws or counts in `eval`.

    Raises:
        UserError: such as for a network that halves a small picture once too often.
    """
    try:
        model.eval()(torch.zeros(1, 3, image_size, image_size))
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"model.name={name} cannot take pictures of data.image_size={image_size} ({reason})"
        ) from None
    model.train()


def make_criterion(settings: Settings, data: Data) -> CrossEntropyLoss:
    """The loss of training: E with its class weights and label smoothing."""
    return CrossEntropyLoss(
        weight=class_weights(settings.loss.class_weights, data),
        label_smoothing=settings.loss.label_smoothing,
    )


def class_weights(setting: str | tuple[float, ...], data: Data) -> Tensor | None:
    """(K,) weights: `balanced` gives a class N / (K n_k), so that all classes weigh the same.

    Raises:
        UserError: a list of another length than K.
    """
    if setting == "none":
        return None
    num_classes = len(data.class_names)
    if setting == "balanced":
        counts = np.bincount(data.train.labels, minlength=num_classes)
        weights = len(data.train) / (num_classes * counts)
        return torch.tensor(weights, dtype=torch.float32)
    if len(setting) != num_classes:
        raise UserError(
            f"loss.class_weights has {len(setting)} numbers; expected {num_classes}, "
            f"one for each of {', '.join(data.class_names)}"
        )
    return torch.tensor(setting)


def make_optimizer(settings: Settings, model: nn.Module) -> SGD:
    """SGD; matrices and kernels decay, while biases and scales are left to find their size.

    The body may learn more slowly than the head; what is frozen is not given to the optimizer.
    """
    optim = settings.optim
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decay = optim.weight_decay if parameter.ndim > 1 else 0.0
        share = 1.0 if is_of_head(model, name) else optim.body_lr
        if parameter.requires_grad:
            groups.setdefault((decay, share), []).append(parameter)
    return SGD(
        [
            {"params": parameters, "weight_decay": decay, "lr_share": share}
            for (decay, share), parameters in groups.items()
        ],
        lr=optim.lr,
        momentum=optim.momentum,
        nesterov=optim.nesterov and optim.momentum > 0,
        foreach=True,  # fused=True would misread momentum whose memory layout differs
    )


def make_schedule(settings: Settings, num_batches: int) -> Schedule:
    """The learning rate of each step."""
    return Schedule(
        num_steps=settings.train.epochs * num_batches,
        lr=settings.optim.lr,
        warmup=settings.schedule.warmup,
        final=settings.schedule.final,
    )


def validation_of(classifier: Classifier) -> Data:
    """The data of the run that made the model, found again by its settings.

    Raises:
        UserError: they are not the same pictures any more.
    """
    data = make_data(settings_from_dict(classifier.header["settings"], "the model"))
    if data.fingerprint != classifier.header["data_fingerprint"]:
        raise UserError(
            "the pictures have changed since this model was trained, so that it may have been "
            "trained on some that would now be validation; name a folder with --data"
        )
    return data


def labelled_folder(classifier: Classifier, root: str) -> Data:
    """The pictures of another folder, all for validation; its classes are matched by name.

    Raises:
        UserError: a class that the model does not know, or no picture at all.
    """
    size = classifier.preprocessing.image_size
    try:
        return load_folder_for_evaluation(root, classifier.class_names, size)
    except DataError as error:
        raise UserError(str(error)) from error
