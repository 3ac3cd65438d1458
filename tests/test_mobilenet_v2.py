"""What the paper says of MobileNetV2 (Sandler et al. 2018) holds for our net, and EfficientNet-Lite is its rows."""

from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
import transformers
from timm.layers import Conv2dSame
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import mobilenet_v2
from transformers import MobileNetV2Config

from cvhub.models.layers import ConvNormAct, Sampling, make_divisible
from cvhub.models.mobilenet_v2 import (
    VARIANTS,
    BlockShape,
    CvMobileNetV2Config,
    CvMobileNetV2ForImageClassification,
    CvMobileNetV2Model,
    InvertedResidual,
)
from tests.counting import count_multiply_adds, count_parameters
from tests.parity import Foreign, from_config

# The smallest net that still has all the family's parts: rows, kernels, strides, shortcuts.
TINY = {
    "rows": ((1, 8, 1, 1), (6, 8, 2, 2), (3, 16, 1, 2, 5), (3, 16, 1, 2), (3, 24, 1, 1), (3, 24, 2, 2, 5)),
    "stem_channels": 8,
    "head_channels": 32,
    "padding": "same",
    "dropout": 0.0,
}
# What tests/test_parity.py compares besides the named nets of timm and torchvision.
FOREIGN = {
    "timm-mobilenetv2_100, grey": Foreign(lambda: timm.create_model("mobilenetv2_100", in_chans=1, num_classes=3)),
    "timm-mobilenetv2_050, 21 classes": Foreign(lambda: timm.create_model("mobilenetv2_050", num_classes=21)),
    "timm-tf_efficientnet_lite0, five channels": Foreign(
        lambda: timm.create_model("tf_efficientnet_lite0", in_chans=5, num_classes=6)
    ),
    "timm-mobilenetv2_050, SAME, another eps, dilated": Foreign(
        lambda: timm.create_model("mobilenetv2_050", pad_type="same", bn_eps=1e-2, output_stride=16, num_classes=3),
        written=False,
    ),
    "timm-tf_efficientnet_lite0, symmetric": Foreign(
        lambda: timm.create_model("tf_efficientnet_lite0", pad_type="", num_classes=3), written=False
    ),
    "torchvision, α 0.6": Foreign(lambda: mobilenet_v2(width_mult=0.6, num_classes=4), "mobilenet_v2"),
    "torchvision, α 1.3": Foreign(lambda: mobilenet_v2(width_mult=1.3, num_classes=9), "mobilenet_v2"),
    "torchvision, α 0.35 by 4": Foreign(
        lambda: mobilenet_v2(width_mult=0.35, round_nearest=4, num_classes=2), "mobilenet_v2"
    ),
    "google/mobilenet_v2_1.0_224": from_config(MobileNetV2Config(num_labels=1001)),
    "google/mobilenet_v2_1.4_224": from_config(MobileNetV2Config(depth_multiplier=1.4, num_labels=1001)),
    "google/mobilenet_v2_0.75_160": from_config(MobileNetV2Config(depth_multiplier=0.75, num_labels=1001)),
    "google/mobilenet_v2_0.35_96": from_config(MobileNetV2Config(depth_multiplier=0.35, num_labels=1001)),
    "transformers, symmetric, another eps": from_config(
        MobileNetV2Config(
            depth_multiplier=1.4, tf_padding=False, layer_norm_eps=1e-4, finegrained_output=False, num_labels=4
        )
    ),
    "transformers, shrinking head": from_config(
        MobileNetV2Config(depth_multiplier=0.5, finegrained_output=False, num_channels=1)
    ),
    "transformers, dilated, expansion 3, multiples of 4": from_config(
        MobileNetV2Config(expand_ratio=3, output_stride=16, depth_divisible_by=4, min_depth=4, depth_multiplier=0.3)
    ),
}
IN_PLACE = Sampling(nominal_stride=1, stride=1, first_dilation=1, dilation=1)
ALPHAS = {"mobilenet_v2_035": 0.35, "mobilenet_v2_050": 0.5, "mobilenet_v2_075": 0.75, "mobilenet_v2_140": 1.4}


