"""What the paper says of MobileNets (Howard et al. 2017) holds for our net."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import nn
from transformers import MobileNetV1Config

from cvhub.convert.family import NoForeignForm
from cvhub.convert.importing import convert_checkpoint, find_layouts
from cvhub.explain.cost import Cost, measure
from cvhub.models.layers import ConvNormAct, Sampling
from cvhub.models.mobilenet_v1 import (
    BlockShape,
    CvMobileNetV1Config,
    CvMobileNetV1ForImageClassification,
    DepthwiseSeparable,
)
from tests.counting import count_weights
from tests.parity import Foreign, from_config, randomise, save

# The smallest net that still has all the family's parts: rows, strides, repeated blocks.
TINY = {
    "rows": ((8, 1, 1), (16, 2, 2), (16, 1, 2), (24, 2, 2), (32, 2, 2)),
    "stem_channels": 8,
    "padding": "same",
    "activation": "relu6",
}


def thin(**fields: Any) -> MobileNetV1Config:
    return MobileNetV1Config(**({"depth_multiplier": 0.25, "num_labels": 7} | fields))


# What tests/test_parity.py compares besides the named nets of timm.
FOREIGN = {
    "timm-mobilenetv1_100, grey": Foreign(lambda: timm.create_model("mobilenetv1_100", in_chans=1, num_classes=3)),
    "timm-mobilenetv1_100, SAME, ReLU, another eps, dilated": Foreign(
        lambda: timm.create_model(
            "mobilenetv1_100", pad_type="same", act_layer="relu", bn_eps=1e-2, output_stride=8, num_classes=3
        ),
        written=False,
    ),
    "google/mobilenet_v1_1.0_224": from_config(MobileNetV1Config(num_labels=1001)),
    "google/mobilenet_v1_0.75_192": from_config(MobileNetV1Config(depth_multiplier=0.75, num_labels=1001)),
    "transformers, thin": from_config(thin(), sizes=((64, 64), (97, 50))),
    "transformers, symmetric, ReLU, another eps": from_config(
        thin(tf_padding=False, hidden_act="relu", layer_norm_eps=1e-4), sizes=((65, 64), (96, 33))
    ),
    "transformers, channels cut, not rounded": from_config(thin(depth_multiplier=0.37, num_channels=1)),
    "transformers, no fewer than 40 channels": from_config(thin(min_depth=40, num_channels=5)),
    "transformers, wider than the paper's": from_config(thin(depth_multiplier=1.1, min_depth=64)),
}


def on_meta(name: str = "mobilenet_v1_100", **fields: Any) -> Any:
    """The net without values: its shapes and sizes cost no memory."""
    with torch.device("meta"):
        return CvMobileNetV1ForImageClassification(CvMobileNetV1Config.variant(name, num_labels=1000, **fields)).eval()


def cost_of(name: str = "mobilenet_v1_100", size: int = 224, **fields: Any) -> Cost:
    return measure(on_meta(name, **fields), size, size)


def blocks_of(model: Any) -> Iterator[Any]:
    for stage in model.base_model.stages:
        yield from stage


def make_block(channels: int = 8, out_channels: int = 12, stride: int = 1) -> Any:
    """A block whose normalisation is no identity."""
    sampling = Sampling(stride, stride, 1, 1)
    block = DepthwiseSeparable(CvMobileNetV1Config(), BlockShape(channels, out_channels, stride), sampling)
    return randomise(block)


# --- Table 1 ---------------------------------------------------------------------------------------------------------

# Type and stride, filter shape, input size: the paper's lines, its "5×" written out. The last depthwise convolution is
# printed with stride 2 there, though its map keeps 7×7.
TABLE_1 = [
    ("conv", 2, (3, 3, 3, 32), 224),
    ("dw", 1, (3, 3, 32), 112),
    ("conv", 1, (1, 1, 32, 64), 112),
    ("dw", 2, (3, 3, 64), 112),
    ("conv", 1, (1, 1, 64, 128), 56),
    ("dw", 1, (3, 3, 128), 56),
    ("conv", 1, (1, 1, 128, 128), 56),
    ("dw", 2, (3, 3, 128), 56),
    ("conv", 1, (1, 1, 128, 256), 28),
    ("dw", 1, (3, 3, 256), 28),
    ("conv", 1, (1, 1, 256, 256), 28),
    ("dw", 2, (3, 3, 256), 28),
    ("conv", 1, (1, 1, 256, 512), 14),
    *[("dw", 1, (3, 3, 512), 14), ("conv", 1, (1, 1, 512, 512), 14)] * 5,
    ("dw", 2, (3, 3, 512), 14),
    ("conv", 1, (1, 1, 512, 1024), 7),
    ("dw", 1, (3, 3, 1024), 7),
    ("conv", 1, (1, 1, 1024, 1024), 7),
]


def line_of(conv: nn.Conv2d, size: int) -> tuple[str, int, tuple[int, ...], int]:
    """A convolution as table 1 writes it."""
    height, width = conv.kernel_size
    if conv.groups > 1:
        assert conv.groups == conv.in_channels == conv.out_channels
        return "dw", conv.stride[0], (height, width, conv.in_channels), size
    return "conv", conv.stride[0], (height, width, conv.in_channels, conv.out_channels), size


@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_layers_are_table_1(padding: str) -> None:
    model = on_meta(padding=padding)
    lines = []
    for conv in (module for module in model.modules() if isinstance(module, nn.Conv2d)):
        conv.register_forward_hook(lambda conv, inputs, y: lines.append(line_of(conv, y.shape[2] * conv.stride[0])))
    last = model.base_model(torch.empty(1, 3, 224, 224, device="meta")).last_hidden_state
    assert lines == TABLE_1
    assert last.shape == (1, 1024, 7, 7)
    assert (model.classifier.in_features, model.classifier.out_features) == (1024, 1000)


def test_there_are_28_layers() -> None:
    """Section 3.2 counts depthwise and pointwise convolutions as layers of their own."""
    weighted = [module for module in on_meta().modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    assert len(weighted) == 28


def test_every_layer_but_the_last_has_norm_and_relu() -> None:
    """Section 3.2: all but the fully connected one, which goes into the softmax."""
    model = on_meta()
    convolutions = [module for module in model.modules() if isinstance(module, ConvNormAct)]
    assert len(convolutions) == 27
    assert {type(part.norm) for part in convolutions} == {nn.BatchNorm2d}
    assert {type(part.act) for part in convolutions} == {nn.ReLU}
    assert all(part.conv.bias is None for part in convolutions)
    assert dict(model.named_children()).keys() == {"mobilenet_v1", "dropout", "classifier"}


def test_one_value_sees_315_pixels() -> None:
    """Araujo et al. 2019, https://distill.pub/2019/computing-receptive-fields, table 1."""
    assert cost_of().receptive_field == 315


