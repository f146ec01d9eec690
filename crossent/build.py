"""From settings to parts: the last place that knows a Settings. Below, plain arguments only."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossent.config import Settings, settings_from_dict
from crossent.device import choose_device, choose_precision, prepare, set_up
from crossent.errors import UserError
from crossent.evaluation.evaluate import Evaluator
from crossent.model_file import Classifier
from crossent.pretrained import load_body, read_pretrained
from crossent.training.batch_norm import use_global_batch_norm
from crossent.training.console import Console, EventLog
from crossent.training.distributed import ALONE, Processes
from crossent.training.optim import SGD, Schedule, TrainingLoss, WeightAverage
from crossent.training.run import Run
from crossent.training.run_folder import RunFolder
from crossent.training.signals import StopRequest
from crossent.training.trainer import Stopwatch, Trainer
from data.augment import Augmentation
from data.batches import TrainBatches
from data.images import Data, size_to_train
from data.preprocess import Preprocessing
from data.sampler import EpochSampler
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
    """Return a run with all its parts, ready to start or to resume."""
    train = settings.train
    set_up(train.threads)
    device = choose_device(train.device)
    precision = choose_precision(train.precision, device)
    torch.manual_seed(settings.seed)  # the first weights: the same in all processes
    model = make_model(settings, len(data.class_names))
    if settings.model.weights is not None and not processes.send(folder.last.exists()):
        load_body(model, read_pretrained(settings.model.weights, settings.model.name))
    model = prepare(model, device)
    if processes.size > 1:
        use_global_batch_norm(model)
        torch.manual_seed(settings.seed + processes.rank)  # dropout: each process its own
    batches = make_batches(settings, data, device, processes)
    preprocessing, rows = batches.preprocessing, processes.part_of(len(data.val))
    weights, smoothing = class_weights(settings, data), settings.loss.label_smoothing
    trainer = Trainer(
        model=model,
        criterion=TrainingLoss(weights, label_smoothing=smoothing).to(device),
        optimizer=make_optimizer(settings, model),
        batches=batches,
        evaluator=Evaluator(data.val, preprocessing, device, precision, rows),
        schedule=Schedule(
            num_steps=train.epochs * len(batches),
            peak_lr=settings.optim.lr,
            **settings.schedule.model_dump(),
        ),
        processes=processes,
        average=WeightAverage(model, train.ema * len(batches)) if train.ema else None,
        stopwatch=stopwatch or Stopwatch(),
    )
    description = {  # what model.safetensors says about itself
        "class_names": data.class_names,
        "model": {"name": settings.model.name, "arguments": model_arguments(settings)},
        "preprocessing": preprocessing.to_dict(),
        "precision": precision,
        "settings": settings.model_dump(mode="json"),
        "data_fingerprint": data.fingerprint,
    }
    return Run(
        trainer,
        folder,
        train.epochs,
        description=description,
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


def make_data(settings: Settings) -> Data:
    """Load both splits; the training pictures larger than those of validation."""
    from data.cache import Decoding
    from data.cifar import load_cifar  # not above: whoever imports `build` need not decode
    from data.drawings import load_drawings
    from data.load import Split, load_folder

    data, size, seed = settings.data, preprocessing_of(settings).image_size, settings.data_seed
    train_size = size_to_train(size)
    if data.source == "drawings":
        share, num_workers = data.val_fraction, data.workers
        return load_drawings(data.num_images, size, share, seed, train_size, num_workers)
    if data.source == "cifar":
        return load_cifar(data.root, size, seed, train_size)
    split = Split(data.val_fraction, seed, data.folds, data.fold or 1)
    decoding, root = Decoding(data.cache, data.cache_dir, data.workers), data.labels or data.root
    return load_folder(root or ".", size, split, train_size, data.on_bad, decoding, data.group)


def preprocessing_of(settings: Settings) -> Preprocessing:
    """What `follow_weights` has left open is as for a model from scratch."""
    data, default = settings.data, Preprocessing(64)
    return Preprocessing(
        data.image_size or default.image_size, data.mean or default.mean, data.std or default.std
    )


def make_batches(
    settings: Settings, data: Data, device: torch.device, processes: Processes
) -> TrainBatches:
    """The training pictures in augmented batches, each with a sample for every process."""
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
            crop=d.crop, aspect=d.aspect, flip=d.flip, rotation=d.rotation,
            brightness=d.brightness, contrast=d.contrast, saturation=d.saturation, mixup=t.mixup,
        ),
        preprocessing=preprocessing_of(settings),
        device=device,
        rank=processes.rank,
        num_ranks=processes.size,
        only_first=t.overfit_batch,
    )  # fmt: skip


def model_arguments(settings: Settings) -> dict[str, Any]:
    """What `build_model` takes, and model.safetensors stores."""
    if settings.model.name.startswith(PREFIX):
        return {"dropout": settings.model.dropout}
    return {"width": settings.model.width, "dropout": settings.model.dropout}


def make_model(settings: Settings, num_classes: int) -> nn.Module:
    """The untrained model, its body frozen if only the head is to learn.

    It is shown one black picture, without a trace: no layer draws or counts in `eval`.

    Raises:
        UserError: no such model, or it cannot take pictures of this size: a network may halve a
            small one once too often, a vision transformer takes one size only.
    """
    name, size = settings.model.name, preprocessing_of(settings).image_size
    try:
        model = build_model(name, num_classes, **model_arguments(settings))
    except ValueError as error:
        raise UserError(f"model.name: {error}") from None
    try:
        with torch.no_grad():
            model.eval()(torch.zeros(1, 3, size, size))
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
    """Return weights (K,), 1 in the mean over the training pictures, or None for all 1.

    `balanced` gives class k the weight N / (K n_k), so that all classes weigh the same.
    """
    setting, num_classes = settings.loss.class_weights, len(data.class_names)
    if setting == "none":
        return None
    counts = np.bincount(data.train.labels, minlength=num_classes)
    if setting != "balanced" and len(setting) != num_classes:
        raise UserError(
            f"loss.class_weights has {len(setting)} numbers; expected {num_classes}, "
            f"one for each of {', '.join(data.class_names)}"
        )
    weights = 1 / np.maximum(1, counts) if setting == "balanced" else np.array(setting)
    return torch.tensor(weights * len(data.train) / (weights @ counts), dtype=torch.float32)


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
        lr=optim.lr,  # until Trainer.train_step sets that of the schedule
        momentum=optim.momentum,
        nesterov=optim.nesterov and optim.momentum > 0,
        foreach=True,  # fused=True would misread momentum whose memory layout differs
    )


def data_to_evaluate(classifier: Classifier, root: str | None = None) -> Data:
    """The validation pictures of the run that made the model, or all pictures of another folder.

    Raises:
        UserError: the run's pictures have changed; or the folder has a class that the model does
            not know, or no picture at all.
    """
    from data.cache import Decoding
    from data.load import load_folder_for_evaluation

    settings = settings_from_dict(classifier.header["settings"], "the model")
    if root is not None:
        d = settings.data
        decoding = Decoding(d.cache, d.cache_dir, d.workers)
        size = classifier.preprocessing.image_size
        return load_folder_for_evaluation(root, classifier.class_names, size, decoding)
    found = make_data(settings)
    if found.fingerprint != classifier.header["data_fingerprint"]:
        raise UserError(
            "the pictures have changed since this model was trained, so that it may have been "
            "trained on some that would now be validation; name a folder with --data"
        )
    return found
