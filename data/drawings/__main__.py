"""Draw a sheet of drawings, one class per row, as one PNG."""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from data.drawings.pen import INK
from data.drawings.scene import draw
from data.drawings.species import CLASS_NAMES

GAP = 4  # pixels between drawings


def make_sheet(seed: int, rows: int, columns: int, size: int) -> Image.Image:
    """Draw rows of dogs, foxes and wolves in turn, with the class names beside them."""
    margin, step = size * 5 // 8, size + GAP
    sheet = Image.new("RGB", (margin + columns * step, GAP + rows * step), (250, 248, 244))
    pencil, font = ImageDraw.Draw(sheet), ImageFont.load_default(size / 5)
    for row in range(rows):
        turn, target = divmod(row, len(CLASS_NAMES))
        y = GAP + row * step
        pencil.text((margin / 2, y + size / 2), CLASS_NAMES[target], INK, font, anchor="mm")
        for column in range(columns):
            index = (turn * columns + column) * len(CLASS_NAMES) + target
            sheet.paste(Image.fromarray(draw(seed, index, size)), (margin + column * step, y))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m data.drawings", description=__doc__)
    parser.add_argument("--out", type=Path, default="drawings.png", help="the PNG file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the drawings (0)")
    parser.add_argument("--rows", type=int, default=6, help="of drawings, one class each (6)")
    parser.add_argument("--columns", type=int, default=9, help="of drawings (9)")
    parser.add_argument("--size", type=int, default=96, help="of one drawing, in pixels (96)")
    args = parser.parse_args()
    try:
        make_sheet(args.seed, args.rows, args.columns, args.size).save(args.out)
    except (OSError, ValueError) as error:  # no such folder, no size, a negative seed
        parser.error(f"{args.out}: {error}")
    print(args.out)


if __name__ == "__main__":
    main()
