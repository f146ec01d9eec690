"""The same small CNN on the same folder of JPEGs: crossent compared with other libraries.

    python -m benchmarks.throughput FOLDER [--rounds 3] [--epochs 20]
    python -m benchmarks.throughput FOLDER --against OTHER_CHECKOUT before and after a change

Every contender is a separate process; they run in turn, `--rounds` times. Those that are not
installed are left out and listed: install requirements-bench.txt in a separate environment, and run
this benchmark there. crossent is train.py as a user calls it, measured from its metrics.jsonl.
"""

import tempfile
from pathlib import Path

from benchmarks import contest, timing
from benchmarks.contenders.common import BATCH_SIZE, IMAGE_SIZE
from benchmarks.contest import CONTENDERS, INSTALLED, PLAIN
from benchmarks.timing import ROOT, Watched, ratio, spread

FEW_EPOCHS = 4
COLD, WARM = "crossent, cold cache", "crossent, warm cache"
OTHER = "other checkout: "


def main() -> None:
    parser = timing.make_parser(__doc__, rounds=3)
    parser.add_argument("folder", type=Path, help="FOLDER/CLASS/*.jpg")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="compare crossent only")
    args = parser.parse_args()
    names = [COLD, WARM, *([OTHER + COLD, OTHER + WARM] if args.against else INSTALLED)]
    with tempfile.TemporaryDirectory() as folder:
        pictures = contest.split(args.folder, Path(folder, "pictures"))
        num_pictures = len(list(pictures.glob("*/*/*")))
        for name in names:
            if name.endswith(WARM):
                run(name, pictures, args.against, epochs=1)  # fills the cache
        results = timing.in_turn(
            names, args.rounds, lambda name, _: run(name, pictures, args.against, args.epochs)
        )
    print(
        f"{report(results, args.epochs)}\n\n{num_pictures} JPEGs, a fifth of them for validation; "
        f"{IMAGE_SIZE} pixels, batches of {BATCH_SIZE}. {timing.NOTE} images/s counts the training "
        "steps of the epochs after the first, with the loading of their pictures. Seconds count "
        "from the start of the process: imports, decoding, validation and checkpoints included. "
        "Ratios are computed within each round.\n"
    )
    packages = [] if args.against else [package for package, *_ in CONTENDERS.values()]
    print(timing.origin("benchmarks.throughput", *packages))


def run(name: str, pictures: Path, against: Path | None, epochs: int) -> Watched:
    """Watch a contender or crossent from its start to its end."""
    if name in CONTENDERS:
        return contest.run(name, pictures, epochs)
    checkout = against.resolve() if against and name.startswith(OTHER) else ROOT
    with tempfile.TemporaryDirectory() as out:
        checkout_cache = "cache-other" if name.startswith(OTHER) else "cache"
        cache = pictures.parent / checkout_cache if name.endswith(WARM) else out
        return contest.run_crossent(
            pictures, Path(out, "run"), "data.source=folder", f"data.cache_dir={cache}",
            f"data.image_size={IMAGE_SIZE}", f"train.batch_size={BATCH_SIZE}",
            "data.crop=0.5", "data.aspect=1.33",  # as the others crop
            f"train.epochs={epochs}", checkout=checkout,
        )  # fmt: skip


def report(results: dict[str, list[Watched]], epochs: int) -> str:
    """Return a table with one row per contender, or with the ratios of two checkouts."""
    against = any(name.startswith(OTHER) for name in results)
    lengths = sorted({1, min(FEW_EPOCHS, epochs), epochs})
    rows = []
    for name, runs in results.items():
        base = results[OTHER + name.removeprefix(OTHER) if against else PLAIN]
        speeds, base_speeds = ([r.images_per_s for r in group] for group in (runs, base))
        row = [name, spread(speeds), ratio(speeds, base_speeds)]
        for length in lengths:
            ends, base_ends = ([r.epochs[length - 1][0] for r in group] for group in (runs, base))
            row.append(spread(ends, 1) + (f", x {ratio(ends, base_ends)}" if against else ""))
        rows.append([*row, spread([r.peak_mb for r in runs])])
    head = ["", "images/s", f"x {'the other' if against else 'plain'}"]
    head += [f"to the end of epoch {length}, s" for length in lengths]
    return timing.table([*head, "peak memory, MB"], rows)


if __name__ == "__main__":
    main()
