"""explain RUN IMAGE: the numbers against torch, and the words around them."""

import json
import math

import pytest
import torch
import torch.nn.functional as F

from crossent.errors import UserError
from crossent.inference.explain import ARTICLE, Explanation, explain, in_words
from data.decode import decode


@pytest.fixture
def picture(pictures):
    return str(pictures / "a" / "2.png")


def test_numbers_are_those_of_torch(classifier, picture):
    found = explain(classifier, picture, "fox").to_dict()
    pixels = torch.from_numpy(decode(picture, classifier.preprocessing.image_size)).unsqueeze(0)
    logits = classifier.logits(pixels).double().requires_grad_()
    loss = F.cross_entropy(logits, torch.tensor([1]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert found["E"]["nats"] == pytest.approx(loss.item(), rel=1e-12)
    assert found["E"]["bits"] == pytest.approx(loss.item() / math.log(2), rel=1e-12)
    assert list(found["gradient"].values()) == pytest.approx(gradient[0].tolist(), abs=1e-12)
    assert found["exp_E"] == pytest.approx(1 / found["y"]["fox"], rel=1e-12)
    assert found["t"] == {"dog": 0, "fox": 1, "wolf": 0}


def test_without_a_label_the_answer_counts_as_right(classifier, picture):
    found = explain(classifier, picture)
    assert found.probs[found.class_names.index(found.label)] == max(found.probs)
    assert "No label was given" in in_words(found)


@pytest.mark.parametrize("form", ["text", "markdown"])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_articles_numbers_are_in_every_form(crossent, form, language):
    text, _ = crossent("explain", "--format", form, "--language", language)
    for number in (
        "1.108663", "1.599462", "0.481486", "1.098612", "3.0303", "-1.108663", "5.1", "5.2",
        "-0.6700, +0.3200, +0.3500", "0.67", "0.32", "0.35",
    ):  # fmt: skip
        assert number in text
    assert text.count("1.108663") == 3, "(5.1), (5.2), and the loss of training"
    assert ("正解" in text) is (language == "ja") and ("$$" in text) is (form == "markdown")


def test_the_article_is_printed_line_by_line():
    lines = [line.strip() for line in in_words(ARTICLE).splitlines()]
    for line in (
        "0.3300    1  dog",
        "L = prod_k y_k^t_k = 0.3300^1 x 0.3200^0 x 0.3500^0 = 0.33",
        "log L = sum_k t_k log y_k = 1 ln 0.3300 + 0 ln 0.3200 + 0 ln 0.3500 = -1.108663    (5.1)",
        "E = -sum_k t_k log y_k = 1.108663 nats    (5.2)",
        "dE/dz_k = y_k - t_k = (-0.6700, +0.3200, +0.3500)",
        "In other units: 1.599462 bits (base 2), 0.481486 dits (base 10).",
        "The next step would push dog up by 0.67, fox down by 0.32, wolf down by 0.35.",
        "The article prints -0.481486. That is log10(0.33), a small slip: (5.2) takes -ln 0.33.",
    ):
        assert line in lines
    assert max(map(len, lines)) <= 100
    japanese = in_words(ARTICLE, language="ja")
    assert "dog を 0.67 上げ、fox を 0.32 下げ、wolf を 0.35 下げます" in japanese
    other = in_words(Explanation("a.png", ARTICLE.class_names, ARTICLE.probs, "dog"))
    assert "slip" not in other and "article" not in other


def test_of_many_classes_the_likely_ones_and_the_label_are_shown():
    probs = [0.5] + [0.5 / 99] * 99
    names = [f"class {k}" for k in range(100)]
    text = in_words(Explanation("a.png", names, probs, "class 99"))
    assert "class 0\n" in text and "class 99" in text and "94 others" in text
    assert f"94 others down by {94 * 0.5 / 99:.2f}." in text
    assert len(text.splitlines()) < 30


def test_names_cannot_break_markdown():
    text = in_words(Explanation("a|b_*.png", ["x|y", "$z"], [0.5, 0.5], "x|y"), "markdown")
    assert r"| x\|y | 0.5000 | 1 |" in text
    assert r"a\|b\_\*.png" in text


def test_the_command_explains_a_picture(crossent, run_path, picture):
    words = ("explain", run_path, "--label", "wolf", picture)  # options may stand between
    found = json.loads(crossent(*words, "--format", "json")[0])
    assert found["label"] == "wolf" and sum(found["y"].values()) == pytest.approx(1)
    assert f"E = -sum_k t_k log y_k = {found['E']['nats']:.6f} nats" in crossent(*words)[0]


def test_mistakes_are_sentences(crossent, run_path, pictures, classifier):
    page = pictures / "b" / "page.jpg"
    assert "HTML" in crossent("explain", run_path, page, status=2)[1]
    assert "no IMAGE" in crossent("explain", run_path, status=2)[1]
    assert "for a RUN" in crossent("explain", "--label", "fox", status=2)[1]
    with pytest.raises(UserError, match="--label bear: the model knows only dog, fox, wolf"):
        explain(classifier, str(page), "bear")
