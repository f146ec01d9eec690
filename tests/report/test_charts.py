"""The contents of the charts, read from the SVG; the PNG comes from the same function."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from crossent.evaluation.confidence import calibration, reliability
from crossent.report.charts import (
    COLOURS,
    chart_of_E,
    chart_of_reliability,
    draw_curve,
    draw_curves,
)
from tests.evaluation.parts import make_outputs
from tests.report.parts import epoch_record, make_data, make_folder

START = {"kind": "start", "E": 1.2, "baseline": np.log(3), "class_names": ["a", "b", "c"]}
RECORDS = [START, *map(epoch_record, range(1, 6)), {"kind": "end"}]


def line_in(chart, colour):
    paths = re.findall(r'<path d="([^"]*)"[^>]*style="[^"]*stroke: var\(--(\w+)\)', str(chart.svg))
    numbers = [re.findall(r"-?[\d.]+", d) for d, name in paths if name == colour]
    return np.array(max(numbers, key=len), float).reshape(-1, 2)


def test_the_chart_of_E_begins_untrained_and_marks_the_kept_epoch():
    chart = chart_of_E(RECORDS, kept=5)
    assert len(line_in(chart, "first")) == 5
    points = line_in(chart, "second")
    assert np.ptp(np.diff(points[:, 0])) < 0.1, "all epochs are equally wide"
    E = [1.2] + [1 / epoch for epoch in range(1, 6)]
    assert np.corrcoef(points[:, 1], E)[0, 1] == pytest.approx(-1, abs=1e-4), "y goes down in SVG"
    assert "kept: epoch 5, E = 0.2000" in chart.svg and "ln 3 = 1.0986, untrained" in chart.svg
    assert chart.sentence == (
        "E on validation is 1.2000 nats for the untrained model and 0.2000 nats for the kept model,"
        " of epoch 5."
    )
    assert "0.5000 nats for the kept model, of epoch 2" in chart_of_E(RECORDS, kept=2).sentence
    # the page colours lines and text
    assert not [colour for colour in COLOURS.values() if colour in chart.svg]
    names = set(re.findall(r"var\(--(\w+)\)", chart.svg))
    assert names == {"ink", "soft", "rule", "first", "second"}
    assert ">validation</text>" in chart.svg


@pytest.mark.parametrize("E", [1e30, 800.0, 1e-9])
def test_any_E_can_be_drawn(E):
    records = [START, {**epoch_record(1), "val": {"E": E, "accuracy": 0.0}}]
    assert f"{E:.4f} nats" in chart_of_E(records, kept=1).sentence


def test_the_chart_of_reliability_shows_what_was_measured():
    outputs = make_outputs()
    chart = chart_of_reliability(outputs)
    bars = re.findall(r'<path d="M [^"L]*L[^"L]*"[^>]*style="[^"]*var\(--second\)', chart.svg)
    assert len(bars) == 1 + len(reliability(outputs)) > 3, "one is in the legend"
    assert calibration(outputs) in chart.sentence


def test_pngs_of_a_run_and_of_a_group(tmp_path):
    draw_curve(RECORDS, 5, tmp_path / "E-curve.png")
    for name, epochs in (("a", 3), ("b", 2)):
        make_folder(tmp_path / name, make_data(), epochs)
    (tmp_path / "group.json").write_text(json.dumps({"runs": {"a": {}, "b": {}}}))
    draw_curves(tmp_path)
    for name in ("E-curve.png", "E-curves.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (1200, 675)
