"""A page to try a model on: drop a picture, see y, choose the true class, see E.

Everything stays on this machine: the page is served to 127.0.0.1 only, asks for nothing from
elsewhere, reports nothing to anybody, and uploads go away with the server.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from crossent.errors import UserError
from crossent.inference.derivation import as_markdown, escape
from crossent.inference.explain import MAX_ROWS, explain_inspected, inspect_picture
from crossent.inference.heatmap import NoFeatureMap, grad_cam, spotlit
from crossent.inference.paths import run_settings, validation_files
from crossent.model_file import Classifier
from data.decode import Inspection
from data.drawings import draw
from data.table import printable

SIDE = 320  # pixels, the longer side of the heat map
NUM_EXAMPLES = 6
MAX_UPLOAD = "32mb"
KEPT_S = (600, 3600)  # every ten minutes, uploads older than an hour are removed
WELCOME = "Drop a picture, paste one, or take an example."
FORMULAS = [{"left": "$$", "right": "$$", "display": True}]
CSS = """
.katex-display { overflow: auto hidden; }
.katex-display > .katex > .katex-html > .tag { position: static; padding-left: 2em; }
"""


@contextmanager
def serving(
    classifier: Classifier, examples: Sequence[str] = (), port: int | None = None
) -> Iterator[str]:
    """Serve the page while the block runs, and give its address.

    Args:
        classifier: the trained model.
        examples: paths of pictures to offer; else some of the run's own validation pictures.
        port: None takes a free one from 7860 on.

    Raises:
        UserError: gradio is not installed, or the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="crossent-demo-") as folder:
        # read when gradio is imported: where uploads go; nothing is reported or kept
        os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED="False")
        os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", GRADIO_RUN_HISTORY="False")
        page = make_page(
            classifier, copied(examples or own_examples(classifier, Path(folder)), Path(folder))
        )
        try:
            yield launch(page, port)
        finally:
            page.close(verbose=False)


def launch(page: Any, port: int | None) -> str:
    """Start the server and return its address."""
    import gradio as gr

    theme = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
    try:
        _, address, _ = page.launch(
            server_name="127.0.0.1", server_port=port, share=False, max_file_size=MAX_UPLOAD,
            theme=theme, css=CSS, footer_links=[], enable_monitoring=False, ssr_mode=False,
            quiet=True, prevent_thread_lock=True,
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"demo: the server does not start: {error}") from None
    return str(address)


def make_page(classifier: Classifier, examples: Sequence[str]) -> Any:
    """Return the page: a picture and its label on the left, what the model predicts on the right.

    Raises:
        UserError: gradio is not installed.
    """
    try:
        import gradio as gr
    except ImportError:
        raise UserError(
            "demo: gradio is not installed here; `make demo RUN=...` puts it into .venv/demo and "
            "starts the page from there"
        ) from None
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    with gr.Blocks(title="crossent", analytics_enabled=False, delete_cache=KEPT_S) as page:
        gr.Markdown(heading(classifier))
        with gr.Row():
            with gr.Column():
                picture = gr.Image(
                    sources=["upload", "clipboard"], label="picture", elem_id="picture"
                )
                # the path: gradio itself would decode the file, without our limits
                picture.preprocess = lambda upload: upload.path if upload else None
                if examples:
                    # not gr.Examples, which makes the picture anew, with gradio's own decoding
                    offered = gr.Dataset(
                        components=[gr.Image(render=False)], samples=[[path] for path in examples],
                        type="index", label="examples", elem_id="examples",
                    )  # fmt: skip
                    offered.click(lambda index: examples[index], offered, picture, **quiet)
                label = gr.Dropdown(
                    classifier.class_names, value=None, label="true class (t)", elem_id="label"
                )
                language = gr.Radio(
                    [("English", "en"), ("日本語", "ja")], value="en", label="language",
                    elem_id="language",
                )  # fmt: skip
            with gr.Column():
                bars = gr.Label(label="prediction (y)", num_top_classes=MAX_ROWS, elem_id="bars")
                heat = gr.Image(label="evidence", elem_id="heat", interactive=False, buttons=[])
        text = gr.Markdown(WELCOME, elem_id="derivation", latex_delimiters=FORMULAS)

        def ask(path: str | None, label: str | None, language: str) -> list[Any]:
            return answer(classifier, path, label, language)

        def ask_anew(path: str | None, language: str) -> list[Any]:
            return [None, *answer(classifier, path, None, language)]  # forgets the label

        answers = [bars, heat, text]
        picture.change(ask_anew, [picture, language], [label, *answers], **quiet)
        for part in (label, language):
            part.input(ask, [picture, label, language], answers, **quiet)
    return page


