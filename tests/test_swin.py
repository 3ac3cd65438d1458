"""What the paper says of Swin (Liu et al. 2021) holds for our net."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torchvision.models.swin_transformer import ShiftedWindowAttention, SwinTransformer
from transformers import AutoModelForImageClassification, SwinConfig

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert.family import NoForeignForm
from cvhub.errors import CvhubError
from cvhub.inference.torch_runtime import LogitsAndFeatures, plain_module
from cvhub.models.attention import EncoderBlock
from cvhub.models.image_processing import CvImageProcessor
from cvhub.models.swin import (
    CvSwinBackbone,
    CvSwinConfig,
    CvSwinForImageClassification,
    CvSwinModel,
    PatchMerging,
    Stage,
    make_block,
)
from cvhub.models.swin_windows import WindowAttention, relative_positions
from tests.counting import count_multiply_adds, count_parameters
from tests.parity import Foreign, from_config, randomise, save
from tests.tiny import TinyFamily

# The smallest net that still has all the family's parts: shifted windows in a map of several, a merging, one window.
TINY = {
    "embed_dim": 8,
    "depths": (2, 1, 1),
    "num_heads": (1, 2, 4),
    "window_size": 3,
    "patch_size": 8,
    "drop_path_rate": 0.0,
}
# torch.export with free height and width takes minutes and fails.
FREE_IN_EXPORT = (0,)
# What tests/test_parity.py compares besides the named nets of timm and torchvision. timm's take one size, torchvision's
# any that patches divide; transformers' need windows that don't surpass a map.
PARITY_SIZES = {"384": ((384, 384),), "timm": ((224, 224),), "torchvision": ((64, 100), (120, 60))}
LARGE = ("swin_s", "swin_b", "swin_l", "swin-s", "swin-b", "swin-l")
GIANT = ("swin_large_patch4_window12_384",)
FOREIGN_SIZES = ((260, 250), (200, 224))
FOREIGN = {
    "timm, three stages of wide MLPs, another window": Foreign(
        lambda: timm.create_model(
            "swin_tiny_patch4_window7_224",
            embed_dim=12,
            depths=(2, 1, 2),
            num_heads=(1, 2, 4),
            window_size=4,
            mlp_ratio=3.0,
            img_size=96,
            num_classes=3,
        ),
        sizes=((96, 96),),
        written=False,
    ),
    "microsoft/swin-tiny-patch4-window7-224": from_config(SwinConfig(), sizes=FOREIGN_SIZES),
    "microsoft/swin-small-patch4-window7-224": from_config(SwinConfig(depths=[2, 2, 18, 2]), sizes=FOREIGN_SIZES),
    "microsoft/swin-base-patch4-window7-224": from_config(
        SwinConfig(embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32]), sizes=FOREIGN_SIZES
    ),
    "microsoft/swin-base-patch4-window12-384": from_config(
        SwinConfig(
            embed_dim=128, depths=[2, 2, 18, 2], num_heads=[4, 8, 16, 32], window_size=12, image_size=384, num_labels=7
        ),
        sizes=((384, 384),),
    ),
    "transformers, three stages of odd windows, patches of 2": from_config(
        SwinConfig(
            embed_dim=12,
            depths=[2, 1, 3],
            num_heads=[1, 2, 4],
            window_size=3,
            patch_size=2,
            image_size=24,
            num_labels=5,
        ),
        sizes=((61, 47), (24, 24)),
    ),
    "transformers, two stages, grey, another α": from_config(
        SwinConfig(
            embed_dim=24,
            depths=[1, 2],
            num_heads=[3, 3],
            window_size=5,
            mlp_ratio=2.6,
            num_channels=1,
            image_size=40,
            hidden_dropout_prob=0.1,
            attention_probs_dropout_prob=0.2,
        ),
        sizes=((70, 100), (40, 40)),
    ),
    "transformers, even windows": from_config(
        SwinConfig(embed_dim=16, depths=[2, 2, 2, 2], num_heads=[2, 2, 4, 8], window_size=4, image_size=128),
        sizes=((131, 150), (128, 128)),
    ),
}
# Windows that cover the last map along one axis alone, or that don't divide the maps: window, height and width.
OBLONG = ((7, 224, 320), (7, 320, 224), (7, 224, 448), (7, 256, 256), (4, 128, 192), (3, 160, 96))
NARROW: dict[str, Any] = {"embed_dim": 8, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 2, 4]}
# Other widths, depths, windows, patches and α; timm's and torchvision's nets of any name may have them.
RANDOM: dict[str, dict[str, Any]] = {
    "two stages, wide MLPs": dict(embed_dim=24, depths=[1, 3], num_heads=[3, 3], window_size=5, mlp_ratio=5.5),
    "three stages of odd windows, patches of 2": dict(
        embed_dim=12, depths=[2, 1, 3], num_heads=[1, 2, 4], window_size=3, patch_size=2, mlp_ratio=3
    ),
    "five stages, even windows": dict(
        embed_dim=6, depths=[1, 2, 1, 2, 1], num_heads=[1, 2, 2, 3, 4], window_size=2, mlp_ratio=1.4
    ),
}


def timm_net(size: Any, **fields: Any) -> Any:
    return timm.create_model("swin_tiny_patch4_window7_224", img_size=size, num_classes=3, **fields)


def torchvision_net(window_size: int, patch_size: int = 4, **fields: Any) -> SwinTransformer:
    return SwinTransformer([patch_size] * 2, window_size=[window_size] * 2, num_classes=3, **fields)


def oblong(library: str, window: int, size: tuple[int, int]) -> Foreign:
    """A narrow net of each library's for pictures of that size."""
    if library == "transformers":
        return from_config(SwinConfig(window_size=window, **NARROW), sizes=(size,))
    if library == "timm":
        return Foreign(lambda: timm_net(size, window_size=window, **NARROW), sizes=(size,))
    return Foreign(lambda: torchvision_net(window, **NARROW), arch="swin_t", sizes=(size,))


