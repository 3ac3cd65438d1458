"""What a depthwise separable convolution saves, at any kernel and width."""

from cvhub.ui import numerals
from cvhub.ui.charts import DASHES, Axis, Bar, Series, bars, from_zero, plot
from cvhub.ui.figures.figure import Choice, Drawing, Range, Say

NAME = "depthwise"
PAPER = "https://arxiv.org/abs/1704.04861"
KERNELS = (1, 3, 5, 7, 9, 11)
WIDTHS = tuple(2**i for i in range(3, 11))
CONTROLS = (
    Choice("kernel", KERNELS, 3),
    Range("in_channels", 8, 1024, 8, 512),
    Range("out_channels", 8, 1024, 8, 512),
    Choice("side", (7, 14, 28, 56, 112), 14),
)
STRINGS = {
    "depthwise_title": (
        "MobileNet: depthwise separable against full convolution",
        "MobileNet：深度可分离卷积与普通卷积",
    ),
    "depthwise_source": ("Howard et al. 2017, section 3.1", "Howard 等，2017，第 3.1 节"),
    "depthwise_kernel": ("Kernel K", "卷积核 K"),
    "depthwise_in_channels": ("Input channels M", "输入通道数 M"),
    "depthwise_out_channels": ("Output channels N", "输出通道数 N"),
    "depthwise_side": ("Positions a side of the map", "特征图边长"),
    "depthwise_see": (
        "With K = {k} and N = {n} the separable convolution needs {percent} of the full one's multiply-adds, "
        "the paper's 1/N + 1/K² = {promised}; {pointwise} of them are the 1×1 convolution's.",
        "K = {k}、N = {n} 时，可分离卷积只需普通卷积乘加次数的 {percent}，即论文中的 1/N + 1/K² = {promised}；"
        "其中 {pointwise} 来自 1×1 卷积。",
    ),
    "depthwise_see_more": (
        "With K = 1 there is nothing to save: the 1×1 convolution alone is the full one, and the depthwise part comes "
        "on top: {percent} of its multiply-adds.",
        "K = 1 时无可节省：1×1 卷积本身就是普通卷积，再加上逐通道部分，乘加次数为其 {percent}。",
    ),
    "depthwise_multiply_adds": ("Multiply-adds", "乘加次数"),
    "depthwise_parameters": ("Parameters", "参数"),
    "depthwise_full": ("full {k}×{k}", "普通 {k}×{k}"),
    "depthwise_separable": ("separable", "可分离"),
    "depthwise_part": ("of it depthwise {k}×{k}", "其中逐通道 {k}×{k}"),
    "depthwise_part_1": ("of it 1×1", "其中 1×1"),
    "depthwise_share": ("multiply-adds, % of the full convolution's", "乘加次数，占普通卷积的百分比"),
    "depthwise_chosen": ("chosen", "所选"),
    "depthwise_alt": (
        "Share of multiply-adds over output channels: the larger the kernel, the lower the line; each falls to 1/K².",
        "乘加次数比例随输出通道数的变化：卷积核越大曲线越低，均趋近 1/K²。",
    ),
}


def draw(say: Say, kernel: int, in_channels: int, out_channels: int, side: int) -> Drawing:
    from cvhub.explain.figures.depthwise import compare, promised

    found = compare(kernel, in_channels, out_channels, side)
    depthwise, pointwise = found.separable.layers
    see = say(
        "depthwise_see_more" if kernel == 1 else "depthwise_see",
        k=kernel,
        n=out_channels,
        percent=numerals.percent(found.ratio),
        promised=numerals.probability(promised(kernel, out_channels)),
        pointwise=numerals.percent(pointwise.multiply_adds / found.separable.multiply_adds),
    )
    costs = (
        (say("depthwise_full", k=kernel), found.full, 5),
        (say("depthwise_separable"), found.separable, 0),
        (say("depthwise_part", k=kernel), depthwise, 0),
        (say("depthwise_part_1"), pointwise, 0),
    )
    groups = "".join(
        bars(
            [
                Bar(label, getattr(cost, unit), numerals.count(getattr(cost, unit)), colour)
                for label, cost, colour in costs
            ],
            say(f"depthwise_{unit}"),
        )
        for unit in ("multiply_adds", "parameters")
    )
    return Drawing(see, f'<div class="pair">{groups}</div>' + shares(say, kernel, out_channels, found.ratio))


def shares(say: Say, kernel: int, out_channels: int, ratio: float) -> str:
    """The separable convolution's share over its width, a line a kernel."""
    from cvhub.explain.figures.depthwise import compare

    kernels = sorted({3, 5, 7, kernel})
    lines = [
        Series(f"K = {k}", [(n, 100 * compare(k, 64, n, 7).ratio) for n in WIDTHS], i, DASHES[i])
        for i, k in enumerate(kernels)
    ]
    chosen = Series(
        say("depthwise_chosen"), [(out_channels, 100 * ratio)], kernels.index(kernel), dots=True, line=False
    )
    most = max(share for line in lines for _, share in line.points)
    across = Axis(say("depthwise_out_channels"), WIDTHS, log=True)
    return plot([*lines, chosen], across, from_zero(say("depthwise_share"), most), say("depthwise_alt"))
