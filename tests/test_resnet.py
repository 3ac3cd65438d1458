"""What the paper says of ResNet (He et al. 2015), and of its wider and grouped descendants, holds for our net."""

from collections.abc import Iterator
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.models.resnet import Bottleneck as TorchvisionBottleneck
from transformers import ResNetConfig

from cvhub.models.layers import ConvNormAct, Sampling
from cvhub.models.resnet import (
    BasicBlock,
    Bottleneck,
    CvResNetConfig,
    CvResNetForImageClassification,
    CvResNetModel,
    IdentityShortcut,
)
from tests.counting import count_multiply_adds, count_parameters
from tests.parity import Foreign, from_config

# The smallest net that still has all the family's parts: stages, kernels, shortcuts, groups.
TINY = {"depths": (1, 2, 1, 1), "widths": (8, 8, 16, 16), "stem_width": 8, "groups": 2, "width_per_group": 32}
# What tests/test_parity.py compares besides the named nets of timm and torchvision.
LARGE = ("101", "152", "200", "wide")
GIANT = ("resnext101_32x16d", "resnext101_32x32d")
FOREIGN = {
    "timm-resnet18, grey": Foreign(lambda: timm.create_model("resnet18", in_chans=1, num_classes=2)),
    "timm-resnet50, four channels": Foreign(lambda: timm.create_model("resnet50", in_chans=4, num_classes=7)),
    "timm-resnet18, dilated": Foreign(
        lambda: timm.create_model("resnet18", output_stride=8, drop_rate=0.1, num_classes=3), written=False
    ),
    "timm-resnet26, dilated": Foreign(
        lambda: timm.create_model("resnet26", output_stride=16, num_classes=3), written=False
    ),
    "microsoft/resnet-18": from_config(
        ResNetConfig(layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2])
    ),
    "microsoft/resnet-34": from_config(
        ResNetConfig(layer_type="basic", hidden_sizes=[64, 128, 256, 512], depths=[3, 4, 6, 3])
    ),
    "microsoft/resnet-50": from_config(ResNetConfig()),
    "microsoft/resnet-101": from_config(ResNetConfig(depths=[3, 4, 23, 3])),
    "microsoft/resnet-152": from_config(ResNetConfig(depths=[3, 8, 36, 3])),
    "transformers, basic, three stages, grey": from_config(
        ResNetConfig(
            layer_type="basic",
            hidden_sizes=[8, 24, 32],
            depths=[1, 2, 1],
            embedding_size=12,
            num_channels=1,
            num_labels=5,
        )
    ),
    "transformers, strides in the 1x1 and the first stage": from_config(
        ResNetConfig(
            hidden_sizes=[32, 64], depths=[1, 2], downsample_in_bottleneck=True, downsample_in_first_stage=True
        )
    ),
    "transformers, five stages": from_config(
        ResNetConfig(hidden_sizes=[32, 40, 48, 56, 64], depths=[2, 1, 1, 1, 2], embedding_size=20, num_labels=3)
    ),
}
IN_PLACE = Sampling(nominal_stride=1, stride=1, first_dilation=1, dilation=1)
HALVING = Sampling(nominal_stride=2, stride=2, first_dilation=1, dilation=1)

# Table 1: layers, block, blocks of stages 1 to 4, width of stages 1 to 4, multiply-adds.
TABLE_1 = (
    (18, "basic", (2, 2, 2, 2), (64, 128, 256, 512), 1.8e9),
    (34, "basic", (3, 4, 6, 3), (64, 128, 256, 512), 3.6e9),
    (50, "bottleneck", (3, 4, 6, 3), (256, 512, 1024, 2048), 3.8e9),
    (101, "bottleneck", (3, 4, 23, 3), (256, 512, 1024, 2048), 7.6e9),
    (152, "bottleneck", (3, 8, 36, 3), (256, 512, 1024, 2048), 11.3e9),
)


def on_meta(config: CvResNetConfig) -> Any:
    """The net without values: its shapes and sizes cost no memory."""
    with torch.device("meta"):
        return CvResNetForImageClassification(config).eval()


def imagenet_net(name: str, **fields: Any) -> Any:
    return on_meta(CvResNetConfig.variant(name, num_labels=1000, **fields))


