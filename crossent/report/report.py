"""report.html: a run on one page that one can send."""

from collections.abc import Iterator

import torch

from crossent.files import write_text
from crossent.report.answers import answers
from crossent.report.gallery import Gallery, worst_and_best
from crossent.report.markup import Markup, element, note
from crossent.report.origin import again, machine, pictures, settings
from crossent.report.page import Section, facts, whole_page
from crossent.report.progress import progress, where_the_time_went
from crossent.report.state import RunState, read_state
from crossent.report.suspects import suspects
from crossent.report.trust import confidence, in_units, snow_test
from crossent.training.run_folder import RunFolder
from data.images import Data

MAX_NAMED = 8  # classes


def write_report(folder: RunFolder, device: torch.device, data: Data | None = None) -> None:
    """Write RUN/report.html from what the folder holds now; at any time, also while it trains.

    Args:
        data: the pictures, if the caller has them already.

    Raises:
        UserError: this is no run folder, or a file in it is damaged.
    """
    state = read_state(folder, device, data)
    name = folder.path.resolve().name
    write_text(folder.report, whole_page(f"{name}: crossent", head(state, name), sections(state)))


def head(state: RunState, name: str) -> Iterator[Markup]:
    """The name of the run, how far it is, and its numbers."""
    yield element("p", "crossent", class_="kicker")
    yield element("h1", name)
    yield note(how_far(state), class_="status")
    if state.findings is None:
        return
    scores = state.findings.scores
    epoch = state.classifier.header["metrics"].get("epoch") if state.classifier else None
    yield facts(
        [
            (
                "accuracy on validation",
                f"{scores.accuracy.value:.1%}",
                scores.accuracy.range(".1%"),
            ),
            ("E, nats", f"{scores.E.value:.3f}", scores.E.range(".3f")),
            (
                "mean F1 of the classes",
                f"{scores.macro_f1.value:.3f}",
                scores.macro_f1.range(".3f"),
            ),
            ("validation pictures", f"{scores.metrics.num_images:,}", ""),
            ("model of epoch", str(epoch), f"of {len(state.epochs)}"),
        ]
    )
    yield note(f"E = {in_units(scores.E.value)}. In small: 95 % intervals.")


def how_far(state: RunState) -> str:
    done, planned = len(state.epochs), state.settings.train.epochs
    what = f"{state.settings.model.name} on {state.settings.data.source}"
    names = state.class_names
    if names:
        more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        what += f", {len(names)} classes: {', '.join(names[:MAX_NAMED])}{more}"
    if state.is_over:
        return f"{what}. Finished after {done} epochs."
    return f"{what}. Not finished: {done} of {planned} epochs are done."


def sections(state: RunState) -> Iterator[Section]:
    """All parts that can be told already, in the order of their questions."""
    yield Section("progress", "How E fell", progress(state))
    yield from sections_of_the_model(state)
    yield Section("time", "Where the time went", where_the_time_went(state))
    yield Section("settings", "Settings", settings(state))
    yield Section("data", "Pictures", pictures(state))
    yield Section("machine", "Environment", machine(state))
    yield Section("again", "Make it again", again(state))


def sections_of_the_model(state: RunState) -> Iterator[Section]:
    """What needs a model and its pictures."""
    found, classifier, data = state.findings, state.classifier, state.data
    if classifier is None:
        text = "There is no model yet: it comes with the first checkpoint after an epoch."
        yield Section("answers", "What it says", [note(text)])
    if found is None or classifier is None or data is None:
        return
    gallery = Gallery(data.val, found.outputs, classifier, state.root)
    yield Section("answers", "What it says", answers(found.scores, classifier.class_names, gallery))
    yield Section(
        "confidence", "Does it know what it knows?", confidence(found.calibration, found.coverage)
    )
    yield Section("pictures", "Worst and best pictures", worst_and_best(gallery))
    yield Section("snow", "Does it look at the animal?", snow_test(found.shortcuts, gallery))
    if state.samples is not None:
        suspected = suspects(data.train, state.samples, classifier, state.root)
        yield Section("labels", "Likely wrong labels", suspected)
