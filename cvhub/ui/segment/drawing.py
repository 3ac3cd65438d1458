"""An answer as HTML: the sentence, the picture under its segments, what they are, and a map of what lies in pixels.

The page's script (segment.js) draws the segments: it is handed a map of ids and a list, so that opacity, contours,
what is hidden and what is pointed at need no server. Whatever comes from outside is escaped.
"""

import json
import uuid
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cvhub.explain.cam import HEAT_COLOURS, paint
from cvhub.ui import numerals
from cvhub.ui.messages import reason
from cvhub.ui.palette import SERIES
from cvhub.ui.pictures import data_uri, encoded
from cvhub.ui.readout import message
from cvhub.ui.segment.reading import Thing
from cvhub.ui.segment.state import Seen
from cvhub.ui.strings import Say, speaker

if TYPE_CHECKING:
    from cvhub.inference.segment import Segmentation

RUNTIMES = {"torch": "PyTorch", "openvino": "OpenVINO"}
SHOWN_SIDE = 1024  # pixels of the longer side of what the browser is given
CANVAS_SIDE = 900  # about the longer side of what segments are drawn on, however small the picture
LEVEL_SIDE = 320
LISTED = 200  # objects in the legend at most; all are in the files
BRIGHT = 6  # colours of the palette that are taken bright, the others dark: so all differ over a picture
SHADES = (0.0, 0.45, -0.35, 0.7, 0.22, -0.18)  # of a class's colour, one thing after another: towards white, black


