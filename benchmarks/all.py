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
    write = ["--write"] if parser.parse_args().write else []
    for name in NAMES:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *write], cwd=ROOT, check=True)
        print(f"{name}: {(time.perf_counter() - start) / 60:.1f} minutes\n", file=sys.stderr)


if __name__ == "__main__":
    main()
