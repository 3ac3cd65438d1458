"""The paper's table 1 from the configs: layers, widths and costs of all ResNets."""

from cvhub.ui import numerals
from cvhub.ui.charts import Cell, table
from cvhub.ui.figures.figure import Choice, Drawing, Say

NAME = "resnets"
PAPER = "https://arxiv.org/abs/1512.03385"
CONTROLS = (Choice("latency", ("off", "on"), "off"),)
STRINGS = {
    "resnets_title": ("ResNet: all five at a glance", "ResNet：五个网络一览"),
    "resnets_source": ("He et al. 2015, table 1", "He 等，2015，表 1"),
    "resnets_latency": ("Latency, measured now (takes some seconds)", "现场测量延迟（约需数秒）"),
    "resnets_latency_off": ("no", "否"),
    "resnets_latency_on": ("yes", "是"),
    "resnets_see": (
        "From 18 to 152 layers multiply-adds grow {cost} times and parameters {weights} times. From 34 to 50 layers "
        "multiply-adds grow by {step} only: blocks become bottlenecks, whose 3×3 works on a quarter of the channels.",
        "从 18 层到 152 层，乘加次数增至 {cost} 倍，参数增至 {weights} 倍。从 34 层到 50 层乘加次数只增加 {step}："
        "残差块换成瓶颈块，其 3×3 卷积只处理四分之一的通道。",
    ),
    "resnets_net": ("layers", "层数"),
    "resnets_block": ("block", "残差块"),
    "resnets_basic": ("basic: 3×3, 3×3", "基本块：3×3、3×3"),
    "resnets_bottleneck": ("bottleneck: 1×1, 3×3, 1×1", "瓶颈块：1×1、3×3、1×1"),
    "resnets_depths": ("blocks in stages 1 to 4", "第 1 至 4 阶段的块数"),
    "resnets_widths": ("channels that leave them", "各阶段输出通道数"),
    "resnets_parameters": ("parameters", "参数"),
    "resnets_multiply_adds": ("multiply-adds", "乘加次数"),
    "resnets_milliseconds": ("latency, measured", "实测延迟"),
    "resnets_timed": (
        "Latency: one picture through PyTorch as it is, on this machine, the least of {n} passes just now.",
        "延迟：本机上一张图片直接经过 PyTorch 的时间，刚才 {n} 次中的最小值。",
    ),
    "resnets_note": (
        "Counted on the nets themselves, at 224 × 224 pixels and 1000 classes; biases, norms and additions count as "
        "nothing, as in the paper.",
        "在网络本身上统计，输入 224 × 224 像素，1000 类；偏置、归一化和加法不计，与论文一致。",
    ),
}


def draw(say: Say, latency: str) -> Drawing:
    from cvhub.explain.figures.resnets import NAMES, REPETITIONS, row

    nets = [row(name) for name in NAMES]
    first, second, third, *_, last = nets
    see = say(
        "resnets_see",
        cost=numerals.ratio(last.multiply_adds / first.multiply_adds),
        weights=numerals.ratio(last.parameters / first.parameters),
        step=numerals.percent(third.multiply_adds / second.multiply_adds - 1),
    )
    parts = ("net", "block", "depths", "widths", "parameters", "multiply_adds")
    rows = [
        [
            Cell(str(net.layers)),
            Cell(say(f"resnets_{net.block}")),
            Cell(" · ".join(map(str, net.depths))),
            Cell(" · ".join(map(str, net.widths))),
            Cell(numerals.count(net.parameters), net.parameters / last.parameters),
            Cell(numerals.count(net.multiply_adds), net.multiply_adds / last.multiply_adds),
        ]
        for net in nets
    ]
    head, notes = [say(f"resnets_{part}") for part in parts], say("resnets_note")
    if latency == "on":
        head.append(say("resnets_milliseconds"))
        rows = [[*cells, cell] for cells, cell in zip(rows, timed(), strict=True)]
        notes += " " + say("resnets_timed", n=REPETITIONS)
    return Drawing(see, f'{table(head, rows, say("resnets_title"))}<p class="facts">{notes}</p>')


def timed() -> list[Cell]:
    """What each net takes, measured now."""
    from cvhub.explain.figures.resnets import NAMES, latency

    times = [latency(name) for name in NAMES]
    return [Cell(numerals.milliseconds(time), time / max(times)) for time in times]
