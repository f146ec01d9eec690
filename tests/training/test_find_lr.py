import pytest

from crossent.errors import UserError
from crossent.training.find_lr import draw_rates, suggest_lr


def test_the_finder_suggests_where_E_falls_fastest(tmp_path):
    """The curve falls fastest around the learning rate 0.1."""
    lrs = [10 ** (-4 + 0.1 * i) for i in range(50)]
    Es = [1.1 - 0.5 / (1 + (0.1 / lr) ** 2) for lr in lrs]
    assert suggest_lr(lrs, Es) == pytest.approx(0.1, rel=0.3)
    draw_rates(lrs, Es, 0.1, tmp_path / "lr-finder.png")
    assert (tmp_path / "lr-finder.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="did not fall at any learning rate"):
        suggest_lr([1.0, 2.0, 3.0], [1.0, 1.5, 2.0])
