"""Line charts as SVG. Every point has its sentence, shown on hover, by touch and by arrow keys."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crossent.report.markup import Markup, element, join

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 14, 46  # margins for the labels
RIGHT_SCALE = 32
NUM_TICKS = 6


@dataclass(frozen=True)
class Line:
    """A series. Its class chooses colour and dashes in page.css, so that it can do without either.

    Args:
        points: (x, y), rising in x.
        intervals: (low, high) for each point, drawn as whiskers.
        joined: False leaves out the line between the marks.
    """

    name: str
    class_: str
    points: Sequence[tuple[float, float]]
    intervals: Sequence[tuple[float, float]] = ()
    marked: bool = False  # a mark on every point, as for a few bins
    joined: bool = True


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`, with ticks that people count in unless others are given."""

    title: str
    low: float
    high: float
    form: Callable[[float], str] = "{:g}".format
    ticks: Sequence[float] | None = None

    def tick_values(self) -> Sequence[float]:
        return nice_ticks(self.low, self.high) if self.ticks is None else self.ticks

    def share(self, value: float) -> float:
        """Where on the axis, 0 to 1; what lies outside is put on its end."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))


@dataclass(frozen=True)
class Chart:
    """Lines in two axes.

    Args:
        sentences: (x, text) to read out, rising in x.
        references: (y, text) of dashed lines across.
        right: a second scale for the same y, with a label for each tick.
    """

    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line]
    sentences: Sequence[tuple[float, str]]
    references: Sequence[tuple[float, str]] = ()
    right: Sequence[tuple[float, str]] = ()
    diagonal: bool = False
    label_left: bool = False  # of the references: where the lines leave room

    def markup(self) -> Markup:
        """A figure with its legend, and a line of text that tells what is under the pointer."""
        drawing = element(
            "svg",
            *self.grid(),
            *self.scales(),
            *(join(self.drawn(line)) for line in self.lines),
            element("line", class_="cursor", y1=TOP, y2=HEIGHT - BOTTOM, x1=0, x2=0),
            viewBox=f"0 0 {WIDTH} {HEIGHT}",
            role="img",
            aria_label=f"{self.title}: {self.sentences[-1][1] if self.sentences else 'no values'}",
        )
        points = [[round(self.at_x(x), 1), text] for x, text in self.sentences]
        keys = [
            element("span", line.name, class_=f"key {line.class_}{'' if line.joined else ' dot'}")
            for line in self.lines
        ]
        return element(
            "figure",
            element(
                "figcaption",
                element("h3", self.title, element("small", f" {self.y.title}")),
                element("div", *keys, class_="keys"),
            ),
            drawing,
            element("output", self.sentences[-1][1] if self.sentences else "", aria_live="polite"),
            class_="chart",
            tabindex=0,
            data_points=json.dumps(points, ensure_ascii=False, separators=(",", ":")),
        )

    @property
    def right_edge(self) -> float:
        return WIDTH - RIGHT - (RIGHT_SCALE if self.right else 0)

    def at_x(self, value: float) -> float:
        return LEFT + self.x.share(value) * (self.right_edge - LEFT)

    def at_y(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - BOTTOM - TOP)

    def grid(self) -> list[Markup]:
        """What lies under the lines: grid, diagonal, references."""
        left, right = LEFT, round(self.right_edge, 1)
        found = [across(left, right, self.at_y(y), "grid") for y in self.y.tick_values()]
        if self.diagonal:
            ends = {"x1": left, "y1": self.at_y(0), "x2": right, "y2": self.at_y(1)}
            found.append(element("line", class_="reference", **ends))
        for y, text in self.references:
            found.append(across(left, right, self.at_y(y), "reference"))
            found.append(self.reference_label(y, text))
        return found

    def reference_label(self, y: float, text: str) -> Markup:
        """On the right above its line, or on the left below it."""
        if self.label_left:
            return label(LEFT + 6, self.at_y(y) + 17, text, "start")
        return label(self.right_edge - 4, self.at_y(y) - 6, text, "end")

    def scales(self) -> list[Markup]:
        """The numbers and titles of the axes."""
        bottom = HEIGHT - BOTTOM
        found = [
            label(LEFT - 8, self.at_y(y) + 5, self.y.form(y), "end") for y in self.y.tick_values()
        ]
        found += [
            label(self.at_x(x), bottom + 18, self.x.form(x), "middle") for x in self.x.tick_values()
        ]
        found += [
            label(self.right_edge + 6, self.at_y(y) + 5, text, "start") for y, text in self.right
        ]
        found.append(label((LEFT + self.right_edge) / 2, HEIGHT - 6, self.x.title, "middle"))
        return found

    def drawn(self, line: Line) -> list[Markup]:
        """One line with its whiskers and marks."""
        places = [(round(self.at_x(x), 1), round(self.at_y(y), 1)) for x, y in line.points]
        path = " ".join(f"{x:g},{y:g}" for x, y in places)
        found = [element("polyline", points=path, class_=line.class_)] if line.joined else []
        for (x, _), (low, high) in zip(line.points, line.intervals, strict=False):
            ends = {
                "x1": self.at_x(x),
                "x2": self.at_x(x),
                "y1": self.at_y(low),
                "y2": self.at_y(high),
            }
            found.append(element("line", class_=f"whisker {line.class_}", **rounded(ends)))
        if line.marked or len(places) == 1:
            found += [element("circle", cx=x, cy=y, r=4, class_=line.class_) for x, y in places]
        return found


def across(left: float, right: float, y: float, class_: str) -> Markup:
    return element("line", class_=class_, **rounded({"x1": left, "x2": right, "y1": y, "y2": y}))


def label(x: float, y: float, text: str, anchor: str) -> Markup:
    return element("text", text, x=round(x, 1), y=round(y, 1), text_anchor=anchor)


def rounded(numbers: dict[str, float]) -> dict[str, float]:
    return {name: round(number, 1) for name, number in numbers.items()}


def nice_ticks(low: float, high: float) -> list[float]:
    """About six round numbers within the range, in steps of 1, 2, 2.5 or 5 times a power of ten.

    Example:
        >>> nice_ticks(0, 1.2)
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2]
    """
    rough = (high - low) / NUM_TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


def whole_ticks(low: float, high: float) -> list[float]:
    """The same for things that are counted, such as epochs."""
    return [tick for tick in nice_ticks(low, max(high, low + 1)) if tick == int(tick)]


def thin(rows: Sequence[dict], most: int = 300) -> list[dict]:
    """At most so many rows, evenly spaced, the last among them."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]
