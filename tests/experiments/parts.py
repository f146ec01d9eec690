"""What the tests of experiments need more than once."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from crossent.build import make_data
from crossent.config import Settings
from crossent.model_file import load_model
from crossent.training.run_folder import RunFolder
from tests import drill, forked
from tests.evaluation.parts import CPU

TINY = ("-c", f"{forked.ROOT}/tests/tiny.yaml", "train.threads=1")


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


def quick(root, *more):
    """Return the arguments of a run on a folder that takes a second."""
    return [*TINY, "optim.lr=0.03", f"data.root={root}", *more]


def answers(run):
    """Return y (N, K) of a run for its validation pictures, their labels and their names.

    They are computed without `crossent.evaluation`.
    """
    classifier = load_model(run, CPU)
    data = make_data(Settings.model_validate(classifier.header["settings"])).val
    with torch.inference_mode():
        images = classifier.preprocessing.normalise(torch.from_numpy(np.array(data.images)))
        y = classifier.model(images).double().softmax(1)
    return y.numpy(), data.labels, data.names
