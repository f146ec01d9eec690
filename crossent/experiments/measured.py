"""A run with what it says of the pictures that it is compared on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from crossent.build import labelled_folder, validation_of
from crossent.errors import UserError
from crossent.evaluation.compare import Side
from crossent.evaluation.evaluate import outputs_of
from crossent.evaluation.outputs import Outputs
from crossent.experiments.group import Group
from crossent.model_file import Classifier, load_model
from data.images import Data, ImageSet


@dataclass(frozen=True)
class Measured:
    """`key` says which pictures these are: equal keys, equal pictures in the same order."""

    name: str
    class_names: list[str]
    image_set: ImageSet
    outputs: Outputs
    key: object
    root: str | None  # of the files


def measure_sides(
    paths: Sequence[Path], data_root: str | None, device: torch.device
) -> list[list[Measured]]:
    """Load each model and run it over its validation pictures, or over those of another folder.

    Returns:
        for each path the runs that make one side: a run; the folds of a group as one run over all
        their pictures; or several runs, the seeds of a group.

    Raises:
        UserError: they cannot be compared, as classes or pictures differ.
    """
    names = [path.resolve().name for path in paths]
    if len(set(names)) < len({path.resolve() for path in paths}):
        names = [str(path) for path in paths]
    sides = [measure_side(*side, data_root, device) for side in zip(paths, names, strict=True)]
    first, *others = (run for side in sides for run in side)
    for other in others:
        check_comparable(first, other)
    return sides


def measure_side(
    path: Path, name: str, data_root: str | None, device: torch.device
) -> list[Measured]:
    group = Group(path)
    if not group.exists:
        return [measure_run(path, name, data_root, device)]
    runs = [measure_run(run, f"{name}/{run.name}", data_root, device) for run in group.runs]
    return [pooled(name, runs)] if group.kind == "folds" and data_root is None else runs


def measure_run(
    path: Path, name: str, data_root: str | None, device: torch.device, flip: bool = False
) -> Measured:
    classifier = load_model(path, device)
    data = labelled_folder(classifier, data_root) if data_root else validation_of(classifier)
    root = data_root or classifier.header["settings"]["data"]["root"]
    outputs = outputs_of(classifier, data.val, flip)
    key = data.fingerprint if data_root else pictures_key(classifier, data)
    return Measured(name, classifier.class_names, data.val, outputs, key, root)


def pooled(name: str, runs: Sequence[Measured]) -> Measured:
    """The folds of a cross-validation as if they were one run over all pictures."""
    return Measured(
        name,
        runs[0].class_names,
        ImageSet(
            np.concatenate([run.image_set.images for run in runs]),
            np.concatenate([run.image_set.labels for run in runs]),
            [picture for run in runs for picture in run.image_set.names],
        ),
        Outputs(
            np.concatenate([run.outputs.logits for run in runs]),
            np.concatenate([run.outputs.labels for run in runs]),
        ),
        tuple(run.key for run in runs),
        runs[0].root,
    )


def pictures_key(classifier: Classifier, data: Data) -> object:
    """A folder's fingerprint is that of the files; drawings are the same in any size."""
    settings = classifier.header["settings"]
    drawn = settings["data"]
    if drawn["source"] != "drawings":
        return data.fingerprint
    seed = drawn.get("seed")  # files of before have none
    return (
        settings["seed"] if seed is None else seed,
        drawn["num_images"],
        drawn["val_fraction"],
    )


def check_comparable(first: Measured, other: Measured) -> None:
    """Raise UserError unless both were measured on the same pictures with the same classes."""
    if first.class_names != other.class_names:
        raise UserError(
            f"{first.name} knows the classes {', '.join(first.class_names)}, {other.name} "
            f"{', '.join(other.class_names)}: only runs of the same classes can be compared"
        )
    same_labels = np.array_equal(first.image_set.labels, other.image_set.labels)
    if first.key != other.key or not same_labels:
        raise UserError(
            f"{first.name} and {other.name} have other validation pictures (another seed, folder, "
            "data.val_fraction or data.folds): compare them on a folder that is new to both, "
            "with --data"
        )


def make_sides(measured: Sequence[Sequence[Measured]], num_against: int) -> tuple[Side, list[Side]]:
    """The side to compare with, and those that are compared with it.

    Args:
        measured: of each path, with those of `--against` first.
        num_against: how many those are; they are one side, and the others too. With 0 each path is
            a side of its own, and the first is what the others are compared with.
    """
    if num_against == 0:
        sides = [make_side(runs) for runs in measured]
        return sides[0], sides[1:]
    groups = measured[:num_against], measured[num_against:]
    first, second = (make_side([run for runs in group for run in runs]) for group in groups)
    return first, [second]


def make_side(runs: Sequence[Measured]) -> Side:
    """Several runs of one group are called after it."""
    names = [run.name for run in runs]
    parents = {str(Path(name).parent) for name in names}
    name = parents.pop() if len(names) > 1 and len(parents) == 1 else " + ".join(names)
    return Side(" + ".join(names) if name == "." else name, [run.outputs for run in runs])