def weighted_layers(model: nn.Module) -> int:
    """Convolutions and linear layers on the main path, as the paper counts them."""
    weighted = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return sum("shortcut" not in name for name in weighted)


def blocks_of(model: Any) -> Iterator[tuple[int, int, Any]]:
    """Stage and number of each block, both from 1, and the block."""
    for i, stage in enumerate(model.base_model.stages, start=1):
        for j, block in enumerate(stage, start=1):
            yield i, j, block


def channels_of(block: Any) -> tuple[int, int]:
    """Channels in and out."""
    last = block.conv2 if isinstance(block, BasicBlock) else block.conv3
    return block.conv1.conv.in_channels, last.conv.out_channels


# --- Table 1 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "block", "depths", "widths", "multiply_adds"), TABLE_1)
def test_layers_and_widths_are_table_1(
    layers: int, block: str, depths: tuple[int, ...], widths: tuple[int, ...], multiply_adds: float
) -> None:
    model = imagenet_net(f"resnet{layers}")
    assert weighted_layers(model) == layers
    assert [len(stage) for stage in model.base_model.stages] == list(depths)
    assert {type(module) for _, _, module in blocks_of(model)} == {BasicBlock if block == "basic" else Bottleneck}
    maps = model(torch.empty(1, 3, 224, 224, device="meta"), output_hidden_states=True).hidden_states
    shapes = list(zip((64, *widths), (112, 56, 28, 14, 7), strict=True))
    assert [(m.shape[1], m.shape[2]) for m in maps] == shapes
    assert count_multiply_adds(model) == pytest.approx(multiply_adds, rel=0.02)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
        ("resnext50_32x4d", 25_028_904),
        ("resnext101_32x8d", 88_791_336),
        ("resnext101_64x4d", 83_455_272),
        ("wide_resnet50_2", 68_883_240),
        ("wide_resnet101_2", 126_886_696),
    ],
)
def test_parameters_are_as_published(name: str, parameters: int) -> None:
    """The exact numbers are torchvision's; Xie et al. 2017 say 25.0 million, Zagoruyko & Komodakis 2016 68.9."""
    assert count_parameters(imagenet_net(name)) == parameters


