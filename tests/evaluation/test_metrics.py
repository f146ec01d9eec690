import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from crossent.evaluation.metrics import Metrics, confusion_matrix


@pytest.mark.parametrize("num_classes", [2, 3, 7])
@pytest.mark.parametrize("seed", range(3))
def test_against_scikit_learn(num_classes, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, 200)
    predicted = np.where(rng.random(200) < 0.6, labels, rng.integers(0, num_classes, 200))
    metrics = Metrics(0.5, confusion_matrix(labels, predicted, num_classes))
    expected = sklearn_metrics.confusion_matrix(labels, predicted, labels=range(num_classes))
    assert np.array_equal(metrics.confusion, expected)
    assert metrics.support.tolist() == expected.sum(axis=1).tolist()
    assert metrics.num_images == 200


def test_the_most_confused_pairs_come_first():
    metrics = Metrics(0.5, np.array([[9, 2, 0], [5, 1, 0], [0, 3, 7]]))
    assert metrics.most_confused() == [(1, 0, 5), (2, 1, 3), (0, 1, 2)]
