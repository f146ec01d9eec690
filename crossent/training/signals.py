"""Ctrl-C, SIGTERM and SIGHUP: what a signal does depends on what there is to lose.

nothing yet         leave_on_signals()       says so and leaves
nothing new         StopRequest.raising()    raises: files are closed, workers are ended
a step, a save      StopRequest              remembered; the loop obeys between two steps
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """A signal came; like KeyboardInterrupt not an Exception, so that no one takes it for one."""

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.exit_status = 128 + signum  # 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP


class StopRequest:
    """Holds the first signal; a second one ends the process at once.

    SIGHUP comes from the kernel and from the shell: the second one is no impatience.
    """

    def __init__(self) -> None:
        self.signum: int | None = None
        self.raises = False

    def install(self) -> "StopRequest":
        handle_signals(self.handle)
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
            except OSError:  # the terminal is gone: what is printed goes nowhere
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        if self.raises:
            raise Interrupted(signum)

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raise Interrupted on a signal in the block or before it; the block can be repeated."""
        self.raises = True
        try:
            if self.signum is not None:
                raise Interrupted(self.signum)
            yield
        finally:
            self.raises = False


def leave_on_signals() -> None:
    """Let a signal end the process with one line; imports written in C swallow an exception."""
    handle_signals(leave)


def leave(signum: int, frame: FrameType | None) -> None:
    with suppress(OSError):  # the terminal may be gone
        os.write(2, f"{signal.Signals(signum).name}: stopped before anything had begun\n".encode())
    os._exit(128 + signum)


def handle_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    """Install the handler; under nohup, which ignores SIGHUP, a training goes on."""
    for signum in SIGNALS:
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
            signal.signal(signum, handler)
