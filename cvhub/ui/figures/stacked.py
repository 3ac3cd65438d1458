"""Stacked 3×3 convolutions see as far as one larger window, with fewer weights."""

from cvhub.ui import numerals
from cvhub.ui.charts import Bar, bars, heat_map
from cvhub.ui.figures.figure import Choice, Drawing, Range, Say

NAME = "stacked"
PAPER = "https://arxiv.org/abs/1409.1556"
CONTROLS = (Range("channels", 8, 512, 8, 256), Choice("side", (7, 14, 28, 56, 112), 56))
STRINGS = {
    "stacked_title": ("VGG: stacked 3×3 against 5×5 and 7×7", "VGG：堆叠的 3×3 与 5×5、7×7"),
    "stacked_source": ("Simonyan & Zisserman 2014, section 2.3", "Simonyan 与 Zisserman，2014，第 2.3 节"),
    "stacked_channels": ("Channels C, in and out", "通道数 C（输入与输出）"),
    "stacked_side": ("Positions a side of the map", "特征图边长"),
    "stacked_see": (
        "Three 3×3 reach the same 7×7 pixels as one 7×7 with {three} in place of {seven} weights ({percent}), and see "
        "the middle best; two 3×3 reach 5×5 with {two} in place of {five}.",
        "三层 3×3 与一层 7×7 看到同样的 7×7 像素，权重 {three}，而非 {seven}（{percent}），且对中心最敏感；"
        "两层 3×3 看到 5×5，权重 {two}，而非 {five}。",
    ),
    "stacked_reach": ("sees {n}×{n}", "看到 {n}×{n}"),
    "stacked_alt": (
        "Gradient of the middle output after {net}: it reaches {n} by {n} of {side} by {side} pixels.",
        "{net} 之后中心输出的梯度：在 {side}×{side} 像素中到达 {n}×{n}。",
    ),
    "stacked_note": (
        "Each map: mean |∂ middle output / ∂ pixel| over nets of random weights, the fullest cell the most; the frame "
        "is where it is not 0.",
        "每幅图：随机权重网络上 |∂ 中心输出 / ∂ 像素| 的平均，颜色越深越大；方框为其不为 0 的范围。",
    ),
    "stacked_parameters": ("Parameters", "参数"),
    "stacked_multiply_adds": ("Multiply-adds", "乘加次数"),
}
COLOURS = {3: 5, 5: 0, 7: 1}  # nets that see equally far have one colour


def draw(say: Say, channels: int, side: int) -> Drawing:
    from cvhub.explain.figures.stacked import SIDE, compare

    nets = compare(channels, side)
    weights = {name: net.cost.parameters for name, net in nets.items()}
    see = say(
        "stacked_see",
        three=numerals.count(weights["3 × 3×3"]),
        seven=numerals.count(weights["7×7"]),
        percent=numerals.percent(weights["3 × 3×3"] / weights["7×7"]),
        two=numerals.count(weights["2 × 3×3"]),
        five=numerals.count(weights["5×5"]),
    )
    maps = "".join(
        f'<li style="--series:var(--series-{COLOURS[net.field]})">'
        f"{heat_map(net.reach, say('stacked_alt', net=name, n=net.field, side=SIDE), net.field)}"
        f"<b>{name}</b><span>{say('stacked_reach', n=net.field)}</span></li>"
        for name, net in nets.items()
    )
    groups = "".join(
        bars(
            [
                Bar(name, getattr(net.cost, unit), numerals.count(getattr(net.cost, unit)), COLOURS[net.field])
                for name, net in nets.items()
            ],
            say(f"stacked_{unit}"),
        )
        for unit in ("parameters", "multiply_adds")
    )
    note = f'<p class="facts">{say("stacked_note")}</p>'
    return Drawing(see, f'<ul class="panels">{maps}</ul>{note}<div class="pair">{groups}</div>')