def on_meta(name: str, **fields: Any) -> Any:
    """The net without values: its shapes and sizes cost no memory."""
    with torch.device("meta"):
        return CvMobileNetV2ForImageClassification(CvMobileNetV2Config.variant(name, num_labels=1000, **fields)).eval()


def blocks_of(model: Any) -> Iterator[Any]:
    for stage in model.base_model.stages:
        yield from stage


def make_block(channels: int = 8, out_channels: int = 8, expansion: int = 6, stride: int = 1, kernel: int = 3) -> Any:
    """A block whose normalisation is no identity."""
    shape = BlockShape(channels, channels * expansion, out_channels, stride, kernel)
    block = InvertedResidual(CvMobileNetV2Config(), shape, Sampling(stride, stride, 1, 1))
    for norm in (module for module in block.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
    return block.eval()


# --- Table 2 ---------------------------------------------------------------------------------------------------------

# Input size, expansion t, output channels c, stride s of each block: table 2, its n written out.
TABLE_2 = [
    (112, 1, 16, 1),
    (112, 6, 24, 2),
    *[(56, 6, 24, 1)],
    (56, 6, 32, 2),
    *[(28, 6, 32, 1)] * 2,
    (28, 6, 64, 2),
    *[(14, 6, 64, 1)] * 3,
    (14, 6, 96, 1),
    *[(14, 6, 96, 1)] * 2,
    (14, 6, 160, 2),
    *[(7, 6, 160, 1)] * 2,
    (7, 6, 320, 1),
]


def test_blocks_are_table_2() -> None:
    model = on_meta("mobilenet_v2_100")
    sizes: list[int] = []
    for block in blocks_of(model):
        block.register_forward_pre_hook(lambda module, inputs: sizes.append(inputs[0].shape[2]))
    model(torch.empty(1, 3, 224, 224, device="meta"))
    found = [
        (
            size,
            block.depthwise.conv.in_channels // in_channels,
            block.project.conv.out_channels,
            block.depthwise.conv.stride[0],
        )
        for size, block, in_channels in zip(sizes, blocks_of(model), (32, *[row[2] for row in TABLE_2]), strict=False)
    ]
    assert found == TABLE_2
    assert {block.depthwise.conv.kernel_size for block in blocks_of(model)} == {(3, 3)}
    stem, head = model.base_model.stem.conv, model.base_model.head.conv
    assert (stem.in_channels, stem.out_channels, stem.kernel_size, stem.stride) == (3, 32, (3, 3), (2, 2))
    assert (head.in_channels, head.out_channels, head.kernel_size) == (320, 1280, (1, 1))


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"), [("mobilenet_v2_100", 3.4e6, 300e6), ("mobilenet_v2_140", 6.06e6, 585e6)]
)
def test_size_and_cost_are_the_papers(name: str, parameters: float, multiply_adds: float) -> None:
    """Table 4, but for its 6.9 million parameters at α = 1.4: Google's checkpoint, like table 2's net, has 6.06."""
    model = on_meta(name)
    assert count_multiply_adds(model) == pytest.approx(multiply_adds, rel=0.01)
    assert count_parameters(model) == pytest.approx(parameters, rel=0.04)


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_are_timms(name: str) -> None:
    """Of each α from 0.35 to 1.4, and of EfficientNet-Lite0 to 4."""
    timms = f"tf_{name}" if name.startswith("efficientnet") else name.replace("mobilenet_v2", "mobilenetv2")
    with torch.device("meta"):
        reference = timm.create_model(timms)
    ours = on_meta(name)
    assert count_parameters(ours) == count_parameters(reference)
    shapes = [tensor.shape for tensor in ours.state_dict().values()]
    assert shapes == [tensor.shape for tensor in reference.state_dict().values()]


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("mobilenet_v2_035", 1.68),
        ("mobilenet_v2_050", 1.97),
        ("mobilenet_v2_075", 2.64),
        ("mobilenet_v2_100", 3.50),
        ("mobilenet_v2_140", 6.11),
        ("efficientnet_lite0", 4.65),
        ("efficientnet_lite1", 5.42),
        ("efficientnet_lite2", 6.09),
        ("efficientnet_lite3", 8.20),
        ("efficientnet_lite4", 13.01),
    ],
)
def test_parameters_are_as_published(name: str, millions: float) -> None:
    assert count_parameters(on_meta(name)) / 1e6 == pytest.approx(millions, abs=0.006)


