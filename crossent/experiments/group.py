"""Runs that belong together: the folds of a cross-validation, or one config with several seeds.

GROUP/group.yaml   the common settings         GROUP/fold-1, ...   ordinary run folders
GROUP/group.json   the list of runs            GROUP/summary.json, E-curves.png   the results
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from crossent.config import Settings, saved_settings, to_yaml, with_values
from crossent.device import choose_device
from crossent.errors import EXIT_DONE, UserError
from crossent.evaluation.compare import Side, paired_bootstrap
from crossent.evaluation.evaluate import new_rows, outputs_of
from crossent.evaluation.measure import align, tables
from crossent.evaluation.scores import Ints, Outputs, score
from crossent.files import write_text
from crossent.model_file import load_model
from crossent.resume import check_same_result
from crossent.training.console import Console
from crossent.training.run_folder import RunFolder, check_unused, read_json, write_json
from crossent.training.signals import Interrupted


class Group:
    """The files of a group, and its runs."""

    def __init__(self, path: Path) -> None:
        self.config = path / "group.yaml"
        self.facts = path / "group.json"
        self.summary = path / "summary.json"
        self.curves = path / "E-curves.png"
        found = read_json(self.facts)
        self.kind: str = found.get("kind", "")  # folds or seeds
        # the settings of each run that differ from the common ones
        self.variants = {path / name: own for name, own in found.get("runs", {}).items()}
        self.runs = list(self.variants)  # none if `path` is no group


def wants_group(resume: Path | None, settings: Settings, num_seeds: int | None) -> bool:
    """Return whether to train several runs; raise UserError for contradictory arguments."""
    wants_folds = settings.data.folds is not None and settings.data.fold is None
    if num_seeds is not None:
        if resume:
            raise UserError(f"--resume {resume} already has its seeds; leave out --seeds")
        if num_seeds < 2:
            raise UserError(f"--seeds {num_seeds}: expected 2 or more")
        if wants_folds:
            raise UserError("--seeds and data.folds cannot be combined")
    is_group = bool(Group(resume).runs) if resume else wants_folds or num_seeds is not None
    if is_group and "TORCHELASTIC_RUN_ID" in os.environ:
        raise UserError("one process trains a group: leave out torchrun, or add data.fold=1")
    return is_group


def train_group(settings: Settings, path: Path, is_resumed: bool, num_seeds: int | None) -> int:
    """Train all runs of a group and summarise their results; return the exit status."""
    from crossent.train_run import Caller, train_run  # here, to keep other imports short

    group, caller = Group(path), Caller(f"python train.py --resume {path}")
    line = Console().line
    with RunFolder(path).in_use():
        if is_resumed:
            check_same_result(path, saved_settings(group.config), settings)
        else:
            check_unused(path)
        write_text(group.config, to_yaml(settings))
        if not is_resumed:
            write_json(group.facts, plan(settings, num_seeds))
            group = Group(path)
        for run, own in group.variants.items():
            line(f"== {run}")
            is_begun = RunFolder(run).config.exists()
            status = train_run(with_values(settings, own), run, is_begun, caller)[0]
            if status != EXIT_DONE:
                return status
        try:
            with caller.stop.install().raising():
                line(summarise(group, choose_device(settings.train.device)))
        except Interrupted as interrupted:
            line(f"{interrupted}: everything is saved; resume with: {caller.resume_command}")
            return interrupted.exit_status
    line(f"see {group.curves} and {group.summary}")
    return EXIT_DONE


def plan(settings: Settings, num_seeds: int | None) -> dict[str, Any]:
    """Return the content of group.json: the kind of the group, and the own settings of each run."""
    if num_seeds:  # all with the same split, for comparison
        seeds = range(settings.seed, settings.seed + num_seeds)
        runs = {f"seed-{s}": {"seed": s, "data.seed": settings.data_seed} for s in seeds}
        return {"kind": "seeds", "runs": runs}
    folds = range(1, 1 + (settings.data.folds or 0))
    return {"kind": "folds", "runs": {f"fold-{fold}": {"data.fold": fold} for fold in folds}}


@dataclass(frozen=True)
class Measured:
    """A run with its predictions. Equal keys mean equal pictures in the same order."""

    name: str
    class_names: list[str]
    picture_names: list[str]
    outputs: Outputs
    new: Ints  # rows of the pictures that the run was not trained on
    settings: Settings
    key: object

    def take(self, rows: Ints) -> "Measured":
        names = [self.picture_names[row] for row in rows]
        return replace(self, outputs=self.outputs.take(rows), picture_names=names)


def measure_side(
    path: Path, name: str, data_root: str | None, device: torch.device, overrides: Sequence[str]
) -> list[Measured]:
    """Return one element for a run or for pooled folds, else one per run of the group."""
    group = Group(path)
    names = {run: f"{name}/{run.name}" for run in group.runs} or {path: name}
    runs = [measure_run(run, n, data_root, device, overrides) for run, n in names.items()]
    return [pooled(name, runs)] if group.kind == "folds" and data_root is None else runs


def measure_run(
    path: Path, name: str, data_root: str | None, device: torch.device, overrides: Sequence[str]
) -> Measured:
    """Predict the validation pictures of the run, or the pictures of another folder."""
    from crossent.build import data_to_evaluate

    classifier = load_model(path, device)
    data = data_to_evaluate(classifier, data_root, overrides)
    settings = saved_settings("the model", classifier.header["settings"])
    key: object = data.fingerprint
    if data_root is None and settings.data.source == "drawings":  # equal at any size
        key = (settings.data_seed, settings.data.num_images, settings.data.val_fraction)
    outputs, new = outputs_of(classifier, data.val), new_rows(classifier, data.val)
    return Measured(name, classifier.class_names, data.val.names, outputs, new, settings, key)


def pooled(name: str, runs: Sequence[Measured]) -> Measured:
    """Join the folds, so that each picture has the prediction of the model trained without it."""
    logits = np.concatenate([run.outputs.logits for run in runs])
    labels = np.concatenate([run.outputs.labels for run in runs])
    return replace(
        runs[0],
        name=name,
        picture_names=[picture for run in runs for picture in run.picture_names],
        outputs=Outputs(logits, labels),
        new=np.arange(len(labels)),  # no model was trained on the pictures that it predicts
        settings=with_values(runs[0].settings, {"data.fold": None}),
        key=[run.key for run in runs],
    )


def summarise(group: Group, device: torch.device) -> str:
    """Measure all runs, write summary.json, and return the tables."""
    runs = [measure_run(path, path.name, None, device, ()) for path in group.runs]
    if group.kind == "folds":
        scores, class_names = score(pooled("", runs).outputs), runs[0].class_names
        title = "Each picture was predicted by the model that was trained without it."
        text, facts = f"{title}\n\n{tables(scores, class_names)}", scores.to_dict(class_names)
    else:
        text, facts = summarise_seeds([run.outputs for run in runs])
    rows, of_each = [[group.kind.rstrip("s"), "pictures", "accuracy", "E"]], []
    for run in runs:
        num, (accuracy, E) = len(run.outputs), run.outputs.means
        of_each.append({"run": run.name, "num_images": num, "accuracy": accuracy, "E": E})
        rows.append([run.name, str(num), f"{accuracy:.1%}", f"{E:.4f}"])
    write_json(group.summary, {"kind": group.kind, **facts, group.kind: of_each})
    return f"{text}\n\n{align(rows)}"


def summarise_seeds(runs: Sequence[Outputs]) -> tuple[str, dict[str, Any]]:
    """Return mean and standard deviation over the seeds, as a table and as facts for JSON."""
    side, facts = Side("", runs), {}
    rows = [["", "mean", "standard deviation", "95 % interval, over seeds and pictures"]]
    columns = [("accuracy", side.right, 1.0, ".1%"), ("E", side.losses, np.inf, ".4f")]
    for name, values, highest, form in columns:
        mean = paired_bootstrap(np.zeros_like(values[:1]), values).within(0.0, highest)
        deviation = float(values.mean(axis=1).std(ddof=1))
        rows.append([name, f"{mean.value:{form}}", f"{deviation:{form}}", mean.range(form)])
        facts[name] = {"mean": mean.to_dict(), "standard_deviation": deviation}
    title = f"{len(runs)} seeds, the same {side.right.shape[1]:,} validation pictures"
    return f"{title}\n\n{align(rows)}", facts
