"""What ReLU6 does for the precision of 8-bit activations, on real photos."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cvhub.ui.charts import DASHES, Axis, Series, from_zero, plot
from cvhub.ui.figures.figure import Choice, Drawing, Say
from cvhub.ui.figures.photos import note, sample
from cvhub.ui.samples import PHOTOS

if TYPE_CHECKING:
    from cvhub.explain.figures.quantisation import Comparison, Layer

NAME = "quantisation"
PAPER = "https://arxiv.org/abs/1801.04381"
CASES = ("clipped", "unclipped", "without")
CONTROLS = (Choice("what", ("decibels", "greatest"), "decibels"),)
STRINGS = {
    "quantisation_title": ("MobileNetV2: ReLU6 and 8-bit activations", "MobileNetV2：ReLU6 与 8 位激活"),
    "quantisation_source": ("Sandler et al. 2018, section 4", "Sandler 等，2018，第 4 节"),
    "quantisation_what": ("Shown of each layer", "显示各层的"),
    "quantisation_what_decibels": ("signal to noise of rounding", "舍入的信噪比"),
    "quantisation_what_greatest": ("greatest value", "最大值"),
    "quantisation_see": (
        "Rounded to 256 levels, ReLU6's outputs keep a signal-to-noise ratio of {clipped} dB on average; ReLU in a "
        "layer's place, whose values reach {greatest} and stretch all levels, {unclipped} dB, some {bits} bits less. "
        "With all layers rounded the logits keep {answers} dB, and {kept} of {pictures} pictures their class.",
        "舍入为 256 级时，ReLU6 的输出平均保持 {clipped} dB 的信噪比；若某层换成 ReLU，其值可达 {greatest}，把各级拉"
        "开，只剩 {unclipped} dB，约少 {bits} 位。所有层都舍入后，logits 保持 {answers} dB，{pictures} 张图片中 "
        "{kept} 张的类别不变。",
    ),
    "quantisation_clipped": ("ReLU6, as trained", "ReLU6（训练时即如此）"),
    "quantisation_unclipped": ("ReLU in this layer's place", "仅该层换成 ReLU"),
    "quantisation_without": ("ReLU in all layers", "所有层都用 ReLU"),
    "quantisation_across": ("activation, counted from the input", "第几个激活（从输入数起）"),
    "quantisation_decibels": ("signal to noise, dB", "信噪比，dB"),
    "quantisation_greatest": ("greatest value", "最大值"),
    "quantisation_alt_decibels": (
        "Signal to noise by layer: on average {clipped} dB with ReLU6, {unclipped} dB with ReLU in one layer's place, "
        "{without} dB with ReLU in all.",
        "各层信噪比：ReLU6 平均 {clipped} dB，仅一层换成 ReLU 为 {unclipped} dB，全部换成 ReLU 为 {without} dB。",
    ),
    "quantisation_alt_greatest": (
        "Greatest value by layer: never above 6 with ReLU6, up to {unclipped} with ReLU in one layer's place, up to "
        "{without} with ReLU in all.",
        "各层最大值：ReLU6 不超过 6，仅一层换成 ReLU 时最高 {unclipped}，全部换成 ReLU 时最高 {without}。",
    ),
    "quantisation_note": (
        "EfficientNet-Lite0 on {pictures} photos. Activations alone are rounded, evenly from 0 to their greatest "
        "value; weights stay float32. What this does not show: a net trained with ReLU would have learnt other "
        "values. This one was trained with ReLU6, and with ReLU in all layers gives {same} of {pictures} pictures the "
        "class it gave before. Clipping rare large values when the range is chosen would help ReLU too: it is what "
        "ReLU6 does by itself.",
        "EfficientNet-Lite0，{pictures} 张照片。只有激活被舍入，从 0 到其最大值均匀分级；权重仍为 float32。此图并未说"
        "明：用 ReLU 训练的网络会学到别的数值。该网络是用 ReLU6 训练的，全部换成 ReLU 后，{pictures} 张图片中只有 "
        "{same} 张得到与之前相同的类别。选取范围时截去少见的大值也能帮助 ReLU：这正是 ReLU6 自动做到的。",
    ),
}
DECIBELS_A_BIT = 20 * np.log10(2)


def draw(say: Say, what: str) -> Drawing:
    found = compare()
    cases: dict[str, Sequence[Layer]] = {case: getattr(found, case) for case in CASES}
    means = {case: float(np.mean([layer.decibels for layer in layers])) for case, layers in cases.items()}
    greatest = {case: max(layer.greatest for layer in layers) for case, layers in cases.items()}
    see = say(
        "quantisation_see",
        clipped=f"{means['clipped']:.0f}",
        unclipped=f"{means['unclipped']:.0f}",
        greatest=f"{greatest['unclipped']:.0f}",
        bits=f"{(means['clipped'] - means['unclipped']) / DECIBELS_A_BIT:.1f}",
        answers=f"{found.clipped_answers.decibels:.0f}",
        kept=found.clipped_answers.kept,
        pictures=found.pictures,
    )
    said = {case: f"{(means if what == 'decibels' else greatest)[case]:.0f}" for case in CASES}
    series = [
        Series(
            say(f"quantisation_{case}"),
            [(number, getattr(layer, what)) for number, layer in enumerate(layers, 1)],
            i,
            DASHES[i],
        )
        for i, (case, layers) in enumerate(cases.items())
    ]
    count = len(found.clipped)
    most = max(value for one in series for _, value in one.points)
    across = Axis(say("quantisation_across"), (1, *range(5, count - 2, 5), count))
    drawn = plot(series, across, from_zero(say(f"quantisation_{what}"), most), say(f"quantisation_alt_{what}", **said))
    last = say("quantisation_note", pictures=found.pictures, same=found.without_answers.as_trained)
    return Drawing(see, drawn + note(last))


@lru_cache(maxsize=1)
def compare() -> "Comparison":
    """Of the sample photos, whole."""
    from cvhub.explain.figures.quantisation import compare

    return compare([sample(name, 320) for name in PHOTOS])
