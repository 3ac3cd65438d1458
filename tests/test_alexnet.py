"""What the paper says of AlexNet (Krizhevsky et al. 2012) holds for our net, and torchvision's is a row of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert.family import NoForeignForm
from cvhub.errors import CvhubError
from cvhub.explain.cost import measure
from cvhub.models.alexnet import CvAlexNetConfig, CvAlexNetForImageClassification
from cvhub.models.layers import LocalResponseNorm
from tests.counting import count_multiply_adds, count_parameters
from tests.parity import Foreign

# The smallest net that still has all the family's parts: groups, normalised responses, overlapping windows.
TINY: dict[str, Any] = {"widths": (8, 8, 12, 12, 8), "hidden_sizes": (24, 16), "pooled_size": 2, "dropout": 0.0}


def torchvisions(channels: int = 3, **arguments: Any) -> nn.Module:
    """torchvision's net for pictures of other channels, which its users make so."""
    model = torchvision.models.alexnet(**arguments)
    model.features[0] = nn.Conv2d(channels, 64, 11, stride=4, padding=2)
    return model


# What tests/test_parity.py compares besides the named net of torchvision.
PARITY_SIZES = {"": ((65, 64), (224, 259))}
LARGE = ("torchvision, ",)
FOREIGN = {
    "torchvision, grey": Foreign(lambda: torchvisions(1, num_classes=3), "alexnet", sizes=((63, 90),)),
    "torchvision, thirteen channels": Foreign(lambda: torchvisions(13, num_classes=10), "alexnet", sizes=((64, 64),)),
    "torchvision, another dropout": Foreign(lambda: torchvisions(dropout=0.1, num_classes=2), "alexnet"),
}


def on_meta(name: str = "alexnet", **fields: Any) -> Any:
    """The net without values: its shapes and sizes cost no memory."""
    with torch.device("meta"):
        return CvAlexNetForImageClassification(CvAlexNetConfig.variant(name, **({"num_labels": 1000} | fields))).eval()


def small(**fields: Any) -> Any:
    """A net of few channels."""
    fields = TINY | {"num_labels": 5} | fields
    return CvAlexNetForImageClassification(CvAlexNetConfig(**fields)).eval()


def maps_of(model: Any, height: int, width: int) -> list[tuple[int, ...]]:
    maps = model(torch.empty(1, 3, height, width, device="meta"), output_hidden_states=True).hidden_states
    return [tuple(m.shape[1:]) for m in maps]


def weighted_layers(model: nn.Module) -> Iterator[Any]:
    yield from (module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear))


# --- The architecture (section 3.5 and figure 2) ----------------------------------------------------------------------


def test_layers_are_figure_2() -> None:
    """Five convolutions and three linear layers, of the kernels that section 3.5 lists."""
    model = on_meta()
    assert [tuple(layer.weight.shape) for layer in weighted_layers(model)] == [
        (96, 3, 11, 11),
        (256, 48, 5, 5),
        (384, 256, 3, 3),
        (384, 192, 3, 3),
        (256, 192, 3, 3),
        (4096, 256 * 6 * 6),
        (4096, 4096),
        (1000, 4096),
    ]
    assert model.base_model.conv1.conv.stride == (4, 4)


def test_maps_are_figure_2() -> None:
    """Neurons of each layer; the caption's 253,440 of the first is a slip, 55·48·96 where the figure has 55·55·96."""
    model = on_meta()
    maps = maps_of(model, 224, 224)
    assert maps == [(96, 55, 55), (256, 27, 27), (384, 13, 13), (384, 13, 13), (256, 13, 13), (256, 6, 6)]
    neurons = [channels * height * width for channels, height, width in maps[:5]]
    assert neurons == [290_400, 186_624, 64_896, 64_896, 43_264]
    outputs = [layer.out_features for layer in weighted_layers(model) if isinstance(layer, nn.Linear)]
    assert outputs == [4096, 4096, 1000]
    assert sum(neurons) + sum(outputs) == pytest.approx(650_000, rel=0.02)  # "650,000 neurons", in the abstract


def test_227_pixels_give_the_same_maps_without_a_border() -> None:
    """224 pixels don't give 55 positions unless a border is added, which the paper doesn't say."""
    assert (227 - 11) / 4 + 1 == 55
    assert (224 - 11) % 4 != 0
    config = CvAlexNetConfig()
    assert config.map_sizes(224) == [55, 27, 13, 13, 13, 6]
    assert config.map_sizes(227)[1:] == config.map_sizes(224)[1:]


