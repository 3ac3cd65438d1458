"""Descent as HTML, for play.js to play: how IoU with the truth grew on each loss, and a slider of the steps."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from cvhub.ui import numerals
from cvhub.ui.charts import Axis, Series, canvas
from cvhub.ui.overlap.panels import COLOURS, STROKES
from cvhub.ui.strings import Say

TAKES = itertools.count()  # what is played again differs, or the browser would see nothing new
CURSOR = '<span class="cursor"></span>'


@dataclass(frozen=True)
class Way:
    """What the chart tells of descent on one loss: IoU with the truth at each of its frames."""

    name: str
    ious: list[float]
    still: bool


def empty(say: Say) -> str:
    """Where the chart will be."""
    return f'<li class="descent empty"><p class="facts">{escape(say("overlap_empty"))}</p></li>'


def chart(say: Say, ways: Mapping[str, Way], every: int) -> str:
    """IoU by step, a line a loss, a frame `every` so many steps, and a cursor at the step that is shown."""
    series = [
        Series(way.name, [(every * i, iou) for i, iou in enumerate(way.ious)], COLOURS[kind], STROKES.get(kind, ""))
        for kind, way in ways.items()
    ]
    last = every * (len(next(iter(ways.values())).ious) - 1)
    across = Axis(say("overlap_step"), tuple(range(0, last + 1, last // 4)))
    alt = say("overlap_curve_alt", ends=ends(say, ways))
    drawn = canvas(series, across, Axis(say("overlap_curve"), (0, 0.5, 1)), alt)
    slider = (
        f'<div class="steps"><button type="button" aria-pressed="false" aria-label="{escape(say("overlap_pause"))}">'
        f"</button><label><span>{escape(say('overlap_step'))} <output>0</output></span>"
        f'<input type="range" min="0" max="{last}" step="{every}" value="0"></label></div>'
    )
    plot = f'<div class="plot">{drawn.replace("</svg>", "</svg>" + CURSOR, 1)}</div>'
    return f'<li class="descent" data-take="{next(TAKES)}">{slider}{plot}</li>'


def ends(say: Say, ways: Mapping[str, Way]) -> str:
    """The IoU at the end, loss by loss, and which has led nowhere."""
    return say("overlap_comma").join(
        say("overlap_end_still" if way.still else "overlap_end", name=way.name, iou=numerals.signed(way.ious[-1]))
        for way in ways.values()
    )
