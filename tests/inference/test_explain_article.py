"""The text of `python -m crossent explain`: the article's example with the right numbers."""

import math
import subprocess
import sys

import pytest

from crossent.inference import explain_article


def test_every_number_of_the_example_is_in_the_text():
    text = explain_article.article_example()
    for part in (
        "0.33^1 x 0.32^0 x 0.35^0 = 0.33",
        "= -1.108663    (5.1)",
        "= 1.108663 nats    (5.2)",
        "= 1.599462 bits (base 2) = 0.481486 in base 10",
        "ln 3 = 1.098612",
        "exp(E) = 3.0303",
        "y_k - t_k",
        "dog   -0.67",
        "fox   +0.32",
        "wolf  +0.35",
        "The article prints -0.481486",
        "gives 1.108663 for z = ln y",
    ):
        assert part in text


def test_the_loss_of_training_gives_the_number_shown():
    assert explain_article.trained_with() == pytest.approx(-math.log(0.33), rel=1e-15)


def test_the_text_fits_a_terminal_of_100_columns():
    assert max(len(line) for line in explain_article.article_lines()) <= 100


def test_only_the_last_line_waits_for_torch():
    code = (
        "import sys\n"
        "from crossent.inference.explain_article import article_lines\n"
        "before = ['torch' in sys.modules for line in article_lines()]\n"
        "sys.exit(before != [False] * (len(before) - 1) + [True])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
