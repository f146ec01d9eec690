"""Measure all that `evaluate` and the report tell of a model on labelled pictures."""

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
    """All measurements; `outputs` are the answers that the others were computed from."""

    outputs: Outputs
    scores: Scores
    calibration: Calibration
    coverage: Coverage
    shortcuts: Shortcuts

    def to_dict(self, class_names: list[str]) -> dict[str, Any]:
        """Return the object that `evaluate --json` prints, but for the unusable files."""
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
        coverage=cover(outputs.confidence, outputs.right),
        shortcuts=look_for_shortcuts(classifier, image_set),
    )
