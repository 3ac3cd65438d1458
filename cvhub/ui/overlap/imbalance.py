"""BCE against Dice as the object shrinks, as HTML: the losses, and the object's share of their gradient."""

from html import escape

from cvhub.ui import numerals
from cvhub.ui.charts import Axis, Series, canvas, legend
from cvhub.ui.overlap.panels import COLOURS, STROKES, notes, numbers
from cvhub.ui.strings import Say

NAME = "imbalance"
KINDS = ("bce", "dice", "bce_dice", "focal")
FOUND = (0, 50, 90, 100)  # percent of the object
SHARES = (0.1, 1, 10, 50)  # percent of the pixels, the axis


def imbalance_readout(say: Say, found: int, doubt: int) -> str:
    """`found` in percent of the object, `doubt` in percent."""
    from cvhub.explain.figures.imbalance import PIXELS, curve

    curves = {kind: curve(kind, found / 100, doubt / 100) for kind in KINDS}
    least, most = min(curves["bce"]), max(curves["bce"])
    said = {"found": f"{found} %", "least": numerals.percent(least), "most": numerals.percent(most)}
    for kind in ("bce", "dice"):
        for end, share in (("least", least), ("most", most)):
            said[f"{kind}_{end}"] = numerals.signed(curves[kind][share].loss)
            said[f"{kind}_{end}_share"] = numerals.percent(curves[kind][share].of_gradient)
    across = Axis(say("imbalance_across"), SHARES, log=True)
    losses = series(say, {kind: [(x, one.loss) for x, one in curves[kind].items()] for kind in KINDS})
    shares = series(say, {kind: [(x, 100 * one.of_gradient) for x, one in curves[kind].items()] for kind in KINDS})
    top = max(1.0, *(y for one in losses for _, y in one.points))
    left = canvas(losses, across, Axis(say("imbalance_loss"), ticks(top)), say("imbalance_loss_alt", **said))
    right = canvas(
        shares, across, Axis(say("imbalance_share"), (0, 25, 50, 75, 100)), say("imbalance_share_alt", **said)
    )
    plots = f'<div class="plot">{legend(losses)}<div class="pair"><div>{left}</div><div>{right}</div></div></div>'
    note = say("imbalance_note", pixels=f"{PIXELS:,}", sure=f"{(100 - doubt) / 100:g}", doubt=f"{doubt / 100:g}")
    return numbers(NAME, say("imbalance_see", **said)) + plots + notes(say, note, say("imbalance_source"))


def series(say: Say, curves: dict[str, list[tuple[float, float]]]) -> list[Series]:
    """Over the object's share in percent."""
    return [
        Series(
            escape(say(f"masks_{kind}")),
            [(100 * x, y) for x, y in points],
            COLOURS[kind],
            STROKES.get(kind, ""),
        )
        for kind, points in curves.items()
    ]


def ticks(top: float) -> tuple[float, ...]:
    """From 0 in halves to at least `top`."""
    return tuple(half / 2 for half in range(int(2 * top) + 2))
