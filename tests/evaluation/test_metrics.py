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
    assert metrics.accuracy == pytest.approx(sklearn_metrics.accuracy_score(labels, predicted))
    precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(num_classes), zero_division=np.nan
    )
    np.testing.assert_allclose(metrics.precision, precision)
    np.testing.assert_allclose(metrics.recall, recall)
    np.testing.assert_allclose(metrics.f1, f1)
    assert metrics.support.tolist() == support.tolist()


def test_what_does_not_exist_is_null_in_json():
    """No fox on the pictures, no fox in the answers: nothing can be said of foxes."""
    metrics = Metrics(0.5, confusion_matrix(np.array([0, 2, 2]), np.array([0, 2, 0]), 3))
    found = metrics.to_dict(["dog", "fox", "wolf"])
    assert found["per_class"]["fox"] == {
        "precision": None, "recall": None, "f1": None, "support": 0,
    }  # fmt: skip
    assert found["per_class"]["wolf"]["recall"] == 0.5
    assert found["confusion_matrix"] == [[1, 0, 0], [0, 0, 0], [1, 0, 1]]
    assert found["num_images"] == 3
