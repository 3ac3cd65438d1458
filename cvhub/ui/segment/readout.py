"""The Segment tab's loss readout: a row a term, with its formula, the numbers in it, and its value."""

from html import escape

from cvhub.ui import numerals
from cvhub.ui.pictures import encoded
from cvhub.ui.segment.drawing import heat_figure, level_pictures
from cvhub.ui.segment.losses import TOLERANCE, HardScores, SoftLosses
from cvhub.ui.segment.state import Seen, View
from cvhub.ui.strings import Say

Row = tuple[str, str, str, float]  # term, formula (HTML), numbers, value

BCE = "−mean[<i>y</i> ln <i>p</i> + (1 − <i>y</i>) ln(1 − <i>p</i>)]"
CROSS_ENTROPY = "−mean ln <i>p</i><sub>y</sub>"
DICE = "1 − 2 Σ <i>p</i><i>y</i> ⁄ (Σ <i>p</i> + Σ <i>y</i>)"
SOFT_IOU = "1 − Σ <i>p</i><i>y</i> ⁄ (Σ <i>p</i> + Σ <i>y</i> − Σ <i>p</i><i>y</i>)"
FOCAL = "−mean (1 − <i>p</i><sub>y</sub>)<sup>2</sup> ln <i>p</i><sub>y</sub>"
SUPERVISION = "Σ <i>w</i><sub>l</sub> <i>L</i><sub>l</sub>"
IOU = "|A ∩ B| ⁄ |A ∪ B|"
GIOU = "IoU − |C ∖ (A ∪ B)| ⁄ |C|"
BOUNDARY = "2 <i>P</i> <i>R</i> ⁄ (<i>P</i> + <i>R</i>)"
QUALITY = "SQ · RQ"


def soft_rows(losses: SoftLosses, say: Say) -> list[Row]:
    found = losses.overlaps
    pixels = say("segment_pixels", n=f"{losses.counted:,}")
    pixel = (say("segment_bce"), BCE) if losses.binary else (say("segment_ce"), CROSS_ENTROPY)
    rows = [
        (*pixel, pixels, losses.pixel),
        (say("segment_dice"), DICE, overlap_numbers(losses, found.dice, "dice", say), found.dice),
        (say("segment_soft_iou"), SOFT_IOU, overlap_numbers(losses, found.iou, "iou", say), found.iou),
        (say("segment_focal"), FOCAL, pixels, losses.focal),
    ]
    if losses.levels:
        terms = " + ".join(
            f"{weight:g} · {numerals.nats(loss)}" for weight, loss in zip(losses.weights, losses.levels, strict=True)
        )
        rows.append((say("segment_levels"), SUPERVISION, terms, losses.supervised))
    return rows


def overlap_numbers(losses: SoftLosses, value: float, kind: str, say: Say) -> str:
    """The sums of one mask; of many classes their mean, in which those that the truth lacks count 0."""
    found = losses.overlaps
    if len(found.true) > 1:
        present = int((found.true > 0).sum())
        return say("segment_mean_of", sum=numerals.nats(value * len(found.true)), n=len(found.true), present=present)
    common, predicted, true = (f"{float(part[0]):,.0f}" for part in (found.intersection, found.predicted, found.true))
    if kind == "dice":
        return f"1 − 2 · {common} ⁄ ({predicted} + {true})"
    return f"1 − {common} ⁄ ({predicted} + {true} − {common})"


def hard_rows(scores: HardScores, say: Say) -> list[Row]:
    if scores.intersection is not None and scores.union is not None:
        overlap = f"{scores.intersection:,} ⁄ {scores.union:,}"
    else:
        overlap = say("segment_mean_classes", n=scores.classes)
    matched = say(
        "segment_matched", n=f"{scores.matched:,}", missed=f"{scores.missed:,}", invented=f"{scores.invented:,}"
    )
    tolerance = say("segment_tolerance" if scores.intersection is not None else "segment_tolerance_mean", n=TOLERANCE)
    rows = [
        (say("segment_iou" if scores.intersection is not None else "segment_miou"), IOU, overlap, scores.iou),
        (say("segment_giou"), GIOU, matched, scores.giou),
        (say("segment_boundary"), BOUNDARY, tolerance, scores.boundary_f),
    ]
    if scores.quality:
        pq, sq, rq = scores.quality
        rows.append((say("segment_pq"), QUALITY, f"{numerals.nats(sq)} · {numerals.nats(rq)}", pq))
    return rows


def readout(losses: SoftLosses, scores: HardScores, view: View, say: Say) -> str:
    """Both tables in one: what the probabilities cost, and what the mask at this threshold is worth."""
    title = say("segment_losses", threshold=f"{view.threshold:.2f}")
    head = "".join(
        f'<th scope="col" class="{key}">{escape(say(f"segment_{key}"))}</th>'
        for key in ("term", "formula", "numbers", "value")
    )
    body = group(say("segment_soft"), soft_rows(losses, say), say) + group(
        say("segment_hard", threshold=f"{view.threshold:.2f}"), hard_rows(scores, say), say
    )
    return (
        f'<section class="losses terms"><h2>{escape(title)}</h2><table aria-label="{escape(title)}">'
        f"<thead><tr>{head}</tr></thead>{body}</table></section>"
    )


def group(title: str, rows: list[Row], say: Say) -> str:
    body = "".join(
        f'<tr><th scope="row">{escape(term)}</th><td class="formula">{formula}</td>'
        f'<td class="numbers">{escape(numbers)}</td><td class="value"><b>{number(value)}</b></td></tr>'
        for term, formula, numbers, value in rows
    )
    return f'<tbody><tr class="group"><th colspan="4" scope="rowgroup">{escape(title)}</th></tr>{body}</tbody>'


def number(value: float) -> str:
    return "–" if value != value else numerals.nats(value)


def loss_figure(losses: SoftLosses, say: Say) -> str:
    """Where the loss sits."""
    title = say("segment_loss_map", loss=say("segment_bce" if losses.binary else "segment_ce"))
    share, area = (f"{100 * value:.0f}" for value in (losses.near_border, losses.border))
    note = say("segment_loss_note", share=share, area=area)
    return heat_figure(losses.pixel_map, title, say("segment_loss_alt"), note)


def levels_section(seen: Seen, losses: SoftLosses | None, say: Say) -> str:
    """What each auxiliary head says of the picture: the probability of all that is not class 0."""
    if not seen.levels:
        in_tiles = seen.tiles > 1 and seen.segmenter.config.auxiliary_weights
        return f'<p class="facts">{escape(say("segment_levels_in_tiles"))}</p>' if in_tiles else ""
    items = "".join(
        f'<li><img class="level" src="{encoded(picture, "png")}" alt="{escape(say("segment_level_alt", n=place))}">'
        f"<b>{escape(level_title(place, say))}</b><span>{escape(level_cost(place, losses, seen, say))}</span></li>"
        for place, picture in enumerate(level_pictures(seen))
    )
    return (
        f'<section class="losses"><h2>{escape(say("segment_by_level"))}</h2><ul class="panels levels">{items}</ul>'
        f'<p class="facts">{escape(say("segment_levels_note"))}</p></section>'
    )


def level_title(place: int, say: Say) -> str:
    return say("segment_level", n=place) if place else say("segment_output")


def level_cost(place: int, losses: SoftLosses | None, seen: Seen, say: Say) -> str:
    weight = 1.0 if place == 0 else seen.level_weights[place - 1]
    if losses is None:
        return say("segment_weight", weight=f"{weight:g}")
    return say("segment_weighted", weight=f"{weight:g}", loss=numerals.nats(losses.levels[place]))
