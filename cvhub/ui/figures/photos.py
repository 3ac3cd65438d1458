"""What figures about pictures share: the sample photos as squares, lines on them, and small multiples of pictures."""

from collections.abc import Iterable
from functools import lru_cache
from html import escape

import numpy as np
from PIL import Image, ImageDraw

from cvhub.explain.cam import paint
from cvhub.ui.figures.figure import Choice
from cvhub.ui.pictures import data_uri
from cvhub.ui.samples import PHOTOS, sample_file

PICTURE = Choice("picture", PHOTOS, PHOTOS[0])
NAMES = {
    "chelsea": ("Cat", "猫"),
    "coffee": ("Coffee", "咖啡"),
    "rocket": ("Rocket", "火箭"),
    "astronaut": ("Astronaut", "宇航员"),
}


def picture_strings(figure: str) -> dict[str, tuple[str, str]]:
    """Of the control `PICTURE` in a figure."""
    values = {f"{figure}_picture_{name}": words for name, words in NAMES.items()}
    return {f"{figure}_picture": ("Picture", "图片")} | values


@lru_cache(maxsize=16)
def sample(name: str, side: int) -> Image.Image:
    """The middle square of a sample photo, side × side pixels, RGB."""
    photo = Image.open(sample_file(name)).convert("RGB")
    shorter = min(photo.size)
    left, top = (photo.width - shorter) // 2, (photo.height - shorter) // 2
    box = (left, top, left + shorter, top + shorter)
    return photo.resize((side, side), Image.Resampling.BICUBIC, box=box)


def as_picture(values: np.ndarray) -> Image.Image:
    """(H, W, 3) in [0, 1]; what lies outside is cut off."""
    return Image.fromarray(np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8))


def ruled(picture: Image.Image, groups: np.ndarray, width: int = 2) -> Image.Image:
    """A copy with white lines, dark at their edges, wherever neighbours of the grid `groups` (h, w) differ."""
    drawn = picture.copy()
    pen = ImageDraw.Draw(drawn)
    rows, columns = groups.shape
    across, down = drawn.width / columns, drawn.height / rows
    lines = [(c * across, r * down, c * across, (r + 1) * down) for r, c in _changes(groups)]
    lines += [(c * across, r * down, (c + 1) * across, r * down) for c, r in _changes(groups.T)]
    for colour, wider in (("black", 2), ("white", 0)):
        for line in lines:
            pen.line(line, fill=colour, width=width + wider)
    return drawn


def _changes(groups: np.ndarray) -> list[list[int]]:
    """(row, column) of each place that differs from the one before it in its row."""
    return [[row, column + 1] for row, column in np.argwhere(np.diff(groups, axis=1)).tolist()]


def heated(picture: Image.Image, heat: np.ndarray, strength: float = 0.65) -> Image.Image:
    """The picture under a heat map (h, w), of which the largest value is the brightest, cell by cell."""
    peak = max(float(heat.max()), 1e-12)
    grey = Image.fromarray(np.rint(255 * heat / peak).astype(np.uint8))
    return Image.blend(picture, paint(grey.resize(picture.size, Image.Resampling.NEAREST)), strength)


def image(picture: Image.Image, alt: str) -> str:
    return f'<img src="{data_uri(picture)}" alt="{escape(alt)}" style="display:block;width:100%;border-radius:4px">'


def panels(items: Iterable[tuple[str, str, str]], widest: int = 240) -> str:
    """Small multiples of (HTML, title, text), each at most `widest` pixels wide and at least two thirds of that."""
    drawn = "".join(
        f'<li style="max-width:{widest}px">{inner}<b>{escape(title)}</b><span>{escape(text)}</span></li>'
        for inner, title, text in items
    )
    columns = f"repeat(auto-fit,minmax(min(100%,{2 * widest // 3}px),1fr))"
    return f'<ul class="panels" style="grid-template-columns:{columns}">{drawn}</ul>'


def note(text: str) -> str:
    return f'<p class="facts">{escape(text)}</p>'
