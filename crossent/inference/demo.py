"""A page to try a model on: drop a picture, see the bars y, choose what is right, see E.

Everything stays on this machine: the page is served to 127.0.0.1 only, nothing is reported to
anybody, and a policy keeps the browser from fetching fonts or scripts from elsewhere.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from crossent.errors import UserError
from crossent.inference.explain import explain_pixels, read_pixels
from crossent.inference.explain_words import as_markdown, escape
from crossent.inference.grad_cam import grad_cam
from crossent.model_file import Classifier
from crossent.report.thumbnail import spotlit
from data.drawings import draw
from data.listing import printable

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
try:
    import gradio as gr
    from starlette.middleware import Middleware
except ImportError:
    raise UserError("demo: gradio is not installed; pip install -r requirements-demo.txt") from None

MAX_UPLOAD = "32mb"
HOST = "127.0.0.1"
LANGUAGES = [("English", "en"), ("日本語", "ja")]
HEAT_SIDE = 256  # pixels
KEPT_S = (600, 3600)  # every ten minutes, uploads older than an hour are removed
WELCOME = "Drop a picture, paste one, or take a drawing below."
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


def path_of_upload(upload: Any) -> str | None:
    """The file that came, unopened."""
    return upload.path if upload else None


def make_page(classifier: Classifier, examples: dict[str, str]) -> gr.Blocks:
    """The page for one model.

    Args:
        examples: paths of pictures to try, by what to call them.
    """

    def ask(path: str | None, label: str | None, language: str) -> tuple[Any, Any, str]:
        if path is None:
            return None, None, WELCOME
        try:
            pixels = read_pixels(classifier, path)
        except UserError as error:
            reason = str(error).removeprefix(f"{path}: ")
            name = escape(printable(Path(path).name))
            return (
                None,
                None,
                f"**{name} cannot be used:** {escape(reason)}. Please try another one.",
            )
        found = explain_pixels(classifier, path, pixels, label)
        heat = heat_map(classifier, pixels, found.label)
        return (
            heat,
            dict(zip(found.class_names, found.probs, strict=True)),
            as_markdown(found, language),
        )

    with gr.Blocks(title="crossent", analytics_enabled=False, delete_cache=KEPT_S) as page:
        gr.Markdown("## What is on the picture, and what does a mistake cost?")
        with gr.Row():
            with gr.Column():
                picture = gr.Image(
                    sources=["upload", "clipboard"], label="picture", elem_id="picture"
                )
                picture.preprocess = path_of_upload  # gradio would open the file, without limits
                label = gr.Dropdown(classifier.class_names, value=None, label="what it shows (t)")
                language = gr.Radio(LANGUAGES, value="en", label="language")
            with gr.Column():
                heat = gr.Image(
                    label="what speaks for it", elem_id="heat", interactive=False, height=HEAT_SIDE
                )
                bars = gr.Label(label="what the model says (y)", elem_id="bars")
                text = gr.Markdown(
                    WELCOME,
                    elem_id="derivation",
                    latex_delimiters=[{"left": "$$", "right": "$$", "display": True}],
                )
        with (
            gr.Row()
        ):  # not gr.Examples, which makes the picture's component anew, without our hook
            for name, path in examples.items():
                gr.Button(name).click(partial(str, path), outputs=picture)
        for part in (picture, label, language):
            part.change(ask, [picture, label, language], [heat, bars, text], show_progress="hidden")
    return page


def heat_map(classifier: Classifier, pixels: npt.NDArray[np.uint8], label: str) -> Image.Image:
    """The picture, bright where it speaks for the label."""
    classes = np.array([classifier.class_names.index(label)])
    heat = grad_cam(classifier, np.array(pixels)[None], classes)[0]
    return spotlit(Image.fromarray(pixels).resize((HEAT_SIDE, HEAT_SIDE)), heat)


def draw_examples(folder: Path) -> dict[str, str]:
    """A dog, a fox and a wolf as files, by name."""
    paths = {f"a drawn {name}": folder / f"{name}.png" for name in ("dog", "fox", "wolf")}
    for index, path in enumerate(paths.values()):
        Image.fromarray(draw(0, index, 192)).save(path)
    return {name: str(path) for name, path in paths.items()}


@contextmanager
def serving(classifier: Classifier, port: int | None) -> Iterator[str]:
    """Serve the page while the block runs, and give its address.

    Args:
        port: None takes a free one from 7860 on.

    Raises:
        UserError: the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="crossent-demo-") as folder:
        page = make_page(classifier, draw_examples(Path(folder)))
        try:
            _, address, _ = page.launch(
                server_name=HOST,
                server_port=port,
                share=False,
                max_file_size=MAX_UPLOAD,
                theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
                app_kwargs={"middleware": [Middleware(OwnFilesOnly)]},
                footer_links=[],
                enable_monitoring=False,
                ssr_mode=False,
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError as error:
            raise UserError(f"demo: the server does not start: {error}") from None
        try:
            yield address
        finally:
            page.close(verbose=False)
