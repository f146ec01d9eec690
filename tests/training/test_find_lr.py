import pytest

from crossent.errors import UserError
from crossent.training.find_lr import HIGHEST, LOWEST, draw_rates, find_lr, suggest_lr
from tests.training.parts import make_trainer


def test_the_finder_suggests_where_E_falls_fastest():
    """The curve falls fastest around the learning rate 0.1."""
    lrs = [10 ** (-4 + 0.1 * i) for i in range(50)]
    Es = [1.1 - 0.5 / (1 + (0.1 / lr) ** 2) for lr in lrs]
    assert suggest_lr(lrs, Es) == pytest.approx(0.1, rel=0.3)
    with pytest.raises(UserError, match="did not fall at any learning rate"):
        suggest_lr([1.0, 2.0, 3.0], [1.0, 1.5, 2.0])


def test_the_finder_tries_rates_in_order_until_E_explodes(tmp_path):
    lrs, Es = find_lr(make_trainer(dropout=0.0, mixup=0.0))
    assert lrs == sorted(lrs) and lrs[0] == pytest.approx(LOWEST) and lrs[-1] <= HIGHEST * 1.0001
    draw_rates(lrs, Es, suggest_lr(lrs, Es), tmp_path / "lr-finder.png")
    assert (tmp_path / "lr-finder.png").read_bytes().startswith(b"\x89PNG")