# --- The depthwise separable convolution (section 3.1) ----------------------------------------------------------------


def test_a_block_filters_then_combines_with_norm_and_relu_after_each() -> None:
    """Figure 3, right."""
    block = make_block(stride=2)
    x = torch.randn(2, 8, 10, 10)
    filtered = block.depthwise.norm(block.depthwise.conv(x)).relu()
    combined = block.pointwise.norm(block.pointwise.conv(filtered)).relu()
    assert (filtered.shape[1:], combined.shape[1:]) == ((8, 5, 5), (12, 5, 5))
    torch.testing.assert_close(block(x), combined)


def test_depthwise_is_equation_3() -> None:
    """Ĝ(k, l, m) = Σ K̂(i, j, m) · F(k + i − 1, l + j − 1, m): one kernel a channel, and channels don't meet."""
    conv = make_block().depthwise.conv
    x = torch.randn(1, 8, 6, 6)
    assert conv.weight.shape == (8, 1, 3, 3)
    for row, column, m in ((1, 1, 0), (2, 4, 3), (4, 3, 7)):
        window = x[0, m, row - 1 : row + 2, column - 1 : column + 2]
        torch.testing.assert_close(conv(x)[0, m, row, column], (conv.weight[m, 0] * window).sum())


def test_pointwise_combines_the_channels_of_one_pixel() -> None:
    """Section 3.1: a linear combination of the depthwise convolution's output."""
    conv = make_block().pointwise.conv
    x = torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(conv(x)[0, :, 2, 3], conv.weight[:, :, 0, 0] @ x[0, :, 2, 3], rtol=1e-4, atol=1e-5)


