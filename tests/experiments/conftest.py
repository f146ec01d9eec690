"""Pictures in folders and a cross-validation on them; tests read them, but do not change them."""

import numpy as np
import pytest
from PIL import Image

from tests.data.pictures import make_folder
from tests.evaluation.parts import CLASS_NAMES, train
from tests.experiments.parts import quick


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Make 63 pictures; three of them are darker copies, so that their files differ."""
    root = make_folder(tmp_path_factory.mktemp("root"), dict.fromkeys(CLASS_NAMES, 20))
    for name in CLASS_NAMES:
        with Image.open(root / name / "000.jpg") as picture:
            darker = Image.fromarray((np.asarray(picture) * 0.97).astype(np.uint8))
        darker.save(root / name / "000-copy.jpg")
    return root


@pytest.fixture(scope="session")
def folds(root, tmp_path_factory):
    """Return the folder of a finished cross-validation with two folds, and its output."""
    path = tmp_path_factory.mktemp("folds") / "group"
    return path, train(*quick(root), "data.folds=2", "--out", path)[0]