def heading(classifier: Classifier) -> str:
    """Return what the page is for, and which model it asks."""
    names, size = classifier.class_names, classifier.preprocessing.image_size
    named = ", ".join(map(escape, names[:10]))
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    metrics = classifier.header["metrics"]
    return (
        "## What is on the picture, and what does a mistake cost?\n\n"
        f"A model for {named}{more}, which looks at {size} x {size} pixels. On its validation "
        f"pictures E = {metrics['E']:.3f}, and {metrics['accuracy']:.0%} are correct."
    )


def answer(classifier: Classifier, path: str | None, label: str | None, language: str) -> list[Any]:
    """Return y by class name, the heat map and the derivation, or in words why there are none.

    Args:
        path: of an uploaded file; None where there is no picture.
        label: the true class; None takes the one that the model predicts.
        language: "en" or "ja", of the derivation.
    """
    if path is None:
        return [None, None, WELCOME]
    name = Path(path).name  # the folder is the server's business
    try:
        found = inspect_picture(path, classifier.preprocessing.image_size, SIDE)
    except UserError as error:
        reason = escape(str(error).removeprefix(f"{path}: "))
        text = f"**{escape(printable(name))} cannot be used:** {reason}. Please try another one."
        return [None, None, text]
    explanation = explain_inspected(classifier, name, found, label)
    probs = dict(zip(explanation.class_names, explanation.probs, strict=True))
    k = classifier.class_names.index(explanation.label)
    return [probs, heat_map(classifier, found, k), as_markdown(explanation, language)]


def heat_map(classifier: Classifier, found: Inspection, k: int) -> Image.Image | None:
    """Return the picture lit where the evidence for a class is; None without a feature map."""
    small, large = found.pixels
    try:
        (heat,) = grad_cam(classifier, np.array(small)[None], np.array([k]))
    except NoFeatureMap:
        return None
    scale = SIDE / max(found.facts.width, found.facts.height)
    size = [max(1, round(side * scale)) for side in (found.facts.width, found.facts.height)]
    return spotlit(Image.fromarray(large).resize((size[0], size[1])), heat)


def own_examples(classifier: Classifier, folder: Path) -> list[str]:
    """Return some of the run's own validation pictures; none if they cannot be found.

    Args:
        folder: where to draw those of a run on drawings.
    """
    try:
        settings = run_settings(classifier)
        paths = validation_files(settings)
    except UserError:
        return []
    if settings.data.source == "drawings":  # the last ones are kept for validation
        for index in range(settings.data.num_images - NUM_EXAMPLES, settings.data.num_images):
            paths.append(str(folder / f"drawing {index}.png"))
            Image.fromarray(draw(settings.data_seed, index, 192)).save(paths[-1])
    return paths[:: -(-len(paths) // NUM_EXAMPLES) or 1]


def copied(paths: Sequence[str], folder: Path) -> list[str]:
    """Copy the files: the server gives out nothing but what is in its own folder."""
    copies = []
    for number, path in enumerate(paths):
        own = folder / str(number)
        own.mkdir()
        copies.append(str(shutil.copy(path, own)))
    return copies
