"""export: the resize against Pillow to the bit, the files against the model, ONNX without torch."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from crossent.errors import UserError
from crossent.inference.export import Deployed, compare, pictures_to_compare_on, to_onnx
from crossent.inference.resize import PillowResize
from data.decode import decode, inspect
from tests.data.pictures import encoded, make_folder, scene

SHAPES = [(90, 50), (50, 70), (16, 16), (17, 900), (900, 17), (1, 1), (2, 5), (64, 31), (301, 200)]


def noise(height, width):
    rng = np.random.default_rng((height, width))
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [16, 33])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_resize_is_pillows_to_the_bit(shape, size):
    pixels = noise(*shape)
    expected = np.array(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))
    got = PillowResize(size)(torch.from_numpy(pixels)[None])[0].numpy()
    assert np.array_equal(got, expected)


def test_the_resize_is_the_same_to_the_bit_in_onnx():
    """A size that is no power of two shows whether it computes in float64 throughout."""
    resize = PillowResize(33)
    _, run = to_onnx(resize, {})
    for shape in [*SHAPES, (288, 216), (180, 288)]:
        images = noise(*shape)[None]
        assert np.array_equal(run(images), resize(torch.from_numpy(images)).numpy()), shape


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="older Pillows have one order")
def test_the_order_of_the_passes_changes_pixels():
    """Or the test above would not see a wrong order."""
    images = torch.from_numpy(noise(90, 50))[None]
    assert not torch.equal(PillowResize(16)(images), PillowResize(16, picks_order=False)(images))


def test_decode_is_the_whole_picture_resized():
    for width, height in [(90, 60), (2400, 1800), (700, 1500)]:  # the larger ones are drafted
        content = encoded(scene(1, width, height))
        pixels = inspect(content, [32], whole=True).pixels[0]
        got = PillowResize(32)(torch.from_numpy(pixels)[None])[0].numpy()
        assert np.array_equal(got, decode(content, 32))


@pytest.fixture
def paths(pictures):
    return [str(pictures / name) for name in ("a/2.png", "b/page.jpg", "a/3.jpg")]


def exported(classifier, difference=0.0, flip=False):
    """The model as its export would answer, or as a wrong one would."""
    module = Deployed(classifier.model, classifier.preprocessing).eval()
    if flip:
        module.model.head.weight.data.neg_()
    return lambda images: module(torch.from_numpy(images)).detach().numpy() + difference


def test_the_comparison_leaves_out_what_is_no_picture(classifier, paths):
    num_images, difference = compare(classifier, exported(classifier), paths)
    assert num_images == 2 and difference < 1e-5
    assert compare(classifier, exported(classifier, 9e-5), paths)[1] > 8e-5


@pytest.mark.parametrize("wrong", [{"difference": 2e-4}, {"difference": np.nan}, {"flip": True}])
def test_another_model_is_noticed(classifier, paths, wrong):
    """A comparison that cannot fail would be none."""
    with pytest.raises(UserError, match=r"does not answer as the original.*nothing was written"):
        compare(classifier, exported(classifier, **wrong), paths)


def test_what_cannot_be_compared_or_written_is_refused(crossent, run_path, classifier, paths):
    with pytest.raises(UserError, match="no picture to compare on that can be used"):
        compare(classifier, exported(classifier), paths[1:2])
    _, err = crossent("export", run_path, "--out", Path("missing") / "m.onnx", status=2)
    assert "no such folder" in err


def test_the_comparison_is_on_every_validation_picture_while_they_are_there(classifier, tmp_path):
    root = make_folder(tmp_path / "pictures", {"dog": 15, "fox": 5, "wolf": 10})
    settings = {"data": {"source": "folder", "root": str(root), "cache": False}}
    of_folder = replace(classifier, header={**classifier.header, "settings": settings})
    source, found = pictures_to_compare_on(of_folder, None, tmp_path)
    assert source == "validation pictures of the run"
    assert sorted(Path(name).parent.name for name in found) == ["dog"] * 3 + ["fox"] + ["wolf"] * 2
    shutil.rmtree(root)
    old = replace(classifier, header={**classifier.header, "settings": {"optimizer": {"rate": 1}}})
    for model, reason in ((of_folder, "no such folder"), (old, "with other settings")):
        source, found = pictures_to_compare_on(model, None, tmp_path)
        assert source.startswith("drawings, as") and reason in source
        assert all(Path(name).is_file() for name in found)


PROGRAM = """
import json, sys
import numpy, onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
pictures = numpy.stack([numpy.array(Image.open(path)) for path in sys.argv[2:]])
(probs,) = session.run(None, {"images": pictures})
print(json.dumps([session.get_modelmeta().custom_metadata_map, probs.tolist()]))
assert "torch" not in sys.modules
"""


def test_onnxruntime_alone_classifies_jpegs(crossent, run_path, tmp_path):
    """A program without torch reads the file and gets what predict says, two pictures at once."""
    paths = [tmp_path / "a.jpg", tmp_path / "b.jpg"]
    for seed, path in enumerate(paths):
        path.write_bytes(encoded(scene(seed, 120, 75)))
    model = tmp_path / "model.onnx"
    out, _ = crossent("export", run_path, "--out", model)
    assert "30 pictures (validation pictures of the run): the same class on all" in out
    command = [sys.executable, "-c", PROGRAM, str(model), *map(str, paths)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    metadata, probs = json.loads(result.stdout)
    said, _ = crossent("predict", run_path, *paths, "--json")
    for row, line in zip(probs, said.splitlines(), strict=True):
        assert row == pytest.approx(list(json.loads(line)["probs"].values()), abs=1e-4)
    assert json.loads(metadata["class_names"]) == ["dog", "fox", "wolf"]
    assert json.loads(metadata["preprocessing"])["image_size"] == 32
    assert metadata["format_version"] == "1" and len(metadata["sha256"]) == 64