class Separable(nn.Sequential):
    """A depthwise and a pointwise convolution, M to N channels."""

    def __init__(self, m: int, n: int):
        super().__init__(ConvNormAct(m, m, 3, groups=m), ConvNormAct(m, n, 1))


def multiply_adds(module: nn.Module, size: int) -> int:
    return measure(module, size, size).multiply_adds


@pytest.mark.parametrize(("m", "n", "f"), [(32, 64, 112), (64, 128, 56), (512, 512, 14), (1024, 1024, 7)])
def test_costs_are_equations_2_4_and_5(m: int, n: int, f: int) -> None:
    """For M and N channels, kernels of side k = 3 and maps of side f."""
    k = 3
    with torch.device("meta"):
        ordinary, depthwise, separable = ConvNormAct(m, n, k), ConvNormAct(m, m, k, groups=m), Separable(m, n)
    assert multiply_adds(ordinary, f) == k * k * m * n * f * f  # eq. 2
    assert multiply_adds(depthwise, f) == k * k * m * f * f  # eq. 4
    assert multiply_adds(separable, f) == k * k * m * f * f + m * n * f * f  # eq. 5
    ratio = multiply_adds(separable, f) / multiply_adds(ordinary, f)
    assert ratio == pytest.approx(1 / n + 1 / k**2)
    assert 7 < 1 / ratio < 9


@pytest.mark.parametrize("alpha", [1.0, 0.75, 0.5, 0.25])
@pytest.mark.parametrize("rho", [1, 6 / 7, 5 / 7, 4 / 7])
def test_costs_are_equations_6_and_7(alpha: float, rho: float) -> None:
    """A block inside the net, M = N = 512 on 14×14, as the two multipliers scale it."""
    m = n = int(alpha * 512)
    f = round(rho * 14)
    block = on_meta(width_multiplier=alpha).base_model.stages[3][1]
    assert multiply_adds(block, f) == 3 * 3 * m * f * f + m * n * f * f


def test_a_layer_shrinks_as_in_table_3() -> None:
    """D_K = 3, M = N = 512, D_F = 14; each line adds to the one before it. ρ = 0.714 makes 14 into 10."""
    with torch.device("meta"):
        ordinary, separable, thinner = ConvNormAct(512, 512, 3), Separable(512, 512), Separable(384, 384)
    lines = [(ordinary, 14), (separable, 14), (thinner, 14), (thinner, 10)]
    millions = [multiply_adds(module, size) / 1e6 for module, size in lines]
    assert millions == pytest.approx([462, 52.3, 29.6, 15.1], rel=0.002)
    assert [count_weights(module) / 1e6 for module, _ in lines] == pytest.approx([2.36, 0.27, 0.15, 0.15], abs=0.005)


# --- Tables 2 and 4 to 9 ----------------------------------------------------------------------------------------------


def kind_of(module: nn.Module) -> str | None:
    """The line of table 2."""
    if isinstance(module, nn.Conv2d):
        return "conv 1×1" if module.kernel_size == (1, 1) else "conv dw 3×3" if module.groups > 1 else "conv 3×3"
    return "fully connected" if isinstance(module, nn.Linear) else None


def test_shares_of_cost_and_parameters_are_table_2() -> None:
    """But for the stem's share of the cost, 1.91 %, where the paper prints 1.19: its column sums to 99.29 %."""
    model = on_meta()
    costs = {layer.name: layer.multiply_adds for layer in measure(model, 224, 224).layers}
    shares = {kind: [0.0, 0.0] for kind in ("conv 1×1", "conv dw 3×3", "conv 3×3", "fully connected")}
    for name, module in model.named_modules():
        if (kind := kind_of(module)) is not None:
            shares[kind][0] += 100 * costs[name] / sum(costs.values())
            shares[kind][1] += 100 * count_weights(module) / count_weights(model)
    assert shares["conv 1×1"] == pytest.approx([94.86, 74.59], abs=0.005)
    assert shares["conv dw 3×3"] == pytest.approx([3.06, 1.06], abs=0.005)
    assert shares["conv 3×3"] == pytest.approx([1.91, 0.02], abs=0.006)
    assert shares["fully connected"] == pytest.approx([0.18, 24.33], abs=0.005)


