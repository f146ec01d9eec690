"""python -m crossent doctor DIR | -c CONFIG.yaml"""

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossent.config import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("root", nargs="?", metavar="DIR", help="DIR/CLASS/*, or DIR/train and val")
    parser.add_argument(
        "-c",
        "--config",
        metavar="CONFIG.yaml",
        help="the settings that a training will have: its folder, its size, how long it will take",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from crossent.config import load_settings
    from crossent.errors import UserError
    from data.doctor import run_doctor
    from data.errors import DataError
    from data.load import Split

    overrides = ["data.source=folder", f"data.root={args.root}"] if args.root else []
    settings = load_settings(args.config, overrides).settings
    root = settings.data.root
    if root is None:
        raise UserError("name a folder of pictures, or with -c a config whose data.root does")
    if settings.model.weights:
        from crossent.pretrained import follow_weights  # imports torch: seconds

        settings = follow_weights(settings)
    data = settings.data

    try:
        return run_doctor(
            root,
            as_json=args.json,
            image_size=data.image_size or 64,
            split=Split(data.val_fraction, settings.data_seed),
            training_s=partial(training_s, settings) if args.config else None,
        )
    except DataError as error:
        raise UserError(str(error)) from error


def training_s(settings: "Settings", train_counts: Mapping[str, int]) -> float:
    """How long all epochs take with so many pictures of each class, in seconds."""
    import numpy as np

    from data.sampler import EpochSampler

    labels = np.repeat(np.arange(len(train_counts)), list(train_counts.values()))
    balanced = settings.data.sampling == "balanced"
    num_slots = EpochSampler(labels, settings.train.batch_size, 0, balanced).num_slots
    return settings.train.epochs * num_slots / images_per_s(settings)


def images_per_s(settings: "Settings") -> float:
    """How fast the model of these settings learns here, measured on a few steps with drawings."""
    from crossent.build import build, make_data
    from crossent.training.run_folder import RunFolder
    from crossent.training.trainer import seconds_per_epoch

    few = 16 * settings.train.batch_size
    changes = {"source": "drawings", "num_images": min(few, 1000), "root": None}
    tried = settings.model_copy(update={"data": settings.data.model_copy(update=changes)})
    trainer = build(tried, make_data(tried), RunFolder(Path("unused"))).trainer
    return trainer.batches.order.num_slots / seconds_per_epoch(trainer)
