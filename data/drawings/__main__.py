"""Draw a sheet of drawings, one class per row, as one PNG."""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from data.drawings.pen import INK
from data.drawings.scene import draw
from data.drawings.species import CLASS_NAMES

GAP = 4  # pixels between drawings
OPTIONS = (  # name, default, least, most, meaning
    ("seed", 0, 0, 2**63, "of the drawings"),
    ("rows", 6, 1, 100, "of drawings, one class each"),
    ("columns", 9, 1, 100, "of drawings"),
    ("size", 96, 16, 512, "of one drawing, in pixels"),
)


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
    for name, default, _, _, meaning in OPTIONS:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{meaning} ({default})")
    args = parser.parse_args()
    for name, _, least, most, _ in OPTIONS:
        if not least <= getattr(args, name) <= most:
            parser.error(f"argument --{name}: expected a whole number from {least} to {most}")
    if args.out.suffix.lower() != ".png" or not args.out.parent.is_dir():
        parser.error(f"argument --out: {args.out} is not the name of a .png file in a folder")
    make_sheet(args.seed, args.rows, args.columns, args.size).save(args.out)
    print(args.out)


if __name__ == "__main__":
    main()
