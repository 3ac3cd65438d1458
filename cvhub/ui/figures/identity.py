"""A picture through residual blocks whose branch is zero, and through the same blocks without shortcuts."""

import numpy as np

from cvhub.ui import numerals
from cvhub.ui.charts import Bar, bars
from cvhub.ui.figures.figure import Choice, Drawing, Range, Say
from cvhub.ui.figures.photos import PICTURE, as_picture, image, note, panels, picture_strings, sample

NAME = "identity"
PAPER = "https://arxiv.org/abs/1512.03385"
SIDE = 160  # pixels
CONTROLS = (
    PICTURE,
    Range("gamma", 0, 100, 5, 0),
    Range("depth", 1, 20, 1, 5),
    Choice("values", ("positive", "centred"), "positive"),
)
STRINGS = {
    "identity_title": (
        "ResNet: a block whose branch is zero is the identity",
        "ResNet：分支为零的残差块即恒等映射",
    ),
    "identity_source": ("He et al. 2015, section 3.1", "He 等，2015，第 3.1 节"),
    "identity_gamma": ("γ of each block's last BatchNorm, in hundredths", "每块最后一个 BatchNorm 的 γ（百分之一）"),
    "identity_depth": ("Blocks", "块数"),
    "identity_values": ("Values that enter", "输入数值"),
    "identity_values_positive": ("0 to 1", "0 到 1"),
    "identity_values_centred": ("−0.5 to 0.5", "−0.5 到 0.5"),
    "identity_see_same": (
        "With γ = 0 the branch adds nothing: after {depth} residual blocks each value is exactly what it was. Without "
        "shortcuts the same blocks leave nothing of the picture.",
        "γ = 0 时分支不添加任何东西：经过 {depth} 个残差块后，每个数值都与原来完全相同。没有捷径时，同样的块使图片荡然"
        "无存。",
    ),
    "identity_see_clipped": (
        "With γ = 0 the branch adds nothing, but the ReLU after the sum makes negative values 0: residual blocks are "
        "identities only on values that are not negative, as all are that come out of a block before.",
        "γ = 0 时分支不添加任何东西，但求和之后的 ReLU 把负值变为 0：残差块只对非负值是恒等映射，而前一块输出的值都非"
        "负。",
    ),
    "identity_see_changed": (
        "With γ = {gamma} the branches speak: after {depth} residual blocks values differ by up to {residual} from "
        "what entered, without shortcuts by up to {plain}.",
        "γ = {gamma} 时分支起作用：经过 {depth} 个残差块后，数值与输入最多相差 {residual}；没有捷径时最多相差 "
        "{plain}。",
    ),
    "identity_entered": ("what enters", "输入"),
    "identity_residual": ("with shortcuts", "有捷径"),
    "identity_plain": ("without", "无捷径"),
    "identity_change": ("changed by at most {value}", "最大变化 {value}"),
    "identity_bars": ("Greatest change of a value", "数值的最大变化"),
    "identity_entered_alt": ("The picture that enters the first block.", "进入第一块的图片。"),
    "identity_residual_alt": ("What leaves {depth} residual blocks.", "{depth} 个残差块的输出。"),
    "identity_plain_alt": ("What leaves {depth} blocks without shortcuts.", "{depth} 个无捷径块的输出。"),
    "identity_note": (
        "Basic blocks, 3 channels wide, so that the map they pass on is a picture; 3×3 weights of chance, the same in "
        "both; β = 0. Shown is 0 to 1, or −0.5 to 0.5; what lies outside is cut off.",
        "3 通道的基本块，因此传递的特征图就是图片；两者的 3×3 权重相同，随机产生；β = 0。"
        "显示范围为 0 到 1，或 −0.5 到 0.5，超出部分被截去。",
    ),
} | picture_strings(NAME)


def draw(say: Say, picture: str, gamma: int, depth: int, values: str) -> Drawing:
    from cvhub.explain.figures.identity import passage

    offset = 0.5 if values == "centred" else 0.0
    found = passage(np.asarray(sample(picture, SIDE)) / 255 - offset, gamma / 100, depth)
    case = "changed" if gamma else "clipped" if offset else "same"
    changes = {"residual": found.residual_change, "plain": found.plain_change}
    written = {part: numerals.three_digits(change) if change else "0" for part, change in changes.items()}
    see = say(f"identity_see_{case}", gamma=f"{gamma / 100:g}", depth=depth, **written)
    items = []
    for part in ("entered", "residual", "plain"):
        shown = image(as_picture(getattr(found, part) + offset), say(f"identity_{part}_alt", depth=depth))
        text = say("identity_change", value=written[part]) if part in written else ""
        items.append((shown, say(f"identity_{part}"), text))
    rows = [
        Bar(say(f"identity_{part}"), change, written[part], colour)
        for (part, change), colour in zip(changes.items(), (0, 1), strict=True)
    ]
    return Drawing(see, panels(items) + bars(rows, say("identity_bars")) + note(say("identity_note")))
