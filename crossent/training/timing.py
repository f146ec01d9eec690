"""Where the time of a run went: decoding, waiting for pixels, the step, ..., in seconds."""

import time
from collections.abc import Callable, Mapping

ADVICE = {  # by what takes longest
    "decode": "the next run on this folder finds its pictures decoded, if data.cache is on",
    "wait": "more memory, for the system to keep pixels in, or a faster disk below data.cache_dir",
    "augment": "a smaller data.image_size, or a GPU, which augments too",
    "forward+backward": "a smaller data.image_size or model.width, more cores or a GPU",
    "validation": "a smaller data.val_fraction",
    "checkpoint": "a larger train.checkpoint_every, or a faster disk below the run",
}
START, REST = "start", "rest"  # all up to the first step; logging, counting, the bar


class Laps:
    """Seconds by what they went into: a lap lasts from the end of the one before it to now.

    Only the clock is read. A GPU is not waited for: what it has been told to do counts where the
    program needs the result, which is in the step.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock, self.last = clock, clock()
        self.seconds = dict.fromkeys([START, *ADVICE, REST], 0.0)

    def __call__(self, name: str) -> None:
        """The lap that ends now went into this."""
        now = self.clock()
        self.seconds[name] += now - self.last
        self.last = now

    def add(self, seconds: Mapping[str, float]) -> None:
        """What earlier processes of the same run have spent."""
        for name, more in seconds.items():
            self.seconds[name] += more


def where_it_went(seconds: Mapping[str, float]) -> str:
    """One line: the share of each, and what would help most."""
    total = sum(seconds.values())
    shares = ", ".join(f"{name} {s / total:.1%}" for name, s in seconds.items())
    longest = max(ADVICE, key=lambda name: seconds[name])
    gain = total / max(total - seconds[longest], 1e-9)
    return (
        f"{total:.1f} s: {shares}. Most would help: {ADVICE[longest]} "
        f"(without {longest}, {gain:.3g} times as fast)"
    )
