import json

import pytest

from crossent.report.chart import Axis, Chart, Line, nice_ticks, thin, whole_ticks
from tests.report.parts import Page


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 1.17), (0, 0.00031), (0, 100000), (2, 7)])
def test_ticks_are_few_and_within(low, high):
    ticks = nice_ticks(low, high)
    assert 3 <= len(ticks) <= 7
    assert low <= ticks[0] and ticks[-1] <= high * (1 + 1e-9)


def test_epochs_are_whole_numbers():
    assert whole_ticks(0, 1) == [0, 1]
    assert whole_ticks(0, 3) == [0, 1, 2, 3]


def test_thinning_keeps_the_ends():
    rows = [{"epoch": i} for i in range(1000)]
    kept = thin(rows, 10)
    assert len(kept) == 10 and kept[0]["epoch"] == 0 and kept[-1]["epoch"] == 999
    assert thin(rows[:3], 10) == rows[:3]


def test_points_lie_where_their_values_are():
    chart = Chart(
        title="a <b>",
        x=Axis("epoch", 0, 4),
        y=Axis("E", 0, 2),
        lines=[Line("val", "second", [(0, 2.0), (2, 1.0), (4, 0.0)])],
        sentences=[(0, "first"), (4, "last <")],
    )
    page = Page(chart.markup())
    points = page.all("polyline")[0]["points"]
    (x0, y0), (x1, y1), (x2, y2) = (map(float, pair.split(",")) for pair in points.split())
    assert x0 < x1 < x2 and x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y0 < y1 < y2 and y1 == pytest.approx((y0 + y2) / 2, abs=0.1)
    sentences = json.loads(page.all("figure")[0]["data-points"])
    assert sentences == [[x0, "first"], [x2, "last <"]]
    assert "b" not in [tag for tag, _ in page.elements]
