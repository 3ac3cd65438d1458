"""Matrices as HTML: a picture a row, a text a column, and the more a cell holds the fuller it is. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image

from cvhub.ui.pictures import data_uri, preview

THUMBNAIL = 96  # pixels of the longer side
MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Margin:
    """What stands beside the rows, or under the columns: a name, and a number for each."""

    name: str
    written: Sequence[str]


def matrix(
    title: str,
    values: np.ndarray,
    shares: np.ndarray,
    pictures: Sequence[str],
    texts: Sequence[str],
    paired: bool = False,
    beside: Margin | None = None,
    under: Margin | None = None,
    level: int = 2,
) -> str:
    """`values` (N, M) are written, `shares` (N, M) in [0, 1] say how full the cells are. Where picture i and text i are
    `paired`, their cell is outlined. The pictures are those of `thumbnails`, by number. `level` is the heading's."""
    heads = "".join(f'<th scope="col" dir="auto"><span>{escape(text)}</span></th>' for text in texts)
    if beside:
        heads += f'<th scope="col" class="margin"><span>{escape(beside.name)}</span></th>'
    rows = "".join(
        f"<tr>{_picture(number, name)}{_cells(values[number], shares[number], number if paired else None)}"
        f"{_margin(beside, number)}</tr>"
        for number, name in enumerate(pictures)
    )
    last = ""
    if under:
        cells = "".join(f'<td class="margin">{escape(written)}</td>' for written in under.written)
        corner = "<td></td>" if beside else ""
        last = f'<tr><th scope="row" class="margin">{escape(under.name)}</th>{cells}{corner}</tr>'
    label = escape(title)
    scrolled = f'<div class="scroll" tabindex="0" role="group" aria-label="{label}">'
    columns = len(texts) + (beside is not None)
    return (
        f'<section class="matrix"><h{level}>{label}</h{level}>{scrolled}'
        f'<table aria-label="{label}" style="--columns:{columns}"><thead><tr><td></td>{heads}</tr></thead>'
        f"<tbody>{rows}{last}</tbody></table></div></section>"
    )


def thumbnails(view: str, images: Sequence[Image.Image]) -> str:
    """A style element that hands the pictures to the matrices of the element `view`, by number."""
    rules = "".join(f"--thumb-{number}:url({data_uri(_small(image))});" for number, image in enumerate(images))
    return f"<style>#{view}{{{rules}}}</style>"


def between(values: np.ndarray) -> np.ndarray:
    """Where each value stands between the least and the greatest: 0 to 1."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def number(value: float) -> str:
    """Two digits behind the point, as many as a cell has room for."""
    return f"{value:.2f}".replace("-", MINUS) if round(value, 2) else "0.00"


def _small(image: Image.Image) -> Image.Image:
    small = preview(image)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    return small


def _picture(number: int, name: str) -> str:
    thumb = (
        f'<span class="thumb" role="img" aria-label="{escape(name)}" style="background-image:var(--thumb-{number})">'
    )
    return f'<th scope="row">{thumb}</span></th>'


def _cells(values: np.ndarray, shares: np.ndarray, pair: int | None) -> str:
    cells = ""
    for place, (value, share) in enumerate(zip(values.tolist(), shares.tolist(), strict=True)):
        kind = ' class="pair"' if place == pair else ""
        cells += f'<td{kind} style="--share:{share:.3f}">{number(value)}</td>'
    return cells


def _margin(margin: Margin | None, place: int) -> str:
    return f'<td class="margin">{escape(margin.written[place])}</td>' if margin else ""