def other(library: str, fields: dict[str, Any]) -> Foreign:
    """timm's nets take the one size that they are made for; torchvision's any."""
    if library == "timm":
        return Foreign(lambda: timm_net((160, 96), **fields), sizes=((160, 96),))
    return Foreign(lambda: torchvision_net(**fields), arch="swin_t", sizes=((96, 160), (100, 68)))


FOREIGN |= {
    f"{library}, windows of {window} at {height} × {width}": oblong(library, window, (height, width))
    for library in ("timm", "torchvision", "transformers")
    for window, height, width in OBLONG
}
FOREIGN |= {
    f"{library}, {name}": other(library, fields)
    for library in ("timm", "torchvision")
    for name, fields in RANDOM.items()
}


def on_meta(name: str, **fields: Any) -> Any:
    """The net without values: its shapes and sizes cost no memory."""
    with torch.device("meta"):
        return CvSwinForImageClassification(CvSwinConfig.variant(name, num_labels=1000, **fields)).eval()


def blocks_of(model: Any) -> Iterator[tuple[int, int, EncoderBlock]]:
    """Stage and number of each block, both from 1, and the block."""
    for i, stage in enumerate(model.base_model.stages, start=1):
        for j, block in enumerate(stage.blocks, start=1):
            yield i, j, block


def small(window: int = 4, **fields: Any) -> CvSwinConfig:
    """Of one stage, for its parts on their own."""
    row: dict[str, Any] = dict(embed_dim=8, depths=(2,), num_heads=(2,), window_size=window, drop_path_rate=0.0)
    row |= dict(attn_implementation="eager")  # which a whole net would choose
    return CvSwinConfig(**(row | fields))


def attention(window: int = 4, shifted: bool = False, **fields: Any) -> Any:
    """Attention on 8 channels, everything in it random."""
    return randomise(WindowAttention(small(window, **fields), 8, 2, shifted))


