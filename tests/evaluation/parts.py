"""Random predictions, models with their preprocessing, and commands in this process."""

import io
import signal
from contextlib import redirect_stderr, redirect_stdout
from functools import partial

import numpy as np
import torch

from crossent.__main__ import main as crossent_main
from crossent.errors import run_main
from crossent.evaluation.scores import Outputs
from crossent.model_file import Classifier, write_tensors
from crossent.training.signals import SIGNALS
from data.preprocess import Preprocessing
from models import build_model
from train import main as train_main

CPU = torch.device("cpu")
CLASS_NAMES = ["dog", "fox", "wolf"]


def make_outputs(num=300, num_classes=3, seed=0, sharpness=1.0):
    """Draw labels from probabilities, so that these are calibrated; then scale the logits.

    Args:
        sharpness: the factor of the logits: above 1 the model is overconfident.
    """
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.normal(size=(num, num_classes))
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    drawn = rng.random((num, 1)) < probs.cumsum(axis=1)
    return Outputs(sharpness * logits, drawn.argmax(axis=1))


def classifier_of(model, size, class_names=CLASS_NAMES, **header):
    return Classifier(model.eval(), class_names, Preprocessing(size), "fp32", CPU, header)


def write_random(path, class_names, metrics, size=32):
    """Write a model with random weights."""
    torch.manual_seed(0)
    model = build_model("small_cnn", len(class_names), width=4)
    torch.nn.init.normal_(model.head.weight, std=8.0)
    header = {
        "kind": "model",
        "class_names": class_names,
        "model": {"name": "small_cnn", "arguments": {"width": 4}},
        "preprocessing": Preprocessing(size).to_dict(),
        "precision": "fp32",
        "settings": {},
        "metrics": metrics,
    }
    write_tensors(path, model.state_dict(), header)


def call(main, *words, status=0):
    """Call the main function of a command; return standard output and standard error."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
    handlers = {signum: signal.getsignal(signum) for signum in SIGNALS}
    try:
        with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
            found = run_main(main, [str(word) for word in words])
    finally:
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
    out, err = (stream.buffer.getvalue().decode() for stream in streams)
    assert found == status, f"exit status {found}\n{out}{err}"
    assert status != 2 or err.count("\n") == 1, f"a mistake is one sentence, not: {err}"
    return out, err


crossent, train = partial(call, crossent_main), partial(call, train_main)