def test_parameters_are_60_million() -> None:
    """In the paper; torchvision's net has 61,100,840. Most are fc6's and fc7's."""
    assert count_parameters(on_meta()) == 60_965_224
    assert count_parameters(on_meta("alexnet_owt")) == 61_100_840
    assert count_parameters(on_meta()) == pytest.approx(60e6, rel=0.02)
    convolutions = [layer for layer in weighted_layers(on_meta()) if isinstance(layer, nn.Conv2d)]
    assert sum(map(count_parameters, convolutions)) == pytest.approx(2.3e6, rel=0.02)


def test_cost_and_receptive_field_are_as_published() -> None:
    """torchvision's 0.714 billion multiply-adds; Araujo et al. 2019 for the net of 2014: 195 pixels."""
    cost = measure(on_meta("alexnet_owt"), 224, 224)
    assert cost.multiply_adds / 1e9 == pytest.approx(0.714, abs=0.0005)
    assert cost.receptive_field == 195
    assert measure(on_meta(), 224, 224).receptive_field == 195


def test_the_smallest_picture_is_torchvisions() -> None:
    config = CvAlexNetConfig()
    assert config.smallest_input == torchvision.models.AlexNet_Weights.DEFAULT.meta["min_size"][0] == 63
    assert config.map_sizes(63)[-1] == 1
    assert config.map_sizes(62)[-1] == 0


# --- Groups (section 3.2) --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "sees_all"), [("conv2", False), ("conv3", True), ("conv4", False), ("conv5", False)])
def test_kernels_of_a_group_see_their_half_of_the_map(layer: str, sees_all: bool) -> None:
    """Figure 2: only the third convolution is connected to all maps of the layer before."""
    conv = getattr(small().base_model, layer).conv
    x = torch.randn(1, conv.in_channels, 9, 9)
    y = x.clone()
    y[:, 0] += 1
    changed = (conv(x) != conv(y)).any(3).any(2)[0]
    half = conv.out_channels // 2
    assert changed[:half].all()
    assert changed[half:].all() if sees_all else not changed[half:].any()


def test_groups_halve_weights() -> None:
    one, two = (on_meta(groups=groups).base_model for groups in (1, 2))
    for layer in ("conv2", "conv4", "conv5"):
        assert getattr(one, layer).conv.weight.numel() == 2 * getattr(two, layer).conv.weight.numel()


# --- ReLU (section 3.1) ----------------------------------------------------------------------------------------------


def gradient(model: Any, pixels: Tensor) -> float:
    """Of the pixels, for all logits together."""
    pixels = pixels.clone().requires_grad_()
    model(pixels).logits.sum().backward()
    assert pixels.grad is not None
    return pixels.grad.norm().item()


def test_relu_does_not_saturate() -> None:
    """Section 3.1: where tanh is flat no gradient passes; a ReLU passes as much of a large value as of a small one."""
    pixels = torch.randn(2, 3, 64, 64)
    for activation, kept in (("relu", 1.0), ("tanh", 0.0)):
        torch.manual_seed(0)
        model = small(activation=activation, response_norm=False)
        share = gradient(model, 1000 * pixels) / gradient(model, pixels)
        assert share == pytest.approx(kept, abs=1e-3)


def test_an_activation_follows_each_layer_but_the_last() -> None:
    """Section 3.5, of the ReLU."""
    model = small()
    outputs: list[Tensor] = []
    for name in ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"):
        getattr(model.base_model, name).register_forward_hook(lambda layer, args, output: outputs.append(output))
    logits = model(10 * torch.randn(1, 3, 64, 64)).logits
    assert len(outputs) == 7
    assert all(output.min() == 0 for output in outputs)
    assert (logits < 0).any()


# --- Response normalisation (section 3.3) ----------------------------------------------------------------------------


