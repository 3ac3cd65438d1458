"""Swin's windows on a picture: as they are, shifted, and as the shifted ones are computed."""

import numpy as np
from PIL import Image

from cvhub.ui.figures.figure import Choice, Drawing, Range, Say
from cvhub.ui.figures.photos import PICTURE, image, note, panels, picture_strings, ruled, sample

NAME = "windows"
PAPER = "https://arxiv.org/abs/2103.14030"
SIDE = 224  # pixels that the net sees
SHOWN = 448  # pixels that are drawn
CONTROLS = (PICTURE, Choice("stage", (1, 2, 3, 4), 3), Range("window", 2, 12, 1, 7))
STRINGS = {
    "windows_title": ("Swin: windows, shifted windows and the mask", "Swin：窗口、移位窗口与掩码"),
    "windows_source": ("Liu et al. 2021, section 3.2, figures 2 and 4", "Liu 等，2021，第 3.2 节，图 2、4"),
    "windows_stage": ("Stage", "阶段"),
    "windows_window": ("Window M, patches a side", "窗口边长 M（图块数）"),
    "windows_see": (
        "{n} × {n} patches of {patch} pixels lie in {windows} windows, and attention stays within them. The next block "
        "shifts the windows by {shift} patches, so that patches meet that a border parted: {groups} groups, which are "
        "computed as {windows} windows of a rolled map, with a mask between what only the roll brought together.",
        "{n} × {n} 个 {patch} 像素的图块分在 {windows} 个窗口中，注意力不越出窗口。下一块把窗口移动 {shift} 个图块，使"
        "原先被边界隔开的图块相遇：共 {groups} 组；计算时把特征图滚动成 {windows} 个窗口，用掩码隔开仅因滚动而相邻的图"
        "块。",
    ),
    "windows_see_one": (
        "One window covers all {n} × {n} patches of {patch} pixels: every patch attends to every other, nothing is "
        "shifted, and no mask is needed.",
        "一个窗口覆盖全部 {n} × {n} 个 {patch} 像素的图块：每个图块都关注所有图块，无需移位，也无需掩码。",
    ),
    "windows_plain": ("windows (W-MSA)", "窗口（W-MSA）"),
    "windows_shifted": ("shifted (SW-MSA)", "移位窗口（SW-MSA）"),
    "windows_rolled": ("as it is computed", "实际计算方式"),
    "windows_count": ("{n} windows", "{n} 个窗口"),
    "windows_groups": ("{n} groups that attend", "{n} 个互相关注的组"),
    "windows_roll": ("map rolled by {shift}, {n} windows", "特征图滚动 {shift}，{n} 个窗口"),
    "windows_masks": (
        "Masks of the last windows: which query (row) may not attend to which key (column)",
        "末尾窗口的掩码：哪个查询（行）不得关注哪个键（列）",
    ),
    "windows_mask": ("window {number}", "窗口 {number}"),
    "windows_masked": ("{percent} of pairs masked", "{percent} 的配对被屏蔽"),
    "windows_plain_alt": ("The picture, parted into {n} windows.", "图片分为 {n} 个窗口。"),
    "windows_shifted_alt": ("The picture, parted into {n} groups by shifted windows.", "移位窗口把图片分为 {n} 组。"),
    "windows_rolled_alt": (
        "The rolled picture in {n} windows (thick lines) and the groups within them (thin lines).",
        "滚动后的图片，分为 {n} 个窗口（粗线），其内再分组（细线）。",
    ),
    "windows_mask_alt": (
        "Mask of window {number}: {percent} of its pairs of patches may not meet.",
        "窗口 {number} 的掩码：{percent} 的图块对不得相遇。",
    ),
    "windows_note": (
        "Nothing is drawn from memory: the model's own attention runs on the map with queries and keys of zero, and "
        "patches that give the same average are one group. Thick lines are windows, thin ones parts that the mask "
        "keeps apart.",
        "并非凭印象绘制：以全零的查询和键在特征图上运行模型自身的注意力，输出均值相同的图块即为一组。"
        "粗线为窗口，细线为掩码隔开的部分。",
    ),
} | picture_strings(NAME)


def draw(say: Say, picture: str, stage: int, window: int) -> Drawing:
    from cvhub.explain.figures.windows import partition
    from cvhub.models.swin import CvSwinConfig

    config = CvSwinConfig(window_size=window)
    plain, shifted = (partition(config, SIDE, SIDE, stage, moved) for moved in (False, True))
    n, count, groups = len(plain.windows), len(np.unique(plain.windows)), len(np.unique(shifted.groups))
    shift = shifted.shift[0]
    said = {"n": n, "patch": plain.patch, "windows": count, "groups": groups, "shift": shift}
    see = say("windows_see" if shift else "windows_see_one", **said)
    photo = sample(picture, SHOWN)
    items = [
        (
            image(ruled(photo, plain.windows, 3), say("windows_plain_alt", n=count)),
            say("windows_plain"),
            say("windows_count", n=count),
        ),
        (
            image(ruled(photo, shifted.groups, 3), say("windows_shifted_alt", n=groups)),
            say("windows_shifted"),
            say("windows_groups", n=groups),
        ),
    ]
    if shift:
        rolled = roll(photo, shifted.windows, shifted.groups, shift)
        text = say("windows_roll", shift=shift, n=count)
        items.append((image(rolled, say("windows_rolled_alt", n=count)), say("windows_rolled"), text))
    return Drawing(see, panels(items, 300) + masks(say, shifted.masks) + note(say("windows_note")))


def roll(photo: Image.Image, windows: np.ndarray, groups: np.ndarray, shift: int) -> Image.Image:
    """The picture as the map is rolled: thin lines between groups, thick ones between windows."""
    pixels = round(shift * photo.width / len(windows))
    rolled = Image.fromarray(np.roll(np.asarray(photo), (-pixels, -pixels), (0, 1)))
    windows, groups = (np.roll(numbers, (-shift, -shift), (0, 1)) for numbers in (windows, groups))
    return ruled(ruled(rolled, groups, 1), windows, 5)


def masks(say: Say, found: np.ndarray) -> str:
    """Of the last two columns of windows in the last two rows, where there is a mask: figure 4's four cases."""
    from cvhub.ui import numerals

    if not found.any():
        return ""
    across = round(len(found) ** 0.5)
    corner = [(across - 2) * across + across - 2, (across - 1) * across - 1, across**2 - 2, across**2 - 1]
    items = []
    for number in corner:
        percent = numerals.percent(found[number].mean())
        said = {"number": number + 1, "percent": percent}
        drawn = cells(found[number], say("windows_mask_alt", **said))
        items.append((drawn, say("windows_mask", number=number + 1), say("windows_masked", percent=percent)))
    return f"<h3>{say('windows_masks')}</h3>{panels(items, 150)}"


def cells(values: np.ndarray, alt: str) -> str:
    """True cells of (rows, columns), a rectangle a run, so that a mask of 49 × 49 stays small."""
    from html import escape

    rows, columns = values.shape
    edges = np.diff(np.pad(values.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    starts, ends = np.argwhere(edges == 1).tolist(), np.argwhere(edges == -1).tolist()
    drawn = "".join(
        f'<rect x="{left}" y="{row}" width="{right - left}" height="1"/>'
        for (row, left), (_, right) in zip(starts, ends, strict=True)
    )
    return (
        f'<div class="cells" role="img" aria-label="{escape(alt)}" style="--series:var(--series-0);aspect-ratio:1">'
        f'<svg viewBox="0 0 {columns} {rows}" aria-hidden="true">{drawn}</svg></div>'
    )
