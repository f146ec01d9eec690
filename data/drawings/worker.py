"""python -m data.drawings.worker SEED START STOP STEP SIZE: raw RGB bytes of drawings to stdout."""

import signal
import sys

from data.drawings.scene import draw


def main() -> None:
    if sys.platform != "win32":  # whoever read our drawings has gone: no reason for a traceback
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    seed, start, stop, step, size = map(int, sys.argv[1:])
    for index in range(start, stop, step):
        sys.stdout.buffer.write(draw(seed, index, size).tobytes())
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