def seen_from(layer: Any, x: Tensor, row: int, column: int) -> Tensor:
    """Which positions (h, w) of a map (1, h, w, C) have a gradient from the output at one of them."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(first(layer(x))[0, row, column].sum(), x)
    return gradient.abs().sum(-1)[0] > 1e-20  # what a mask keeps apart has weights of about e⁻¹⁰⁰


def first(output: Any) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]


def box(height: int, width: int, rows: slice, columns: slice) -> Tensor:
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


# --- Architecture (section 3.3 and table 1) --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "channels", "layers", "millions"),
    [
        ("swin_tiny", 96, (2, 2, 6, 2), 28.288354),
        ("swin_small", 96, (2, 2, 18, 2), 49.606258),
        ("swin_base", 128, (2, 2, 18, 2), 87.768224),
        ("swin_large", 192, (2, 2, 18, 2), 196.532476),
    ],
)
def test_variants_are_section_3_3(name: str, channels: int, layers: tuple[int, ...], millions: float) -> None:
    """C and layer numbers, d = 32, M = 7, α = 4; 28, 50, 88 and 197 M parameters in table 1, the rest by timm."""
    model = on_meta(name)
    assert [len(stage.blocks) for stage in model.base_model.stages] == list(layers)
    for i, _, block in blocks_of(model):
        width = channels * 2 ** (i - 1)
        assert block.attention.qkv.in_features == block.attention.proj.out_features == width
        assert width // block.attention.heads == 32
        assert block.attention.window == 7
        assert (block.mlp.fc1.out_features, block.mlp.fc2.in_features) == (4 * width, 4 * width)
    assert count_parameters(model) == millions * 1e6
    assert round(millions) == {"swin_tiny": 28, "swin_small": 50, "swin_base": 88, "swin_large": 197}[name]


@pytest.mark.parametrize(
    ("name", "size", "giga"),
    [
        ("swin_tiny", 224, 4.5),
        ("swin_small", 224, 8.7),
        ("swin_base", 224, 15.4),
        ("swin_base_384", 384, 47.0),
        ("swin_large_384", 384, 103.9),
    ],
)
def test_multiply_adds_are_table_1(name: str, size: int, giga: float) -> None:
    model = on_meta(name, attn_implementation="eager")
    assert count_multiply_adds(model, 1, 3, size, size) / 1e9 == pytest.approx(giga, rel=0.01)


def test_maps_are_as_large_as_a_convolutional_nets() -> None:
    """Figure 3: strides 4, 8, 16, 32, channels C, 2C, 4C, 8C, which any detector or segmenter can stand on."""
    with torch.device("meta"):
        backbone = CvSwinBackbone(CvSwinConfig(out_features=["stage1", "stage2", "stage3", "stage4"]))
        maps = backbone(torch.empty(1, 3, 224, 320)).feature_maps
    assert [m.shape[1] for m in maps] == backbone.channels == [96, 192, 384, 768]
    assert [tuple(m.shape[2:]) for m in maps] == [(56, 80), (28, 40), (14, 20), (7, 10)]


def test_every_second_block_is_shifted() -> None:
    for _, j, block in blocks_of(on_meta("swin_tiny")):
        assert block.attention.shifted == (j % 2 == 0)
        assert block.attention.shifts(8, 8) == ((3, 3) if j % 2 == 0 else (0, 0))


@pytest.mark.parametrize(
    ("name", "last"), [("swin_tiny", 0.2), ("swin_small", 0.3), ("swin_base", 0.5), ("swin_large", 0.2)]
)
def test_stochastic_depth_grows_linearly(name: str, last: float) -> None:
    rates = [block.drop_path.rate for _, _, block in blocks_of(on_meta(name))]
    assert rates == pytest.approx(torch.linspace(0, last, len(rates)).tolist())


# --- The block (section 3.1 and 3.2) ---------------------------------------------------------------------------------


def test_a_block_is_equation_3() -> None:
    """ẑ = W-MSA(LN(z)) + z and z' = MLP(LN(ẑ)) + ẑ, with a GELU inside the MLP."""
    block: Any = randomise(make_block(small(), 8, 2, shifted=True, drop_path=0.5))
    z = torch.randn(2, 8, 12, 8)
    middle = block.attention(block.norm1(z))[0] + z
    hidden = block.mlp.fc1(block.norm2(middle))
    expected = block.mlp.fc2(hidden * torch.special.ndtr(hidden)) + middle
    torch.testing.assert_close(block(z)[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_is_equation_4_in_each_window(implementation: str) -> None:
    """Softmax of q·kᵀ / √d + B, by hand, window by window, head by head."""
    layer = attention(window=2, attn_implementation=implementation)
    x = torch.randn(1, 4, 6, 8)
    query, key, value = layer.qkv(x).chunk(3, dim=-1)
    for top, left in ((0, 0), (0, 4), (2, 2)):
        window = slice(top, top + 2), slice(left, left + 2)
        q, k, v = (part[0][window].reshape(4, 2, 4) for part in (query, key, value))  # 4 positions, 2 heads of d = 4
        bias = layer.relative_position_bias[relative_positions(2)]
        heads = [((q[:, h] @ k[:, h].T) / 2 + bias[:, :, h]).softmax(-1) @ v[:, h] for h in (0, 1)]
        expected = layer.proj(torch.cat(heads, dim=-1)).view(2, 2, 8)
        torch.testing.assert_close(layer(x)[0][0][window], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(12, 12), (9, 14), (3, 20), (5, 5)])
@pytest.mark.parametrize("shifted", [False, True])
def test_attention_is_torchvisions_at_any_size(shifted: bool, size: tuple[int, int]) -> None:
    """Filled up to whole windows, then rolled by half a window, but not along an axis that one window covers."""
    ours = attention(5, shifted)
    theirs = ShiftedWindowAttention(8, [5, 5], [2 * shifted, 2 * shifted], num_heads=2).eval()
    names = {"relative_position_bias": "relative_position_bias_table"}
    tensors = {names.get(name, name): tensor for name, tensor in ours.state_dict().items()}
    theirs.load_state_dict(tensors, strict=False)
    x = torch.randn(2, *size, 8)
    torch.testing.assert_close(ours(x)[0], theirs(x), rtol=1e-4, atol=1e-5)


def test_attention_keeps_to_its_window() -> None:
    layer, x = attention(window=4), torch.randn(1, 8, 12, 8)
    assert torch.equal(seen_from(layer, x, 1, 6), box(8, 12, slice(0, 4), slice(4, 8)))
    assert torch.equal(seen_from(layer, x, 7, 0), box(8, 12, slice(4, 8), slice(0, 4)))


def test_shifted_windows_connect_their_neighbours() -> None:
    """Figure 2: a position sees a neighbouring window only after the second, shifted block."""
    x = torch.randn(1, 8, 12, 8)
    stage: Any = randomise(Stage(small(), 0, rates=[0.0, 0.0]))
    own = box(8, 12, slice(0, 4), slice(0, 4))
    assert torch.equal(seen_from(stage.blocks[0], x, 3, 3), own)
    # Its window of the shifted block begins in the middle of its own and reaches into three others, all of them seen
    # by what is in it.
    assert torch.equal(seen_from(stage, x, 3, 3), box(8, 12, slice(0, 8), slice(0, 8)))
    unshifted: Any = nn.Sequential(*(randomise(make_block(small(), 8, 2, False, 0.0)) for _ in range(2)))
    through = nn.Sequential(FirstOf(unshifted[0]), FirstOf(unshifted[1]))
    assert torch.equal(seen_from(through, x, 3, 3), own)


class FirstOf(nn.Module):
    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x)[0]


