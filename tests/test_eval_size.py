"""Evaluation and prediction at another size than training: one preprocessing, in the model file."""

from pathlib import Path

import pytest
import torch

from crossent.config import load_settings
from crossent.errors import UserError
from crossent.training.run_folder import RunFolder
from crossent.wiring import build, make_data, make_model

SMALL = ["data.image_size=32", "data.num_images=30", "model.width=4", "train.precision=fp32"]


def settings_of(*overrides):
    return load_settings(None, [*SMALL, *overrides]).settings


def test_it_is_the_size_of_validation_and_of_the_model_file_but_not_of_training():
    settings = settings_of("data.eval_size=48")
    data = make_data(settings)
    run = build(settings, data, RunFolder(Path("unused")))
    images = next(run.trainer.batches.epoch(0)).images
    ((batch, logits),) = run.trainer.evaluator.logits(run.trainer.model)
    assert images.shape[2:] == (32, 32)
    assert batch.images.shape[2:] == (48, 48) and logits.shape == (len(data.val), 3)
    assert run.description["preprocessing"]["image_size"] == 48
    # the same pictures as at the size of training, only larger
    smaller = torch.from_numpy(make_data(settings_of()).val.images).permute(0, 3, 1, 2).float()
    larger = torch.from_numpy(data.val.images).permute(0, 3, 1, 2).float()
    shrunk = torch.nn.functional.interpolate(larger, (32, 32), mode="bilinear", antialias=True)
    assert (shrunk - smaller).abs().mean() < 5


def test_left_out_it_is_the_size_of_training():
    run = build(settings_of(), make_data(settings_of()), RunFolder(Path("unused")))
    assert run.description["preprocessing"]["image_size"] == 32


def test_a_model_of_one_size_refuses_another():
    words = ["model.name=torchvision/vit_b_16", "data.image_size=224", "data.eval_size=256"]
    with pytest.raises(UserError, match=r"data.eval_size is 256; .* takes 224 only"):
        make_model(load_settings(None, words).settings, 3)
