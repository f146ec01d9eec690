"""A page to try a model on: drop a picture, see y, choose the true class, see E.

The page is served to this machine only. It loads and sends nothing over the network, and uploads
are removed when the server ends.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

from crossent.errors import UserError
from crossent.inference.explain import MAX_ROWS, explain, in_words
from crossent.inference.heatmap import evidence, to_shape
from crossent.inference.paths import validation_files
from crossent.model_file import Classifier
from data.decode import inspect
from data.images import printable

SIDE = 320  # pixels, the longer side of the heat map
NUM_EXAMPLES = 6
WELCOME = "Drop a picture, paste one, or choose an example."
CSS = "#derivation textarea { font-family: monospace; font-size: .8rem }"


def serve(classifier: Classifier) -> None:
    """Serve the page until the process is interrupted, and print its address.

    Raises:
        UserError: gradio is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="crossent-demo-") as folder:
        # gradio reads these when it is imported: where to store uploads; send no reports
        os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED="False")
        os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", GRADIO_RUN_HISTORY="False")
        try:
            import gradio as gr
        except ImportError:
            raise UserError(
                "demo: gradio is not installed; `make demo RUN=...` installs it in .venv/demo and "
                "starts the page"
            ) from None
        page = make_page(classifier, own_examples(classifier, Path(folder)))
        try:
            _, address, _ = page.launch(
                server_name="127.0.0.1", share=False, max_file_size="32mb",
                theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
                css=CSS, footer_links=[], enable_monitoring=False, ssr_mode=False, quiet=True,
                prevent_thread_lock=True,
            )  # fmt: skip
        except OSError as error:  # no free port, or GRADIO_SERVER_PORT is in use
            raise UserError(f"demo: the server does not start: {error}") from None
        print(f"open {address} in a browser; Ctrl-C ends it", flush=True)
        Event().wait()


def make_page(classifier: Classifier, examples: Sequence[str]) -> Any:
    """Return the page: a picture and its label on the left, the prediction on the right."""
    import gradio as gr

    languages = [("English", "en"), ("日本語", "ja")]
    names, metrics = classifier.class_names, classifier.header["metrics"]
    size = classifier.preprocessing.image_size
    # Pass the path, because gradio would decode the file without our limits. The method is replaced
    # in the class, because gradio makes a new component for an example.
    gr.Image.preprocess = lambda self, upload: upload.path if upload else None
    return gr.Interface(
        lambda path, label, language: answer(classifier, path, label, language),
        [
            gr.Image(sources=["upload", "clipboard"], label="picture", elem_id="picture"),
            gr.Dropdown(names, value=None, label="true class (t)", elem_id="label"),
            gr.Radio(languages, value="en", label="language", elem_id="language"),
        ],
        [
            gr.Label(label="prediction (y)", num_top_classes=MAX_ROWS, elem_id="bars"),
            gr.Image(label="evidence for the true class", elem_id="heat", buttons=[]),
            gr.Textbox(WELCOME, label="loss (E)", lines=2, max_lines=60, elem_id="derivation"),
        ],
        examples=[[path] for path in examples] or None,
        cache_examples=False,
        title="What is in the picture, and what does a mistake cost?",
        description=f"A model for {len(names)} classes that sees {size} x {size} pixels. On the "
        f"validation pictures of its run, {metrics['accuracy']:.0%} of predictions are correct, "
        f"and E = {metrics['E']:.3f}.",
        live=True,
        flagging_mode="never",
        analytics_enabled=False,
        api_visibility="private",
        deep_link=False,
        delete_cache=(600, 3600),  # every ten minutes, uploads older than an hour are removed
        show_progress="hidden",
    )


def answer(classifier: Classifier, path: str | None, label: str | None, language: str) -> list[Any]:
    """Return y by class name, the heat map and the derivation, or a sentence with the reason.

    Args:
        path: the uploaded file; None if there is no picture.
        label: the true class; None for the predicted one.
    """
    if path is None:
        return [None, None, WELCOME]
    name = Path(path).name  # without the server's folder
    try:
        e = replace(explain(classifier, path, label), path=name)
    except UserError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return [None, None, f"{printable(name)} cannot be used: {reason}. Please try another one."]
    found = inspect(path, [classifier.preprocessing.image_size, SIDE])
    small, large = found.pixels
    picture = to_shape(large, found.facts.width, found.facts.height, SIDE)
    heat_map = evidence(classifier, small, e.class_names.index(e.label), picture)
    return [dict(zip(e.class_names, e.probs, strict=True)), heat_map, in_words(e, language)]


def own_examples(classifier: Classifier, folder: Path) -> list[str]:
    """Return some validation pictures of the run; none if they cannot be found."""
    try:
        paths = validation_files(classifier, folder)
    except UserError:
        return []
    paths = [path for path in paths if printable(path) == path]  # JSON cannot encode the others
    return paths[:: -(-len(paths) // NUM_EXAMPLES) or 1]
