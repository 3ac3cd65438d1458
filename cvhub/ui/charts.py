"""Charts as HTML: bars, lines, maps of values, clouds of points. Pure functions; words come in as plain text.

SVG draws shapes only and is stretched to the place there is (strokes keep their width); all text is HTML over it, so
that it keeps its size on a phone. Colours are places in the palette, so a chart follows the page into the dark.
"""

import cmath
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from cvhub.ui import numerals

SIDE = 1000  # units of an SVG's sides
DASHES = ("", "7 4", "2 4", "10 3 2 3")  # strokes that differ without colour
USUAL, PHONE = (640, 300), (270, 240)  # pixels of a canvas, of which only the height is fixed
ARROW = 0.025  # of the canvas's width, or height
MARK_SIDE = 23  # pixels that a mark takes, with the gap to the next
FAINTEST = 0.12  # opacity of a map's least value above 0, so that it differs from 0


@dataclass(frozen=True)
class Axis:
    """A scale from the first tick to the last; the title names the unit."""

    title: str
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value stands: 0 at the first tick, 1 at the last."""
        low, high, at = (math.log(x) if self.log else x for x in (self.ticks[0], self.ticks[-1], value))
        return (at - low) / (high - low)

    def labels(self) -> list[str]:
        """HTML of each tick."""
        if self.log and (self.ticks[0] < 1e-3 or self.ticks[-1] > 1e4):
            return [f"10<sup>{round(math.log10(tick))}</sup>".replace("-", "−") for tick in self.ticks]
        return [f"{tick:g}" if tick < 10_000 else numerals.count(tick) for tick in self.ticks]


@dataclass(frozen=True)
class Series:
    """A line through points (x, y); with `dots` also a dot on each point, with `line` False nothing else; with `arrow`
    a head halfway along each piece of it."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: int = 0
    dash: str = ""
    dots: bool = False
    line: bool = True
    arrow: bool = False


@dataclass(frozen=True)
class Mark:
    """A numbered dot at (x, y) that leads to the element `to` of the page; `label` says what it is, and its values."""

    x: float
    y: float
    number: int
    label: str
    to: str
    colour: int = 0


@dataclass(frozen=True)
class Bar:
    """A length, and what is written of it."""

    label: str
    value: float
    written: str
    colour: int = 0


@dataclass(frozen=True)
class Cell:
    """What is written in a table, and a bar under it where it is a share of the column's most; `aside` is a name that
    other places know it by, `to` the element of the page that it leads to."""

    written: str
    share: float | None = None
    aside: str = ""
    to: str = ""


def from_zero(title: str, most: float, steps: int = 5) -> Axis:
    """A linear axis from 0 to at least `most`, in about `steps` steps of 1, 2 or 5 times a power of ten."""
    rough = most / steps
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return Axis(title, tuple(step * i for i in range(math.ceil(most / step - 1e-9) + 1)))


def around(title: str, low: float, high: float, steps: int = 4) -> Axis:
    """A linear axis that holds `low` to `high` in about `steps` round steps, for places, not for lengths."""
    step = from_zero(title, max(high - low, 1e-9), steps).ticks[1]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis(title, tuple(step * i for i in range(first, max(last, first + 1) + 1)))


def decades(title: str, values: Sequence[float], most_ticks: int = 7) -> Axis:
    """A logarithmic axis of powers of ten around all `values`, which are above 0."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    step = math.ceil(max(high - low, 1) / (most_ticks - 1))
    steps = math.ceil(max(high - low, 1) / step)
    return Axis(title, tuple(10.0 ** (low + step * i) for i in range(steps + 1)), log=True)


def bars(rows: Sequence[Bar], title: str, most: float | None = None) -> str:
    """Bars from 0 to `most`, or to the longest: a list under its title, the numbers written."""
    most = most or max(row.value for row in rows) or 1
    items = "".join(
        f'<li style="--series:var(--series-{row.colour})"><span class="label">{escape(row.label)}</span>'
        f'<span class="number">{escape(row.written)}</span>{track(row.value / most)}</li>'
        for row in rows
    )
    return f'<section class="meters"><h3>{escape(title)}</h3><ul>{items}</ul></section>'


def track(share: float) -> str:
    """A bar alone, its length a share of its track."""
    return f'<span class="track"><span class="fill" style="width:{100 * share:.2f}%"></span></span>'


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]], caption: str) -> str:
    """A row a thing, named by its first cell. Each cell carries its column's head, for pages that are narrow."""
    heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    body = "".join(f"<tr>{''.join(map(_cell, head, row, range(len(row))))}</tr>" for row in rows)
    inner = f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody>"
    return f'<table class="figures" aria-label="{escape(caption)}">{inner}</table>'