@pytest.mark.parametrize(
    ("name", "size", "millions", "parameters"),
    [
        ("mobilenet_v1_100", 224, 569, 4.2),  # table 6: the width multiplier
        ("mobilenet_v1_075", 224, 325, 2.6),
        ("mobilenet_v1_050", 224, 149, 1.3),
        ("mobilenet_v1_025", 224, 41, 0.5),
        ("mobilenet_v1_100", 192, 418, 4.2),  # table 7: the resolution multiplier
        ("mobilenet_v1_100", 160, 290, 4.2),
        ("mobilenet_v1_100", 128, 186, 4.2),
        ("mobilenet_v1_shallow", 224, 307, 2.9),  # table 5
        ("mobilenet_v1_050", 160, 76, 1.32),  # table 9
    ],
)
def test_size_and_cost_are_tables_5_to_9(name: str, size: int, millions: float, parameters: float) -> None:
    """Whose millions are rounded in places and cut in others: 290.68 stands there as 290."""
    cost = cost_of(name, size)
    assert cost.multiply_adds / 1e6 == pytest.approx(millions, abs=0.7)
    assert cost.parameters / 1e6 == pytest.approx(parameters, abs=0.06)


def full_convolutions() -> nn.Sequential:
    """Table 4's "Conv MobileNet": every depthwise separable convolution an ordinary one of 3×3."""
    config = CvMobileNetV1Config()
    shapes = [shape for stage in config.stages for shape in stage]
    with torch.device("meta"):
        convolutions = [ConvNormAct(shape.in_channels, shape.out_channels, 3, shape.stride) for shape in shapes]
        ends = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000)
        return nn.Sequential(ConvNormAct(3, config.stem_width, 3, 2), *convolutions, *ends).eval()


def test_full_convolutions_cost_eight_to_nine_times_as_much() -> None:
    """Table 4: 4866 million multiply-adds and 29.3 million parameters against 569 and 4.2."""
    full, separable = measure(full_convolutions(), 224, 224), cost_of()
    assert full.multiply_adds / 1e6 == pytest.approx(4866, rel=0.001)
    assert full.parameters / 1e6 == pytest.approx(29.3, abs=0.05)
    assert 8 < full.multiply_adds / separable.multiply_adds < 9
    assert full.parameters / separable.parameters == pytest.approx(29.3 / 4.2, rel=0.02)


# --- Multipliers (sections 3.3 and 3.4) -------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1.25, 0.75, 0.5, 0.25])
def test_width_multiplier_thins_every_layer(alpha: float) -> None:
    """M input channels become αM, N output channels αN; the picture's and the classes' numbers stay."""
    thinned, full = (
        [module.weight.shape[:2] for module in on_meta(width_multiplier=a).modules() if isinstance(module, nn.Conv2d)]
        for a in (alpha, 1.0)
    )
    expected = [(int(alpha * n), m if m in (1, 3) else int(alpha * m)) for n, m in full]
    assert [tuple(shape) for shape in thinned] == expected


def test_width_multiplier_cuts_cost_and_parameters_by_about_its_square() -> None:
    """The pointwise convolutions', which are nearly all of both; the classifier shrinks by α only."""
    half, full = cost_of("mobilenet_v1_050"), cost_of("mobilenet_v1_100")
    assert half.multiply_adds / full.multiply_adds == pytest.approx(0.25, abs=0.02)
    assert 0.25 < half.parameters / full.parameters < 0.5


def test_no_layer_is_thinner_than_the_minimum() -> None:
    config = CvMobileNetV1Config(width_multiplier=0.1, min_channels=20)
    assert config.stem_width == 20
    assert config.stage_channels == [20, 20, 25, 51, 102]


