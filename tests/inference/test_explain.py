"""explain: the numbers against torch, and the text around them."""

import math

import pytest
import torch
import torch.nn.functional as F

from crossent.inference.explain import ARTICLE, explain, predict_one
from crossent.inference.predict import Answer
from crossent.loss import article
from data.decode import decode
from tests.evaluation.parts import crossent


def test_numbers_are_those_of_torch(run_path, classifier, pictures):
    picture = str(pictures / "a" / "2.png")
    found = predict_one(classifier, picture, "fox")
    pixels = torch.from_numpy(decode(picture, classifier.preprocessing.image_size)).unsqueeze(0)
    logits = classifier.logits(pixels).double().requires_grad_()
    loss = F.cross_entropy(logits, torch.tensor([1]))
    (gradient,) = torch.autograd.grad(loss, logits)
    y, t = list(found.probs.values()), [0, 1, 0]
    assert article.cross_entropy(y, t) == pytest.approx(loss.item(), rel=1e-12)
    assert article.gradient(y, t) == pytest.approx(gradient[0].tolist(), abs=1e-12)
    text, _ = crossent("explain", run_path, "--label", "fox", picture)  # options between words
    assert f"E = -sum_k t_k log y_k = {loss:.6f} nats" in text
    assert f"{loss.item() / math.log(2):.6f} bits" in text
    assert f"exp(E) = {loss.exp():.4f}" in text
    assert "No label was given" in explain(found)
    assert f"E = -sum_k t_k log y_k = {-math.log(max(y)):.6f} nats" in explain(found)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_articles_numbers_are_in_every_language(language):
    text, _ = crossent("explain", "--language", language)
    lines = [line.strip() for line in text.splitlines()]
    for line in (
        "0.3300    1  dog",
        "L = prod_k y_k^t_k = 0.3300^1 x 0.3200^0 x 0.3500^0 = 0.33",
        "log L = sum_k t_k log y_k = 1 ln 0.3300 + 0 ln 0.3200 + 0 ln 0.3500 = -1.108663    (5.1)",
        "E = -sum_k t_k log y_k = 1.108663 nats    (5.2)",
        "dE/dz_k = y_k - t_k = (-0.6700, +0.3200, +0.3500)",
    ):
        assert line in lines
    for number in ("1.599462", "-0.481486", "3.0303", "1.098612"):
        assert number in text
    assert text.count("1.108663") == 3, "(5.1), (5.2), and the loss in training"
    moves = {
        "en": "pushes dog up by 0.6700, fox down by 0.3200, wolf down by 0.3500.",
        "ja": "dog を 0.6700 上げ、fox を 0.3200 下げ、wolf を 0.3500 下げます",
    }
    assert moves[language] in text
    other = explain(Answer("a.png", ARTICLE.probs), "dog", language)
    assert "log10" not in other, "the mistake is the article's"


def test_of_many_classes_the_most_probable_ones_and_the_true_one_are_shown():
    names = [f"class {k}" for k in range(100)]
    probs = dict(zip(names, [0.5] + [0.5 / 99] * 99, strict=True))
    text = explain(Answer("a.png", probs), "class 99")
    assert "class 0\n" in text and "class 99\n    ...\n" in text and "class 5\n" not in text
    assert "class 99 up by 0.9949, the others down." in text
    assert len(text.splitlines()) < 30


def test_E_is_finite_where_float32_would_round_y_to_0(classifier, pictures, monkeypatch):
    logits = torch.tensor([[0.0, 200.0, 0.0]])
    monkeypatch.setattr("crossent.model_file.Classifier.logits", lambda self, images: logits)
    found = predict_one(classifier, str(pictures / "a" / "2.png"))
    assert "= 200.000000 nats" in explain(found, "dog")
    assert article.cross_entropy([0.0, 1.0, 0.0], [1, 0, 0]) == math.inf


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN", "b/page.jpg"], "HTML"),
        (["RUN"], "IMAGE is missing"),
        (["--label", "fox"], "RUN and --label need it"),
        (["RUN", "b/page.jpg", "--label", "bear"], "the classes of the model are dog, fox, wolf"),
    ],
)
def test_mistakes_are_sentences(run_path, pictures, monkeypatch, words, message):
    monkeypatch.chdir(pictures)
    words = [run_path if word == "RUN" else word for word in words]
    assert message in crossent("explain", *words, status=2)[1]
