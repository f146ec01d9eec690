"""What the charts show, read from the SVG; the PNG comes from the same function."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from crossent.evaluation.confidence import calibrate, cover
from crossent.report.charts import COLOURS, chart_of_coverage, chart_of_reliability, make_chart
from crossent.report.curve import chart_of_E, draw_curve, draw_curves
from tests.evaluation.parts import make_outputs
from tests.report.parts import epoch_record, make_data, make_folder

START = {"kind": "start", "E": 1.2, "baseline": np.log(3), "class_names": ["a", "b", "c"]}
RECORDS = [START, *map(epoch_record, range(1, 6)), {"kind": "end"}]


def line_in(chart, colour):
    """The points of the longest path in that colour."""
    paths = re.findall(r'<path d="([^"]*)"[^>]*style="[^"]*stroke: var\(--(\w+)\)', str(chart.svg))
    numbers = [re.findall(r"-?[\d.]+", d) for d, name in paths if name == colour]
    return np.array(max(numbers, key=len), float).reshape(-1, 2)


def test_points_lie_where_their_values_are():
    chart = make_chart(
        "t", "s", lambda axes: axes.plot([0, 2, 4], [2, 1, 0], color="#c04a00", label="x")
    )
    (x0, y0), (x1, y1), (x2, y2) = line_in(chart, "second")
    assert x0 < x1 < x2 and x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y0 < y1 < y2 and y1 == pytest.approx((y0 + y2) / 2, abs=0.1)


def test_the_page_colours_lines_and_text():
    chart = chart_of_E(RECORDS, "best")
    assert not [colour for colour in COLOURS.values() if colour in chart.svg]
    assert {"ink", "soft", "rule", "first", "second"} == set(
        re.findall(r"var\(--(\w+)\)", chart.svg)
    )
    assert "<text" in chart.svg and ">validation</text>" in chart.svg


def test_the_chart_of_E_begins_untrained_and_marks_the_kept_epoch():
    chart = chart_of_E(RECORDS, "best")
    assert len(line_in(chart, "second")) == 6 and len(line_in(chart, "first")) == 5
    assert "kept: epoch 5, E = 0.2000" in chart.svg and "ln 3 = 1.0986, untrained" in chart.svg
    assert chart.sentence == (
        "E on validation is 1.2000 nats for the untrained model and 0.2000 nats = 0.289 bits for "
        "the kept model, of epoch 5: as unsure as between 1.22 classes."
    )
    rising = [START, *reversed(RECORDS[1:-1])]
    assert "of epoch 5" in chart_of_E(rising, "last").sentence
    assert "of epoch 1" in chart_of_E(rising, "best").sentence


@pytest.mark.parametrize("E", [1e30, 800.0, 1e-9])
def test_any_E_can_be_drawn(E):
    records = [START, {**epoch_record(1), "val": {"E": E, "accuracy": 0.0}}]
    assert f"{E:.4f} nats" in chart_of_E(records, "best").sentence


def test_the_legend_lies_above_the_curves():
    chart = chart_of_E(RECORDS, "best")
    (legend,) = re.findall(r'translate\([\d.]+ ([\d.]+)\)"?>validation<', chart.svg) or re.findall(
        r'<text [^>]*y="([\d.]+)"[^>]*>validation<', chart.svg
    )
    assert float(legend) < line_in(chart, "second")[:, 1].min()


def test_charts_are_the_same_bytes_each_time():
    assert chart_of_E(RECORDS, "best") == chart_of_E(RECORDS, "best")


def test_reliability_has_a_point_per_bin():
    outputs = make_outputs()
    calibration = calibrate(outputs)
    chart = chart_of_reliability(calibration)
    assert len(line_in(chart, "second")) == len(calibration.bins) > 2
    assert f"{outputs.right.mean():.1%} of predictions" in chart.sentence
    assert f"confidence is {outputs.confidence.mean():.1%}" in chart.sentence


def test_coverage_ends_with_the_accuracy_on_all():
    outputs = make_outputs()
    chart = chart_of_coverage(cover(outputs.confidence, outputs.right))
    assert f"On all pictures {outputs.right.mean():.1%}" in chart.sentence


def test_pngs_of_a_run_and_of_a_group(tmp_path):
    draw_curve(RECORDS, tmp_path / "E-curve.png")
    for name, epochs in (("a", 3), ("b", 2)):
        make_folder(tmp_path / name, make_data(), epochs)
    (tmp_path / "group.json").write_text(json.dumps({"runs": {"a": {}, "b": {}}}))
    draw_curves(tmp_path)
    for name in ("E-curve.png", "E-curves.png"):
        with Image.open(tmp_path / name) as picture:
            assert picture.size == (1200, 675)
