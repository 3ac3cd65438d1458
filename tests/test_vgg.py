"""What the paper says of VGG (Simonyan & Zisserman 2015) holds for our nets."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert.family import NoForeignForm
from cvhub.convert.renaming import rename
from cvhub.convert.vgg import FAMILY
from cvhub.errors import CvhubError
from cvhub.explain.cost import measure
from cvhub.inference.runtime import build_runtime
from cvhub.models.image_processing import CvImageProcessor
from cvhub.models.vgg import (
    TABLE_1,
    VARIANTS,
    CvVggConfig,
    CvVggForImageClassification,
    CvVggModel,
)
from tests.counting import count_parameters
from tests.parity import Foreign, difference, logits, randomise, save
from tests.tiny import TinyFamily

# The smallest net that still has all the family's parts: both kernels, norms, fewer cells than the map has.
TINY: dict[str, Any] = {
    "kernel_sizes": ((3,), (3, 1), (3,), (3,), (3, 3)),
    "widths": (8, 8, 12, 12, 16),
    "batch_norm": True,
    "hidden_sizes": (24, 20),
    "pooled_size": 2,
    "dropout": 0.0,
}
# What tests/test_parity.py compares besides the named nets, which are all large: timm's with a narrow fc6.
SIZES = ((65, 64), (40, 260))  # fewer than 7×7 cells, and more of them in a row
PARITY_SIZES = {"": SIZES}
LARGE = ("vgg",)
FOREIGN = {
    "timm, 11 layers, fc6 of 32": Foreign(
        lambda: timm.create_model("vgg11", mlp_ratio=1 / 128, num_classes=5), sizes=((65, 64), (260, 231))
    ),
    "timm, 13 layers with norms, fc6 of 20, grey": Foreign(
        lambda: timm.create_model("vgg13_bn", mlp_ratio=20 / 4096, in_chans=1, num_classes=3), sizes=SIZES
    ),
    "timm, 16 layers with norms, fc6 of 7, five channels": Foreign(
        lambda: timm.create_model("vgg16_bn", mlp_ratio=7 / 4096, in_chans=5, num_classes=2), sizes=SIZES
    ),
    "timm, 19 layers, fc6 of 64": Foreign(
        lambda: timm.create_model("vgg19", mlp_ratio=1 / 64, num_classes=21), sizes=SIZES
    ),
}

NAMES = {"A": "vgg11", "B": "vgg13", "C": "vgg16_1x1", "D": "vgg16", "E": "vgg19"}


def on_meta(name: str, **fields: Any) -> Any:
    """The net without values: its shapes and sizes cost no memory."""
    with torch.device("meta"):
        return CvVggForImageClassification(CvVggConfig.variant(name, **({"num_labels": 1000} | fields))).eval()


def small(**fields: Any) -> Any:
    """A net of few channels, its norms left out unless asked for."""
    config = CvVggConfig(**(TINY | {"batch_norm": False, "num_labels": 5} | fields))
    return CvVggForImageClassification(config).eval()


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


# --- Tables 1 and 2 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letter", "layers", "depths", "millions"),
    [
        ("A", 11, [1, 1, 2, 2, 2], 133),
        ("B", 13, [2, 2, 2, 2, 2], 133),
        ("C", 16, [2, 2, 3, 3, 3], 134),
        ("D", 16, [2, 2, 3, 3, 3], 138),
        ("E", 19, [2, 2, 4, 4, 4], 144),
    ],
)
def test_layers_and_parameters_are_tables_1_and_2(letter: str, layers: int, depths: list[int], millions: int) -> None:
    model = on_meta(NAMES[letter])
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    assert len(convolutions(model)) + len(linear) == layers
    assert [len(stage.layers) for stage in model.base_model.stages] == depths
    assert [layer.out_features for layer in linear] == [4096, 4096, 1000]
    assert round(count_parameters(model) / 1e6) == millions


def test_maps_are_table_1() -> None:
    """Channels double with each pooling until they are 512, and five poolings halve the map."""
    model = on_meta("vgg16")
    maps = model(torch.empty(1, 3, 224, 224, device="meta"), output_hidden_states=True).hidden_states
    expected = [(64, 224), (128, 112), (256, 56), (512, 28), (512, 14), (512, 7)]
    assert [(m.shape[1], m.shape[2]) for m in maps] == expected
    assert model.config.map_sizes(224) == [size for _, size in expected]
    pools = model.base_model.pools
    assert [(pool.kernel_size, pool.stride) for pool in pools] == [(2, 2)] * 5


@pytest.mark.parametrize(
    ("name", "parameters", "giga", "field"),
    [
        ("vgg11", 132_863_336, 7.609, 150),
        ("vgg13", 133_047_848, 11.308, 156),
        ("vgg16", 138_357_544, 15.470, 212),
        ("vgg19", 143_667_240, 19.632, 268),
        ("vgg11_bn", 132_868_840, 7.609, 150),
        ("vgg13_bn", 133_053_736, 11.308, 156),
        ("vgg16_bn", 138_365_992, 15.470, 212),
        ("vgg19_bn", 143_678_248, 19.632, 268),
    ],
)
def test_cost_is_as_published(name: str, parameters: int, giga: float, field: int) -> None:
    """Parameters and multiply-adds are torchvision's; VGG-16's receptive field is in Araujo et al. 2019."""
    cost = measure(on_meta(name), 224, 224)
    assert cost.parameters == parameters
    assert cost.multiply_adds / 1e9 == pytest.approx(giga, abs=0.0006)
    assert cost.receptive_field == field


# --- Small kernels (sections 2.1 and 2.3) ----------------------------------------------------------------------------


def test_kernels_are_3x3_but_for_configuration_c() -> None:
    """Section 2.1: stride 1 everywhere. C's third convolutions of three stages are 1×1, and D is C with 3×3 there."""
    for name, kernel_sizes in TABLE_1.items():
        model = on_meta(name)
        assert {conv.stride for conv in convolutions(model)} == {(1, 1)}
        found = [[conv.kernel_size for conv in convolutions(stage)] for stage in model.base_model.stages]
        assert found == [[(k, k) for k in kernels] for kernels in kernel_sizes]
        assert {conv.kernel_size for conv in convolutions(model)} == (
            {(3, 3), (1, 1)} if name == NAMES["C"] else {(3, 3)}
        )
    c, d = TABLE_1[NAMES["C"]], TABLE_1[NAMES["D"]]
    assert [[k for k in kernels if k == 1] for kernels in c] == [[], [], [1], [1], [1]]
    assert [[3] * len(kernels) for kernels in c] == [list(kernels) for kernels in d]


