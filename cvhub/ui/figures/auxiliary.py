"""How much of the gradient in GoogLeNet's layers is the auxiliary classifiers'."""

from cvhub.ui.charts import DASHES, Axis, Series, decades, plot
from cvhub.ui.figures.figure import Choice, Drawing, Say
from cvhub.ui.figures.gradient import times
from cvhub.ui.figures.photos import note

NAME = "auxiliary"
PAPER = "https://arxiv.org/abs/1409.4842"
CONTROLS = (Choice("start", ("fan_in", "0.05", "0.01"), "0.05"), Choice("norm", ("lrn", "batch"), "lrn"))
STRINGS = {
    "auxiliary_title": ("GoogLeNet: the gradient of auxiliary classifiers", "GoogLeNet：辅助分类器的梯度"),
    "auxiliary_source": ("Szegedy et al. 2015, section 5", "Szegedy 等，2015，第 5 节"),
    "auxiliary_start": ("Weights begin with deviation", "权重的初始标准差"),
    "auxiliary_start_fan_in": ("√(2 / fan in)", "√(2 / 输入数)"),
    "auxiliary_start_0.05": ("0.05", "0.05"),
    "auxiliary_start_0.01": ("0.01", "0.01"),
    "auxiliary_norm": ("Normalisation", "归一化"),
    "auxiliary_norm_lrn": ("local responses, as in the paper", "局部响应归一化（论文）"),
    "auxiliary_norm_batch": ("BatchNorm", "BatchNorm"),
    "auxiliary_see_more": (
        "Here the auxiliary losses multiply the first layer's gradient by {ratio}, from {without} to {together}. They "
        "hang on 4a and 4d: what lies above gets nothing of them. Begun as nets are today (√(2 / fan in)) or with "
        "BatchNorm, the net does not need them for that.",
        "此时辅助损失把第一层的梯度放大 {ratio} 倍，从 {without} 到 {together}。它们接在 4a 和 4d 上，之后的层得不到任"
        "何梯度。按现在的方式初始化（√(2 / 输入数)）或使用 BatchNorm 时，网络并不为此需要它们。",
    ),
    "auxiliary_see_same": (
        "Here the auxiliary losses change the first layer's gradient by {percent} only, from {without} to {together}: "
        "begun like this nothing vanishes on the way down, and that the paper's hope to fight vanishing gradients has "
        "nothing to work on.",
        "此时辅助损失只使第一层的梯度改变 {percent}，从 {without} 到 {together}："
        "这样初始化时，梯度在回传途中并不消失，论文所希望的对抗梯度消失便无从谈起。",
    ),
    "auxiliary_without": ("main loss alone", "仅主损失"),
    "auxiliary_together": ("with 0.3 of each auxiliary loss", "加上 0.3 倍的各辅助损失"),
    "auxiliary_across": (
        "row of table 1: 1 conv1, 2 conv2, 3 3a, 4 3b, 5 4a … 9 4e, 10 5a, 11 5b",
        "表 1 的行：1 为 conv1，2 conv2，3 3a，4 3b，5 4a … 9 4e，10 5a，11 5b",
    ),
    "auxiliary_up": ("gradient ‖∂L/∂W‖ of the row's weights", "该行权重的梯度 ‖∂L/∂W‖"),
    "auxiliary_alt": (
        "Gradient by row of table 1 on a logarithmic scale. In the first row {without} without and {together} with the "
        "auxiliary losses; from 4e on both are equal.",
        "表 1 各行的梯度，对数刻度。第一行无辅助损失时为 {without}，有时为 {together}；从 4e 起两者相等。",
    ),
    "auxiliary_note": (
        "Computed now: one backward pass of cross entropy, {batch} pictures of noise of {side} × {side} pixels with "
        "random labels, in a net with an eighth of the paper's channels, without dropout, before any training.",
        "现场计算：{batch} 张 {side} × {side} 像素的噪声图片、随机标签的交叉熵，在通道数为论文八分之一、无 dropout 的"
        "网络上，训练前反向传播一次。",
    ),
}


def draw(say: Say, start: str, norm: str) -> Drawing:
    from cvhub.explain.figures.auxiliary import BATCH, SIDE, gradients

    found = gradients(start, norm)
    without, together = found.without[0], found.together[0]
    said = {"without": f"{without:.2g}", "together": f"{together:.2g}"}
    if together > 2 * without:
        see = say("auxiliary_see_more", ratio=times(together / without), **said)
    else:
        see = say("auxiliary_see_same", percent=f"{100 * abs(together / without - 1):.1f} %", **said)
    lines = [
        Series(say(f"auxiliary_{kind}"), list(enumerate(getattr(found, kind), 1)), colour, DASHES[colour], dots=True)
        for kind, colour in (("without", 1), ("together", 0))
    ]
    across = Axis(say("auxiliary_across"), tuple(range(1, len(found.names) + 1)))
    up = decades(say("auxiliary_up"), [*found.without, *found.together])
    drawn = plot(lines, across, up, say("auxiliary_alt", **said))
    return Drawing(see, drawn + note(say("auxiliary_note", batch=BATCH, side=SIDE)))
