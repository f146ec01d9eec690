"""train.py --preview: the first batch with its labels, as the model will see it."""

import numpy as np
import pytest
import torch
from PIL import Image

from crossent.build import make_batches
from crossent.config import load_settings
from crossent.report.pictures import first_batch, in_words
from crossent.training.distributed import ALONE
from tests.report.parts import CPU, make_data


@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_pictures_and_labels_are_those_that_training_gets(mixup):
    words = [
        f"train.mixup={mixup}",
        "train.batch_size=8",
        "data.mean=[0.1, 0.2, 0.3]",
        "data.std=[0.2, 0.2, 0.5]",
    ]
    settings, data = load_settings(None, words).settings, make_data()
    batch = next(make_batches(settings, data, CPU, ALONE).epoch(0))
    shown = first_batch(settings, data, most=5)
    assert len(shown) == 5
    for image, images in zip([image for image, _ in shown], batch.images, strict=False):
        seen = images.permute(1, 2, 0).numpy() * settings.data.std + settings.data.mean
        np.testing.assert_allclose(np.asarray(image), np.clip(255 * seen, 0, 255), atol=0.51)
    for (_, caption), target in zip(shown, batch.target, strict=False):
        assert caption == in_words(target, data.class_names)
        assert ("%" in caption) is (mixup > 0)


def test_mixed_labels_are_shares_the_largest_first():
    assert in_words(torch.tensor(1), ["a", "b", "c"]) == "b"
    assert in_words(torch.tensor([0.3, 0.0, 0.7]), ["a", "b", "c"]) == "c 70%, a 30%"


def test_the_command_writes_a_picture_and_keeps_no_run(tmp_path, monkeypatch, capsys):
    from train import main

    path = tmp_path / "smoke.yaml"
    monkeypatch.chdir(tmp_path)
    path.write_text("{data: {num_images: 30, image_size: 32}}")
    assert main(["-c", str(path), "--preview"]) == 0
    assert "preview.png: 12 pictures" in capsys.readouterr().out
    assert {p.name for p in tmp_path.iterdir()} == {"preview.png", "smoke.yaml"}
    with Image.open("preview.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 20
