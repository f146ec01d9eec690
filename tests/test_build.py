"""A model is built from settings, and tried on a picture."""

import subprocess
import sys
from pathlib import Path

import pytest

import crossent
from crossent.build import make_model
from crossent.config import load_settings
from crossent.errors import UserError


@pytest.mark.parametrize("name", ["alexnet", "maxvit_t"])
def test_a_model_that_cannot_take_pictures_of_this_size_is_refused(name):
    words = [f"model.name=torchvision/{name}", "data.image_size=32"]
    expected = rf"torchvision/{name} .* data\.image_size=32 \("
    with pytest.raises(UserError, match=expected) as caught:
        make_model(load_settings(None, words).settings, 3)
    assert "\n" not in str(caught.value)


def test_an_installation_is_found_beside_a_folder_of_its_name(tmp_path):
    """In the folder above a checkout, sys.path first has the checkout, without an __init__.py."""
    (tmp_path / "crossent").symlink_to(Path(crossent.__file__).parents[1])
    command = [sys.executable, "-c", "import crossent; print(crossent.__all__)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == f"{crossent.__all__}\n", done.stderr
