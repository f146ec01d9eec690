"""Run the contenders of throughput.py and accuracy.py, and crossent, on the same pictures."""

import tempfile
from importlib.util import find_spec
from pathlib import Path

from benchmarks.contenders.common import IMAGE_SIZE
from benchmarks.timing import ROOT, Watched, watch
from data.cache import Decoding
from data.load import Split, load_folder

NUM_FOLDS = 5
PLAIN = "plain PyTorch loop"
# By name: the package that a contender needs, its module and its options.
CONTENDERS = {
    PLAIN: ("torch", "plain"),
    "plain loop, tuned": ("torch", "plain", "--tuned"),
    "timm": ("timm", "with_timm"),
    "lightning": ("lightning", "with_lightning"),
    "fastai": ("fastai", "with_fastai"),
    "ultralytics": ("ultralytics", "with_ultralytics"),
    "ultralytics, cache=ram": ("ultralytics", "with_ultralytics", "--tuned"),
}
INSTALLED = [name for name, (package, *_) in CONTENDERS.items() if find_spec(package)]


def split(folder: Path, into: Path, fold: int = 1) -> Path:
    """Link the files of one fold into val, the others into train; near-duplicates stay together."""
    options = Split(1 / NUM_FOLDS, seed=0, num_folds=NUM_FOLDS, fold=fold)
    with tempfile.TemporaryDirectory() as cache:
        data = load_folder(folder, IMAGE_SIZE, options, Decoding(cache))
    for side, image_set in (("train", data.train), ("val", data.val)):
        for name in image_set.names:
            link = into / side / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((folder / name).resolve())
    return into


def run(name: str, pictures: Path, epochs: int) -> Watched:
    """Watch a contender from its start to its end."""
    _, module, *options = CONTENDERS[name]
    with tempfile.TemporaryDirectory() as folder:
        metrics = Path(folder, "metrics.jsonl")
        words = ["-m", f"benchmarks.contenders.{module}", pictures, metrics, f"--epochs={epochs}"]
        return watch([*words, *options], ROOT, metrics)


def run_crossent(pictures: Path, out: Path, *words: str, checkout: Path = ROOT) -> Watched:
    """Watch train.py from its start to its end."""
    command = ["train.py", f"data.root={pictures}", f"--out={out}", *words]
    return watch(command, checkout, out / "metrics.jsonl")