def test_resolution_multiplier_cuts_cost_by_its_square_and_no_parameters() -> None:
    """ρ is the size of the input, and the same net takes any. Only the classifier's cost stays."""
    full = cost_of()
    for size in (192, 160, 128):
        smaller = cost_of(size=size)
        assert smaller.multiply_adds / full.multiply_adds == pytest.approx((size / 224) ** 2, rel=0.01)
        assert smaller.parameters == full.parameters


# --- Dilation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilation_is_timms(output_stride: int) -> None:
    """Whose first blocks keep their dilation, as ours do unless asked."""
    reference = randomise(timm.create_model("mobilenetv1_100", num_classes=5, output_stride=output_stride))
    fields = {"activation": "relu6", "num_labels": 5, "output_stride": output_stride}
    model = CvMobileNetV1ForImageClassification(CvMobileNetV1Config(**fields)).eval()
    theirs = reference.state_dict().values()  # in the same order
    model.load_state_dict(dict(zip(model.state_dict(), theirs, strict=True)))
    pixels = torch.randn(1, 3, 63, 80)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels).logits, reference(pixels), rtol=1e-4, atol=1e-4)


# --- Other libraries' weights -----------------------------------------------------------------------------------------


def test_released_weights_have_relu6() -> None:
    """The paper says ReLU (section 3.2); its authors' weights, and timm's, were trained with ReLU6."""
    for library, architecture in (("transformers", "mobilenet_v1"), ("timm", "mobilenetv1_100")):
        _, layout = next(find_layouts(architecture, library))
        fields = dict(layout.architectures[architecture]) | layout.read({})
        assert fields["activation"] == "relu6"


def test_widths_that_no_multiplier_gives_are_read_from_the_tensors(tmp_path: Path) -> None:
    """As of a pruned net: the rows spell them out."""
    model = timm.create_model("mobilenetv1_100", num_classes=3)
    block = model.blocks[4][1]
    block.conv_pw, block.bn2 = nn.Conv2d(1024, 40, 1, bias=False), nn.BatchNorm2d(40)
    model.classifier = nn.Linear(40, 3)
    _, source = save(randomise(model), tmp_path / "theirs")
    convert_checkpoint(source, tmp_path / "ours")
    ours = CvMobileNetV1ForImageClassification.from_pretrained(tmp_path / "ours")
    assert ours.config.rows[-1] == [40, 1, 1]
    assert [len(stage) for stage in ours.config.stages] == [1, 2, 2, 6, 2]
    assert ours.classifier.in_features == 40


@pytest.mark.parametrize(
    ("fields", "library", "field"),
    [
        ({"rows": [(64, 1, 1), (128, 1, 2)]}, "timm", "rows"),
        ({"width_multiplier": 0.5}, "timm", "width_multiplier"),
        ({"activation": "relu"}, "timm", "activation"),
        ({"padding": "same"}, "timm", "padding"),
        ({"min_channels": 48}, "timm", "min_channels"),
        ({"stem_channels": 16}, "transformers", "stem_channels"),
        ({"output_stride": 16}, "transformers", "output_stride"),
    ],
)
def test_a_config_without_foreign_form_is_refused_by_its_field(
    fields: dict[str, Any], library: str, field: str
) -> None:
    architecture = "mobilenetv1_100" if library == "timm" else "mobilenet_v1"
    _, layout = next(find_layouts(architecture, library))
    with pytest.raises(NoForeignForm, match=f"{library} has no form for {field}="):
        layout.write(CvMobileNetV1Config(**({"activation": "relu6"} | fields)))


def test_an_activation_of_transformers_that_we_lack_is_refused() -> None:
    _, layout = next(find_layouts("mobilenet_v1", "transformers"))
    with pytest.raises(NoForeignForm, match="hidden_act='swish'"):
        layout.read({"hidden_act": "swish"})


# --- Configs that can't be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"activation": "gelu"}, r"activation is 'gelu'.*\('relu', 'relu6'"),
        ({"padding": "valid"}, "padding is 'valid'.*'symmetric' or 'same'"),
        ({"width_multiplier": 0}, "width_multiplier is 0.*more than 0"),
        ({"rows": [(16, 1)]}, r"rows are \[\(16, 1\)\].*\(c, n, s\)"),
        ({"rows": [16, 24]}, r"rows are \[16, 24\]"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CvMobileNetV1Config(**fields)
