"""What a ViT makes of places: patches, positions, and where its heads look."""

from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from cvhub.explain.cam import paint
from cvhub.ui.charts import Axis, Series, from_zero, plot
from cvhub.ui.figures.figure import Choice, Drawing, Range, Say
from cvhub.ui.figures.photos import PICTURE, heated, image, note, panels, picture_strings, ruled, sample

NAME = "positions"
PAPER = "https://arxiv.org/abs/2010.11929"
PLACES = 8  # steps of the controls that choose a patch
SHOWN = 336  # pixels of a picture that is drawn
CONTROLS = (
    PICTURE,
    Choice("layer", ("first", "middle", "last"), "last"),
    Range("down", 1, PLACES, 1, 4),
    Range("across", 1, PLACES, 1, 4),
)
STRINGS = {
    "positions_title": ("ViT: patches, positions and attention", "ViT：图块、位置与注意力"),
    "positions_source": (
        "Dosovitskiy et al. 2021, figures 6 and 7; rollout: Abnar & Zuidema 2020",
        "Dosovitskiy 等，2021，图 6、7；rollout：Abnar 与 Zuidema，2020",
    ),
    "positions_layer": ("Layer", "层"),
    "positions_layer_first": ("first", "第一层"),
    "positions_layer_middle": ("middle", "中间层"),
    "positions_layer_last": ("last", "最后一层"),
    "positions_down": ("Patch: how far down, in eighths", "图块：自上而下的位置（八分之几）"),
    "positions_across": ("Patch: how far across, in eighths", "图块：自左而右的位置（八分之几）"),
    "positions_see": (
        "{title} reads {n} patches of {patch} × {patch} pixels. Which of them are neighbours it can only learn: "
        "positions side by side have a cosine of {near}, any two on average {any}. Its heads look {low} to {high} "
        "pixels far in the first layer and {last_low} to {last_high} in the last.",
        "{title} 读入 {n} 个 {patch} × {patch} 像素的图块。哪些相邻，它只能学到：相邻位置的余弦为 {near}，"
        "任意两个位置平均为 {any}。第一层各头看 {low} 到 {high} 像素远，最后一层看 {last_low} 到 {last_high} 像素。",
    ),
    "positions_patches": ("{n} patches", "{n} 个图块"),
    "positions_rollout": ("rollout to the class token", "到类别标记的 rollout"),
    "positions_query": ("what the framed patch takes", "框中图块所取"),
    "positions_mean": ("mean of the heads", "各头平均"),
    "positions_all_layers": ("all layers", "所有层"),
    "positions_head": ("head {number}", "头 {number}"),
    "positions_heads": (
        "What the class token takes in layer {layer} of {layers}, head by head",
        "第 {layer} 层（共 {layers} 层）中类别标记所取，逐头显示",
    ),
    "positions_similar": ("alike to the framed position", "与框中位置的相似度"),
    "positions_similarities": ("each position's likeness to all", "每个位置与所有位置的相似度"),
    "positions_cosine": ("cosine, −1 dark to 1 bright", "余弦，−1 暗到 1 亮"),
    "positions_patches_alt": ("The picture cut into {n} patches.", "切成 {n} 个图块的图片。"),
    "positions_rollout_alt": (
        "Attention rolled out over all layers, over the picture.",
        "所有层注意力的 rollout，叠在图片上。",
    ),
    "positions_query_alt": ("What the framed patch takes from each patch.", "框中图块从各图块所取。"),
    "positions_head_alt": (
        "What head {number} takes from each patch for the class token.",
        "头 {number} 为类别标记从各图块所取。",
    ),
    "positions_similar_alt": ("Cosine of the framed position with each position.", "框中位置与各位置的余弦。"),
    "positions_similarities_alt": (
        "A map for each of the {n} positions: its cosine with all positions.",
        "{n} 个位置各一幅图：它与所有位置的余弦。",
    ),
    "positions_axis": ("layer", "层"),
    "positions_up": ("mean distance of attention, pixels", "注意力平均距离，像素"),
    "positions_dot": ("a head", "一个头"),
    "positions_distance_mean": ("mean of the heads", "各头平均"),
    "positions_distance_alt": (
        "Distance of attention by layer, a dot a head: {low} to {high} pixels in the first layer, {last_low} to "
        "{last_high} in the last.",
        "各层的注意力距离，每头一点：第一层 {low} 到 {high} 像素，最后一层 {last_low} 到 {last_high} 像素。",
    ),
    "positions_note": (
        "Computed now on the net as it runs, with its weights of attention kept. In each heat map the brightest patch "
        "is the one with most. Attention says where a token took from, not what that did to the answer.",
        "在网络运行时现场计算，并保留其注意力权重。每幅热图中最亮的图块取得最多。注意力说明标记取自何处，而非对答案的"
        "影响。",
    ),
} | picture_strings(NAME)


