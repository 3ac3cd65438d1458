"""What a ReLU in few dimensions destroys of a spiral: why MobileNetV2's bottlenecks are linear."""

from cvhub.ui import numerals
from cvhub.ui.charts import Axis, Series, cloud, from_zero, legend, plot
from cvhub.ui.figures.figure import Drawing, Range, Say

NAME = "bottleneck"
PAPER = "https://arxiv.org/abs/1801.04381"
SHOWN = (2, 3, 5, 15, 30)  # dimensions, as in the paper's figure 1
AVERAGED = tuple(range(2, 16))
CONTROLS = (Range("seed", 0, 20, 1, 0),)
KEPT, LOST = 0, 1  # places in the palette
STRINGS = {
    "bottleneck_title": (
        "MobileNetV2: what a ReLU in few dimensions destroys",
        "MobileNetV2：低维中的 ReLU 会毁掉什么",
    ),
    "bottleneck_source": ("Sandler et al. 2018, figure 1 and appendix A", "Sandler 等，2018，图 1 和附录 A"),
    "bottleneck_seed": ("Random matrix T, its number", "随机矩阵 T 的编号"),
    "bottleneck_see": (
        "A ReLU in 2 dimensions loses {two} of the spiral's points on average, in 5 still {five}, in 15 nearly none "
        "({fifteen}): activation is harmless in many dimensions only, hence the bottleneck's last layer is linear.",
        "2 维中的 ReLU 平均丢失螺旋线上 {two} 的点，5 维仍有 {five}，15 维几乎没有（{fifteen}）："
        "激活只在高维中无害，因此瓶颈的最后一层是线性的。",
    ),
    "bottleneck_input": ("the spiral x", "螺旋线 x"),
    "bottleneck_dimensions": ("{n} dimensions", "{n} 维"),
    "bottleneck_share": ("{percent} lost", "丢失 {percent}"),
    "bottleneck_kept": ("kept: at least 2 dimensions stay active", "保留：至少 2 维保持激活"),
    "bottleneck_lost": ("lost: fewer than 2 dimensions stay active", "丢失：不足 2 维保持激活"),
    "bottleneck_panel_alt": (
        "What comes back of the spiral through {n} dimensions; {percent} of its points are lost.",
        "螺旋线经 {n} 维后还原的样子；其中 {percent} 的点丢失。",
    ),
    "bottleneck_input_alt": ("A spiral of 2½ turns around the origin.", "绕原点两圈半的螺旋线。"),
    "bottleneck_note": (
        "T⁺ ReLU(T x) for a random n × 2 matrix T and its pseudoinverse T⁺; all at one scale, what lies beyond is cut.",
        "T⁺ ReLU(T x)，其中 T 为随机 n × 2 矩阵，T⁺ 为其伪逆；各图比例相同，超出部分不画。",
    ),
    "bottleneck_across": ("dimensions n", "维数 n"),
    "bottleneck_up": ("points lost, %", "丢失的点，%"),
    "bottleneck_measured": ("measured, mean of {draws} matrices", "实测，{draws} 个矩阵的平均"),
    "bottleneck_expected": ("expected, (n + 1) / 2ⁿ", "期望，(n + 1) / 2ⁿ"),
    "bottleneck_alt": (
        "Points lost over dimensions: from {two} at 2 down to {fifteen} at 15, measured as expected.",
        "丢失的点随维数变化：从 2 维的 {two} 降到 15 维的 {fifteen}，实测与期望一致。",
    ),
}


def draw(say: Say, seed: int) -> Drawing:
    from cvhub.explain.figures.bottleneck import DRAWS, expected_share, share_lost

    shares = {n: share_lost(n) for n in AVERAGED}
    said = {key: numerals.percent(shares[n]) for key, n in (("two", 2), ("five", 5), ("fifteen", 15))}
    lines = [
        Series(
            say("bottleneck_measured", draws=DRAWS),
            [(n, 100 * p) for n, p in shares.items()],
            LOST,
            dots=True,
            line=False,
        ),
        Series(say("bottleneck_expected"), [(n, 100 * expected_share(n)) for n in AVERAGED], 5),
    ]
    across = Axis(say("bottleneck_across"), (2, 5, 10, AVERAGED[-1]))
    chart = plot(lines, across, from_zero(say("bottleneck_up"), 100), say("bottleneck_alt", **said))
    return Drawing(say("bottleneck_see", **said), panels(say, seed) + chart)


def panels(say: Say, seed: int) -> str:
    """The spiral, and what comes back of it through more and more dimensions."""
    from cvhub.explain.figures.bottleneck import passage

    passages = {n: passage(n, seed) for n in SHOWN}
    first = passages[SHOWN[0]].spiral
    items = [f"<li>{cloud([(first, KEPT)], 1.15, say('bottleneck_input_alt'))}<b>{say('bottleneck_input')}</b></li>"]
    for n, found in passages.items():
        percent = numerals.percent(found.lost.mean())
        groups = [(found.returned[~found.lost], KEPT), (found.returned[found.lost], LOST)]
        drawn = cloud(groups, 1.15, say("bottleneck_panel_alt", n=n, percent=percent))
        share = say("bottleneck_share", percent=percent)
        items.append(f"<li>{drawn}<b>{say('bottleneck_dimensions', n=n)}</b><span>{share}</span></li>")
    keys = [
        Series(say(f"bottleneck_{key}"), (), colour, dots=True, line=False)
        for key, colour in (("kept", KEPT), ("lost", LOST))
    ]
    note = f'<p class="facts">{say("bottleneck_note")}</p>'
    return f'{legend(keys)}<ul class="panels">{"".join(items)}</ul>{note}'
