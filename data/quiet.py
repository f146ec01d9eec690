"""Pillow's warnings, kept off the user's terminal."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_num_inside = 0
_filters = warnings.catch_warnings()


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keeps Pillow's warnings (rubbish EXIF and the like) off the user's terminal.

    The filters of `warnings` belong to the process, not to the thread. So the first thread that
    decodes sets them and the last one puts them back, and only Pillow's modules are silenced.
    """
    global _num_inside, _filters
    with _lock:
        if _num_inside == 0:
            _filters = warnings.catch_warnings()
            _filters.__enter__()
            warnings.filterwarnings("ignore", module=r"PIL\.")
        _num_inside += 1
    try:
        yield
    finally:
        with _lock:
            _num_inside -= 1
            if _num_inside == 0:
                _filters.__exit__(None, None, None)
