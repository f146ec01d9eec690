"""A folder of drawings and the arguments of a quick run, for the tests of experiments."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from crossent.build import make_data
from crossent.config import Settings
from crossent.model_file import load_model
from crossent.tensor_file import read_tensors
from crossent.training.run_folder import RunFolder
from data.drawings import draw, label
from tests import drill, forked
from tests.training.parts import CPU

NUM = 60


@dataclass(frozen=True)
class InSecondEpoch(forked.Mishap):
    """A mishap in the second epoch of one run of a group or sweep."""

    place: str  # the name of that run

    def arm(self, run: Path) -> None:
        happen = forked.MISHAPS[self.what]
        folder = RunFolder(run / self.place)
        drill.arm(
            "after a step", self.step,
            lambda: happen(run) if len(folder.records()) > 1 else None,
        )  # fmt: skip


def draw_folder(root: Path, num: int = NUM) -> Path:
    """Write root/CLASS/NUMBER.png, and a darker copy of the first drawing of each class.

    The copies are near-duplicates, not equal files.
    """
    for index in range(num):
        folder = root / ["dog", "fox", "wolf"][label(index)]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw(0, index, 48)
        Image.fromarray(pixels).save(folder / f"{index:03}.png")
        if index < 3:
            Image.fromarray((pixels * 0.97).astype(np.uint8)).save(folder / f"{index:03}-copy.png")
    return root


def quick(root: Path, *more: str) -> list[str]:
    """Return the arguments of a run that takes a second."""
    words = ["-c", "tests/tiny.yaml", "train.threads=1", "optim.lr=0.03", "data.source=folder"]
    return [*words, f"data.root={root}", *more]


def answers(run: Path):
    """Return y (N, K) of a run for its validation pictures, their labels and their names.

    They are computed without `crossent.evaluation`.
    """
    classifier = load_model(run, CPU)
    data = make_data(Settings.model_validate(classifier.header["settings"])).val
    with torch.inference_mode():
        images = classifier.preprocessing.normalise(torch.from_numpy(np.array(data.images)))
        y = classifier.model(images).double().softmax(1)
    return y.numpy(), data.labels, data.names


def epoch_of_model(run: Path):
    _, header = read_tensors(run / "model.safetensors")
    return header["metrics"]["epoch"]
