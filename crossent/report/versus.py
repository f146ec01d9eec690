"""Compared runs on a page: the numbers, and the pictures that changed sides."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from crossent.evaluation.compare import Comparison
from crossent.evaluation.scores import Scores
from crossent.experiments.measured import Measured
from crossent.experiments.versus import difference_row
from crossent.files import write_text
from crossent.report.answers import with_bar
from crossent.report.gallery import captioned
from crossent.report.markup import Markup, element, join, note, shorten, table
from crossent.report.page import Section, whole_page
from crossent.report.thumbnail import picture_of
from data.images import ImageSet

MAX_SHOWN = 12  # pictures that a side gained or lost


def write_page(
    path: Path, scores: Mapping[str, Scores], comparisons: Sequence[Comparison], run: Measured
) -> None:
    """Write the page.

    Args:
        run: any of them, for its pictures.
    """
    head = [element("p", "crossent", class_="kicker"), element("h1", "Runs compared")]
    head += [element("p", f"{c.sentence}.") for c in comparisons]
    sections = [Section("runs", "The runs", [runs_table(scores), differences_table(comparisons)])]
    for number, comparison in enumerate(comparisons, start=1):
        name = f"{shorten(comparison.second, 40)} against {shorten(comparison.first, 40)}"
        changed = changed_sides(comparison, run.image_set, run.root)
        sections.append(Section(f"changed-{number}", name, changed))
    write_text(path, whole_page("Runs compared: crossent", head, sections))


def runs_table(scores: Mapping[str, Scores]) -> Markup:
    rows = [[shorten(name), with_bar(s.accuracy), s.E.text(".4f")] for name, s in scores.items()]
    return table(["run", "accuracy", "E, nats (95 % interval)"], rows, class_="scores")


def differences_table(comparisons: Sequence[Comparison]) -> Markup:
    head = ["difference", "accuracy, points", "E, nats", "gained", "lost", "p (McNemar)"]
    return join(
        [
            table(head, [difference_row(c) for c in comparisons]),
            note(
                "Both saw the same pictures, so they are compared picture by picture. Gained: only "
                "the second is right; lost: only the first is. In brackets: 95 % intervals."
            ),
        ]
    )


def changed_sides(
    comparison: Comparison, image_set: ImageSet, root: str | None
) -> Iterator[Markup]:
    for title, rows in (("Gained", comparison.gained), ("Lost", comparison.lost)):
        yield element("h3", f"{title}: {len(rows):,} pictures")
        figures = []
        for row in rows[:MAX_SHOWN]:
            picture = picture_of(image_set, int(row), root)
            figures.append(captioned(picture.thumbnail(picture.name), shorten(picture.name, 40)))
        yield element("div", *figures, class_="strip")
        if len(rows) > MAX_SHOWN:
            yield note(f"and {len(rows) - MAX_SHOWN:,} more; compare --json lists all")