def test_a_mask_keeps_apart_what_was_rolled_together() -> None:
    """Figure 4: windows of 4, shifted by 2, on a map of 8 × 12: opposite borders share a rolled window, unseen."""
    layer, x = attention(window=4, shifted=True), torch.randn(1, 8, 12, 8)
    assert torch.equal(seen_from(layer, x, 0, 0), box(8, 12, slice(0, 2), slice(0, 2)))  # a corner
    assert torch.equal(seen_from(layer, x, 7, 11), box(8, 12, slice(6, 8), slice(10, 12)))
    assert torch.equal(seen_from(layer, x, 0, 5), box(8, 12, slice(0, 2), slice(2, 6)))  # the upper border
    assert torch.equal(seen_from(layer, x, 3, 11), box(8, 12, slice(2, 6), slice(10, 12)))  # the right one
    assert torch.equal(seen_from(layer, x, 3, 3), box(8, 12, slice(2, 6), slice(2, 6)))  # within
    weights = layer(x, keep_weights=True)[1]
    assert weights.shape == (1, 6, 2, 16, 16)
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 6, 2, 16))
    assert weights[0, -1, :, 0, 15].max() < 1e-30  # the last window's first position and its last


def test_rolling_keeps_the_number_of_windows() -> None:
    """Section 3.2: cut as they lie, the windows of an 8 × 12 map would become 3 × 4 instead of 2 × 3, at more cost."""
    x = torch.randn(1, 8, 12, 8)
    regular, shifted = (attention(window=4, shifted=shifted)(x, keep_weights=True)[1] for shifted in (False, True))
    assert regular.shape == shifted.shape == (1, 6, 2, 16, 16)


