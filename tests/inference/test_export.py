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
from crossent.inference.export import Deployed, export, resize, to_onnx
from data.decode import ODDITIES
from tests.data.pictures import make_folder, other_profile, scene
from tests.evaluation.parts import crossent

SHAPES = [
    (90, 50), (50, 70), (16, 16), (17, 900), (900, 17), (1, 1), (2, 5), (64, 31), (301, 200),
    (288, 216), (180, 288),
]  # fmt: skip


class Resize(torch.nn.Module):
    def forward(self, images):
        return resize(images, 33)  # not a power of two: shows whether all is in float64


def test_the_resize_is_pillows_to_the_bit_in_torch_and_onnx():
    _, run = to_onnx(Resize(), {}, 18)
    for shape in SHAPES:
        pixels = np.random.default_rng(shape).integers(0, 256, (*shape, 3), dtype=np.uint8)
        image, images = Image.fromarray(pixels), pixels[None]
        for size, found in (
            (33, run(images)[0]), (16, resize(torch.from_numpy(images), 16)[0].numpy())
        ):  # fmt: skip
            expected = np.array(image.resize((size, size), Image.Resampling.BILINEAR))
            assert np.array_equal(found, expected), (shape, size)


@pytest.fixture
def replace_onnx(classifier, monkeypatch):
    """Return a function that replaces the export by the model itself, or by a wrong one."""

    def replace_with(difference=0.0, sign=1):
        module, notes = Deployed(classifier.model, classifier.preprocessing).eval(), {}
        module.model.head.weight.data.mul_(sign)

        def predict(images):
            return module(torch.from_numpy(images)).detach().numpy() + difference

        def to_onnx(module, found, opset):
            notes.update(found)
            return b"content", predict

        monkeypatch.setattr("crossent.inference.export.to_onnx", to_onnx)
        return notes

    return replace_with


@pytest.mark.parametrize("difference", [0.0, 9e-5])
def test_the_comparison_leaves_out_files_that_are_no_pictures(
    run_path, pictures, replace_onnx, tmp_path, difference
):
    path = tmp_path / "model.onnx"
    replace_onnx(difference)
    out, _ = crossent("export", run_path, "--out", path, "--data", pictures)
    assert "on 5 pictures: the same class on all" in out and path.read_bytes() == b"content"
    assert float(out.split("differ by ")[1].split()[0]) == pytest.approx(difference, abs=2e-5)


@pytest.mark.parametrize(
    ("wrong", "words", "message"),
    [
        ({"difference": 2e-4}, ["--data", "."], "differs from the original"),
        # also where the NaN is at the predicted class, which argmax would still choose
        *(({"difference": nan}, ["--data", "."], "on ./a/2.png probabilities differ by up to nan")
          for nan in np.diag([np.nan] * 3)),
        ({"sign": -1}, ["--data", "."], "nothing was written"),
        ({}, ["--data", "b/page.jpg"], "no picture for the comparison can be used"),
        ({}, ["--out", "missing/m.onnx"], "no such folder"),
        ({}, ["--opset", "17"], "--opset 17: expected one of 18, 19"),
    ],
)  # fmt: skip
def test_a_wrong_export_and_mistakes_are_refused(
    run_path, pictures, replace_onnx, monkeypatch, wrong, words, message
):
    monkeypatch.chdir(pictures)
    replace_onnx(**wrong)
    assert message in crossent("export", run_path, "--out", "model.onnx", *words, status=2)[1]
    assert not (pictures / "model.onnx").exists()


def test_the_comparison_is_on_every_validation_picture(classifier, replace_onnx, tmp_path):
    path, root, notes = tmp_path / "model.onnx", tmp_path / "root", replace_onnx()
    names = ["dog", "wolf", os.fsdecode(b"\x8c\xcf")]  # Shift-JIS, which is no UTF-8
    make_folder(root, {"dog": 15, "fox": 5, "wolf": 10})
    (root / "fox").rename(root / names[2])

    def export_with(**settings):
        header = {**classifier.header, "settings": settings}
        return export(replace(classifier, class_names=names, header=header), path, None, 18)

    for reason, settings in {
        "no such folder": {"data": {"source": "folder", "root": "gone"}},
        "another version of crossent": {"optimizer": {"rate": 1}},
    }.items():
        with pytest.raises(UserError, match=f"{reason}.*name a folder of pictures.*--data"):
            export_with(**settings)
    assert not path.exists()
    data = {"source": "folder", "root": str(root)}
    assert export_with(data=data)[0] == 6
    assert "".join(notes.values()).isascii() and json.loads(notes["class_names"]) == names


def odd_pictures(folder):
    """Write pictures that a plain `Image.open(path).convert("RGB")` would decode differently."""
    folder.mkdir()
    photo, exif = scene(1, 1500, 1100), Image.Exif()
    exif[0x0112] = 6
    photo.save(folder / "large.jpg")
    small = photo.resize((90, 60))
    small.save(folder / "turned.jpg", exif=exif)
    small.convert("CMYK").save(folder / "printer.jpg")
    small.save(folder / "phone.png", icc_profile=other_profile())
    clear = photo.resize((60, 90)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((60, 90)))
    clear.save(folder / "clear.png")
    clear.quantize(16).save(folder / "palette.gif", transparency=3)
    grey = np.arange(40 * 50, dtype=np.uint16).reshape(40, 50) * 30
    Image.fromarray(grey).save(folder / "16 bits.png")
    return sorted(folder.iterdir())


def test_the_script_of_the_docs_gives_what_predict_gives(run_path, tmp_path):
    """With onnxruntime and Pillow alone, and on every kind of picture."""
    paths, model = odd_pictures(tmp_path / "pictures"), tmp_path / "model.onnx"
    out, _ = crossent("export", run_path, "--out", model, "--opset", "21")
    assert "on 30 pictures: the same class on all" in out
    proto = onnx.load(model)
    # the IR version should be the lowest that the opset allows
    assert [opset.version for opset in proto.opset_import] == [21] and proto.ir_version == 10
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
