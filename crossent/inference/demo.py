"""A page to try a model on: drop a picture, see y, choose the true class, see E.

The page is served to this machine only. It loads and sends nothing over the network, and uploads
are removed when the server ends.
"""

import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from crossent.errors import UserError
from crossent.inference.explain import MAX_ROWS, explain, predict_one
from crossent.inference.heatmap import evidence, to_shape
from crossent.inference.paths import validation_files
from crossent.model_file import Classifier
from data.decode import inspect
from data.images import printable

SIDE = 320  # pixels, the longer side of the heat map
NUM_EXAMPLES = 6
LANGUAGES = [("English", "en"), ("日本語", "ja")]
WELCOME = "Drop a picture, paste one, or choose an example."


def serve(classifier: Classifier) -> None:
    """Serve the page until the process is interrupted, and print its address.

    Raises:
        UserError: gradio is not installed, or no port is free.
    """
    with TemporaryDirectory(prefix="crossent-demo-") as folder:
        # gradio reads these when it is imported: where to store uploads; send no reports
        os.environ.update(GRADIO_TEMP_DIR=folder, GRADIO_ANALYTICS_ENABLED="False")
        os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", GRADIO_RUN_HISTORY="False")
        try:
            import gradio as gr
        except ImportError:
            raise UserError("demo: gradio is missing; `make demo RUN=...` installs it") from None
        # Pass the path, because gradio would decode the file without our limits. The method is
        # replaced in the class, because gradio makes a new component for an example.
        gr.Image.preprocess = lambda self, upload: upload.path if upload else None
        page = gr.Interface(
            lambda *inputs: answer(classifier, *inputs),
            [
                gr.Image(sources=["upload", "clipboard"], label="picture", elem_id="picture"),
                gr.Dropdown(classifier.class_names, value=None, label="true class (t)"),
                gr.Radio(LANGUAGES, value="en", label="language", elem_id="language"),
            ],
            [
                gr.Label(label="prediction (y)", num_top_classes=MAX_ROWS, elem_id="bars"),
                gr.Image(label="evidence for the true class", elem_id="heat", buttons=[]),
                gr.Textbox(WELCOME, label="loss (E)", lines=2, max_lines=60, elem_id="derivation"),
            ],
            examples=[[path] for path in own_examples(classifier, Path(folder))] or None,
            cache_examples=False,
            title="What is in the picture, and what does a mistake cost?",
            description="Of the predictions for the validation pictures of this model's run, "
            "{accuracy:.0%} are correct, and E = {E:.3f}.".format_map(classifier.header["metrics"]),
            live=True,
            flagging_mode="never",
            api_visibility="private",
            deep_link=False,
            delete_cache=(600, 3600),  # every ten minutes, uploads older than an hour are removed
            show_progress="hidden",
        )
        try:
            _, address, _ = page.launch(
                server_name="127.0.0.1", max_file_size="32mb", prevent_thread_lock=True, quiet=True,
                theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
                css="#derivation textarea { font-family: monospace; font-size: .8rem }",
                share=False, footer_links=[], enable_monitoring=False, ssr_mode=False,
            )  # fmt: skip
        except OSError as error:  # no free port, or that of GRADIO_SERVER_PORT is in use
            raise UserError(f"demo: the server does not start: {error}") from None
        print(f"open {address} in a browser; Ctrl-C ends it", flush=True)
        Event().wait()


def answer(classifier: Classifier, path: str | None, label: str | None, language: str) -> list[Any]:
    """Return y by class name, the heat map and the derivation; or why there are none."""
    if path is None:
        return [None, None, WELCOME]
    name = Path(path).name  # without the server's folder
    try:
        found = replace(predict_one(classifier, path, label), path=name)
    except UserError as error:
        reason = str(error).removeprefix(f"{path}: ")
        return [None, None, f"{printable(name)} cannot be used: {reason}. Please try another one."]
    decoded = inspect(path, [classifier.preprocessing.image_size, SIDE])
    small, large = decoded.pixels
    picture = to_shape(large, decoded.facts.width, decoded.facts.height, SIDE)
    k = classifier.class_names.index(label or str(found.label))
    return [found.probs, evidence(classifier, small, k, picture), explain(found, label, language)]


def own_examples(classifier: Classifier, folder: Path) -> list[str]:
    """Return some validation pictures of the run; none if they cannot be found."""
    paths: list[str] = []
    with suppress(UserError):  # JSON cannot encode the other paths
        paths = [p for p in validation_files(classifier, folder) if printable(p) == p]
    return paths[:: -(-len(paths) // NUM_EXAMPLES) or 1]