def _cell(title: str, cell: Cell, place: int) -> str:
    opening, closing = ('<th scope="row">', "</th>") if place == 0 else ("<td>", "</td>")
    bar = "" if cell.share is None else track(cell.share)
    aside = f' <code class="aside">{escape(cell.aside)}</code>' if cell.aside else ""
    said = f'<a href="#{escape(cell.to)}">{escape(cell.written)}</a>' if cell.to else escape(cell.written)
    written = f"<span>{said}{aside}</span>"
    return f'{opening}<span class="narrow">{escape(title)}</span>{written}{bar}{closing}'


def definitions(told: Mapping[str, str]) -> str:
    """Facts about a model: names as plain text, values as HTML."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in told.items())
    return f'<dl class="model-facts">{rows}</dl>'


def plot(series: Sequence[Series], x: Axis, y: Axis, alt: str) -> str:
    """Lines over axes, and what each is. `alt` says in a sentence what they show."""
    return f'<div class="plot">{legend(series)}{canvas(series, x, y, alt)}</div>'


def canvas(series: Sequence[Series], x: Axis, y: Axis, alt: str, marks: Sequence[Mark] = ()) -> str:
    """Lines over axes, and dots to choose from; a line leads from each that had to move aside to its place."""
    rules = "".join(f'<path class="rule" d="M0 {_at(1 - y.place(tick))}H{SIDE}"/>' for tick in y.ticks)
    drawn = "".join(_line(one, x, y) for one in series)
    ticks = "".join(
        f'<span class="tick across" style="left:{100 * x.place(tick):.2f}%">{label}</span>'
        for tick, label in zip(x.ticks, x.labels(), strict=True)
    ) + "".join(
        f'<span class="tick up" style="bottom:{100 * y.place(tick):.2f}%">{label}</span>'
        for tick, label in zip(y.ticks, y.labels(), strict=True)
    )
    return (
        f'<div role="{"group" if marks else "img"}" aria-label="{escape(alt)}"><p class="axis">{escape(y.title)}</p>'
        f'<div class="canvas">{svg(rules + drawn)}{ticks}{_marks(marks, x, y)}</div>'
        f'<p class="axis across">{escape(x.title)}</p></div>'
    )


def legend(series: Sequence[Series]) -> str:
    """A stroke or a dot and a name for each series; nothing where there is but one."""
    if len(series) < 2:
        return ""
    items = "".join(f"<li>{_sample(one)}{escape(one.label)}</li>" for one in series)
    return f'<ul class="legend">{items}</ul>'


def heat_map(values: np.ndarray, alt: str, frame: int = 0) -> str:
    """(rows, columns) in [0, 1] as cells that are the fuller the larger; `frame` cells in the middle are outlined."""
    rows, columns = values.shape
    cells = "".join(
        f'<rect x="{column}" y="{row}" width="1" height="1" fill-opacity="{max(values[row, column], FAINTEST):.2f}"/>'
        for row, column in np.argwhere(values > 0).tolist()
    )
    corner = (columns - frame) / 2
    outline = f'<rect class="outline" x="{corner}" y="{corner}" width="{frame}" height="{frame}"/>' if frame else ""
    return (
        f'<div class="cells" role="img" aria-label="{escape(alt)}" style="aspect-ratio:{columns}/{rows}">'
        f'<svg viewBox="0 0 {columns} {rows}" aria-hidden="true">{cells}{outline}</svg></div>'
    )


def cloud(groups: Sequence[tuple[np.ndarray, int]], reach: float, alt: str) -> str:
    """Points (n, 2) of several groups, each with its colour, as far as they are in a square from −reach to reach."""
    drawn = ""
    for points, colour in groups:
        inside = points[(np.abs(points) <= reach).all(axis=1)]
        drawn += f'<path class="dots" style="--series:var(--series-{colour})" d="{_dots((inside / reach + 1) / 2)}"/>'
    return f'<div class="cloud" role="img" aria-label="{escape(alt)}">{svg(drawn)}</div>'


def svg(inner: str) -> str:
    return f'<svg viewBox="0 0 {SIDE} {SIDE}" preserveAspectRatio="none" aria-hidden="true">{inner}</svg>'


def _line(series: Series, x: Axis, y: Axis) -> str:
    places = np.array([(x.place(a), y.place(b)) for a, b in series.points])
    style = f'style="--series:var(--series-{series.colour})"'
    line = " ".join(f"{_at(a)},{_at(1 - b)}" for a, b in places)
    drawn = f'<polyline {style} stroke-dasharray="{series.dash}" points="{line}"/>' if series.line else ""
    if series.arrow:
        drawn += "".join(_arrow(*ends) for ends in itertools.pairwise(places))
    return drawn + (f'<path class="dots" {style} d="{_dots(places)}"/>' if series.dots else "")


def _arrow(start: np.ndarray, end: np.ndarray) -> str:
    """A head halfway, in `svg`'s units: it is stretched with the canvas, and points along its line all the same."""
    way = end - start
    length = float(np.hypot(*way))
    if length == 0:
        return ""
    tip, along = (start + end) / 2, ARROW * way / length
    across = np.array([-along[1], along[0]]) / 2
    corners = (tip - along + across, tip, tip - along - across)
    return f'<polyline class="head" points="{" ".join(f"{_at(a)},{_at(1 - b)}" for a, b in corners)}"/>'