def test_relative_position_bias_depends_on_the_offset_alone() -> None:
    """Section 3.2: offsets along each axis lie in −M + 1 … M − 1, so B comes from (2M − 1)² values a head."""
    window = 7
    index = relative_positions(window)
    assert index.shape == (49, 49)
    places = [(row, column) for row in range(window) for column in range(window)]
    rows: dict[tuple[int, int], set[int]] = {}
    for i, (row, column) in enumerate(places):
        for j, (other_row, other_column) in enumerate(places):
            rows.setdefault((row - other_row, column - other_column), set()).add(index[i, j].item())
    assert len(rows) == 13**2
    assert all(len(found) == 1 for found in rows.values())
    assert set.union(*rows.values()) == set(range(13**2))
    table = WindowAttention(small(window), 8, 2, shifted=False).relative_position_bias
    assert table.shape == (13**2, 2)


def test_merging_halves_the_map_and_doubles_the_channels() -> None:
    """Section 3.1: of 2 × 2 neighbours, 4C numbers, a linear layer makes 2C; an odd end is filled with zeros."""
    merging: Any = randomise(PatchMerging(8))
    x = torch.randn(2, 6, 10, 8)
    y = merging(x)
    assert y.shape == (2, 3, 5, 16)
    assert merging.reduction.weight.shape == (16, 32)
    assert torch.equal(seen_from(merging, x, 1, 2), box(6, 10, slice(2, 4), slice(4, 6)))
    neighbours = torch.cat([x[0, 2, 4], x[0, 3, 4], x[0, 2, 5], x[0, 3, 5]])  # column by column
    torch.testing.assert_close(y[0, 1, 2], merging.reduction(merging.norm(neighbours)))
    odd = merging(x[:, :5, :9])
    assert odd.shape == (2, 3, 5, 16)
    filled = torch.cat([x[0, 4, 8], torch.zeros(24)])
    torch.testing.assert_close(odd[0, 2, 4], merging.reduction(merging.norm(filled)))


# --- Cost (section 3.2) ----------------------------------------------------------------------------------------------


def attention_cost(height: int, width: int, channels: int, window: int) -> int:
    config = small(window)
    with torch.device("meta"):
        layer = WindowAttention(config, channels, 4, shifted=False)
    return count_multiply_adds(layer, 1, height, width, channels)


def test_cost_is_equation_1_and_2() -> None:
    """Ω(MSA) = 4hwC² + 2(hw)²C, Ω(W-MSA) = 4hwC² + 2M²hwC, where one window is as large as the map or of M."""
    channels = 32
    for side in (14, 28, 56):
        area = side * side
        assert attention_cost(side, side, channels, window=side) == 4 * area * channels**2 + 2 * area**2 * channels
        assert attention_cost(side, side, channels, window=7) == 4 * area * channels**2 + 2 * 49 * area * channels


def test_cost_is_linear_in_the_pictures_area_and_not_quadratic() -> None:
    """Four times the area: the net, but for its classifier, costs 4 times as much, attention of all to all over 12."""
    model = on_meta("swin_tiny", attn_implementation="eager")
    once, fourfold = (count_multiply_adds(model, 1, 3, side, side) - 768_000 for side in (224, 448))
    assert fourfold == 4 * once
    assert attention_cost(56, 56, 32, 56) / attention_cost(28, 28, 32, 28) > 12


# --- Outputs ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny() -> Any:
    return randomise(TinyFamily("swin").model())


def test_attentions_of_each_block_on_request(tiny: Any) -> None:
    """They sum to 1 over a window, and asking for them changes no logit."""
    pixels = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        plain, asked = tiny(pixels), tiny(pixels, output_attentions=True)
    assert plain.attentions is None
    torch.testing.assert_close(asked.logits, plain.logits)
    windows = [3 * 4, 3 * 4, 2 * 2, 1 * 1]
    heads = [1, 1, 2, 4]
    shapes = [(2, n, h, 9, 9) for n, h in zip(windows, heads, strict=True)]
    assert [tuple(weights.shape) for weights in asked.attentions] == shapes
    for weights in asked.attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_a_run_at_one_size_leaves_answers_at_others_alone(tiny: Any) -> None:
    """transformers' Swin remembers sizes; ours keeps nothing of a run."""
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    attributes = [vars(module).keys() for module in tiny.modules()]
    small_picture, large_picture = torch.randn(1, 3, 32, 32), torch.randn(1, 3, 150, 97)
    with torch.no_grad():
        fresh = [tiny(picture).logits for picture in (large_picture, small_picture)]
        again = [tiny(picture).logits for picture in (large_picture, small_picture)]
    assert all(torch.equal(a, b) for a, b in zip(fresh, again, strict=True))
    assert [vars(module).keys() for module in tiny.modules()] == attributes
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())