def colour_of(label_id: int, place: int = 0) -> tuple[int, int, int]:
    """A class's colour; of its second thing and the next ones a shade of it."""
    place_in_palette = label_id % len(SERIES)
    colour = SERIES[place_in_palette][place_in_palette < BRIGHT]
    share = SHADES[place % len(SHADES)]
    target = 255 if share > 0 else 0
    red, green, blue = (
        round(value + (target - value) * abs(share)) for value in (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    )
    return red, green, blue


def css_colour(colour: tuple[int, int, int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def shown_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of what is shown of (height, width)."""
    factor = min(1.0, SHOWN_SIDE / max(size))
    return max(1, round(size[1] * factor)), max(1, round(size[0] * factor))


def picture_uri(seen: Seen) -> str:
    """The picture as the browser is given it; small ones, as drawn scenes are, keep every pixel."""
    shown = seen.image.resize(shown_size(seen.size), Image.Resampling.BILINEAR, reducing_gap=2)
    return encoded(shown, "png") if max(seen.size) <= SHOWN_SIDE // 4 else data_uri(shown)


def ids_uri(ids: np.ndarray) -> str:
    """A map of ids (H, W) as a PNG that keeps every id: red is the low byte, green the high one."""
    ids = np.asarray(Image.fromarray(ids.astype(np.int32)).resize(shown_size(ids.shape), Image.Resampling.NEAREST))
    pixels = np.stack([ids & 255, ids >> 8 & 255, np.zeros_like(ids)], axis=2)
    return encoded(Image.fromarray(pixels.astype(np.uint8)), "png")


def segment_rows(found: "Segmentation", things: list[Thing], task: str) -> list[dict[str, Any]]:
    """What is drawn and listed: of each segment its id, class, name, pixels, score and colour; large classes first."""
    areas = np.bincount(found.mask.ravel())
    totals: dict[int, int] = {}
    for segment in found.segments:
        totals[segment.label_id] = totals.get(segment.label_id, 0) + int(areas[segment.id])
    is_thing = {thing.id for thing in things} if task != "semantic" else set()
    rows, places = [], dict.fromkeys(totals, 0)
    for segment in sorted(found.segments, key=lambda one: (-totals[one.label_id], one.label_id, one.id)):
        numbered = segment.id in is_thing
        row = {"id": segment.id, "label": segment.label_id, "area": int(areas[segment.id]), "score": segment.score}
        row["name"] = f"{segment.label} {places[segment.label_id] + 1}" if numbered else segment.label
        row["class"] = segment.label
        row["colour"] = colour_of(segment.label_id, places[segment.label_id] if numbered else 0)
        places[segment.label_id] += 1
        rows.append(row)
    return rows


def figures(seen: Seen, found: "Segmentation", rows: list[dict[str, Any]], heat: str, say: Say) -> str:
    """The segments over the picture, and beside it a map of `heat`; the legend below."""
    pixels = found.mask.size
    told = [
        {**row, "told": f"{row['name']} · {pixels_and_share(row['area'], pixels, say)}{scored(row['score'], say)}"}
        for row in rows
    ]
    width, height = shown_size(seen.size)
    picture = picture_uri(seen)
    sweep = escape(say("segment_sweep"))
    scale = max(1, round(CANVAS_SIDE / max(width, height)))
    stage = (
        f'<div class="stage" style="aspect-ratio:{width}/{height}" data-ids="{ids_uri(found.mask)}">'
        f'<img src="{picture}" alt="{escape(say("segment_alt", n=len(rows)))}">'
        f'<canvas width="{width * scale}" height="{height * scale}"></canvas><i></i><div class="tip"></div></div>'
    )
    return (
        f'<segment-view data-key="{uuid.uuid4().hex}" data-segments="{escape(json.dumps(told, ensure_ascii=False))}">'
        f'<div class="pair wide">'
        f"<figure><h2>{escape(say('segment_prediction'))}</h2>{stage}"
        f'<label class="sweep"><span>{sweep}</span><input type="range" min="0" max="100" value="0"></label></figure>'
        f"{heat}</div>{legend(rows, pixels, say)}</segment-view>"
    )


def pixels_and_share(area: int, pixels: int, say: Say) -> str:
    return f"{say('segment_pixels', n=f'{area:,}')} · {numerals.percent(area / pixels)}"


def scored(score: float | None, say: Say) -> str:
    return "" if score is None else f" · {say('segment_score', score=f'{score:.2f}')}"


def legend(rows: list[dict[str, Any]], pixels: int, say: Say) -> str:
    """A row a class, to show or hide, with its pixels; under it its things one by one."""
    classes: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        classes.setdefault(row["label"], []).append(row)
    listed = "".join(class_entry(of_class, pixels, say) for of_class in classes.values())
    if not listed:
        return f'<p class="facts">{escape(say("segment_nothing"))}</p>'
    return f'<section class="areas"><h2>{escape(say("segment_areas"))}</h2><ul>{listed}</ul></section>'


def class_entry(rows: list[dict[str, Any]], pixels: int, say: Say) -> str:
    area, first = sum(row["area"] for row in rows), rows[0]
    numbered = first["name"] != first["class"]
    count = f' <span class="aside">× {len(rows)}</span>' if numbered else ""
    name = f"{escape(first['class'])}{count}"
    entry = toggle("label", first["label"], colour_of(first["label"]), name, pixels_and_share(area, pixels, say))
    things = ""
    if numbered:
        inner = "".join(
            f"<li>{toggle('id', row['id'], row['colour'], escape(row['name']), told(row, pixels, say))}</li>"
            for row in rows[:LISTED]
        )
        title = escape(say("segment_each", name=first["class"]))
        things = f"<details><summary>{title}</summary><ul>{inner}</ul></details>"
    return f"<li>{entry}{things}</li>"


def told(row: dict[str, Any], pixels: int, say: Say) -> str:
    return pixels_and_share(row["area"], pixels, say) + scored(row["score"], say)


def toggle(kind: str, number: int, colour: tuple[int, int, int], name: str, numbers: str) -> str:
    return (
        f'<label class="area"><input type="checkbox" checked data-{kind}="{number}">'
        f'<span class="dot" style="--series:{css_colour(colour)}"></span><span class="name">{name}</span>'
        f'<span class="number">{escape(numbers)}</span></label>'
    )


def heat_figure(values: np.ndarray, title: str, alt: str, note: str) -> str:
    """A map of values (H, W) ≥ 0 as colours, black where it is 0, and its scale. All text comes plain."""
    most = scale_end(values)
    shades = Image.fromarray(np.rint(255 * np.clip(values / most, 0, 1)).astype(np.uint8))
    size = shown_size(values.shape)
    shades = shades.resize(size, Image.Resampling.BILINEAR if max(size) >= max(values.shape) else None)
    return (
        f'<figure><h2>{escape(title)}</h2><div class="stage" style="aspect-ratio:{size[0]}/{size[1]}">'
        f'<img src="{encoded(paint(shades), "png")}" alt="{escape(alt)}"></div>'
        f'<p class="scale"><span>0</span><span class="ramp"></span><span>≥ {most:.2f}</span></p>'
        f'<p class="facts">{escape(note)}</p></figure>'
    )


def level_pictures(seen: Seen) -> list[Image.Image]:
    """What the output and each auxiliary head say, as pictures: of two classes the probability of class 1 in greys,
    of more the likeliest class of each pixel in its colour."""
    pictures = []
    for logits in (seen.answer.logits, *seen.levels):
        if len(seen.labels) == 2:
            odds = logits[-1] if len(logits) == 1 else logits[1] - logits[0]
            shades = np.rint(255 / (1 + np.exp(-np.clip(odds, -30, 30)))).astype(np.uint8)
        else:
            colours = np.array([colour_of(k) for k in range(len(seen.labels))], np.uint8)
            shades = colours[logits.argmax(0)]
        picture = Image.fromarray(shades)
        picture.thumbnail((LEVEL_SIDE, LEVEL_SIDE))
        pictures.append(picture)
    return pictures


def scale_end(values: np.ndarray) -> float:
    """Where the scale ends: nearly the largest value, so that single pixels don't darken all others."""
    return max(float(np.quantile(values, 0.995)), float(values.max(initial=0)) / 4, 0.05)


def ramp_css() -> str:
    """The scale's colours as CSS, the same that `paint` uses."""
    stops = ",".join(f"rgb({red} {green} {blue})" for red, green, blue in HEAT_COLOURS)
    return f".ramp{{background:linear-gradient(to right,{stops})}}"


def summary(
    seen: Seen,
    things: list[Thing],
    true_count: int | None,
    near: tuple[float, float] | None,
    aside: str,
    language: str,
) -> str:
    """How many objects there are, where the loss sits, what computed it; `aside` is what else is to be known."""
    say = speaker(language)
    objects = say("segment_object") if len(things) == 1 else say("segment_objects", n=f"{len(things):,}")
    if true_count is None:
        told = say("segment_found", objects=objects)
    else:
        told = say("segment_found_of", objects=objects, true=f"{true_count:,}")
    sentence = f"<strong>{escape(told)}</strong>"
    if near and near[1] > 0:
        share, area = (numerals.percent(value) for value in near)
        sentence += f" {escape(say('segment_near', share=share, area=area))}"
    facts = costs(seen, say) + (f" · <span>{escape(aside)}</span>" if aside else "")
    runtime = seen.segmenter.runtime
    why = reason(runtime.reason, language)
    took = say("took", runtime=RUNTIMES.get(runtime.name, runtime.name), precision=runtime.precision, reason=why)
    return message(sentence) + f'<p class="facts costs">{facts}</p><p class="facts why">{escape(took)}</p>'


def costs(seen: Seen, say: Say) -> str:
    """What the answer cost, and of how large a picture it is."""
    runtime = seen.segmenter.runtime
    parts = [
        seen.title,
        numerals.milliseconds(seen.answer.milliseconds),
        f"{RUNTIMES.get(runtime.name, runtime.name)} {runtime.precision}",
        f"{seen.own[1]} × {seen.own[0]} px",
    ]
    if seen.tiles > 1:
        parts.append(say("segment_tiles", n=seen.tiles))
    if seen.reduced > 1:
        parts.append(say("segment_reduced", n=seen.reduced))
    return " · ".join(f"<span>{escape(part)}</span>" for part in parts)