def _marks(marks: Sequence[Mark], x: Axis, y: Axis) -> str:
    lines, drawn, taken = "", "", list[tuple[float, float, complex]]()
    for mark in marks:
        across, up = x.place(mark.x), y.place(mark.y)
        aside = _aside(across, up, taken)
        taken.append((across, up, aside))
        place = f"--series:var(--series-{mark.colour});left:{100 * across:.2f}%;bottom:{100 * up:.2f}%"
        if aside:
            far, turn = cmath.polar(aside.conjugate())  # on a screen y goes down
            lines += f'<i class="leader" style="{place};width:{far:.0f}px;rotate:{turn:.3f}rad"></i>'
        drawn += (
            f'<a class="mark" href="#{escape(mark.to)}" title="{escape(mark.label)}" aria-label="{escape(mark.label)}" '
            f'style="{place};margin:0 0 {aside.imag:.0f}px {aside.real:.0f}px">{mark.number}</a>'
        )
    return lines + drawn


def _aside(across: float, up: float, taken: Sequence[tuple[float, float, complex]]) -> complex:
    """By how many pixels, to the right + 1j · upwards, a mark at a place in [0, 1]² moves so that, on a wide canvas
    and on a phone's, it hides none of those that have their place, (across, up, moved), and stays within the canvas."""
    ways = (cmath.rect(far, turn * math.pi / 8) for far in range(0, PHONE[0], MARK_SIDE // 4) for turn in range(16))
    for aside in ways:
        left, bottom = across * PHONE[0] + aside.real, up * PHONE[1] + aside.imag
        free = not any(
            abs((across - a) * width + (aside - moved).real) < MARK_SIDE
            and abs((up - b) * height + (aside - moved).imag) < MARK_SIDE
            for width, height in (USUAL, PHONE)
            for a, b, moved in taken
        )
        if free and 0 <= left <= PHONE[0] and 0 <= bottom <= PHONE[1]:
            return aside
    return 0  # more marks than a phone has room for


def _dots(places: np.ndarray) -> str:
    """A path of strokes without length, which round caps make dots of one size: places (n, 2) in [0, 1], y upwards."""
    return "".join(f"M{_at(a)} {_at(1 - b)}h0" for a, b in places)


def _sample(series: Series) -> str:
    line = f'<path class="stroke" stroke-dasharray="{series.dash}" d="M0 5H26"/>' if series.line else ""
    dot = '<path class="dots" d="M13 5h0"/>' if series.dots else ""
    style = f"--series:var(--series-{series.colour})"
    return f'<svg viewBox="0 0 26 10" aria-hidden="true" style="{style}">{line}{dot}</svg>'


def _at(place: float) -> int:
    return round(SIDE * place)