def draw(say: Say, picture: str, layer: str, down: int, across: int) -> Drawing:
    from cvhub.explain.figures.positions import distances, similarity, token

    title, model, _ = net()
    photo, seen = look(picture)
    rows, columns = seen.grid
    patch = model.config.patch_size
    query = ((down - 1) * rows // PLACES, (across - 1) * columns // PLACES)
    number = {"first": 0, "middle": len(seen.weights) // 2, "last": len(seen.weights) - 1}[layer]
    alike, far = similarity(model, seen.grid), distances(seen, patch)
    ends = {"low": far[0].min(), "high": far[0].max(), "last_low": far[-1].min(), "last_high": far[-1].max()}
    said: dict[str, Any] = {key: f"{value:.0f}" for key, value in ends.items()}
    said |= {"near": signed(neighbours(alike)), "any": signed(pairs(alike))}
    see = say("positions_see", title=title, n=rows * columns, patch=patch, **said)
    frame = np.zeros(seen.grid)
    frame[query] = 1
    took = seen.maps(number, token(seen, *query)).mean(0)
    n = rows * columns
    shown = {
        "patches": (cut(photo, rows, columns), ""),
        "rollout": (heated(photo, seen.rollout()), "all_layers"),
        "query": (ruled(heated(photo, took), frame), "mean"),
        "similar": (ruled(cosines(alike[query]), frame), "cosine"),
        "similarities": (mosaic(alike), "cosine"),
    }
    first = [
        (
            image(drawn, say(f"positions_{part}_alt", n=n)),
            say(f"positions_{part}", n=n),
            text and say(f"positions_{text}"),
        )
        for part, (drawn, text) in shown.items()
    ]
    heads = [
        (image(heated(photo, one), say("positions_head_alt", number=i)), say("positions_head", number=i), "")
        for i, one in enumerate(seen.maps(number), 1)
    ]
    above = say("positions_heads", layer=number + 1, layers=len(seen.weights))
    drawn = f"{panels(first)}<h3>{above}</h3>{panels(heads, 170)}{spread(say, far, said)}"
    return Drawing(see, drawn + note(say("positions_note")))


@lru_cache(maxsize=1)
def net() -> tuple[str, Any, Any]:
    """Title, model and processor of a ViT whose weights are at hand."""
    from cvhub.explain.figures.positions import at_hand
    from cvhub.load import load_model, load_processor

    entry = at_hand()
    return entry.title, load_model(entry.name), load_processor(entry.name)


@lru_cache(maxsize=8)
def look(picture: str) -> tuple[Image.Image, Any]:
    """The photo as it is drawn, and what the net attended to in it."""
    import torch

    from cvhub.explain.attention import attention

    _, model, transform = net()
    height, width = model.config.sides
    photo = sample(picture, min(height, width))
    pixels = torch.from_numpy(transform([photo]))
    return photo.resize((SHOWN, SHOWN), Image.Resampling.BICUBIC), attention(model, pixels)


def signed(cosine: float) -> str:
    return f"{round(cosine, 2) + 0.0:.2f}".replace("-", "−")  # no minus before 0.00


def neighbours(alike: np.ndarray) -> float:
    """Mean cosine of positions side by side; `alike` (h, w, h, w)."""
    rows, columns = alike.shape[:2]
    r, c = np.mgrid[:rows, : columns - 1]
    return float(alike[r, c, r, c + 1].mean())


def pairs(alike: np.ndarray) -> float:
    """Mean cosine of any two positions."""
    n = alike.shape[0] * alike.shape[1]
    return float(alike.reshape(n, n)[~np.eye(n, dtype=bool)].mean())


def cut(photo: Image.Image, rows: int, columns: int) -> Image.Image:
    """The patches with a gap between them."""
    from cvhub.explain.figures.positions import patches

    side = SHOWN // rows
    cells = patches(np.asarray(photo.resize((columns * side, rows * side))), side)
    gap = max(1, side // 8)
    spaced = np.pad(cells, ((0, 0), (0, 0), (0, gap), (0, gap), (0, 0)), constant_values=128)
    return Image.fromarray(spaced.swapaxes(1, 2).reshape(rows * (side + gap), columns * (side + gap), 3))


def cosines(values: np.ndarray) -> Image.Image:
    """(h, w) of cosines as a picture, −1 dark and 1 bright."""
    grey = Image.fromarray(np.rint(255 * (values + 1) / 2).astype(np.uint8))
    return paint(grey).resize((SHOWN, SHOWN), Image.Resampling.NEAREST)


def mosaic(alike: np.ndarray) -> Image.Image:
    """A small map for each position, at its place: (h, w, h, w) → figure 7, centre."""
    rows, columns = alike.shape[:2]
    spaced = np.pad(alike, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=-1)
    return cosines(spaced.swapaxes(1, 2).reshape(rows * (rows + 1), columns * (columns + 1)))


def spread(say: Say, far: np.ndarray, said: dict[str, Any]) -> str:
    """Distance of attention over layers, a dot a head; `far` (layers, heads)."""
    heads = [(number, float(value)) for number, layer in enumerate(far, 1) for value in layer]
    means = [(number, float(layer.mean())) for number, layer in enumerate(far, 1)]
    series = [
        Series(say("positions_dot"), heads, 0, dots=True, line=False),
        Series(say("positions_distance_mean"), means, 1),
    ]
    alt = say("positions_distance_alt", **said)
    return plot(
        series,
        Axis(say("positions_axis"), tuple(range(1, len(far) + 1))),
        from_zero(say("positions_up"), float(far.max())),
        alt,
    )
