"""What ReLU6 does for the precision of 8-bit activations, on real photos."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from cvhub.explain.figures.relu6 import read_rounded
from cvhub.ui.charts import DASHES, Axis, Cell, Series, from_zero, plot, table
from cvhub.ui.figures.figure import Choice, Drawing, Say
from cvhub.ui.figures.photos import note, sample
from cvhub.ui.numerals import percent
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
        "value; weights stay float32. This net was trained with ReLU6, and with ReLU in all layers gives {same} of "
        "{pictures} pictures the class it gave before: below are two nets that learnt with what they have.",
        "EfficientNet-Lite0，{pictures} 张照片。只有激活被舍入，从 0 到其最大值均匀分级；权重仍为 float32。该网络是用 "
        "ReLU6 训练的，全部换成 ReLU 后，{pictures} 张图片中只有 {same} 张得到与之前相同的类别：下面是两个各自训练的"
        "网络。",
    ),
    "quantisation_trained_caption": ("Two nets in 8 bits, by their activation", "两个 8 位网络，按激活函数"),
    "quantisation_net": ("trained with", "训练时用"),
    "quantisation_exact": ("accuracy in fp32", "fp32 准确率"),
    "quantisation_rounded": ("in int8", "int8 准确率"),
    "quantisation_changed": ("answers that change", "改变的回答"),
    "quantisation_off": ("logits off by", "logits 偏差"),
    "quantisation_trained_note": (
        "MobileNetV2, trained twice on EuroSAT for {steps} steps, alike but for its activation, one seed each; then "
        "weights and activations rounded to 8 bits as cvhub predict --precision int8 does it, with a range for each "
        "layer; {pictures} test pictures. With such ranges ReLU loses no accuracy either; its answers move a little "
        "more.",
        "MobileNetV2 在 EuroSAT 上训练两次，各 {steps} 步，除激活函数外完全相同，各一个随机种子；然后按 cvhub predict "
        "--precision int8 的做法把权重和激活舍入为 8 位，每层有自己的范围；{pictures} 张测试图片。有了这样的范围，"
        "ReLU 的准确率也没有损失，只是回答变动稍多。",
    ),
}
NAMES = {"relu6": "ReLU6", "relu": "ReLU"}
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
    return Drawing(see, drawn + note(last) + _trained(say))


def _trained(say: Say) -> str:
    """Two nets that each learnt with its activation, in 8 bits: measured once, by `docs/relu6.py`."""
    nets = list(read_rounded().values())
    rows = [
        [Cell(NAMES[net.activation])]
        + [Cell(percent(share)) for share in (net.fp32 / net.n, net.int8 / net.n, 1 - net.same / net.n, net.off)]
        for net in nets
    ]
    columns = ("net", "exact", "rounded", "changed", "off")
    told = table([say(f"quantisation_{column}") for column in columns], rows, say("quantisation_trained_caption"))
    return told + note(say("quantisation_trained_note", steps=nets[0].steps, pictures=f"{nets[0].n:,}"))


@lru_cache(maxsize=1)
def compare() -> "Comparison":
    """Of the sample photos, whole."""
    from cvhub.explain.figures.quantisation import compare

    return compare([sample(name, 320) for name in PHOTOS])