# --- The block (section 3) -------------------------------------------------------------------------------------------


def test_block_expands_filters_and_projects() -> None:
    """Table 1: 1x1 with ReLU6 to t·c, depthwise 3x3 of stride s with ReLU6, linear 1x1 to c'."""
    block = make_block(channels=8, out_channels=12, expansion=6, stride=2)
    assert (block.expand.conv.in_channels, block.expand.conv.out_channels) == (8, 48)
    assert (block.depthwise.conv.groups, block.depthwise.conv.stride) == (48, (2, 2))
    assert (block.project.conv.in_channels, block.project.conv.out_channels) == (48, 12)
    assert [part.conv.kernel_size for part in (block.expand, block.depthwise, block.project)] == [
        (1, 1),
        (3, 3),
        (1, 1),
    ]
    assert isinstance(block.expand.act, nn.ReLU6)
    assert isinstance(block.depthwise.act, nn.ReLU6)
    x = torch.randn(2, 8, 10, 10)
    torch.testing.assert_close(block(x), block.project(block.depthwise(block.expand(x))))


def test_projection_is_linear() -> None:
    """Section 3.2: what leaves a block takes negative values, and twice the hidden map gives twice the change."""
    for block in blocks_of(on_meta("mobilenet_v2_100")):
        assert isinstance(block.project.act, nn.Identity)
    block = make_block(out_channels=12)
    hidden = torch.rand(2, 48, 5, 5)
    zero, once, twice = (block.project(hidden * factor) for factor in (0, 1, 2))
    torch.testing.assert_close(twice - zero, 2 * (once - zero), rtol=1e-4, atol=1e-5)
    assert (once < 0).any()


@pytest.mark.parametrize(("out_channels", "stride", "joins"), [(8, 1, True), (12, 1, False), (8, 2, False)])
def test_shortcut_joins_blocks_of_stride_1_and_equal_channels(out_channels: int, stride: int, joins: bool) -> None:
    block = make_block(8, out_channels, stride=stride)
    nn.init.zeros_(block.project.norm.weight)
    nn.init.zeros_(block.project.norm.bias)
    x = torch.randn(1, 8, 6, 6)
    if joins:
        assert torch.equal(block(x), x)
    else:
        assert not block(x).any()


def test_a_block_of_expansion_1_does_not_expand() -> None:
    first, second, *_ = blocks_of(on_meta("mobilenet_v2_100"))
    assert isinstance(first.expand, nn.Identity)
    assert isinstance(second.expand, ConvNormAct)


def changed_channels(layer: nn.Module, channels: int, channel: int) -> Tensor:
    """The output channels that change when one input channel does."""
    x = torch.randn(1, channels, 6, 6)
    y = x.clone()
    y[:, channel] += 1
    return (layer(x) != layer(y)).any(dim=3).any(dim=2)[0].nonzero().flatten()


def test_depthwise_keeps_channels_apart() -> None:
    """One kernel a channel: an output channel sees its own input channel alone."""
    conv = make_block().depthwise.conv
    assert conv.weight.shape == (48, 1, 3, 3)
    for channel in (0, 17, 47):
        assert changed_channels(conv, 48, channel).tolist() == [channel]


def test_pointwise_mixes_channels() -> None:
    """Every output channel sees every input channel, at one pixel."""
    conv = make_block(out_channels=12).project.conv
    assert changed_channels(conv, 48, 5).tolist() == list(range(12))
    x = torch.randn(1, 48, 4, 4)
    weight = conv.weight[:, :, 0, 0]
    torch.testing.assert_close(conv(x)[0, :, 2, 3], weight @ x[0, :, 2, 3], rtol=1e-4, atol=1e-5)


