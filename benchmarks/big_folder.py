"""Loads a folder of very many pictures and watches the memory: python -m benchmarks.big_folder

Makes 300,000 tiny pictures, loads them cold and then warm, each time in a process of its own, and
reads all rows once in random order as an epoch does. Prints a JSON object for each: seconds, and
the peak of anonymous memory, which is what the program and its decoders really hold, without the
pages of mapped files that the system takes back when it needs them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

CLASS_NAMES = ("dog", "fox", "wolf")
BATCH_SIZE = 512


def main() -> None:
    """Makes the pictures and measures twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-images", type=int, default=300_000)
    parser.add_argument("--measure", nargs=2, metavar=("ROOT", "CACHE_DIR"), help="of folders made")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)), flush=True)
        return
    with tempfile.TemporaryDirectory(prefix="big-folder-") as folder:
        root, cache_dir = Path(folder, "pictures"), Path(folder, "cache")
        make_pictures(root, arguments.num_images)
        time.sleep(2.5)  # younger files are not remembered, and the warm start would be none
        command = [sys.executable, "-m", "benchmarks.big_folder"]
        for start in ("cold", "warm"):
            print(f"{start} start:", flush=True)
            subprocess.run([*command, "--measure", str(root), str(cache_dir)], check=True)


def make_pictures(root: Path, num_images: int) -> None:
    """Blotches of 24 x 24 pixels, no two alike."""
    random = np.random.default_rng(0)
    for name in CLASS_NAMES:
        (root / name).mkdir(parents=True)
    for number in range(num_images):
        coarse = random.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((24, 24))
        picture.save(root / CLASS_NAMES[number % len(CLASS_NAMES)] / f"{number}.jpg")


def measure(root: str, cache_dir: str) -> dict[str, float | str]:
    """Loads, reads every row once, and says what it took."""
    from data.folder import load_folder

    with PeakWatch() as watch:
        started = time.perf_counter()
        data = load_folder(root, 64, 0.1, 0, train_size=80, cache_dir=cache_dir)
        loaded = time.perf_counter()
        order = np.random.default_rng(0).permutation(len(data.train))
        for start in range(0, len(order), BATCH_SIZE):
            data.train.images[np.sort(order[start : start + BATCH_SIZE])].sum()
        read = time.perf_counter()
    return {
        "load_s": round(loaded - started, 1),
        "read_every_row_s": round(read - loaded, 1),
        "pixels_gb": round((data.train.images.nbytes + data.val.images.nbytes) / 1e9, 2),
        "peak_anonymous_gb": round(watch.peak_bytes / 1e9, 3),
        "summary": data.summary,
    }


class PeakWatch:
    """Samples the anonymous memory of this process and of its children, ten times a second."""

    def __init__(self) -> None:
        self.peak_bytes = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._look()  # or a run of less than a tenth of a second would show nothing

    def _watch(self) -> None:
        while not self._stopped.wait(0.1):
            self._look()

    def _look(self) -> None:
        processes = [os.getpid(), *_children()]
        self.peak_bytes = max(self.peak_bytes, sum(map(_anonymous_bytes, processes)))


def _children() -> list[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _anonymous_bytes(process: int) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return 0
    lines = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return 1024 * int(lines[0].split()[1]) if lines else 0


if __name__ == "__main__":
    main()
