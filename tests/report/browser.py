"""A headless Chromium, controlled by its DevTools protocol over two pipes."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--disable-extensions", "--remote-debugging-pipe",
)  # fmt: skip
TIMEOUT_S = 90


def find_browser() -> str | None:
    """Return the path of a Chromium, if there is one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def skip_but_not_in_ci(message: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


class Browser:
    """A browser with one page. `events` has all its messages since the last `open`."""

    def __init__(self, profile: Path) -> None:
        self.events: list[dict[str, Any]] = []
        self.buffer, self.last_id = b"", 0
        self.target: dict[str, str] = {}
        pipes = [*os.pipe(), *os.pipe()]
        # Above 9, because the browser uses the file descriptors 3 and 4.
        theirs, self.out, self.input, out = (
            fcntl.fcntl(p, fcntl.F_DUPFD_CLOEXEC, 10) for p in pipes
        )
        start = f'exec "$0" "$@" 3<&{theirs} 4>&{out} >/dev/null 2>&1'
        self.process = subprocess.Popen(
            ["bash", "-c", start, str(find_browser()), *FLAGS, f"--user-data-dir={profile}"],
            pass_fds=(theirs, out),
        )
        for descriptor in (*pipes, theirs, out):
            os.close(descriptor)
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self.target = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self.target = {}
        self.call("Browser.close")
        self.process.wait(timeout=TIMEOUT_S)
        os.close(self.out)
        os.close(self.input)

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command and return its result."""
        self.last_id += 1
        message = {"id": self.last_id, "method": method, "params": params, **self.target}
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while (answer := self.read()).get("id") != self.last_id:
            self.events.append(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def read(self) -> dict[str, Any]:
        """Return the next message."""
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.input], [], [], TIMEOUT_S)
            assert ready, f"no message of the browser for {TIMEOUT_S} s"
            part = os.read(self.input, 2**16)
            assert part, "the browser has ended"
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return dict(json.loads(message))

    def open(self, page: Path | str, width: int = 1280, dark: bool = False) -> None:
        """Load a file or an address and wait until it is complete."""
        self.resize(width)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        while not self.events_of("Page.loadEventFired"):
            self.events.append(self.read())

    def resize(self, width: int) -> None:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)

    def events_of(self, method: str) -> list[dict[str, Any]]:
        """Return the events of one kind since `open`."""
        return [event["params"] for event in self.events if event.get("method") == method]

    def requests(self) -> list[str]:
        """Return the addresses that the page has loaded, without data inside the page."""
        urls = [event["request"]["url"] for event in self.events_of("Network.requestWillBeSent")]
        return [url for url in urls if not url.startswith(("data:", "blob:"))]

    def evaluate(self, expression: str) -> Any:
        """Return the value of some JavaScript in the page."""
        options = {"returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait_until(self, expression: str) -> None:
        """Evaluate the expression until it is true."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"not within {TIMEOUT_S} s: {expression}"
            time.sleep(0.05)

    def choose_file(self, path: Path, selector: str) -> None:
        """Put a file into an <input type=file>."""
        expression = f"document.querySelector({json.dumps(selector)})"
        element = self.call("Runtime.evaluate", expression=expression)["result"]["objectId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], objectId=element)