def test_the_map_before_the_mean_explains_the_logits(tiny: Any) -> None:
    """So the exact class activation map is there for nothing."""
    module = plain_module(tiny, torch.randn(2, 3, 64, 64))
    assert isinstance(module, LogitsAndFeatures)
    answer = module(torch.randn(2, 3, 70, 99))
    assert answer["features"].shape == (2, 32, 3, 4)
    torch.testing.assert_close(tiny.classifier(answer["features"].mean((2, 3))), answer["logits"])


@pytest.mark.filterwarnings("ignore:`torch.jit.trace", "ignore::torch.jit.TracerWarning", "ignore:`is_gradient")
@pytest.mark.parametrize("rule", [{}, {"fill_before_shift": False}, {"shift_axes_apart": False}], ids=str)
def test_a_trace_is_right_at_other_sizes(rule: dict[str, bool]) -> None:
    """Windows, shifts and masks are computed from the sizes it is given: larger, smaller, odd, one window."""
    model: Any = randomise(TinyFamily("swin").model(**rule))
    net = plain_module(model, torch.randn(2, 3, 64, 64))
    traced = torch.jit.trace(net, torch.randn(2, 3, 64, 64), strict=False, check_trace=False)
    for batch, height, width in ((1, 64, 64), (3, 101, 75), (2, 32, 32), (1, 33, 200)):
        pixels = torch.randn(batch, 3, height, width)
        torch.testing.assert_close(traced(pixels)["logits"], net(pixels)["logits"], rtol=1e-4, atol=1e-5)


# --- Conversion ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny folder of transformers'."""
    folder = tmp_path_factory.mktemp("transformers") / "swin"
    config = SwinConfig(embed_dim=8, depths=[2, 2], num_heads=[2, 2], window_size=3, num_labels=3)
    save(randomise(AutoModelForImageClassification.from_config(config)), folder)
    return folder


def test_tensors_of_older_files_are_passed_over(theirs: Path, tmp_path: Path) -> None:
    """microsoft/swin-* on the Hub still hold the index into the table of biases, as transformers once wrote it."""
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_text((theirs / "config.json").read_text())
    tensors = load_file(theirs / "model.safetensors")
    places = [f"layers.{stage}.blocks.{block}" for stage in (0, 1) for block in (0, 1)]
    index = {
        f"swin.encoder.{place}.attention.self.relative_position_index": relative_positions(3).clone()
        for place in places
    }
    save_file(tensors | index, tmp_path / "old" / "model.safetensors", metadata={"format": "pt"})
    convert_checkpoint(tmp_path / "old", tmp_path / "ours")
    export_checkpoint(tmp_path / "ours", tmp_path / "back", "transformers")
    assert load_file(tmp_path / "back" / "model.safetensors").keys() == tensors.keys()


def test_an_index_that_is_not_the_papers_is_refused(tmp_path: Path) -> None:
    """torchvision's files hold it in every block: another one would mean other biases."""
    from torchvision.models import swin_t

    tensors = swin_t(num_classes=2).state_dict()
    name = "features.1.0.attn.relative_position_index"
    tensors[name] = tensors[name].flip(0).clone()
    torch.save(tensors, tmp_path / "swin_t.pth")
    with pytest.raises(CvhubError, match=f"unexpected: {name}"):
        convert_checkpoint(tmp_path / "swin_t.pth", tmp_path / "ours", "swin_t")


