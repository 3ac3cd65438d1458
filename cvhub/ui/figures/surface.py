"""MobileNetV1's cost over its width multiplier α and its resolution multiplier ρ, with measured latency beside it."""

from cvhub.ui import numerals
from cvhub.ui.charts import DASHES, Axis, Cell, Series, from_zero, plot, table
from cvhub.ui.figures.figure import Choice, Drawing, Say
from cvhub.ui.figures.photos import note

NAME = "surface"
PAPER = "https://arxiv.org/abs/1704.04861"
CONTROLS = (Choice("beside", ("share", "latency"), "share"),)
STRINGS = {
    "surface_title": ("MobileNet: α and ρ as a surface of costs", "MobileNet：α 与 ρ 的代价曲面"),
    "surface_source": (
        "Howard et al. 2017, sections 3.3 and 3.4, tables 6 and 7",
        "Howard 等，2017，第 3.3、3.4 节，表 6、7",
    ),
    "surface_beside": ("Beside the multiply-adds", "乘加次数旁显示"),
    "surface_beside_share": ("their share, and α²ρ²", "所占比例与 α²ρ²"),
    "surface_beside_latency": ("latency, measured now", "现场测得的延迟"),
    "surface_see_share": (
        "Half the width costs {half}, half the resolution would cost a quarter: both nearly the promised α²ρ². The "
        "narrowest net at 128 pixels needs {least} of the multiply-adds, {promised} are promised: the stem, the "
        "depthwise convolutions and the classifier shrink with α alone.",
        "宽度减半，代价为 {half}；分辨率减半，代价为四分之一：都接近承诺的 α²ρ²。最窄的网络在 128 像素时需要 {least} "
        "的乘加次数，承诺为 {promised}：首层、逐通道卷积和分类层只随 α 缩小。",
    ),
    "surface_see_latency": (
        "{share} of the multiply-adds take {time} of the time: on this machine the smallest net needs {fast} and the "
        "largest {slow}. What does not shrink with the net, such as the calls of its layers, is what remains.",
        "{share} 的乘加次数用去 {time} 的时间：在本机上最小的网络需 {fast}，最大的需 {slow}。"
        "不随网络缩小的开销（例如逐层调用）留了下来。",
    ),
    "surface_alpha": ("width α", "宽度 α"),
    "surface_pixels": ("{size} px (ρ = {rho})", "{size} 像素（ρ = {rho}）"),
    "surface_share": ("{cost} · {share} · α²ρ² {promised}", "{cost} · {share} · α²ρ² {promised}"),
    "surface_latency": ("{cost} · {time}", "{cost} · {time}"),
    "surface_caption": ("Multiply-adds by α and ρ", "各 α 与 ρ 的乘加次数"),
    "surface_promised": ("promised, α²ρ² of the whole", "承诺值：整体的 α²ρ²"),
    "surface_up": ("multiply-adds, millions", "乘加次数，百万"),
    "surface_alt": (
        "Multiply-adds over α, a line a resolution: from {least} at α = 0.25 and 128 pixels to {most} at α = 1 and 224 "
        "pixels, each a little above the promised square.",
        "乘加次数随 α 的变化，每种分辨率一条线：从 α = 0.25、128 像素的 {least} 到 α = 1、224 像素的 {most}，均略高于"
        "承诺的平方。",
    ),
    "surface_note": (
        "Counted on the nets themselves, 1000 classes. Parameters depend on α alone: {parameters}.",
        "在网络本身上统计，1000 类。参数量只取决于 α：{parameters}。",
    ),
    "surface_timed": (
        "One picture in PyTorch, float32, the least of {n} passes; weights are constants, which take as long.",
        "PyTorch、float32、单张图片，{n} 次中的最短时间；权重为常数，耗时相同。",
    ),
}


def draw(say: Say, beside: str) -> Drawing:
    from cvhub.explain.figures.surface import REPETITIONS, SIZES, WIDTHS, latencies, surface

    cells = {(cell.alpha, cell.size): cell for cell in surface()}
    first, last = cells[WIDTHS[0], SIZES[0]], cells[WIDTHS[-1], SIZES[-1]]
    times = latencies() if beside == "latency" else {}
    shares = {key: cell.cost.multiply_adds / last.cost.multiply_adds for key, cell in cells.items()}
    if times:
        fast, slow = times[first.alpha, first.size], times[last.alpha, last.size]
        said = {"fast": numerals.milliseconds(fast), "slow": numerals.milliseconds(slow)}
        share = numerals.percent(shares[first.alpha, first.size])
        see = say("surface_see_latency", share=share, time=numerals.percent(fast / slow), **said)
    else:
        see = say(
            "surface_see_share",
            half=numerals.percent(shares[0.5, SIZES[-1]]),
            least=numerals.percent(shares[first.alpha, first.size]),
            promised=numerals.percent(first.promised / last.cost.multiply_adds),
        )

    def written(alpha: float, size: int) -> str:
        cell = cells[alpha, size]
        said = {"cost": numerals.count(cell.cost.multiply_adds), "share": numerals.percent(shares[alpha, size])}
        if times:
            return say("surface_latency", time=numerals.milliseconds(times[alpha, size]), **said)
        return say("surface_share", promised=numerals.percent((alpha * cell.rho) ** 2), **said)

    head = [say("surface_alpha"), *(pixels(say, size, size / SIZES[-1]) for size in SIZES)]
    rows = [
        [Cell(f"{alpha:g}"), *(Cell(written(alpha, size), shares[alpha, size]) for size in SIZES)] for alpha in WIDTHS
    ]
    weights = ", ".join(f"α {alpha:g} {numerals.count(cells[alpha, SIZES[0]].cost.parameters)}" for alpha in WIDTHS)
    notes = say("surface_note", parameters=weights)
    if times:
        notes += " " + say("surface_timed", n=REPETITIONS)
    return Drawing(see, lines(say) + table(head, rows, say("surface_caption")) + note(notes))


def lines(say: Say) -> str:
    """Multiply-adds over α, a line a resolution, and what is promised."""
    from cvhub.explain.figures.surface import SIZES, WIDTHS, surface

    cells = surface()
    series = [
        Series(
            pixels(say, size, size / SIZES[-1]),
            [(cell.alpha, cell.cost.multiply_adds / 1e6) for cell in cells if cell.size == size],
            i,
            DASHES[i],
            dots=True,
        )
        for i, size in enumerate(SIZES)
    ]
    promised = [(cell.alpha, cell.promised / 1e6) for cell in cells]
    series.append(Series(say("surface_promised"), promised, 5, dots=True, line=False))
    costs = [cell.cost.multiply_adds for cell in cells]
    alt = say("surface_alt", least=numerals.count(min(costs)), most=numerals.count(max(costs)))
    return plot(
        series,
        Axis(say("surface_alpha"), (0, *WIDTHS)),
        from_zero(say("surface_up"), max(costs) / 1e6),
        alt,
    )


def pixels(say: Say, size: int, rho: float) -> str:
    return say("surface_pixels", size=size, rho=f"{rho:.2g}")