def test_basic_widths_are_table_1() -> None:
    for i, j, block in blocks_of(imagenet_net("resnet34")):
        width = (64, 128, 256, 512)[i - 1]
        assert block.conv1.conv.out_channels == block.conv2.conv.in_channels == block.conv2.conv.out_channels == width
        assert block.conv1.conv.in_channels == (width // 2 if j == 1 and i > 1 else width)
        assert block.conv1.conv.kernel_size == block.conv2.conv.kernel_size == (3, 3)


@pytest.mark.parametrize("layers", [18, 34, 50, 101, 152])
def test_channels_grow_only_in_a_stages_first_block(layers: int) -> None:
    """Of basic blocks stage 1 has none that grows; a bottleneck's first block ends with four times its middle."""
    for i, j, block in blocks_of(imagenet_net(f"resnet{layers}")):
        inputs, outputs = channels_of(block)
        grows = j == 1 and (i > 1 or layers >= 50)
        assert (outputs > inputs) == grows
        assert grows or outputs == inputs


def test_bottleneck_middle_is_a_quarter_of_its_output() -> None:
    """It is a quarter of the input only where the block keeps the shape."""
    for i, j, block in blocks_of(imagenet_net("resnet50")):
        inputs, outputs = channels_of(block)
        middle = block.conv2.conv.out_channels
        assert outputs == 4 * middle
        if j > 1:
            assert middle == inputs // 4
        else:
            assert middle == (inputs if i == 1 else inputs // 2)


def test_bottleneck_is_1x1_3x3_1x1() -> None:
    for _, _, block in blocks_of(imagenet_net("resnet50")):
        convolutions = (block.conv1.conv, block.conv2.conv, block.conv3.conv)
        assert [conv.kernel_size for conv in convolutions] == [(1, 1), (3, 3), (1, 1)]
        assert block.conv2.conv.in_channels == block.conv2.conv.out_channels


def test_bottleneck_costs_as_little_as_a_basic_block() -> None:
    """Figure 5: on 256 channels it costs what a basic block costs on 64, and a seventeenth of two 3x3 on 256."""

    def weights(block: nn.Module) -> int:
        return sum(conv.weight.numel() for conv in block.modules() if isinstance(conv, nn.Conv2d))

    config = CvResNetConfig()
    bottleneck = weights(Bottleneck(config, 256, 64, IN_PLACE))
    assert bottleneck == pytest.approx(weights(BasicBlock(config, 64, 64, IN_PLACE)), rel=0.06)
    assert weights(BasicBlock(config, 256, 256, IN_PLACE)) > 16 * bottleneck


# --- The residual ----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["basic", "bottleneck"])
def block(request: pytest.FixtureRequest) -> Any:
    """A block that keeps 32 channels, with a normalisation that is no identity."""
    config = CvResNetConfig(block=request.param)
    made = BasicBlock(config, 32, 32, IN_PLACE) if request.param == "basic" else Bottleneck(config, 32, 8, IN_PLACE)
    for norm in (module for module in made.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
    return made.eval()


def last_norm(block: Any) -> nn.BatchNorm2d:
    return block.conv2.norm if isinstance(block, BasicBlock) else block.conv3.norm


def silence(norm: nn.BatchNorm2d) -> None:
    nn.init.zeros_(norm.weight)
    nn.init.zeros_(norm.bias)


def test_a_block_adds_its_input_to_the_residual(block: Any) -> None:
    """Equation 1, and the second nonlinearity after the addition."""
    x = torch.randn(2, 32, 9, 7)
    residuals: list[Any] = []
    last_norm(block).register_forward_hook(lambda module, inputs, output: residuals.append(output))
    torch.testing.assert_close(block(x), F.relu(residuals[0] + x))
    assert (residuals[0] < 0).any()  # no nonlinearity before the addition


def test_a_block_with_zero_residual_is_the_identity(block: Any) -> None:
    x = torch.randn(2, 32, 9, 7)
    silence(last_norm(block))
    assert torch.equal(block(x), x.relu())
    assert torch.equal(block(x.relu()), x.relu())
    block.shortcut = None
    assert not block(x).any()  # where a plain block loses everything


def test_a_deeper_net_can_copy_a_shallower_one() -> None:
    """Section 1's construction: the added layers are identities, so depth alone need not hurt."""
    shallow = CvResNetForImageClassification(CvResNetConfig.cifar(20)).eval()
    deep = CvResNetForImageClassification(CvResNetConfig.cifar(32)).eval()
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for _, j, block in blocks_of(deep):
        if j > 3:
            silence(block.conv2.norm)
    pixels = torch.randn(2, 3, 32, 32)
    assert torch.equal(deep(pixels).logits, shallow(pixels).logits)


def gradient_norms(model: Any) -> list[float]:
    """Of the convolutions' weights on one batch of noise, from the first to the last."""
    torch.manual_seed(0)
    model.zero_grad()
    model.train()(torch.randn(8, 3, 32, 32), labels=torch.arange(8)).loss.backward()
    return [parameter.grad.norm().item() for parameter in model.parameters() if parameter.ndim == 4]


def test_gradients_do_not_vanish_in_a_plain_net_with_batch_norm() -> None:
    """Section 4.1: in the plain net "neither forward nor backward signals vanish". Without BatchNorm they do."""
    plain = CvResNetForImageClassification(CvResNetConfig.cifar(56, shortcut="none"))
    for convolution in (module for module in plain.modules() if isinstance(module, nn.Conv2d)):
        nn.init.normal_(convolution.weight, std=0.01)
    norms = gradient_norms(plain)
    assert min(norms) > 0.01
    assert norms[0] > norms[-1]
    for convolution in (module for module in plain.modules() if isinstance(module, ConvNormAct)):
        convolution.register_module("norm", nn.Identity())
    assert gradient_norms(plain)[0] < 1e-20


def test_shortcuts_keep_gradients_even_through_depth() -> None:
    plain = gradient_norms(CvResNetForImageClassification(CvResNetConfig.cifar(56, shortcut="none")))
    residual = gradient_norms(CvResNetForImageClassification(CvResNetConfig.cifar(56, shortcut="A")))
    assert max(residual) / min(residual) < 100
    assert max(plain) / min(plain) > 10 * max(residual) / min(residual)


def test_convolutions_start_as_he_et_al_say() -> None:
    """He et al. 2015b (arXiv:1502.01852), eq. 14: variance 2 over the weights that an input reaches."""
    for convolution in (
        module for module in CvResNetModel(CvResNetConfig.cifar(20)).modules() if isinstance(module, nn.Conv2d)
    ):
        fan_out = convolution.out_channels * convolution.kernel_size[0] ** 2
        assert convolution.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.2)


# --- Shortcuts (section 3.3 and 4.1) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shortcut", "projections"),
    [
        ("resnet34", "A", 0),
        ("resnet34", "B", 3),
        ("resnet34", "C", 16),
        ("resnet34", "none", 0),
        ("resnet50", "B", 4),  # stage 1 too: its input has 64 channels, its output 256
        ("resnet50", "C", 16),
    ],
)
def test_shortcut_projects_only_where_the_shape_changes(name: str, shortcut: str, projections: int) -> None:
    model = imagenet_net(name, shortcut=shortcut)
    found = {(i, j): block.shortcut for i, j, block in blocks_of(model) if hasattr(block.shortcut, "conv")}
    assert len(found) == projections
    if shortcut == "B":
        assert all(j == 1 for _, j in found)
    assert all(projection.conv.kernel_size == (1, 1) for projection in found.values())


def test_option_a_adds_no_parameters() -> None:
    """So plain and residual net have the same "number of parameters, depth, width, and computational cost"."""
    plain, option_a = (imagenet_net("resnet34", shortcut=shortcut) for shortcut in ("none", "A"))
    assert count_parameters(plain) == count_parameters(option_a)
    assert count_multiply_adds(plain) == count_multiply_adds(option_a)
    assert weighted_layers(plain) == weighted_layers(option_a) == 34


def test_option_a_skips_pixels_and_pads_channels_with_zeros() -> None:
    x = torch.randn(2, 16, 9, 8)
    y = IdentityShortcut(16, 32, stride=2)(x)
    assert y.shape == (2, 32, 5, 4)
    for row in range(5):
        for column in range(4):
            assert torch.equal(y[:, :16, row, column], x[:, :, 2 * row, 2 * column])
    assert not y[:, 16:].any()


def test_a_plain_block_has_no_way_around() -> None:
    plain = BasicBlock(CvResNetConfig(block="basic", shortcut="none"), 8, 16, HALVING).eval()
    x = torch.randn(1, 8, 8, 8)
    torch.testing.assert_close(plain(x), plain.conv2(plain.conv1(x)).relu())


# --- Variants --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("in_1x1", "strides"), [(True, [2, 1, 1]), (False, [1, 2, 1])], ids=["paper", "v1.5"])
def test_stride_sits_in_the_1x1_or_in_the_3x3(in_1x1: bool, strides: list[int]) -> None:
    model = imagenet_net("resnet50", stride_in_1x1=in_1x1)
    for i, j, block in blocks_of(model):
        expected = strides if i > 1 and j == 1 else [1, 1, 1]
        assert [part.conv.stride[0] for part in (block.conv1, block.conv2, block.conv3)] == expected
    assert count_multiply_adds(model) == pytest.approx(3.8e9 if in_1x1 else 4.1e9, rel=0.02)


@pytest.mark.parametrize(
    ("layers", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7), (1202, 19.4)]
)
def test_cifar_nets_are_table_6(layers: int, millions: float) -> None:
    """Section 4.2: 6n + 2 layers, maps of 32, 16 and 8 pixels, 16, 32 and 64 channels, 2n + 1, 2n and 2n layers."""
    model = on_meta(CvResNetConfig.cifar(layers))
    n = (layers - 2) // 6
    assert weighted_layers(model) == layers
    assert [len(stage) for stage in model.base_model.stages] == [n, n, n]
    maps = model(torch.empty(1, 3, 32, 32, device="meta"), output_hidden_states=True).hidden_states
    assert [(m.shape[1], m.shape[2]) for m in maps] == [(16, 32), (16, 32), (32, 16), (64, 8)]
    assert model.classifier.out_features == 10
    assert count_parameters(model) / 1e6 == pytest.approx(millions, abs=0.05 if millions > 1 else 0.005)