def test_timm_nets_of_other_sizes(tmp_path: Path) -> None:
    """Made for 448 pixels, timm's windows of 7 are shifted in the last stage too; its own windows of 14 are read."""
    for fields, window in (({"img_size": (224, 448)}, 7), ({"img_size": 448, "window_size": 14}, 14)):
        narrow = dict(embed_dim=24, num_heads=(1, 2, 3, 6), num_classes=2)
        model = timm.create_model("swin_tiny_patch4_window7_224", **narrow, **fields)
        _, source = save(randomise(model), tmp_path / f"theirs{window}")
        convert_checkpoint(source, tmp_path / f"ours{window}")
        ours = AutoModelForImageClassification.from_pretrained(tmp_path / f"ours{window}").eval()
        assert ours.config.window_size == window
        if window == 7:
            pixels = torch.randn(1, 3, 224, 448)
            with torch.no_grad():
                torch.testing.assert_close(ours(pixels).logits, model(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("fields", RANDOM.values(), ids=RANDOM.keys())
def test_what_is_written_builds_the_other_librarys_net(fields: dict[str, Any], tmp_path: Path) -> None:
    """timm's arguments stand in its config.json, torchvision's in a file beside the tensors."""
    ours = randomise(CvSwinForImageClassification(CvSwinConfig(num_labels=3, **fields)))
    ours.save_pretrained(tmp_path / "ours")
    CvImageProcessor().save_pretrained(tmp_path / "ours")
    for library in ("timm", "torchvision"):
        export_checkpoint(tmp_path / "ours", tmp_path / library, library)
    described = json.loads((tmp_path / "torchvision" / "torchvision.json").read_text())
    arguments = {name: described[name] for name in ("patch_size", "window_size", *fields)}
    theirs = [
        timm.create_model(f"local-dir:{tmp_path / 'timm'}", pretrained=True),
        SwinTransformer(num_classes=3, **arguments),
    ]
    theirs[1].load_state_dict(load_file(tmp_path / "torchvision" / "model.safetensors"))
    size = theirs[0].patch_embed.img_size
    pixels = torch.randn(1, 3, *size)
    with torch.no_grad():
        for model in theirs:
            torch.testing.assert_close(model.eval()(pixels), ours(pixels).logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "library", "field"),
    [
        ({"num_channels": 1}, "torchvision", "num_channels"),
    ],
)
def test_a_config_without_foreign_form_is_refused(
    fields: dict[str, Any], library: str, field: str, tmp_path: Path
) -> None:
    CvSwinConfig(**fields).save_pretrained(tmp_path / "ours")
    CvImageProcessor().save_pretrained(tmp_path / "ours")
    with pytest.raises(NoForeignForm, match=f"{library} has no form for {field}="):
        export_checkpoint(tmp_path / "ours", tmp_path / "theirs", library)


@pytest.mark.parametrize(
    "fields",
    [{"hidden_act": "relu"}, {"use_absolute_embeddings": True}, {"qkv_bias": False}, {"layer_norm_eps": 1e-6}],
)
def test_what_we_have_no_form_for_is_refused(fields: dict[str, Any], tmp_path: Path) -> None:
    config = SwinConfig(embed_dim=8, depths=[1], num_heads=[2], image_size=28, **fields)
    AutoModelForImageClassification.from_config(config).save_pretrained(tmp_path / "theirs")
    with pytest.raises(NoForeignForm, match=f"Swin has no form for {next(iter(fields))}="):
        convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")


@pytest.mark.parametrize("fields", [{"always_partition": True}, {"global_pool": "max"}])
def test_arguments_of_timms_that_we_have_no_form_for_are_refused(fields: dict[str, Any], tmp_path: Path) -> None:
    save(timm_net(224, **NARROW, **fields), tmp_path / "theirs")
    with pytest.raises(NoForeignForm, match=f"Swin has no form for {next(iter(fields))}="):
        convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")


# --- Configs that can't be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depths": (2, 2)}, r"depths \(2, 2\) and num_heads \(3, 6, 12, 24\)"),
        ({"num_heads": (3, 6, 12, 25)}, "num_heads of stage 4 is 25, expected a divisor of 768"),
        ({"window_size": 0}, "window_size is 0, expected at least 1"),
        ({"patch_size": 0}, "patch_size is 0, expected at least 1"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CvSwinConfig(**fields)


def test_a_swin_has_no_output_stride() -> None:
    """Its strides can't be turned into dilations, and its config doesn't say they could."""
    assert "output_stride" not in CvSwinConfig().to_dict()
    assert not TinyFamily("swin").can_dilate()
    assert CvSwinModel.config_class is CvSwinConfig
