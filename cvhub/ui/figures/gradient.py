"""How large the gradient is in each layer of residual and plain nets that have just been initialised."""

from cvhub.ui.charts import DASHES, Axis, Series, decades, plot
from cvhub.ui.figures.figure import Choice, Drawing, Say

NAME = "gradient"
PAPER = "https://arxiv.org/abs/1512.03385"
CONTROLS = (Choice("layers", (20, 56), 56), Choice("norm", ("with", "without"), "with"))
STRINGS = {
    "gradient_title": ("ResNet: the gradient of residual and plain nets", "ResNet：残差网络与普通网络的梯度"),
    "gradient_source": ("He et al. 2015, sections 4.1 and 4.2", "He 等，2015，第 4.1 和 4.2 节"),
    "gradient_layers": ("Layers", "层数"),
    "gradient_norm": ("BatchNorm", "BatchNorm"),
    "gradient_norm_with": ("with", "有"),
    "gradient_norm_without": ("without", "无"),
    "gradient_see_with": (
        "With BatchNorm the plain net's gradient does not vanish, it grows towards the input, to {plain} times that of "
        "the last layer; with identity shortcuts (A) to {residual} times. So vanishing gradients are not what residual "
        "nets answer: the paper says so too (section 4.1) and names degradation, the higher training error of deeper "
        "plain nets.",
        "有 BatchNorm 时，普通网络的梯度并不消失，反而朝输入方向增长到最后一层的 {plain} 倍；"
        "恒等捷径（A）为 {residual} 倍。"
        "所以残差网络解决的并非梯度消失：论文（第 4.1 节）也这样说，它针对的是退化，即更深的普通网络训练误差更高。",
    ),
    "gradient_see_without": (
        "Without BatchNorm nothing keeps the scale: the first layer's gradient is {plain} in the plain net and "
        "{residual} with identity shortcuts (A), {ratio} times as large.",
        "没有 BatchNorm 时，尺度无从保持：第一层的梯度在普通网络中为 {plain}，"
        "有恒等捷径（A）时为 {residual}，是前者的 {ratio} 倍。",
    ),
    "gradient_shortcut_A": ("A: identity, zeros for new channels", "A：恒等，新通道补零"),
    "gradient_shortcut_B": ("B: projection where the shape changes", "B：形状变化处用投影"),
    "gradient_shortcut_C": ("C: projection everywhere", "C：处处用投影"),
    "gradient_shortcut_none": ("none: a plain net", "无：普通网络"),
    "gradient_across": ("3×3 convolution, counted from the input", "第几个 3×3 卷积（从输入数起）"),
    "gradient_up": ("gradient ‖∂L/∂W‖ of the layer's weights", "该层权重的梯度 ‖∂L/∂W‖"),
    "gradient_alt": (
        "Gradient by layer, a line a kind of shortcut, logarithmic. In the first and the last layer: {ends}.",
        "各层梯度，每种捷径一条线，对数刻度。第一层与最后一层：{ends}。",
    ),
    "gradient_note": (
        "Computed now: cross entropy of {batch} pictures of noise with random labels, one backward pass in each net, "
        "before any training.",
        "现场计算：{batch} 张噪声图片、随机标签的交叉熵，每个网络在训练前各反向传播一次。",
    ),
}


def draw(say: Say, layers: int, norm: str) -> Drawing:
    from cvhub.explain.figures.gradient import BATCH, by_layer

    found = by_layer(layers, norm == "with")
    plain, residual = found["none"], found["A"]
    if norm == "with":
        said = {"plain": times(plain[0] / plain[-1]), "residual": times(residual[0] / residual[-1])}
    else:
        said = {"plain": f"{plain[0]:.2g}", "residual": f"{residual[0]:.2g}"}
        said["ratio"] = times(residual[0] / plain[0])
    lines = [
        Series(say(f"gradient_shortcut_{shortcut}"), list(enumerate(norms, 1)), i, DASHES[i])
        for i, (shortcut, norms) in enumerate(found.items())
    ]
    ends = "; ".join(f"{shortcut} {norms[0]:.2g}, {norms[-1]:.2g}" for shortcut, norms in found.items())
    count = len(plain)
    across = Axis(say("gradient_across"), (1, *range(10, count + 1 - 3, 10), count))
    up = decades(say("gradient_up"), [norm for norms in found.values() for norm in norms])
    note = f'<p class="facts">{say("gradient_note", batch=BATCH)}</p>'
    return Drawing(say(f"gradient_see_{norm}", **said), plot(lines, across, up, say("gradient_alt", ends=ends)) + note)


def times(value: float) -> str:
    """A ratio in two digits: between two runs more would differ."""
    return f"{float(f'{value:.2g}'):,.10g}"