def test_cardinality_and_width_change_the_3x3_alone() -> None:
    """ResNeXt's table 1 (32 groups of 4) and the doubled middle of Wide ResNet-50-2."""
    middles = {
        name: [block.conv2.conv.out_channels for _, j, block in blocks_of(imagenet_net(name)) if j == 1]
        for name in ("resnet50", "resnext50_32x4d", "wide_resnet50_2")
    }
    assert middles["resnet50"] == [64, 128, 256, 512]
    assert middles["resnext50_32x4d"] == middles["wide_resnet50_2"] == [128, 256, 512, 1024]
    grouped = imagenet_net("resnext50_32x4d")
    assert {block.conv2.conv.groups for _, _, block in blocks_of(grouped)} == {32}
    assert grouped.config.stage_channels == imagenet_net("resnet50").config.stage_channels


@pytest.mark.parametrize("replaced", [[False, False, False], [False, False, True], [False, True, True]])
def test_dilation_is_torchvisions_where_first_blocks_keep_theirs(replaced: list[bool]) -> None:
    reference = torchvision.models.ResNet(
        TorchvisionBottleneck, [1, 1, 2, 2], replace_stride_with_dilation=replaced
    ).eval()
    config = CvResNetConfig(depths=(1, 1, 2, 2), stride_in_1x1=False, output_stride=32 >> sum(replaced))
    model = CvResNetModel(config).eval()
    tensors = list(reference.state_dict().values())[:-2]  # in the same order, but for the classifier's
    model.load_state_dict(dict(zip(model.state_dict(), tensors, strict=True)))
    pixels = torch.randn(1, 3, 72, 56)
    features = nn.Sequential(*list(reference.children())[:-2])
    with torch.no_grad():
        torch.testing.assert_close(model(pixels).last_hidden_state, features(pixels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shortcut", ["A", "B", "C", "none"])
@pytest.mark.parametrize(("block", "in_1x1"), [("basic", False), ("bottleneck", False), ("bottleneck", True)])
def test_dilation_computes_the_same_at_more_pixels(block: str, in_1x1: bool, shortcut: str) -> None:
    """A convolution that lost its stride keeps its dilation, and those after it skip what the stride skipped."""
    fields: dict[str, Any] = dict(block=block, shortcut=shortcut, stride_in_1x1=in_1x1)
    fields |= dict(depths=(1, 1, 1, 2), widths=(8, 8, 8, 8))
    plain = CvResNetModel(CvResNetConfig(**fields)).eval()
    dilated = CvResNetModel(CvResNetConfig(**fields, output_stride=8)).eval()
    dilated.load_state_dict(plain.state_dict())
    pixels = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps, dilated_maps = (model(pixels, output_hidden_states=True).hidden_states for model in (plain, dilated))
    assert [m.shape[2] for m in dilated_maps] == [32, 16, 8, 8, 8]
    for rate, ours, expected in zip((1, 1, 1, 2, 4), dilated_maps, maps, strict=True):
        torch.testing.assert_close(ours[:, :, ::rate, ::rate], expected, rtol=1e-4, atol=1e-4)


# --- Configs that can't be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"block": "preact"}, "block is 'preact'.*'basic', 'bottleneck'"),
        ({"shortcut": "D"}, "shortcut is 'D'.*'A', 'B', 'C', 'none'"),
        ({"stem": "deep"}, "stem is 'deep'.*'imagenet', 'cifar'"),
        ({"depths": (1, 2, 3)}, r"depths \(1, 2, 3\)"),
        ({"block": "basic", "groups": 32}, "groups=32"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CvResNetConfig(**fields)


@pytest.mark.parametrize("layers", [2, 18, 21])
def test_cifar_nets_have_6n_plus_2_layers(layers: int) -> None:
    with pytest.raises(ValueError, match=f"6n \\+ 2 layers.*not {layers}"):
        CvResNetConfig.cifar(layers)