def test_depthwise_separable_convolution_costs_less() -> None:
    """Howard et al. 2017, section 3.1: 1/N + 1/k² of an ordinary convolution to N channels."""
    with torch.device("meta"):
        separable = nn.Sequential(ConvNormAct(64, 64, 3, groups=64), ConvNormAct(64, 128, 1))
        ordinary = ConvNormAct(64, 128, 3)
    costs = []
    for layer in (separable, ordinary):
        with FlopCounterMode(display=False) as counter:
            layer.eval()(torch.empty(1, 64, 56, 56, device="meta"))
        costs.append(counter.get_total_flops())
    assert costs[0] / costs[1] == pytest.approx(1 / 128 + 1 / 9)


def test_relu6_is_min_of_relu_and_6() -> None:
    x = torch.linspace(-10, 10, 41)
    assert torch.equal(make_block().expand.act(x.clone()), x.relu().minimum(torch.tensor(6.0)))


def test_activations_stay_between_0_and_6() -> None:
    """On any input, at every ReLU6 of the net: 8 bits hold such a range well."""
    model = CvMobileNetV2Model(CvMobileNetV2Config(rows=[(1, 8, 1, 1), (6, 16, 2, 2)], head_channels=32)).eval()
    ranges: list[tuple[float, float]] = []
    for module in model.modules():
        if isinstance(module, nn.ReLU6):
            module.register_forward_hook(lambda module, inputs, y: ranges.append((y.min().item(), y.max().item())))
    model(100 * torch.randn(1, 3, 32, 32))
    assert len(ranges) == 7  # the stem, two in each block but the first, which has one, and the head
    assert all(low >= 0 and high <= 6 for low, high in ranges)
    assert max(high for _, high in ranges) == 6


def test_relu_in_few_dimensions_loses_information() -> None:
    """Figure 1: points of a plane, taken to n dimensions and through a ReLU, can be told apart only where n is large.

    A point is lost where all but one of its n coordinates are zero: a line of the plane has one image.
    """
    points = torch.randn(2000, 2)
    lost = {}
    for n in (2, 3, 5, 15, 30):
        embedded = (points @ torch.randn(2, n)).relu()
        lost[n] = ((embedded > 0).sum(dim=1) < 2).float().mean().item()
    assert lost[2] > 0.4
    assert lost[15] == lost[30] == 0
    assert lost[2] > lost[5]


# --- Multipliers (section 4) -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", ALPHAS.values(), ids=ALPHAS)
def test_width_multiplier_scales_channels_in_steps_of_8(alpha: float) -> None:
    """Of all layers but the head, which never shrinks."""
    config = CvMobileNetV2Config(width_multiplier=alpha)
    full = CvMobileNetV2Config()
    widths = [config.stem_width, *[block.out_channels for stage in config.stages for block in stage]]
    full_widths = [full.stem_width, *[block.out_channels for stage in full.stages for block in stage]]
    for width, full_width in zip(widths, full_widths, strict=True):
        assert width % 8 == 0
        assert width >= 0.9 * alpha * full_width
        assert abs(width - alpha * full_width) <= 8 or width == 8
    assert config.head_width == (1792 if alpha == 1.4 else 1280)


def test_channels_are_rounded_but_never_down_by_more_than_a_tenth() -> None:
    rounded = {3: 8, 8: 8, 11.2: 16, 11: 16, 12: 16, 18: 24, 19: 24, 20: 24, 27: 32, 33.6: 32, 44.8: 48, 134.4: 136}
    assert {channels: make_divisible(channels) for channels in rounded} == rounded
    assert make_divisible(50, divisor=16) == 48


def test_width_multiplier_cuts_parameters_and_cost() -> None:
    """Cost about by α², as the paper says."""
    half, full = on_meta("mobilenet_v2_050"), on_meta("mobilenet_v2_100")
    assert count_parameters(half) < 0.6 * count_parameters(full)
    assert 0.25 < count_multiply_adds(half) / count_multiply_adds(full) < 0.35


