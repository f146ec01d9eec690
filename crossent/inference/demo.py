"""A page to try a model on: drop a picture, see the bars y, choose what is right, see E.

Everything stays on this machine: the page is served to 127.0.0.1 only, nothing is reported to
anybody, a policy keeps the browser from fetching fonts or scripts from elsewhere, and what was
uploaded goes away with the server.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from crossent.errors import UserError
from crossent.inference.demo_page import CSS, THEME, make_page
from crossent.model_file import Classifier
from data.drawings import draw
from data.table import printable

MAX_UPLOAD = "32mb"
HOST = "127.0.0.1"
# Only this server; scripts and styles may stand in the page, as gradio's do.
POLICY = (
    b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
    b"connect-src 'self'; frame-ancestors 'self'"
)


class OwnFilesOnly:
    """Adds the policy to every answer of the server."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], (b"content-security-policy", POLICY)]
                message = {**message, "headers": headers}
            await send(message)

        await self.app(scope, receive, send_with_policy)


@contextmanager
def serving(
    classifier: Classifier, examples: Sequence[str] = (), port: int | None = None
) -> Iterator[str]:
    """Serve the page while the block runs, and give its address.

    Args:
        classifier: the trained model.
        examples: paths of pictures to offer; drawings where there are none.
        port: None takes a free one from 7860 on.

    Raises:
        UserError: the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="crossent-demo-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # for uploads
        copies = copy_examples(examples, Path(folder)) or draw_examples(Path(folder))
        page = make_page(classifier, copies)
        try:
            yield launch(page, port)
        finally:
            page.close(verbose=False)


def launch(page: Any, port: int | None) -> str:
    """Start the server, and give its address."""
    from starlette.middleware import Middleware

    try:
        _, address, _ = page.launch(
            server_name=HOST,
            server_port=port,
            share=False,
            max_file_size=MAX_UPLOAD,
            theme=THEME,
            css=CSS,
            app_kwargs={"middleware": [Middleware(OwnFilesOnly)]},
            footer_links=[],
            enable_monitoring=False,
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise UserError(f"demo: the server does not start: {error}") from None
    return str(address)


def copy_examples(paths: Sequence[str], folder: Path) -> dict[str, str]:
    """Copies of the files, by name: the server gives out nothing but what is in its own folder."""
    copies = {}
    for number, path in enumerate(paths):
        own = folder / str(number)
        own.mkdir()
        copies[printable(Path(path).name)] = str(shutil.copy(path, own))
    return copies


def draw_examples(folder: Path) -> dict[str, str]:
    """A dog, a fox and a wolf as files, by name."""
    paths = {f"a drawn {name}": folder / f"{name}.png" for name in ("dog", "fox", "wolf")}
    for index, path in enumerate(paths.values()):
        Image.fromarray(draw(0, index, 192)).save(path)
    return {name: str(path) for name, path in paths.items()}
