"""Ctrl-C, SIGTERM and SIGHUP: what a signal does depends on what the program is doing.

imports             the system's default     the process ends
reading, drawing    StopRequest.raising()    an exception closes files and ends workers
training            StopRequest              the run saves and stops after the current step
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The arrival of a signal. It is not an Exception, so `except Exception` does not catch it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_status = 128 + signum  # 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP


class StopRequest:
    """A request to stop, by the first signal; a second one ends the process at once.

    A closed terminal sends SIGHUP twice, from the kernel and from the shell: that counts as one.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.raises = False

    def install(self) -> "StopRequest":
        for signum in SIGNALS:  # nohup makes a process ignore SIGHUP
            if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
                signal.signal(signum, self.handle)
        return self

    def handle(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None:
            if signum == signal.SIGHUP:
                return
            os._exit(128 + signum)
        self.signum = signum
        for stream in (1, 2):
            try:
                os.write(stream, b"")
            except OSError:  # the terminal is gone: discard what is printed
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        if self.raises:
            raise Interrupted(signum)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raise Interrupted on a signal in the `with` block or before it."""
        self.raises = True
        try:
            if self.signum is not None:
                raise Interrupted(self.signum)
            yield
        finally:
            self.raises = False
