"""What a sweep tries: values or ranges of settings, and how to go through them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from crossent.config import Settings, to_yaml
from crossent.config.scalars import format_value
from crossent.config.schema import Section

Scalar = bool | int | float | str | None


class SweepSettings(Section):
    """How to go through a space."""

    strategy: Literal["grid", "random", "tpe"] = Field(
        default="tpe", description="all combinations; at random; near what was good so far"
    )
    trials: int | None = Field(
        default=None, ge=1, le=100_000, description="how many; null: all of a grid, else 20"
    )
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="of what is tried")
    prune: bool = Field(
        default=True, description="stop a trial that is worse than three in four were at that epoch"
    )


@dataclass(frozen=True)
class Choices:
    """Some values of a setting."""

    values: tuple[Scalar, ...]


class Range(Section):
    """All numbers from `low` to `high`, or those in steps from `low` on."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = Field(default=None, gt=0)


Space = dict[str, Choices | Range]  # by dotted name


@dataclass(frozen=True)
class Sweep:
    """The settings that all trials start from, and what is tried."""

    settings: Settings
    plan: SweepSettings
    space: Space

    @property
    def num_trials(self) -> int:
        default = len(self.grid()) if self.plan.strategy == "grid" else 20
        wanted = self.plan.trials or default
        return min(wanted, default) if self.plan.strategy == "grid" else wanted

    def grid(self) -> list[dict[str, Scalar]]:
        """All combinations, the last setting turning fastest."""
        points: list[dict[str, Scalar]] = [{}]
        for name, axis in self.space.items():
            points = [{**point, name: value} for point in points for value in grid_values(axis)]
        return points

    def to_yaml(self) -> str:
        """Read again by `load_sweep`, the text gives the same sweep."""
        lines = ["sweep:"]
        lines += [f"  {key}: {format_value(v)}" for key, v in self.plan.model_dump().items()]
        lines.append("space:")
        section = ""
        for name, axis in self.space.items():
            own_section, _, key = name.rpartition(".")
            if own_section != section:
                section = own_section
                lines.append(f"  {section}:")
            lines.append(f"  {'  ' if section else ''}{key}: {format_value(as_value(axis))}")
        return to_yaml(self.settings) + "\n".join(lines) + "\n"


def grid_values(axis: Choices | Range) -> Sequence[Scalar]:
    if isinstance(axis, Choices):
        return axis.values
    assert axis.step is not None
    count = math.floor((axis.high - axis.low) / axis.step + 1e-9) + 1
    return [axis.low + n * axis.step for n in range(count)]


def as_value(axis: Choices | Range) -> object:
    """As it stands in YAML."""
    if isinstance(axis, Choices):
        return list(axis.values)
    return axis.model_dump(exclude_defaults=True)
