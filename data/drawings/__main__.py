"""Draw a sheet of drawings, a class a row, as one PNG."""

import argparse
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from data.drawings.pen import Color
from data.drawings.scene import draw
from data.drawings.species import CLASS_NAMES

GAP = 4  # pixels between drawings
PAPER: Color = (250, 248, 244)
PENCIL: Color = (60, 54, 56)


def make_sheet(seed: int, rows: int, columns: int, size: int) -> Image.Image:
    """Rows of dogs, foxes and wolves in turn, with the class names written beside them."""
    margin, step = size * 5 // 8, size + GAP
    sheet = Image.new("RGB", (margin + columns * step, GAP + rows * step), PAPER)
    pencil = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size / 5)
    num_classes = len(CLASS_NAMES)
    for row in range(rows):
        turn, target = divmod(row, num_classes)
        y = GAP + row * step
        pencil.text((margin / 2, y + size / 2), CLASS_NAMES[target], PENCIL, font, anchor="mm")
        for column in range(columns):
            index = (turn * columns + column) * num_classes + target
            sheet.paste(Image.fromarray(draw(seed, index, size)), (margin + column * step, y))
    return sheet


def _whole(least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` to `most`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return int(text)

    return parse


def _png(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".png":
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m data.drawings", description=__doc__)
    for flag, parse, default, meaning in (
        ("--out", _png, "drawings.png", "the file to write"),
        ("--seed", _whole(0, 2**63), "0", "of the drawings"),
        ("--rows", _whole(1, 100), "6", "of drawings, a class each"),
        ("--columns", _whole(1, 100), "9", "of drawings"),
        ("--size", _whole(16, 512), "96", "of a drawing, in pixels"),
    ):
        parser.add_argument(flag, type=parse, default=default, help=f"{meaning} ({default})")
    args = parser.parse_args()
    make_sheet(args.seed, args.rows, args.columns, args.size).save(args.out)
    print(args.out)


if __name__ == "__main__":
    main()
