"""Whether two runs ended in the same bytes: tensors to the bit, lines of the log but for times."""

from typing import Any

import torch

from crossent.tensor_file import read_tensors
from crossent.training.run_folder import RunFolder

TIMES = ("images_per_s", "elapsed_s", "time_s")


def first_difference(first: RunFolder, second: RunFolder) -> str | None:
    """Which tensor or line differs, in words; None if the runs are the same."""
    for name in ("last", "model"):
        expected, _ = read_tensors(getattr(first, name))
        found, _ = read_tensors(getattr(second, name))
        if expected.keys() != found.keys():
            return f"{name}.safetensors: other tensors: {sorted(expected.keys() ^ found.keys())}"
        for key, tensor in expected.items():
            if not torch.equal(tensor, found[key]):
                return f"{name}.safetensors: {key} differs"
    return first_different_line(without_times(first), without_times(second))


def first_different_line(expected: list[dict[str, Any]], found: list[dict[str, Any]]) -> str | None:
    if len(expected) != len(found):
        return f"metrics.jsonl: {len(found)} lines instead of {len(expected)}"
    for number, (line, other) in enumerate(zip(expected, found, strict=True), start=1):
        if line != other:
            return f"metrics.jsonl: line {number} differs"
    return None


def without_times(folder: RunFolder) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl without what a clock has said."""
    return [{k: v for k, v in line.items() if k not in TIMES} for line in folder.records()]
