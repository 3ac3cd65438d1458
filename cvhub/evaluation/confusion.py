"""The confusion matrix as a picture, drawn with Pillow: plotting libraries are many times as large."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cvhub.evaluation.classification import Evaluation

WHITE, BLACK, GREY, GRID = (255, 255, 255), (20, 20, 20), (200, 200, 200), (235, 235, 235)
FULL = (8, 48, 107)  # of a row that is all in one cell; in between, mixed with white
SIDE = 900  # pixels of the matrix, as far as the smallest and largest cells allow
SMALLEST_CELL, LARGEST_CELL = 2, 64
NAMED_FROM, COUNTED_FROM = 12, 26  # cells of so many pixels have room for names beside, and counts inside
LONGEST_NAME = 28
MARGIN = 16
OTHER = "other classes"

Font = Any  # what ImageFont.load_default gives depends on how Pillow was built


def draw_confusion(evaluation: Evaluation) -> Image.Image:
    """A row a true class, a column a class answered, in the data set's order; a cell as dark as its share of its row.

    What else a classifier of more classes answered is in a last column.
    """
    counts, columns = _square(evaluation)
    title = _title(evaluation)
    cell = min(LARGEST_CELL, max(SMALLEST_CELL, SIDE // len(columns)))
    font = ImageFont.load_default(size=max(9, min(14, cell * 0.45)))
    names = cell >= NAMED_FROM
    left = MARGIN + (_widest(font, evaluation.classes) if names else 0) + 30
    top = MARGIN + 56
    width = max(left + cell * len(columns), *(int(font.getlength(line)) for line, font in title)) + MARGIN
    height = top + cell * len(counts) + (_widest(font, columns) if names else 0) + 2 * MARGIN + 8
    image = Image.new("RGB", (width, height), WHITE)
    draw = ImageDraw.Draw(image)
    for i, (line, line_font) in enumerate(title):
        draw.text((MARGIN, MARGIN + 24 * i), line, BLACK, line_font)
    _draw_cells(image, counts, left, top, cell, font)
    draw.rectangle((left - 1, top - 1, left + cell * len(columns), top + cell * len(counts)), outline=GREY)
    if names:
        for i, name in enumerate(evaluation.classes):
            draw.text((left - 6, top + cell * (i + 0.5)), _short(name), BLACK, font, anchor="rm")
        for i, name in enumerate(columns):
            _draw_upright(image, _short(name), round(left + cell * (i + 0.5)), top + cell * len(counts) + 6, font)
    return image


def _square(evaluation: Evaluation) -> tuple[np.ndarray, list[str]]:
    """The counts (D, D), or (D, D + 1) where other classes were answered, and the columns' names."""
    tally = evaluation.tally
    counts = tally.confusion[:, tally.columns]
    others = tally.confusion.sum(axis=1, keepdims=True) - counts.sum(axis=1, keepdims=True)
    if others.any():
        return np.hstack([counts, others]), [*evaluation.classes, OTHER]
    return counts, evaluation.classes


def _title(evaluation: Evaluation) -> list[tuple[str, Font]]:
    heading = f"{evaluation.model} on {evaluation.dataset}, {evaluation.split}: {evaluation.tally.n:,} pictures"
    told = "Rows: true class. Columns: class answered. The darker, the larger its share of the row."
    return [(heading, ImageFont.load_default(size=15)), (told, ImageFont.load_default(size=12))]


def _draw_cells(image: Image.Image, counts: np.ndarray, left: int, top: int, cell: int, font: Font) -> None:
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    colours = np.rint(np.array(WHITE) + shares[:, :, None] * (np.array(FULL) - np.array(WHITE))).astype(np.uint8)
    height, width = counts.shape
    small = Image.fromarray(colours)
    image.paste(small.resize((width * cell, height * cell), Image.Resampling.NEAREST), (left, top))
    draw = ImageDraw.Draw(image)
    if cell >= NAMED_FROM:
        for x in range(left + cell, left + cell * width, cell):
            draw.line((x, top, x, top + cell * height - 1), GRID)
        for y in range(top + cell, top + cell * height, cell):
            draw.line((left, y, left + cell * width - 1, y), GRID)
    if cell < COUNTED_FROM:
        return
    for row, column in np.argwhere(counts):
        centre = (left + cell * (column + 0.5), top + cell * (row + 0.5))
        colour = WHITE if shares[row, column] > 0.45 else BLACK
        draw.text(centre, str(counts[row, column]), colour, font, anchor="mm")


def _draw_upright(image: Image.Image, text: str, x: int, y: int, font: Font) -> None:
    """The text turned to be read from below, centred on x, its end at y."""
    length = int(font.getlength(text)) + 1
    line = Image.new("L", (length, 20))
    ImageDraw.Draw(line).text((0, 10), text, 255, font, anchor="lm")
    turned = line.rotate(90, expand=True)
    image.paste(BLACK, (x - 10, y), turned)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def _widest(font: Font, names: list[str]) -> int:
    return max(int(font.getlength(_short(name))) for name in names) + 8
