"""Comparisons as text and as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from crossent.evaluation.compare import Comparison
from crossent.evaluation.scores import Scores
from crossent.evaluation.table import align


def as_text(scores: Mapping[str, Scores], comparisons: Sequence[Comparison]) -> str:
    """A row a run, a row a comparison, and what follows from it."""
    rows = [["run", "accuracy", "E"]]
    rows += [[name, s.accuracy.text(".1%"), s.E.text(".4f")] for name, s in scores.items()]
    differences = [["difference", "accuracy, points", "E", "gained", "lost", "p"]]
    differences += [difference_row(c) for c in comparisons]
    sentences = "\n".join(f"{c.sentence}." for c in comparisons)
    num_images = comparisons[0].num_images
    return "\n\n".join(
        [
            f"{num_images:,} pictures, the same for all; in brackets 95 % intervals",
            align(rows),
            align(differences),
            sentences,
        ]
    )


def difference_row(c: Comparison) -> list[str]:
    """The second less the first; p is McNemar's."""
    value, low, high = (100 * x for x in c.accuracy)
    points = f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
    name = f"{c.second} less {c.first}"
    return [
        name,
        points,
        c.E.text("+.4f"),
        str(len(c.gained)),
        str(len(c.lost)),
        f"{c.p_value:.3f}",
    ]


def as_dict(
    scores: Mapping[str, Scores], comparisons: Sequence[Comparison], names: Sequence[str]
) -> dict[str, Any]:
    """For JSON.

    Args:
        names: (N,) of the pictures.
    """
    runs = [
        {"run": name, "accuracy": s.accuracy.to_dict(), "E": s.E.to_dict()}
        for name, s in scores.items()
    ]
    return {"runs": runs, "comparisons": [c.to_dict(names) for c in comparisons]}