def test_response_norm_is_the_papers_formula() -> None:
    """Written out as a loop: k = 2, n = 5, α = 10⁻⁴, β = 0.75, the sum cut off at the first and the last channel."""
    a = 100 * torch.randn(2, 7, 3, 4, dtype=torch.float64)
    b = torch.empty_like(a)
    for i in range(7):
        neighbours = range(max(0, i - 2), min(6, i + 2) + 1)
        total = sum((a[:, j] ** 2 for j in neighbours), torch.zeros(2, 3, 4, dtype=torch.float64))
        b[:, i] = a[:, i] / (2 + 1e-4 * total) ** 0.75
    torch.testing.assert_close(LocalResponseNorm(7)(a), b)
    # torch divides its α by n, as Caffe does.
    torch.testing.assert_close(nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)(a), b)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_response_norm_of_large_half_precision_numbers(dtype: torch.dtype) -> None:
    a = torch.full((1, 8, 2, 2), 3000.0)  # whose squares float16 doesn't hold
    norm = LocalResponseNorm(8)
    torch.testing.assert_close(norm(a.to(dtype)).float(), norm(a), rtol=0.02, atol=0)


def test_responses_are_normalised_after_the_first_two_convolutions() -> None:
    """Before the pooling (section 3.5)."""
    order: list[str] = []
    model = small()
    for name, module in model.base_model.named_children():
        module.register_forward_hook(lambda module, args, output, name=name: order.append(name))
    model(torch.randn(1, 3, 64, 64))
    assert order[:6] == ["conv1", "norm1", "pool1", "conv2", "norm2", "pool2"]
    assert order[6:10] == ["conv3", "conv4", "conv5", "pool5"]
    norms = [module for module in model.modules() if isinstance(module, LocalResponseNorm)]
    assert len(norms) == 2
    assert not [module for module in small(response_norm=False).modules() if isinstance(module, LocalResponseNorm)]


# --- Pooling (section 3.4) -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pooling", "sizes"),
    [
        ("overlapping", [55, 27, 13, 13, 13, 6]),
        ("plain", [55, 27, 13, 13, 13, 6]),  # "an output of equivalent dimensions"
        ("none", [55, 28, 14, 14, 14, 7]),
    ],
)
def test_pooling_halves_the_map_and_keeps_the_channels(pooling: str, sizes: list[int]) -> None:
    """However wide its windows: what they are changes neither parameters nor, by more than a tenth, the cost."""
    model, paper = on_meta(pooling=pooling), on_meta()
    assert model.config.map_sizes(224) == sizes
    channels = (96, 256, 384, 384, 256, 256)
    assert maps_of(model, 224, 224) == [(c, s, s) for c, s in zip(channels, sizes, strict=True)]
    assert count_parameters(model) == count_parameters(paper)
    assert count_multiply_adds(model) == pytest.approx(count_multiply_adds(paper), rel=0.1)


@pytest.mark.parametrize(("pooling", "windows"), [("overlapping", [2, 1]), ("plain", [1, 1]), ("none", [1, 0])])
def test_windows_of_3_pixels_every_2_overlap(pooling: str, windows: list[int]) -> None:
    """How many windows along an axis hold a pixel, and how many the next one."""
    pool = small(pooling=pooling).base_model.pool1
    inside = torch.stack([pool(row.view(1, 1, 1, 41).expand(1, 1, 41, 41))[0, 0, 0] for row in torch.eye(41)])
    assert inside.sum(1)[10:30].view(-1, 2).unique(dim=0).tolist() == [windows]


def test_no_pooling_is_a_convolution_of_twice_the_stride() -> None:
    model = small(pooling="none").base_model
    conv = model.conv1.conv
    pixels = torch.randn(1, 3, 64, 64)
    strided = torch.conv2d(pixels, conv.weight, conv.bias, stride=8, padding=2)
    torch.testing.assert_close(model.pool1(model.conv1(pixels)), strided.relu(), rtol=1e-4, atol=1e-5)


# --- Dropout (section 4.2) -------------------------------------------------------------------------------------------


def test_dropout_silences_half_of_fc6_and_fc7_in_training() -> None:
    """What is left counts twice; in evaluation all neurons take part, as in the paper with their outputs halved."""
    torch.manual_seed(0)
    model = small(hidden_sizes=(400, 300), dropout=CvAlexNetConfig().dropout)
    seen: list[Any] = []
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(lambda module, args, output: seen.append((args[0], output)))
    model.train()(torch.randn(4, 3, 64, 64))
    assert [before.shape[1] for before, _ in seen] == [400, 300]
    for before, after in seen:
        kept = after != 0
        assert kept[before > 0].float().mean().item() == pytest.approx(0.5, abs=0.05)
        torch.testing.assert_close(after[kept], 2 * before[kept])
    seen.clear()
    model.eval()(torch.randn(4, 3, 64, 64))
    assert all(torch.equal(before, after) for before, after in seen)


