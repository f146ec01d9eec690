"""sweep.html: a sweep on one page."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crossent.files import write_text
from crossent.report.chart import Axis, Chart, Line, whole_ticks
from crossent.report.markup import Markup, details, element, note, table, warn
from crossent.report.page import Section, facts, whole_page

if TYPE_CHECKING:  # optuna is for sweeps only
    from crossent.experiments.results import Results, Row

MAX_LABEL = 12  # characters of a value under an axis


def write_page(path: Path, results: "Results") -> None:
    """Write the page; at any time, also while trials are under way."""
    name = results.folder.resolve().name
    write_text(path, whole_page(f"{name}: crossent", head(results, name), sections(results)))


def head(results: "Results", name: str) -> Iterator[Markup]:
    """What was done, and the best."""
    from crossent.experiments.results import CAUTION, counts, rivalry

    yield element("p", "crossent", class_="kicker")
    yield element("h1", name)
    yield note(f"{how(results)} {counts(results)}.", class_="status")
    if results.best is None:
        return
    E, accuracy = results.best.E, results.best.accuracy
    yield facts(
        [
            ("best trial", str(int(results.ranked[0].name.removeprefix("trial-"))), ""),
            ("E, nats", f"{E.value:.4f}", E.range(".4f")),
            ("accuracy", f"{accuracy.value:.1%}", accuracy.range(".1%")),
            ("pictures to judge by", f"{results.best.metrics.num_images:,}", ""),
        ]
    )
    yield note(f"{CAUTION}. In small: 95 % intervals.")
    yield note(f"As for the next ones: {rivalry(results)}.")


def how(results: "Results") -> str:
    settings, plan = results.sweep.settings, results.sweep.plan
    judged = "the smallest E on validation"
    if settings.data.folds and settings.data.fold is None:
        judged = f"E over all {settings.data.folds} folds, each after its last epoch"
    pruned = ", hopeless ones stopped early" if plan.prune else ""
    return f"{settings.model.name} on {settings.data.source}, {plan.strategy}{pruned}, by {judged}."


def sections(results: "Results") -> Iterator[Section]:
    if results.ranked:
        yield Section("best", "The best", best(results))
    yield Section("settings", "Which settings mattered", settings(results))
    yield Section("trials", "All trials", trials(results))


def best(results: "Results") -> Iterator[Markup]:
    """Its settings, how to train it, and how far the next ones are."""
    from crossent.experiments.results import edges

    row = results.ranked[0]
    yield table(["setting", "value"], [[n, shown(v)] for n, v in row.params.items()])
    for edge in edges(results):
        yield warn(f"{edge}.")
    yield note("Train it again:")
    yield element("pre", element("code", results.command))
    if results.rivals:
        rows = [[name, difference.text("+.4f")] for name, difference in results.rivals.items()]
        yield table(
            ["next", "E above the best, nats (95 % interval, picture by picture)"], rows, "runs"
        )


def settings(results: "Results") -> Iterator[Markup]:
    if results.importance:
        rows = [[name, share_bar(share)] for name, share in results.importance.items()]
        yield table(["setting", "share of what decided"], rows)
        yield note(
            "How far the better trials differ from all in this one setting (PED-ANOVA); with few "
            "trials a hint, no more."
        )
    else:
        yield note("Too few trials are done to say which settings mattered.")
    if results.ranked:
        charts = [history(results), *(chart_of(results, name) for name in results.sweep.space)]
        yield element("div", *(chart.markup() for chart in charts), class_="charts")
        yield note("A dot on the upper edge lies above it.")


def share_bar(share: float) -> Markup:
    bar = element("rect", width=round(100 * share, 1), height=10, class_="share")
    drawing = element("svg", bar, viewBox="0 0 100 10", class_="bar", aria_hidden="true")
    return element("span", f"{share:.0%}", drawing)


def trials(results: "Results") -> Iterator[Markup]:
    head = ["trial", "E", "accuracy", "steps", *results.sweep.space]
    rows = [
        [
            row.name,
            row.result,
            f"{row.point.accuracy:.1%}" if row.point else "",
            row.steps,
            *(shown(row.params.get(name)) for name in results.sweep.space),
        ]
        for row in results.rows
    ]
    yield details(
        f"{len(rows)} trials in numbers", table(head, rows, class_="runs"), open_=len(rows) <= 30
    )
    yield note("The same for a spreadsheet: trials.csv. Each trial is a run folder of its own.")


def history(results: "Results") -> Chart:
    """E of each trial, and the best so far."""
    dots = [(number, row) for number, row in enumerate(results.rows, start=1) if row.point]
    done = [(number, E_of(row)) for number, row in dots if row.state == "done"]
    steps = [(x, min(E for n, E in done if n <= x)) for x, _ in done]
    last = len(results.rows)
    return Chart(
        title="From trial to trial",
        x=Axis("trial", 0, last + 1, ticks=[t for t in whole_ticks(0, last) if 1 <= t <= last]),
        y=E_axis(results),
        lines=[Line("best so far", "second", steps), *dotted(dots)],
        sentences=[(x, sentence(row)) for x, row in dots],
    )


def chart_of(results: "Results", name: str) -> Chart:
    """E against one setting."""
    rows = [row for row in results.rows if row.point and name in row.params]
    axis, place = value_axis(results, name)
    dots = sorted(((place(row.params[name]), row) for row in rows), key=lambda dot: dot[0])
    return Chart(
        title=name,
        x=axis,
        y=E_axis(results),
        lines=dotted(dots),
        sentences=[(x, f"{name} = {shown(row.params[name])}: {sentence(row)}") for x, row in dots],
    )


def dotted(dots: Sequence[tuple[float, "Row"]]) -> list[Line]:
    """Those that were done, and where the others were stopped."""
    groups = {"done": "third", "stopped early": "first"}
    lines = []
    for title, class_ in groups.items():
        points = [(x, E_of(row)) for x, row in dots if (row.state == "done") == (title == "done")]
        if points:
            lines.append(Line(title, class_, points, marked=True, joined=False))
    return lines


def E_axis(results: "Results") -> Axis:
    """From just below the best; what is far above the middle is put on the upper end."""
    values = sorted(E_of(row) for row in results.rows if row.point)
    low, middle, high = values[0], values[len(values) // 2], values[-1]
    high = min(high, low + 4 * max(middle - low, 1e-3))
    margin = 0.08 * max(high - low, 1e-3)
    return Axis("E, nats; lower is better", max(0.0, low - margin), high + margin)


def value_axis(results: "Results", name: str) -> tuple[Axis, Any]:
    """The axis of a setting, and where a value is on it: a log axis has the logarithms."""
    axis = results.sweep.space[name]
    if hasattr(axis, "values"):
        labels = [shown(value)[:MAX_LABEL] for value in axis.values]
        ticks = list(range(len(labels)))
        titled = Axis(name, -0.5, len(labels) - 0.5, lambda n: labels[int(n)], ticks)
        return titled, lambda value: list(axis.values).index(value)
    if axis.log:
        ends = math.log10(axis.low), math.log10(axis.high)
        return Axis(f"{name}, log", *widened(*ends), lambda x: f"{10**x:.3g}", log_ticks(*ends)), (
            lambda value: math.log10(value)
        )
    return Axis(name, *widened(axis.low, axis.high)), float


def widened(low: float, high: float) -> tuple[float, float]:
    """So that no dot lies on the edge."""
    margin = 0.04 * (high - low)
    return low - margin, high + margin


def log_ticks(low: float, high: float) -> list[float]:
    """Logarithms of 1, 2 and 5 times powers of ten; of the powers alone where they are many."""
    factors = (1, 2, 5) if high - low < 2 else (1, 3) if high - low < 3.5 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    found = [power + math.log10(factor) for power in powers for factor in factors]
    return [tick for tick in found if low - 1e-9 <= tick <= high + 1e-9]


def E_of(row: "Row") -> float:
    assert row.point
    return row.point.E


def sentence(row: "Row") -> str:
    assert row.point
    end = "" if row.state == "done" else f", {row.state} after {row.steps}"
    return f"{row.name}: E = {row.point.E:.4f}, accuracy {row.point.accuracy:.1%}{end}"


def shown(value: object) -> str:
    from crossent.experiments.results import shown as in_few_characters

    return in_few_characters(value)
