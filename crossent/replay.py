"""Do the step of RUN/crash again, on its own: it needs no data set, and changes nothing."""

from collections.abc import Sequence
from pathlib import Path

from crossent.build import make_model, make_optimizer
from crossent.config import Settings, load_settings
from crossent.device import choose_device, compute_the_same_every_time, prepare
from crossent.errors import EXIT_DONE, EXIT_NOT_FINITE, UserError
from crossent.loss import CrossEntropyLoss
from crossent.training.checkpoint import load_checkpoint, read_checkpoint
from crossent.training.crash import Crash, CrashedBatch, read_batch
from crossent.training.diagnosis import Diagnosis, diagnose
from crossent.weights import first_not_finite
from models import MODEL_NAMES


def replay(path: Path, overrides: Sequence[str]) -> int:
    """Print what the step comes to this time, layer by layer, and where it went wrong.

    Args:
        path: RUN/crash.
        overrides: settings to try instead, such as train.device=cpu.

    Returns:
        the exit status: 3 if a number is not finite again, 0 if the step is fine this time.

    Raises:
        UserError: no crash folder, or a damaged one.
    """
    crash = Crash(path)
    if not crash.state.is_file():
        raise UserError(f"{path} holds no crash: expected the folder RUN/crash of a training")
    settings = load_settings(crash.config, overrides, model_names=MODEL_NAMES).settings
    if not crash.batch.is_file():  # E on validation was not finite: there is no step to do
        print(describe_state(crash))
        return EXIT_NOT_FINITE
    batch = read_batch(crash.batch)
    found = redo(settings, crash, batch)
    print(as_text(found, batch))
    return EXIT_DONE if found.is_finite else EXIT_NOT_FINITE


def redo(settings: Settings, crash: Crash, batch: CrashedBatch) -> Diagnosis:
    """The step with its weights, its generators, its batch."""
    compute_the_same_every_time(settings.train.threads)
    device = choose_device(settings.train.device)
    header = read_checkpoint(crash.state)[1]
    model = prepare(make_model(settings, len(header["class_names"])), device)
    load_checkpoint(crash.state, model, make_optimizer(settings, model), must_be_finite=False)
    criterion = CrossEntropyLoss(batch.class_weights, label_smoothing=settings.loss.label_smoothing)
    return diagnose(
        model,
        criterion.to(device),
        batch.images.to(device),
        batch.target.to(device),
        header["precision"],
    )


def describe_state(crash: Crash) -> str:
    """Where E on validation may have come from: there is a state, but no batch."""
    tensors, header = read_checkpoint(crash.state)
    name = first_not_finite(tensors)
    what = f"{name} holds numbers that are not finite" if name else "all weights are finite"
    return f"E on validation after epoch {header['progress']['epoch'] + 1}: {what}"


def as_text(found: Diagnosis, batch: CrashedBatch) -> str:
    """The numbers of then and now, the layers in order, and the culprit last."""
    lines = [f"{'layer':<32}  {'largest |output|':>16}  {'|gradient|':>10}"]
    for name, output in found.outputs.items():
        gradient = found.gradients.get(f"the output of {name}", float("nan"))
        lines.append(f"{name:<32}  {output:>16.4g}  {gradient:>10.4g}")
    same = as_pair(found.loss, found.norm) == as_pair(batch.loss, batch.norm)
    lines += [
        f"in the run: loss {batch.loss!r}, norm of the gradient {batch.norm!r}",
        f"again:      loss {found.loss!r}, norm of the gradient {found.norm!r}"
        + (" (the same)" if same else " (not the same)"),
    ]
    bad_ids = [batch.sample_ids[row] for row in found.bad_rows]
    lines += [f"pixels that are not finite: sample ids {bad_ids}"] if bad_ids else []
    return "\n".join([*lines, f"cause: {found.culprit()}"])


def as_pair(loss: float, norm: float) -> tuple[str, str]:
    """As text, since NaN is not even equal to itself."""
    return repr(loss), repr(norm)
