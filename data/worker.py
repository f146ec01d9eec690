"""The process that decodes: one job a line on stdin, one answer each on stdout.

A decoder is C code reading hostile bytes. Should it crash, eat memory or never end, it does so
here, and `data.workers` names the file and starts another process.
"""

import json
import os
import resource
import struct
import sys
from contextlib import suppress
from typing import Any

from data.decode import UnusableImage, inspect

# Only decoding may use this much; `decode` refuses by its own estimate long before.
MEMORY_LIMIT_BYTES = 2**30
READY = b"ready\n"


def main() -> None:
    """Answers jobs until stdin ends, which it also does when the parent is killed."""
    _silence_libraries()
    if sys.platform == "linux":  # elsewhere the kernel does not count the heap under this name
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    for line in sys.stdin.buffer:
        header, pixels = answer(**json.loads(line))
        text = json.dumps(header).encode()
        sys.stdout.buffer.write(struct.pack(">II", len(text), len(pixels)) + text + pixels)
        sys.stdout.buffer.flush()


def _silence_libraries() -> None:
    """libtiff writes to file descriptor 2 what is wrong with a file. We say it in our own words."""
    ours = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    sys.stderr = os.fdopen(ours, "w")  # a traceback of ours is still to be seen


def answer(path: str, sizes: list[int]) -> tuple[dict[str, Any], bytes]:
    """What `inspect` says of a path, as JSON and raw pixels."""
    try:
        inspection = inspect(path, sizes)
    except UnusableImage as error:
        return {"reason": str(error), "sha256": error.sha256}, b""
    facts = inspection.facts
    header = {name: getattr(facts, name) for name in facts.__slots__}
    return header, b"".join(pixels.tobytes() for pixels in inspection.pixels)


if __name__ == "__main__":
    with suppress(BrokenPipeError):  # nobody is left to answer
        main()
    os._exit(0)  # the end of Python would try to flush into the broken pipe, and complain
