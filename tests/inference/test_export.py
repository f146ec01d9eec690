"""export: the resize against Pillow to the bit, the files against the model, ONNX without torch."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from crossent.errors import UserError
from crossent.inference.export import Deployed, compare, export, metadata, resize, to_onnx
from crossent.inference.paths import validation_files
from data.decode import ODDITIES
from tests.data.pictures import make_folder, other_profile, scene

SHAPES = [(90, 50), (50, 70), (16, 16), (17, 900), (900, 17), (1, 1), (2, 5), (64, 31), (301, 200)]


def noise(height, width):
    rng = np.random.default_rng((height, width))
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [16, 33])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_resize_is_pillows_to_the_bit(shape, size):
    pixels = noise(*shape)
    expected = np.array(Image.fromarray(pixels).resize((size, size), Image.Resampling.BILINEAR))
    assert np.array_equal(resize(torch.from_numpy(pixels)[None], size)[0].numpy(), expected)


class Resize(torch.nn.Module):
    def forward(self, images):
        return resize(images, 33)  # not a power of two: shows whether all is in float64


def test_the_resize_is_the_same_to_the_bit_in_onnx():
    content, run = to_onnx(Resize(), {})
    for shape in [*SHAPES, (288, 216), (180, 288)]:
        images = noise(*shape)[None]
        assert np.array_equal(run(images), resize(torch.from_numpy(images), 33).numpy()), shape
    assert versions(onnx.load_from_string(content)) == (18, 8)


def versions(proto):
    """Return the opset and the IR version, which should be the lowest that the opset allows."""
    ((domain, opset),) = [(opset.domain, opset.version) for opset in proto.opset_import]
    assert domain == ""
    return opset, proto.ir_version


@pytest.fixture
def paths(pictures):
    return [str(pictures / name) for name in ("a/2.png", "b/page.jpg", "a/3.jpg")]


def exported(classifier, difference=0.0, flip=False):
    """Return a function that computes what the export would, or a wrong export."""
    module = Deployed(classifier.model, classifier.preprocessing).eval()
    if flip:
        module.model.head.weight.data.neg_()
    return lambda images: module(torch.from_numpy(images)).detach().numpy() + difference


def test_the_comparison_leaves_out_files_that_are_no_pictures(classifier, paths):
    num_images, difference = compare(classifier, exported(classifier), paths)
    assert num_images == 2 and difference < 1e-5
    assert compare(classifier, exported(classifier, 9e-5), paths)[1] > 8e-5
    with pytest.raises(UserError, match="no picture for the comparison can be used"):
        compare(classifier, exported(classifier), paths[1:2])


@pytest.mark.parametrize("wrong", [{"difference": 2e-4}, {"difference": np.nan}, {"flip": True}])
def test_a_wrong_export_is_refused(classifier, paths, wrong):
    with pytest.raises(UserError, match=r"differs from the original.*nothing was written"):
        compare(classifier, exported(classifier, **wrong), paths)


def test_mistakes_are_sentences(crossent, run_path, tmp_path):
    _, err = crossent("export", run_path, "--out", tmp_path / "missing" / "m.onnx", status=2)
    assert "no such folder" in err
    _, err = crossent("export", run_path, "--opset", "17", status=2)
    assert "--opset 17: expected one of 18, 19" in err


def test_the_comparison_is_on_every_validation_picture(classifier, tmp_path):
    root = make_folder(tmp_path / "pictures", {"dog": 15, "fox": 5, "wolf": 10})
    (root / "fox").rename(root / os.fsdecode(b"\x8c\xcf"))  # Shift-JIS, which is no UTF-8
    settings = {"data": {"source": "folder", "root": str(root)}}
    of_folder = replace(classifier, header={**classifier.header, "settings": settings})
    found = [Path(name) for name in validation_files(of_folder, tmp_path)]
    assert all(path.is_file() for path in found)
    names = ["dog", "wolf", os.fsdecode(b"\x8c\xcf")]
    folders = sorted(path.parent.name for path in found)
    assert folders == [names[0]] * 3 + [names[1]] * 2 + [names[2]]
    notes = metadata(replace(classifier, class_names=names))
    assert "".join(notes.values()).isascii() and json.loads(notes["class_names"]) == names


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"data": {"source": "folder", "root": "gone"}}, "no such folder"),
        ({"optimizer": {"rate": 1}}, "with other settings"),
    ],
)
def test_without_validation_pictures_a_folder_is_asked_for(
    classifier, monkeypatch, tmp_path, settings, reason
):
    monkeypatch.setattr("crossent.inference.export.to_onnx", lambda *_: (b"", None))
    moved = replace(classifier, header={**classifier.header, "settings": settings})
    with pytest.raises(UserError, match=f"{reason}.*name a folder of pictures.*--data"):
        export(moved, tmp_path / "model.onnx", None)
    assert not list(tmp_path.iterdir())


def odd_pictures(folder):
    """Write pictures that a plain `Image.open(path).convert("RGB")` would decode differently."""
    photo, exif = scene(1, 1500, 1100), Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "large.jpg")
    photo.resize((90, 60)).save(folder / "turned.jpg", exif=exif)
    photo.resize((90, 60)).convert("CMYK").save(folder / "printer.jpg")
    photo.resize((90, 60)).save(folder / "phone.png", icc_profile=other_profile())
    clear = photo.resize((60, 90)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((60, 90)))
    clear.save(folder / "clear.png")
    clear.quantize(16).save(folder / "palette.gif", transparency=3)
    grey = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50) * 30
    Image.fromarray(grey).save(folder / "16 bits.png")
    return sorted(folder.iterdir())


def test_the_script_of_the_docs_gives_what_predict_gives(crossent, run_path, tmp_path):
    """With onnxruntime and Pillow alone, and on every kind of picture."""
    (tmp_path / "pictures").mkdir()
    paths, model = odd_pictures(tmp_path / "pictures"), tmp_path / "model.onnx"
    out, _ = crossent("export", run_path, "--out", model, "--opset", "21")
    assert "on 30 pictures: the same class on all" in out
    proto = onnx.load(model)
    assert versions(proto) == (21, 10)
    kinds = {value.name: value.type.tensor_type.elem_type for value in proto.graph.value_info}
    transposed = {kinds[n.output[0]] for n in proto.graph.node if n.op_type == "Transpose"}
    assert onnx.TensorProto.DOUBLE not in transposed, "onnxruntime 1.15 to 1.23 would refuse it"
    notes = {prop.key: prop.value for prop in proto.metadata_props}
    assert json.loads(notes["preprocessing"])["image_size"] == 32
    assert notes["format_version"] == "1" and len(notes["sha256"]) == 64
    assert json.loads(notes["odd pictures"]) == ODDITIES and notes["onnxruntime"] == ">= 1.18"

    docs = Path(__file__).parents[2] / "docs" / "onnx.md"
    script = docs.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    check = script + "\nassert not {'torch', 'crossent'} & sys.modules.keys()\n"
    command = [sys.executable, "-c", check, str(model), *map(str, paths)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    predictions, _ = crossent("predict", run_path, *paths, "--json")
    for row, line in zip(result.stdout.splitlines(), predictions.splitlines(), strict=True):
        found, expected = json.loads(row), json.loads(line)
        assert found["path"] == expected["path"] and found["label"] == expected["label"]
        assert found["probs"] == pytest.approx(expected["probs"], abs=1e-5), found["path"]