# --- Sizes -----------------------------------------------------------------------------------------------------------


def test_a_tile_of_64_pixels_by_configuration() -> None:
    """As the config's docstring says: a smaller first stride, fewer cells."""
    fields: dict[str, Any] = dict(first_stride=2, pooled_size=2, hidden_sizes=(512, 512), num_labels=10)
    config = CvAlexNetConfig(**fields)
    assert config.map_sizes(64) == [29, 14, 6, 6, 6, 2]
    assert config.smallest_input < 64
    with torch.device("meta"):
        model = CvAlexNetForImageClassification(config).eval()
    assert model(torch.empty(2, 3, 64, 64, device="meta")).logits.shape == (2, 10)
    assert count_parameters(model) < 4e6


def test_features_are_fc7s() -> None:
    model = small()
    pixels = torch.randn(2, 3, 100, 64)
    pooled = model.base_model(pixels).pooler_output
    assert pooled.shape == (2, 16)
    assert torch.equal(model.classifier(pooled), model(pixels).logits)


@pytest.mark.parametrize("pooling", ["overlapping", "plain", "none"])
def test_dilation_computes_the_same_at_more_pixels(pooling: str) -> None:
    """But at the lower and the right border, where more windows find a place than with strides."""
    plain, dilated = (small(pooling=pooling, output_stride=stride).base_model for stride in (32, 8))
    dilated.load_state_dict(plain.state_dict())
    pixels = torch.randn(1, 3, 300, 300)
    with torch.no_grad():
        maps, dilated_maps = (model(pixels, output_hidden_states=True).hidden_states for model in (plain, dilated))
    assert [m.shape[2] for m in dilated_maps[1:]] == [maps[1].shape[2]] * 5
    for rate, ours, expected in zip((1, 1, 2, 2, 2, 4), dilated_maps, maps, strict=True):
        common = expected[:, :, :4, :4]
        torch.testing.assert_close(ours[:, :, ::rate, ::rate][:, :, :4, :4], common, rtol=1e-4, atol=1e-4)


# --- What can't be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"activation": "gelu"}, "activation is 'gelu'.*'relu', 'tanh'"),
        ({"pooling": "mean"}, "pooling is 'mean'.*'overlapping', 'plain', 'none'"),
        ({"widths": (96, 256, 384)}, r"widths are \(96, 256, 384\).*five"),
        ({"widths": (96, 256, 384, 384, 255)}, "255.*five multiples of groups=2"),
        ({"first_stride": 0}, "first_stride is 0, expected 1 to 8"),
        ({"hidden_sizes": (4096,)}, r"hidden_sizes are \(4096,\).*two"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CvAlexNetConfig(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"activation": "tanh"},
        {"pooling": "plain"},
        {"first_stride": 2},
        {"output_stride": 8},
        {"pooled_size": 2},
        {"hidden_sizes": (32, 32)},
        {"groups": 2},
        {"response_norm": True},
        {"widths": (8, 8, 12, 12, 8)},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_what_torchvision_has_no_form_for_is_refused_by_its_field(fields: dict[str, Any], tmp_path: Path) -> None:
    config = CvAlexNetConfig.variant("alexnet_owt", **fields)
    config.architectures = ["CvAlexNetForImageClassification"]
    config.save_pretrained(tmp_path)
    (field,) = fields
    with pytest.raises(NoForeignForm, match=f"torchvision has no form for {field}="):
        export_checkpoint(tmp_path, tmp_path / "theirs", "torchvision")


def test_a_library_without_the_net_is_refused(tmp_path: Path) -> None:
    CvAlexNetConfig.variant("alexnet_owt").save_pretrained(tmp_path)
    with pytest.raises(CvhubError, match="'timm' is no layout of alexnet; expected one of torchvision"):
        export_checkpoint(tmp_path, tmp_path / "theirs", "timm")


def test_a_file_of_another_net_is_refused_by_its_tensors(tmp_path: Path) -> None:
    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "other.pth")
    with pytest.raises(CvhubError, match=r"missing: alexnet\.conv"):
        convert_checkpoint(tmp_path / "other.pth", tmp_path / "ours", "alexnet")
