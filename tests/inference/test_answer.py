"""What the demo's page says, without the page."""

from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from crossent.inference.answer import SIDE, WELCOME, answer
from crossent.inference.explain import explain
from crossent.inference.explain_words import as_markdown
from models.head import Head
from tests.data.pictures import scene


def test_without_a_picture_it_says_what_to_do(classifier):
    found = answer(classifier, None, "fox", "en")
    assert (found.text, found.probs, found.heat) == (WELCOME, None, None)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_bars_and_derivation_are_those_of_explain(classifier, pictures, monkeypatch, language):
    monkeypatch.chdir(pictures / "a")
    found = answer(classifier, str(pictures / "a" / "2.png"), "wolf", language)
    expected = explain(classifier, "2.png", "wolf")
    assert found.text == as_markdown(expected, language)
    assert found.probs == dict(zip(expected.class_names, expected.probs, strict=True))


def test_the_servers_folders_are_nobodys_business(classifier, pictures):
    for path in (pictures / "a" / "2.png", pictures / "b" / "page.jpg"):
        text = answer(classifier, str(path), None, "en").text
        assert path.name in text and str(path.parent) not in text
    assert "**page.jpg cannot be used:** not a picture but HTML" in text


def test_the_heat_map_lies_on_the_picture_in_its_own_shape(classifier, tmp_path):
    path = tmp_path / "wide.png"
    scene(1, 160, 40).save(path)
    heat = answer(classifier, str(path), None, "en").heat
    assert heat.size == (SIDE, SIDE // 4)
    darkened = np.asarray(heat).mean() / np.asarray(scene(1, 160, 40)).mean()
    assert 0.2 < darkened < 1


class NoMap(nn.Module):
    """As a transformer: nothing between pixels and logits has a height and a width."""

    def __init__(self):
        super().__init__()
        self.head = Head(3, 3)

    def forward(self, x):
        return self.head(x.mean(dim=(2, 3)))


def test_a_model_without_a_map_still_answers(classifier, pictures):
    found = answer(replace(classifier, model=NoMap()), str(pictures / "a" / "2.png"), "fox", "en")
    assert found.heat is None
    assert found.probs == pytest.approx(dict.fromkeys(classifier.class_names, 1 / 3))
