"""Everything that docs/benchmarks.md shows, one after the other: python -m benchmarks.all [--write]

A quarter of an hour on two cores that do nothing else, with all contenders installed.
"""

import argparse
import subprocess
import sys
import time

from benchmarks.page import ROOT

NAMES = ("throughput", "ceiling", "command", "size")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="to docs/benchmarks.md")
    parser.add_argument("--epochs", type=int, default=20, help="of benchmarks.throughput")
    args = parser.parse_args()
    for name in NAMES:
        start = time.perf_counter()
        words = [f"--epochs={args.epochs}"] if name == "throughput" else []
        words += ["--write"] if args.write else []
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *words], cwd=ROOT, check=True)
        print(f"{name}: {(time.perf_counter() - start) / 60:.1f} minutes\n", file=sys.stderr)


if __name__ == "__main__":
    main()
