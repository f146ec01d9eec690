"""The demo's page: a picture and its label on the left, what the model says on the right."""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from crossent.errors import UserError
from crossent.inference.answer import WELCOME, answer
from crossent.inference.explain_words import MAX_CLASSES, escape
from crossent.model_file import Classifier

# Read when gradio is imported: nothing is told to anybody, nothing kept in the browser.
os.environ.update(
    GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", GRADIO_RUN_HISTORY="False"
)
try:
    import gradio as gr
except ImportError:
    raise UserError(
        "demo: gradio is not installed here; `make demo RUN=...` puts it into .venv/demo and "
        "starts the page from there"
    ) from None

LANGUAGES = [("English", "en"), ("日本語", "ja")]
KEPT_S = (600, 3600)  # every ten minutes, uploads older than an hour are removed
MAX_NAMED = 10  # classes in the heading
FORMULAS = [{"left": "$$", "right": "$$", "display": True}]
THEME = gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["monospace"])
CSS = """
.katex-display { overflow-x: auto; overflow-y: hidden; }
.katex-display > .katex > .katex-html > .tag { position: static; padding-left: 2em; }
"""


def make_page(classifier: Classifier, examples: Mapping[str, str]) -> gr.Blocks:
    """The page for one model.

    Args:
        classifier: the trained model.
        examples: paths of pictures to try, by what to call them.
    """
    with gr.Blocks(title="crossent", analytics_enabled=False, delete_cache=KEPT_S) as page:
        gr.Markdown(heading(classifier))
        with gr.Row():
            with gr.Column():
                questions = make_questions(classifier.class_names, examples)
            with gr.Column():
                bars = gr.Label(
                    label="what the model says (y)", num_top_classes=MAX_CLASSES, elem_id="bars"
                )
                heat = gr.Image(
                    label="what speaks for it", elem_id="heat", interactive=False, buttons=[]
                )
        text = gr.Markdown(WELCOME, elem_id="derivation", latex_delimiters=FORMULAS)
        connect(classifier, questions, [text, bars, heat])
    return page


def heading(classifier: Classifier) -> str:
    """What the page is for, and which model it asks."""
    names, size = classifier.class_names, classifier.preprocessing.image_size
    named = ", ".join(map(escape, names[:MAX_NAMED]))
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    metrics = classifier.header["metrics"]
    return (
        "## What is on the picture, and what does a mistake cost?\n\n"
        f"A model for {named}{more}, which looks at {size} x {size} pixels. On its "
        f"validation pictures E = {metrics['E']:.3f}, and {metrics['accuracy']:.0%} are right."
    )


def make_questions(class_names: Sequence[str], examples: Mapping[str, str]) -> list[Any]:
    """Picture, label and language; below the picture, a button for each example."""
    picture = gr.Image(sources=["upload", "clipboard"], label="picture", elem_id="picture")
    picture.preprocess = path_of_upload  # gradio would open the file, without limits
    with gr.Row():  # not gr.Examples, which makes the component anew, without our hook
        for name, path in examples.items():
            gr.Button(name, size="sm", min_width=60).click(partial(str, path), outputs=picture)
    label = gr.Dropdown(class_names, value=None, label="what it shows (t)", elem_id="label")
    language = gr.Radio(LANGUAGES, value="en", label="language", elem_id="language")
    return [picture, label, language]


def path_of_upload(upload: Any) -> str | None:
    """The file that came, unopened."""
    return upload.path if upload else None


def connect(classifier: Classifier, questions: list[Any], answers: list[Any]) -> None:
    """A new picture forgets the label of the last one; all else asks again about the same."""

    def ask(path: str | None, label: str | None, language: str) -> list[Any]:
        found = answer(classifier, path, label, language)
        return [found.text, found.probs, found.heat]

    def ask_anew(path: str | None, language: str) -> list[Any]:
        return [None, *ask(path, None, language)]

    picture, label, language = questions
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    picture.change(ask_anew, [picture, language], [label, *answers], **quiet)
    for part in (label, language):
        part.input(ask, questions, answers, **quiet)
