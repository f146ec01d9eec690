"""Ctrl-C and SIGTERM: remembered by the handler, obeyed by the loop between two steps."""

import os
import signal
from types import FrameType


class Interrupted(Exception):
    """Training was asked to stop, and has saved itself."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_status = 128 + signum  # 130 for Ctrl-C, 143 for SIGTERM


class StopRequest:
    """Holds the first signal; the second one ends the process at once."""

    def __init__(self) -> None:
        self.signum: int | None = None

    def install(self) -> "StopRequest":
        """Take over SIGINT and SIGTERM; only the main thread of a process may call this."""
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self.handle)
        return self

    def handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            os._exit(128 + signum)
        self.signum = signum