def test_stride_1_and_padding_1_keep_the_size() -> None:
    for conv in convolutions(on_meta("vgg16")):
        assert (conv.stride, conv.padding) == ((1, 1), (1, 1))
    stage = small().base_model.stages[1]
    for size in ((1, 1), (8, 8), (13, 30)):
        assert stage(torch.randn(1, 8, *size)).shape == (1, 8, *size)


@pytest.mark.parametrize(("layers", "seen"), [(1, 3), (2, 5), (3, 7), (4, 9)])
def test_a_stack_of_3x3_convolutions_sees_as_much_as_a_large_one(layers: int, seen: int) -> None:
    """Section 2.3: two see 5×5 pixels and three 7×7, by what has a gradient."""
    stack = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(layers)))
    for parameter in stack.parameters():
        nn.init.ones_(parameter)  # none cancels another
    pixels = torch.ones(1, 1, 15, 15, requires_grad=True)
    stack(pixels)[0, 0, 7, 7].backward()
    assert pixels.grad is not None
    rows, columns = pixels.grad[0, 0].nonzero(as_tuple=True)
    assert [int(axis.max() - axis.min() + 1) for axis in (rows, columns)] == [seen, seen]


@pytest.mark.parametrize(("layers", "kernel", "stack", "single"), [(2, 5, 18, 25), (3, 7, 27, 49)])
def test_a_stack_has_fewer_weights_than_a_large_kernel(layers: int, kernel: int, stack: int, single: int) -> None:
    """Section 2.3: 27 C² weights against 49 C², which are 81 % more; and two more nonlinearities."""
    c = 64
    with torch.device("meta"):
        (stage,) = CvVggModel(CvVggConfig(kernel_sizes=[[3] * layers], widths=[c], num_channels=c)).stages
        large = nn.Conv2d(c, c, kernel, padding=kernel // 2)
    assert sum(conv.weight.numel() for conv in convolutions(stage)) == stack * c**2
    assert large.weight.numel() == single * c**2
    assert sum(isinstance(module, nn.ReLU) for module in stage.modules()) == layers
    assert round(49 / 27, 2) == 1.81


def test_batch_norm_follows_each_convolution_where_asked() -> None:
    """The paper's nets have none; torchvision's and timm's `_bn` have, and keep the convolutions' biases."""
    for name in VARIANTS:
        model = on_meta(name)
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        assert len(norms) == (len(convolutions(model)) if name.endswith("_bn") else 0)
        assert all(conv.bias is not None for conv in convolutions(model))


def test_dropout_is_of_the_first_two_linear_layers() -> None:
    """Section 3.1: ratio 0.5."""
    model = on_meta("vgg16")
    dropped: list[int] = []
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            assert module.p == 0.5
            module.register_forward_hook(lambda module, args, output: dropped.append(output.shape[-1]))
    model(torch.empty(1, 3, 224, 224, device="meta"))
    assert dropped == [4096, 4096]


# --- Other sizes (section 3.2) ---------------------------------------------------------------------------------------


def test_dense_evaluation_averages_the_scores_of_all_places() -> None:
    """Section 3.2: the linear layers as convolutions over the whole map, their class scores averaged."""
    model = small(pooled_size=3, dense=True)
    pixels = torch.randn(2, 3, 160, 224)
    with torch.no_grad():
        last_map = model.base_model(pixels).last_hidden_state
        assert last_map.shape[2:] == (5, 7)
        scores = []
        for row in range(3):
            for column in range(5):
                cells = last_map[:, :, row : row + 3, column : column + 3]
                scores.append(model.classifier(model.base_model.hidden(cells.flatten(1))))
        torch.testing.assert_close(model(pixels).logits, torch.stack(scores).mean(0), rtol=1e-4, atol=1e-6)


def test_dense_or_not_is_the_same_up_to_224_pixels() -> None:
    """And not beyond."""
    dense, averaged = (small(dense=dense, pooled_size=7) for dense in (True, False))
    averaged.load_state_dict(dense.state_dict())
    with torch.no_grad():
        for size, same in (((224, 224), True), ((64, 100), True), ((256, 256), False), ((64, 260), False)):
            pixels = torch.randn(1, 3, *size)
            assert torch.allclose(dense(pixels).logits, averaged(pixels).logits, rtol=1e-4, atol=1e-6) == same


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_dense_evaluation_in_half_precision_and_of_no_picture(dtype: torch.dtype) -> None:
    model, pixels = small(dense=True), torch.randn(2, 3, 100, 128)
    with torch.no_grad():
        expected = model(pixels).logits
        half = model.to(dtype)(pixels.to(dtype)).logits
    torch.testing.assert_close(half.float(), expected, rtol=0, atol=0.05 * expected.abs().max().item())
    assert model(pixels[:0].to(dtype)).logits.shape == (0, 5)


def test_a_tile_of_64_pixels_by_configuration() -> None:
    model = on_meta("vgg11", pooled_size=2, hidden_sizes=(512, 512), num_labels=10)
    assert model.config.map_sizes(64)[-1] == 2
    assert model(torch.empty(2, 3, 64, 64, device="meta")).logits.shape == (2, 10)
    assert count_parameters(model) < 11e6


def test_features_are_fc7s() -> None:
    for dense in (False, True):
        model = small(dense=dense)
        pixels = torch.randn(2, 3, 100, 64)
        pooled = model.base_model(pixels).pooler_output
        assert pooled.shape == (2, 20)
        assert torch.equal(model.classifier(pooled), model(pixels).logits)


def test_dilation_computes_the_same_at_more_pixels() -> None:
    """Convolutions after a pooling that lost its stride skip what it would have skipped."""
    plain, dilated = (small(output_stride=output_stride).base_model for output_stride in (32, 8))
    dilated.load_state_dict(plain.state_dict())
    pixels = torch.randn(1, 3, 96, 128)
    with torch.no_grad():
        maps, dilated_maps = (model(pixels, output_hidden_states=True).hidden_states for model in (plain, dilated))
    assert [m.shape[2] for m in dilated_maps] == [96, 48, 24, 12, 12, 12]
    for rate, ours, expected in zip((1, 1, 1, 1, 2, 4), dilated_maps, maps, strict=True):
        torch.testing.assert_close(ours[:, :, ::rate, ::rate], expected, rtol=1e-4, atol=1e-4)


def test_values_keep_their_size_through_depth() -> None:
    """By the fan-in rule of He et al. 2015; the paper's deep nets started with layers of a trained shallow one."""
    torch.manual_seed(0)
    widths = (16, 16, 32, 32, 32)
    model = CvVggModel(CvVggConfig(kernel_sizes=TABLE_1["vgg19"], widths=widths, hidden_sizes=(64, 64)))
    with torch.no_grad():
        output = model.eval()(torch.randn(2, 3, 224, 224), output_hidden_states=True)
    sizes = [(values**2).mean().sqrt().item() for values in (*output.hidden_states, output.pooler_output)]
    assert all(0.2 < after / before < 5 for before, after in pairwise(sizes))


def test_openvino_gives_the_same_answers_of_a_dense_net(tmp_path: Path) -> None:
    """It compares itself with torch at the processor's size and another, odd one. (The others: test_inference.py.)"""
    TinyFamily("vgg").model(dense=True).save_pretrained(tmp_path)
    side = {"height": 64, "width": 64}
    CvImageProcessor(size={"shortest_edge": 72}, crop_size=side).save_pretrained(tmp_path)
    assert build_runtime(tmp_path, "openvino", "fp32").name == "openvino"


# --- Conversion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vgg11", "vgg16_bn"])
def test_torchvisions_names_are_ours(name: str) -> None:
    """On a net of narrow linear layers; whole ones are compared by `pytest -m full`."""
    with torch.device("meta"):
        reference: Any = torchvision.models.get_model(name)
        for place, (inputs, outputs) in ((0, (512 * 49, 24)), (3, (24, 16)), (6, (16, 6))):
            reference.classifier[place] = nn.Linear(inputs, outputs)
    randomise(reference.to_empty(device="cpu"))
    layout = next(layout for layout in FAMILY.layouts if layout.library == "torchvision")
    config = CvVggConfig.variant(name, hidden_sizes=(24, 16), num_labels=6)
    names = [(theirs, ours) for ours, theirs in layout.names(config)]
    tensors, unknown = rename(reference.state_dict(), names)
    assert not unknown
    ours = CvVggForImageClassification(config).eval()
    ours.load_state_dict(tensors)
    for size in SIZES:
        pixels = torch.randn(2, 3, *size)
        assert difference(logits(ours, pixels), logits(reference, pixels)) < 1e-4


def test_timm_loads_what_was_exported(tmp_path: Path) -> None:
    """A narrow fc6 and another number of channels included."""
    model = randomise(timm.create_model("vgg11_bn", mlp_ratio=1 / 128, in_chans=1, num_classes=6))
    save(model, tmp_path / "timm")
    convert_checkpoint(tmp_path / "timm", tmp_path / "ours")
    export_checkpoint(tmp_path / "ours", tmp_path / "back", "timm")
    again = timm.create_model(f"local-dir:{tmp_path / 'back'}", pretrained=True).eval()
    pixels = torch.randn(1, 1, 70, 64)
    assert torch.equal(again(pixels), model(pixels))


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    model: Any = timm.create_model("vgg11", mlp_ratio=1 / 512, num_classes=2)
    model.pre_logits.fc1.weight = nn.Parameter(torch.zeros(8, 512, 6, 7))
    save(model, tmp_path / "timm")
    with pytest.raises(CvhubError, match=r"misshapen: vgg.fc6.weight is \[8, 21504\], expected \[8, 25088\]"):
        convert_checkpoint(tmp_path / "timm", tmp_path / "ours")


@pytest.mark.parametrize(
    ("library", "fields"),
    [
        ("torchvision", {"dense": True}),
        ("timm", {"dense": False}),
        ("torchvision", {"hidden_sizes": (32, 4096)}),
        ("timm", {"hidden_sizes": (4096, 32)}),
        ("torchvision", {"kernel_sizes": TABLE_1["vgg16_1x1"]}),
        ("timm", {"widths": (8, 8, 8, 8, 8)}),
        ("timm", {"pooled_size": 2}),
        ("torchvision", {"output_stride": 16}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_config_without_foreign_form_is_refused_by_its_field(
    library: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    fields = {"dense": library == "timm"} | fields
    config = CvVggConfig(**fields)
    config.architectures = ["CvVggForImageClassification"]
    config.save_pretrained(tmp_path)
    field = list(fields)[-1]
    with pytest.raises(NoForeignForm, match=f"{library} has no form for {field}="):
        export_checkpoint(tmp_path, tmp_path / "theirs", library)


# --- Configs that can't be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel_sizes": [[3], [2], [3], [3], [3]]}, r"kernel_sizes are \[\[3\], \[2\].*odd"),
        ({"kernel_sizes": [[3], [], [3], [3], [3]]}, "kernel_sizes are .*one a stage"),
        ({"kernel_sizes": [3, 3, 3, 3, 3]}, r"kernel_sizes are \[3, 3, 3, 3, 3\], expected lists"),
        ({"widths": (64, 128)}, r"widths \(64, 128\) must name as many"),
        ({"hidden_sizes": (4096,)}, r"hidden_sizes are \(4096,\).*two"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CvVggConfig(**fields)
