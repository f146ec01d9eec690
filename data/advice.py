"""Advice about a data set: one sentence each, with what to do."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence

MAX_RATIO = 2.0  # of class sizes; above it, a model favours the larger class
MAX_RATIO_PRETRAINED = 10.0  # at 3.0, balanced sampling did not help (docs/LOG.md, 2026-11-28)
MIN_TRAIN_PICTURES = 20  # per class
MIN_VAL_PICTURES = 5  # per class; with fewer, its recall is mostly chance
MANY_PICTURES = 1000  # per class; with fewer, pretrained weights are far better
MAX_LISTED = 10  # lines
MIN_SERIES = 3  # pictures whose names differ only in a number


def plural(number: int, noun: str, ending: str = "s") -> str:
    """Return "1 file", "2 files", "3,000 files"."""
    return f"{number:,} {noun}" + ("" if number == 1 else ending)


def some(names: Sequence[str]) -> str:
    """Return "a", "a, b and c", "a, b, c and 3 more"."""
    shown, rest = list(names[:3]), [f"{len(names) - 3:,} more"] if len(names) > 3 else []
    *first, last = shown + rest
    return f"{', '.join(first)} and {last}" if first else last


def listing(title: str, lines: Sequence[str], where_all: str) -> str:
    """Return a title with the first lines below it, and how many more there are."""
    rest = len(lines) - MAX_LISTED
    more = [f"... and {rest:,} more ({where_all})"] if rest > 0 else []
    return "\n".join([f"{title}:", *(f"  {line}" for line in [*lines[:MAX_LISTED], *more])])


def about_classes(train: Mapping[str, int], val: Mapping[str, int]) -> list[str]:
    """Return a warning about classes with few pictures for training, and one for validation."""
    sentences = []
    for counts, fewest, use in (
        (train, MIN_TRAIN_PICTURES, "for training"),
        (val, MIN_VAL_PICTURES, "for validation"),
    ):
        small = [f"{name} ({n})" for name, n in counts.items() if n < fewest]
        if small and any(train.values()):  # an evaluation has no training pictures
            classes = plural(len(small), "class", "es")
            sentences.append(f"{classes} with fewer than {fewest} pictures {use}: {some(small)}")
    return sentences


def about_training(train: Mapping[str, int], num_corrections: int, from_scratch: bool) -> list[str]:
    """Return warnings if the settings do not suit the sizes of the classes.

    Args:
        num_corrections: the number of settings that correct unequal class sizes.
        from_scratch: whether the model starts without pretrained weights on pictures of a folder.
    """
    if len(train) < 2:
        return []
    sentences = []
    limit = MAX_RATIO if from_scratch else MAX_RATIO_PRETRAINED
    most, least = max(train, key=train.__getitem__), min(train, key=train.__getitem__)
    if num_corrections > 1:
        sentences.append(
            "data.sampling=balanced and loss.class_weights both correct unequal class sizes:"
            " set only one of them"
        )
    elif not num_corrections and train[most] > limit * train[least] > 0:
        sentences.append(
            f"{most} has {train[most] / train[least]:.1f} times as many pictures as {least}:"
            " consider data.sampling=balanced"
        )
    if from_scratch and sum(train.values()) < MANY_PICTURES * len(train):
        sentences.append(
            f"fewer than {MANY_PICTURES:,} pictures per class on average: consider"
            " ImageNet weights: -c configs/pretrained.yaml (400 photographs: accuracy 96%, not 75%)"
        )
    return sentences


def hint_at_groups(files: Sequence[tuple[int, str]]) -> list[str]:
    """Return a suggestion of `data.group` if folders or numbered names look like videos.

    Args:
        files: label and path of each file without a group.

    Example:
        >>> paths = [f"dog/{clip}_{n}.jpg" for clip in ("park", "sofa", "yard") for n in range(3)]
        >>> hint_at_groups([(0, path) for path in paths])[0][:39]
        'park_, sofa_ and yard_ look like series'
    """
    rules = {"folder": r"/[^/]*$", r"'^(.*?)[0-9]+[^0-9/]*$'": r"[0-9]+[^0-9/]*$|[^/0-9]*$"}
    for rule, end in rules.items():  # a series has the same name without this end
        series = Counter((label, re.sub(end, "", path)) for label, path in files)
        large = {key for key, num in series.items() if num >= MIN_SERIES and key[1][-1:] != "/"}
        names = sorted({name for _, name in large})
        num_in = sum(series[key] for key in large)
        if len(names) > 1 + len({label for label, _ in files}) and num_in > 0.8 * len(files):
            shown = some([os.path.basename(name) for name in names])
            return [
                f"{shown} look like series. If each shows one video, animal or patient, keep it in"
                f" one split: data.group={rule}"
            ]
    return []
