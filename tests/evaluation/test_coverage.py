import numpy as np
import pytest

from crossent.evaluation.coverage import cover
from crossent.evaluation.outputs import Outputs
from tests.evaluation.parts import make_outputs


def test_against_a_loop():
    outputs = make_outputs(num=50)
    found = cover(outputs)
    for index, threshold in enumerate(found.threshold):
        answered = outputs.confidence >= threshold
        assert found.coverage[index] == pytest.approx(answered.mean())
        assert found.accuracy[index] == pytest.approx(outputs.right[answered].mean())
    assert found.at(1.0)[0].value == pytest.approx(outputs.right.mean())
    assert found.at(0.5)[0].value > found.at(1.0)[0].value, "surer answers are right more often"
    assert 0 < found.area < 1 - outputs.right.mean()


def test_equally_sure_answers_come_in_together():
    """Whatever their order: else the curve would depend on the names of the files."""
    found = cover(Outputs(np.zeros((4, 2)), np.array([0, 0, 0, 1])))
    assert found.coverage.tolist() == [1.0] and found.accuracy.tolist() == [0.75]
    assert found.at(0.5)[0].value == 0.75
