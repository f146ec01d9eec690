"""All that is measured of a trained model on labelled pictures: for evaluate and the report."""

from dataclasses import dataclass
from typing import Any

from crossent.evaluation.calibration import Calibration, calibrate
from crossent.evaluation.coverage import SHARES, Coverage, cover
from crossent.evaluation.evaluate import outputs_of
from crossent.evaluation.outputs import Outputs
from crossent.evaluation.scores import Scores, score
from crossent.evaluation.shortcuts import Shortcuts, look_for_shortcuts
from crossent.model_file import Classifier
from data.images import ImageSet


@dataclass(frozen=True)
class Findings:
    """`outputs` are the answers that the other parts were computed from."""

    outputs: Outputs
    scores: Scores
    calibration: Calibration
    coverage: Coverage
    shortcuts: Shortcuts

    def to_dict(self, class_names: list[str]) -> dict[str, Any]:
        """The object that `evaluate --json` prints, but for the files that cannot be used."""
        accuracies = {share: self.coverage.at(share) for share in SHARES}
        return {
            **self.scores.to_dict(class_names),
            "calibration": self.calibration.to_dict(),
            "coverage": [
                {"share": share, "accuracy": accuracy.to_dict(), "confidence": confidence}
                for share, (accuracy, confidence) in accuracies.items()
            ],
            "shortcuts": self.shortcuts.to_dict(),
        }


def examine(classifier: Classifier, image_set: ImageSet) -> Findings:
    """Measure everything."""
    outputs = outputs_of(classifier, image_set)
    return Findings(
        outputs=outputs,
        scores=score(outputs),
        calibration=calibrate(outputs),
        coverage=cover(outputs),
        shortcuts=look_for_shortcuts(classifier, image_set),
    )