def test_resolution_multiplier_cuts_cost_by_its_square() -> None:
    """ρ is the size of the input, and the same net takes any. Only the classifier's cost stays."""
    model = on_meta("mobilenet_v2_100")
    full = count_multiply_adds(model)
    for size in (192, 160, 128, 96):
        assert count_multiply_adds(model, 1, 3, size, size) / full == pytest.approx((size / 224) ** 2, rel=0.03)


def test_efficientnet_lite_scales_depth_but_not_its_ends() -> None:
    """Tan & Le 2019's rows; α and the depth leave stem, head and the outer rows' number of blocks alone."""
    for name, alpha, depths in (
        ("efficientnet_lite0", 1.0, [1, 2, 2, 3, 3, 4, 1]),
        ("efficientnet_lite2", 1.1, [1, 3, 3, 4, 4, 5, 1]),
        ("efficientnet_lite4", 1.4, [1, 4, 4, 6, 6, 8, 1]),
    ):
        config = CvMobileNetV2Config.variant(name)
        assert [n for _, _, n, _, _ in config.rows] == depths
        assert [k for _, _, _, _, k in config.rows] == [3, 3, 5, 3, 5, 5, 3]
        assert (config.stem_width, config.head_width) == (32, 1280)
        assert config.stages[-1][-1].out_channels == make_divisible(320 * alpha)


# --- Padding and dilation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_same_padding_is_tensorflows(kernel: int, stride: int, dilation: int) -> None:
    """Against timm's, on even and odd sizes: ⌈n/s⌉ outputs, the odd pixel of padding at the bottom and the right."""
    ours = ConvNormAct(2, 4, kernel, stride, dilation, activation=None, same_padding=True).eval()
    theirs = Conv2dSame(2, 4, kernel, stride, dilation=dilation, bias=False)
    theirs.weight = ours.conv.weight
    for height, width in ((16, 16), (17, 16), (16, 15), (23, 9), (kernel, 31)):
        x = torch.randn(1, 2, height, width)
        torch.testing.assert_close(ours(x), ours.norm(theirs(x)))
        assert ours(x).shape[2:] == (-(-height // stride), -(-width // stride))


def test_same_padding_differs_from_symmetric_only_where_a_stride_meets_an_even_size() -> None:
    same, symmetric = (ConvNormAct(1, 1, 3, 2, same_padding=same).eval() for same in (True, False))
    symmetric.load_state_dict(same.state_dict())
    even, odd = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 9, 9)
    torch.testing.assert_close(same(odd), symmetric(odd))
    assert not torch.allclose(same(even), symmetric(even))


@pytest.mark.parametrize("tf_padding", [False, True])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_dilation_is_transformers(output_stride: int, tf_padding: bool) -> None:
    """Where first blocks keep their dilation, as in the DeepLab nets that Google published."""
    reference = transformers.MobileNetV2Model(
        transformers.MobileNetV2Config(depth_multiplier=0.35, output_stride=output_stride, tf_padding=tf_padding)
    ).eval()
    config = CvMobileNetV2Config(
        width_multiplier=0.35,
        output_stride=output_stride,
        padding="same" if tf_padding else "symmetric",
        batch_norm_eps=1e-3,
    )
    model = CvMobileNetV2Model(config).eval()
    theirs = reference.state_dict().values()  # in the same order
    model.load_state_dict(dict(zip(model.state_dict(), theirs, strict=True)))
    pixels = torch.randn(1, 3, 63, 80)
    with torch.no_grad():
        expected = reference(pixels).last_hidden_state
        torch.testing.assert_close(model(pixels).last_hidden_state, expected, rtol=1e-4, atol=1e-4)


# --- Configs that can't be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"padding": "valid"}, "padding is 'valid'.*'symmetric' or 'same'"),
        ({"width_multiplier": 0}, "width_multiplier is 0.*more than 0"),
        ({"rows": [(1, 16, 1)]}, r"rows are \[\(1, 16, 1\)\].*\(t, c, n, s"),
        ({"rows": [16, 24]}, r"rows are \[16, 24\]"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CvMobileNetV2Config(**fields)
