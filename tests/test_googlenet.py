"""What the paper says of GoogLeNet (Szegedy et al. 2015) holds for our net, and where its own numbers disagree."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.googlenet import Inception as TorchvisionInception
from transformers import AutoConfig

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert.family import NoForeignForm
from cvhub.convert.googlenet import FAMILY
from cvhub.convert.renaming import rename
from cvhub.explain.cost import measure
from cvhub.inference.torch_runtime import Logits
from cvhub.models.googlenet import CvGoogLeNetConfig, CvGoogLeNetForImageClassification, CvGoogLeNetModel
from cvhub.models.image_processing import CvImageProcessor
from cvhub.models.inception import TABLE_1, Inception, Row
from cvhub.models.layers import MaxPool, Sampling
from tests.counting import count_multiply_adds, count_parameters, count_weights
from tests.parity import Foreign, randomise

# The smallest net that still has all the family's parts: stages, branches, kernels, both auxiliary classifiers.
TINY = {
    "rows": (("3a", 8, 4, 8, 4, 8, 8), ("4a", 4, 4, 8, 4, 4, 8), ("5a", 8, 8, 16, 4, 8, 8)),
    "stem_channels": (8, 8, 16),
    "normalization": "batch",
    "auxiliary_after": ("3a", "4a"),
    "auxiliary_channels": 4,
    "auxiliary_features": 64,
    "dropout": 0.0,
    "auxiliary_dropout": 0.0,
}
# What tests/test_parity.py compares besides the named net, and with which arguments.
ARGUMENTS = {"googlenet": {"transform_input": True, "init_weights": False}}
SIZES = ((65, 64), (15, 110))  # the second as small as the net takes
PARITY_SIZES = {"": SIZES}


def torchvisions(**arguments: Any) -> Any:
    """torchvision's builder of a net without initial values, which take it long."""
    return lambda: torchvision.models.googlenet(init_weights=False, **arguments)


FOREIGN = {
    "torchvision, no auxiliary classifiers": Foreign(
        torchvisions(num_classes=7, aux_logits=False, transform_input=True), "googlenet", SIZES
    ),
    "torchvision, pixels as they are": Foreign(
        torchvisions(num_classes=3), "googlenet", SIZES, overrides={"transform_input": False}
    ),
    "torchvision, neither": Foreign(
        torchvisions(num_classes=21, aux_logits=False), "googlenet", overrides={"transform_input": False}
    ),
}

# The numbers of table 1: side and channels of the output, weights in units of 1024, multiply-adds in millions. The
# table's weights and multiply-adds of the first convolution are a quarter of what 7×7 on three channels takes; those of
# 4a, 4c, 4d, 5a and 5b don't follow from the widths beside them, though all multiply-adds but 5a's do.
TABLE_1_NUMBERS = {
    "conv1": (112, 64, 2.7, 34),
    "conv2": (56, 192, 112, 360),
    "3a": (28, 256, 159, 128),
    "3b": (28, 480, 380, 304),
    "4a": (14, 512, 364, 73),
    "4b": (14, 512, 437, 88),
    "4c": (14, 512, 463, 100),
    "4d": (14, 528, 580, 119),
    "4e": (14, 832, 840, 170),
    "5a": (7, 832, 1072, 54),
    "5b": (7, 1024, 1388, 71),
    "linear": (1, 1000, 1000, 1),
}
PAPER_MISCOUNTS = {"conv1": (3.4, 3.5), "4c": (1.075, 1.0), "5a": (0.95, 0.95)}  # ours / theirs


def on_meta(name: str, **fields: Any) -> Any:
    """The net without values: its shapes and sizes cost no memory."""
    with torch.device("meta"):
        return CvGoogLeNetForImageClassification(CvGoogLeNetConfig.variant(name, **({"num_labels": 1000} | fields)))


def rows_of_table_1(model: Any) -> dict[str, nn.Module]:
    base = model.base_model
    return {"conv1": base.stem, "conv2": base.conv2} | dict(base.inception.items()) | {"linear": model.classifier}


def tiny(**fields: Any) -> Any:
    """A net of few channels that has the paper's blocks and names."""
    rows = [(row.name, 8, 8, 8, 4, 4, 4) for row in TABLE_1]
    small = {"rows": rows, "stem_channels": (8, 8, 16), "auxiliary_channels": 4, "auxiliary_features": 16}
    return CvGoogLeNetForImageClassification(CvGoogLeNetConfig(**(small | {"num_labels": 5} | fields)))


# --- Table 1 ---------------------------------------------------------------------------------------------------------


def test_sizes_and_channels_are_table_1() -> None:
    model = on_meta("googlenet").eval()
    shapes: dict[str, tuple[int, int]] = {}
    for name, module in rows_of_table_1(model).items():
        module.register_forward_hook(
            lambda module, inputs, y, name=name: shapes.update({name: (y.shape[-1] if y.ndim == 4 else 1, y.shape[1])})
        )
    model(torch.empty(1, 3, 224, 224, device="meta"))
    assert shapes == {name: numbers[:2] for name, numbers in TABLE_1_NUMBERS.items()}


def test_weights_and_multiply_adds_are_table_1s() -> None:
    """But for the rows that the paper miscounted; its K is 1024, as the linear layer's 1000 K for 1024·1000 show."""
    for name, module in rows_of_table_1(on_meta("googlenet")).items():
        side, _, kilos, millions = TABLE_1_NUMBERS[name]
        weights = count_weights(module)
        expected_weights, expected_cost = PAPER_MISCOUNTS.get(name, (1, 1))
        assert weights / 1024 == pytest.approx(kilos * expected_weights, rel=0.02), name
        assert weights * side**2 / 1e6 == pytest.approx(millions * expected_cost, rel=0.025), name


def test_size_and_cost_of_the_whole() -> None:
    """Section 1 says 1.5 billion multiply-adds, which is table 1's sum; without its slip at the first layer 1.58."""
    model = on_meta("googlenet", auxiliary_after=()).eval()
    assert sum(numbers[2] for numbers in TABLE_1_NUMBERS.values()) * 1024 == pytest.approx(6.96e6, rel=1e-3)
    assert sum(numbers[3] for numbers in TABLE_1_NUMBERS.values()) == 1502
    assert count_weights(model) == 6_990_272
    assert count_parameters(model) == 6_998_552
    bands = 56**2 * (64**2 + 192**2)  # the sums of the normalised responses, which are no layer of the table
    assert count_multiply_adds(model) - bands == pytest.approx(1502e6 + (118 - 34) * 1e6, rel=0.005)
    assert measure(model, 224, 224).multiply_adds == count_multiply_adds(model)  # what is computed, bands and all


def test_torchvisions_net_is_as_published() -> None:
    """With 3×3 for 5×5 it is smaller than the paper's; the auxiliary classifiers nearly double it."""
    published = torchvision.models.GoogLeNet_Weights.IMAGENET1K_V1.meta
    model = on_meta("googlenet_bn", auxiliary_after=())
    assert count_parameters(model) == published["num_params"] == 6_624_904
    assert count_multiply_adds(model.eval()) / 1e9 == pytest.approx(published["_ops"], abs=1e-3)
    assert model.config.smallest_input == published["min_size"][0] == 15
    assert count_parameters(on_meta("googlenet_bn")) == 13_004_888


def test_22_layers_have_parameters() -> None:
    """Section 5: 22 on the way from pixels to logits, 27 with the poolings. A block is two deep and four wide."""

    def depth(module: nn.Module, kinds: Any) -> int:
        return sum(isinstance(part, kinds) for part in module.modules())

    model = on_meta("googlenet")
    base, weighted = model.base_model, nn.Conv2d | nn.Linear
    branches = [list(block.children()) for block in base.inception.values()]
    blocks = sum(max(depth(branch, weighted) for branch in block) for block in branches)
    layers = depth(base.stem, weighted) + depth(base.conv2, weighted) + blocks + depth(model.classifier, weighted)
    assert layers == 22
    assert layers + len(base.pools) + 1 == 27  # and the mean at the end
    assert {len(block) for block in branches} == {4}


def test_it_is_far_smaller_than_alexnet() -> None:
    """Section 1 says twelve times, of which eight layers and nine times are left when both are counted."""
    with torch.device("meta"):
        alexnet = torchvision.models.alexnet()
    assert count_parameters(alexnet) / count_parameters(on_meta("googlenet", auxiliary_after=())) > 8.5
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in alexnet.modules()) == 8


# --- The Inception block (section 4) ---------------------------------------------------------------------------------


def make_block(in_channels: int = 12, dilation: int = 1, **fields: Any) -> Inception:
    """A block of different widths, whose convolutions have biases."""
    block = Inception(CvGoogLeNetConfig(**fields), in_channels, Row("3a", 5, 6, 7, 3, 4, 2), dilation)
    return block.eval()


def test_four_branches_run_side_by_side_and_are_joined() -> None:
    block = make_block()
    x = torch.rand(2, 12, 9, 7)
    outputs = [branch(x) for branch in (block.branch1x1, block.branch3x3, block.branch5x5, block.branch_pool)]
    assert [output.shape[1] for output in outputs] == [5, 7, 4, 2]
    assert torch.equal(block(x), torch.cat(outputs, dim=1))
    assert block(x).shape == (2, 18, 9, 7)


def seen_by(branch: nn.Module) -> int:
    """Pixels a side that a value depends on. Which of them a maximum takes differs from picture to picture."""
    for parameter in branch.parameters():
        nn.init.uniform_(parameter, 0.1, 1.0)
    pixels = torch.rand(200, 12, 9, 9, requires_grad=True)
    (gradient,) = torch.autograd.grad(branch(pixels)[:, :, 4, 4].sum(), pixels)
    rows, columns = gradient.abs().sum((0, 1)).nonzero(as_tuple=True)
    assert rows.unique().tolist() == columns.unique().tolist()
    return len(rows.unique())


@pytest.mark.parametrize(("third", "fields"), [(5, [1, 3, 5, 3]), (3, [1, 3, 3, 3])], ids=["paper", "torchvision"])
def test_branches_see_different_sizes(third: int, fields: list[int]) -> None:
    block = make_block(third_kernel=third)
    branches = (block.branch1x1, block.branch3x3, block.branch5x5, block.branch_pool)
    assert [seen_by(branch) for branch in branches] == fields
    assert isinstance(block.branch_pool[0], nn.MaxPool2d)


def test_1x1_reduces_before_the_large_kernels_and_after_the_pooling() -> None:
    """Figure 2(b): fewer channels go into 3×3 and 5×5 than come; the pooling comes first, then its projection."""
    for block in on_meta("googlenet").base_model.inception.values():
        for branch, kernel in ((block.branch3x3, 3), (block.branch5x5, 5)):
            reduction, convolution = (part.conv for part in branch)
            assert (reduction.kernel_size, convolution.kernel_size) == ((1, 1), (kernel, kernel))
            assert reduction.out_channels == convolution.in_channels < reduction.in_channels
        pooling, projection = block.branch_pool
        assert (pooling.kernel_size, pooling.stride) == (3, 1)
        assert projection.conv.kernel_size == (1, 1)
        assert projection.conv.out_channels < projection.conv.in_channels


def test_every_convolution_ends_in_a_relu() -> None:
    """Section 4: the reductions are "dual-purpose", since they too have a nonlinearity. So has all the rest."""
    for name in ("googlenet", "googlenet_bn"):
        model = on_meta(name)
        units = [module for module in model.modules() if any(isinstance(c, nn.Conv2d) for c in module.children())]
        assert len(units) == 3 + 9 * 6 + 2
        assert all(isinstance(unit.act, nn.ReLU) for unit in units)
    block = make_block()
    reduction = block.branch3x3[0]
    x = torch.randn(1, 12, 5, 5)
    assert torch.equal(reduction(x), reduction.conv(x).relu())
    assert (reduction.conv(x) < 0).any()


def naive_weights(row: Row, in_channels: int) -> int:
    """Of figure 2(a): 1×1, 3×3 and 5×5 on all channels, and a pooling that hands on all of them."""
    return in_channels * (row.conv1 + 9 * row.conv3 + 25 * row.conv5)


def test_reductions_cut_the_parameters() -> None:
    """A quarter is left in all nine blocks, between 20 and 42 % in each, though the naive ones' inputs are no wider."""
    blocks = on_meta("googlenet").base_model.inception
    inputs = {name: block.branch1x1.conv.in_channels for name, block in blocks.items()}
    naive = {row.name: naive_weights(row, inputs[row.name]) for row in TABLE_1}
    reduced = {name: count_weights(block) for name, block in blocks.items()}
    assert all(0.19 < reduced[name] / naive[name] < 0.43 for name in naive)
    assert sum(reduced.values()) / sum(naive.values()) == pytest.approx(0.246, abs=0.001)


def test_without_projection_the_channels_would_pile_up() -> None:
    """Section 4: the pooling's output is as wide as its input, so outputs would grow "from stage to stage"."""
    channels = 192
    for row in TABLE_1:
        channels += row.conv1 + row.conv3 + row.conv5
    assert channels > 4 * TABLE_1[-1].out_channels


# --- Stacking (sections 1 and 3) -------------------------------------------------------------------------------------


def stack(depth: int, width: int) -> nn.Sequential:
    """3×3 convolutions one after another."""
    layers = [nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU()) for _ in range(depth)]
    return nn.Sequential(nn.Conv2d(3, width, 3, padding=1), *layers)


def test_cost_grows_with_depth_and_with_the_square_of_width() -> None:
    """Section 3: "any uniform increase in the number of their filters results in a quadratic increase"."""

    def cost(depth: int, width: int) -> int:
        return measure(stack(depth, width), 32, 32).multiply_adds - 27 * width * 32 * 32  # without the first

    assert cost(depth=8, width=32) == 2 * cost(depth=4, width=32)
    assert cost(depth=4, width=64) == 4 * cost(depth=4, width=32)


def share_that_arrives(model: nn.Module) -> float:
    """The norm of a random gradient at the first map, as a share of what it is at the last."""
    first, rest = model.double()[0], model.double()[1:]
    first_map = first(torch.randn(4, 3, 16, 16).double())
    last_map = rest(first_map)
    gradient = torch.randn_like(last_map)
    (arrived,) = torch.autograd.grad(last_map, first_map, gradient)
    return (arrived.norm() / gradient.norm()).item()


def test_stacking_makes_gradients_vanish_only_where_weights_start_too_small() -> None:
    """Values drawn from N(0, 0.01²), as was usual in 2014, against He et al. 2015 (arXiv:1502.01852)."""
    small, scaled = stack(20, 16), stack(20, 16)
    for old, new in zip(small.modules(), scaled.modules(), strict=True):
        if isinstance(old, nn.Conv2d) and isinstance(new, nn.Conv2d):
            nn.init.normal_(old.weight, std=0.01)
            nn.init.kaiming_normal_(new.weight)
            nn.init.zeros_(old.bias)
            nn.init.zeros_(new.bias)
    assert share_that_arrives(small) < 1e-15
    assert 0.1 < share_that_arrives(scaled) < 10


# --- Auxiliary classifiers (section 5) -------------------------------------------------------------------------------


def test_three_classifiers_of_which_two_are_auxiliary() -> None:
    """After 4a and 4d: 4×4 means of 512 and 528 channels, 1×1 to 128, 1024 units, dropout of 70 %, the same classes."""
    model = on_meta("googlenet")
    assert list(model.auxiliary) == ["4a", "4d"]
    inputs: list[tuple[int, ...]] = []
    for head in model.auxiliary.values():
        head.pool.register_forward_hook(lambda module, args, output: inputs.append(tuple(output.shape[1:])))
        assert (head.conv.conv.out_channels, head.conv.conv.kernel_size) == (128, (1, 1))
        assert (head.hidden.in_features, head.hidden.out_features) == (2048, 1024)
        assert (head.dropout.p, model.dropout.p) == (0.7, 0.4)
        assert head.classifier.out_features == 1000
    output = model.train()(torch.empty(2, 3, 224, 224, device="meta"))
    assert inputs == [(512, 4, 4), (528, 4, 4)]
    assert [logits.shape for logits in (output.logits, *output.aux_logits)] == [(2, 1000)] * 3


def test_auxiliary_losses_count_three_tenths_each() -> None:
    model = tiny(dropout=0.0, auxiliary_dropout=0.0).train()
    pixels, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 3, 1, 4])
    output = model(pixels, labels=labels)
    first, second = output.aux_logits
    expected = F.cross_entropy(output.logits, labels) + 0.3 * (
        F.cross_entropy(first, labels) + F.cross_entropy(second, labels)
    )
    torch.testing.assert_close(output.loss, expected)
    smoothed = tiny(dropout=0.0, auxiliary_dropout=0.0, label_smoothing=0.1, auxiliary_weight=0.5).train()
    output = smoothed(pixels, labels=labels)
    losses = [F.cross_entropy(x, labels, label_smoothing=0.1) for x in (output.logits, *output.aux_logits)]
    torch.testing.assert_close(output.loss, losses[0] + 0.5 * (losses[1] + losses[2]))


def test_in_evaluation_the_auxiliary_classifiers_cost_nothing() -> None:
    """Section 5: "at inference time, these auxiliary networks are discarded". The loss is the main one then."""
    model = on_meta("googlenet").eval()
    assert count_multiply_adds(model) == count_multiply_adds(on_meta("googlenet", auxiliary_after=()).eval())
    small = tiny().eval()
    for head in small.auxiliary.values():
        head.register_forward_hook(lambda *call: pytest.fail("an auxiliary classifier was asked"))
    labels = torch.tensor([1, 2])
    output = small(torch.randn(2, 3, 64, 64), labels=labels)
    assert output.aux_logits is None
    torch.testing.assert_close(output.loss, F.cross_entropy(output.logits, labels))


def test_a_file_with_auxiliary_classifiers_loads_without(tmp_path: Path) -> None:
    model = tiny().eval()
    model.save_pretrained(tmp_path)
    lean, info = type(model).from_pretrained(tmp_path, auxiliary_after=(), output_loading_info=True)
    assert not any(info.values()), info
    assert not lean.auxiliary
    pixels = torch.randn(2, 3, 64, 64)
    assert torch.equal(lean.eval()(pixels).logits, model(pixels).logits)
    assert lean.train()(pixels, labels=torch.tensor([0, 1])).aux_logits is None


def stem_gradient(model: Any) -> float:
    """The norm of the first convolution's gradient on a batch of noise."""
    torch.manual_seed(0)
    model.zero_grad()
    model.double().train()(torch.randn(8, 3, 64, 64).double(), labels=torch.arange(8) % 5).loss.backward()
    return model.base_model.stem.conv.weight.grad.norm().item()


def with_and_without(model: Any) -> tuple[float, float]:
    """The first convolution's gradient with the auxiliary losses and without, of the same weights."""
    together = stem_gradient(model)
    model.config.auxiliary_weight = 0.0
    return together, stem_gradient(model)


def test_auxiliary_losses_bring_gradients_to_the_first_layer() -> None:
    """The lower classifier sits nine convolutions up instead of 21: where weights start small, all of it is theirs."""
    model = tiny(dropout=0.0, auxiliary_dropout=0.0)
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
    together, alone = with_and_without(model)
    assert together > 1000 * alone > 0


@pytest.mark.parametrize("normalization", ["batch", "lrn"])
def test_gradients_do_not_need_them_where_weights_start_well_or_are_normalised(normalization: str) -> None:
    together, alone = with_and_without(tiny(dropout=0.0, auxiliary_dropout=0.0, normalization=normalization))
    assert 0.1 < alone / together < 10


def test_auxiliary_gradients_stop_at_their_block() -> None:
    """They reach all that lies below, and nothing above: 4b's is the upper one's alone, 4e has none."""
    model = tiny(dropout=0.0, auxiliary_dropout=0.0).train()
    first, second = model(torch.randn(2, 3, 64, 64)).aux_logits
    blocks = model.base_model.inception
    for logits, reached, not_reached in ((first, ("3a", "4a"), ("4b", "5b")), (second, ("3a", "4d"), ("4e", "5b"))):
        model.zero_grad()
        logits.sum().backward(retain_graph=True)
        assert all(blocks[name].branch1x1.conv.weight.grad.abs().sum() > 0 for name in reached)
        assert all(blocks[name].branch1x1.conv.weight.grad is None or not blocks[name].branch1x1.conv.weight.grad.any()
                   for name in not_reached)  # fmt: skip


# --- The net of 2014, and pictures of 64 pixels ----------------------------------------------------------------------


def test_the_papers_net_normalises_responses_in_the_stem_and_has_no_batch_norm() -> None:
    """Figure 3: local response normalisation after the first pooling and before the second."""
    model = tiny().eval()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert all(module.bias is not None for module in model.modules() if isinstance(module, nn.Conv2d))
    base, pixels = model.base_model, torch.randn(1, 3, 64, 64)
    seen: list[Tensor] = []
    for norm in (base.norm1, base.norm2):
        norm.register_forward_hook(lambda module, inputs, output: seen.extend((inputs[0], output)))
    maps = base.layer_maps(pixels)
    pooled, normalised, convolved, last = seen
    assert torch.equal(pooled, base.pools[0](maps["conv1"]))
    assert torch.equal(convolved, base.conv2(normalised))
    assert torch.equal(last, maps["conv2"])
    window = pooled[0, 2:7].square().sum(0)  # five channels around the fourth; Krizhevsky et al. 2012, section 3.3
    torch.testing.assert_close(normalised[0, 4], pooled[0, 4] / (1 + 1e-4 / 5 * window) ** 0.75)


def test_fresh_values_keep_their_scale_without_batch_norm() -> None:
    """Through all nine blocks, of the paper's widths."""
    torch.manual_seed(0)
    model = CvGoogLeNetModel(CvGoogLeNetConfig()).eval()
    with torch.no_grad():
        maps = model.layer_maps(torch.randn(1, 3, 64, 64))
    sizes = [value.square().mean().sqrt().item() for value in maps.values()]
    assert max(sizes) / min(sizes) < 10


def test_the_papers_net_traces_at_any_batch_and_size() -> None:
    model = tiny(transform_input=True).eval()
    with torch.no_grad():
        traced = torch.jit.trace(Logits(model), torch.randn(2, 3, 64, 96), strict=False)
        for shape in ((1, 3, 97, 65), (3, 3, 33, 70)):
            pixels = torch.randn(shape)
            torch.testing.assert_close(traced(pixels)["logits"], model(pixels).logits)


def test_small_pictures_keep_16_positions_by_config_alone() -> None:
    """64 pixels end in 4×4 as 224 end in 7×7, and the auxiliary classifiers have 8×8 to look at."""
    model = on_meta("googlenet_64px", num_labels=10).train()
    output = model(torch.empty(2, 3, 64, 64, device="meta"), output_hidden_states=True)
    assert [m.shape[2] for m in output.hidden_states] == [64, 32, 16, 8, 4]
    assert [logits.shape for logits in output.aux_logits] == [(2, 10)] * 2
    assert model.config.smallest_input == 16


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn", "googlenet_64px"])
def test_the_smallest_input_is_the_smallest(name: str) -> None:
    """One pixel is left of it; of one less the last pooling would have nothing to take."""
    with torch.device("meta"):
        model = CvGoogLeNetModel(CvGoogLeNetConfig.variant(name)).eval()
    smallest = model.config.smallest_input
    last = list(model.layer_maps(torch.empty(1, 3, smallest, smallest, device="meta")).values())[-1]
    assert last.shape[2:] == (1, 1)
    if name != "googlenet_bn":  # whose last pooling leaves a pixel of a pixel
        with pytest.raises(RuntimeError, match="too small"):
            model.layer_maps(torch.empty(1, 3, smallest - 1, smallest - 1, device="meta"))


# --- Pooling and dilation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_a_pooling_without_its_stride_has_the_same_windows(kernel: int, dilation: int) -> None:
    x = torch.rand(2, 3, 12, 16)
    halved, kept = Sampling(2, 2, 1, 1), Sampling(2, 1, dilation, 2 * dilation)
    strided = MaxPool(kernel, halved, last_reaches_out=True)(x[:, :, ::dilation, ::dilation])
    dense = MaxPool(kernel, kept, last_reaches_out=True)(x)
    assert dense.shape == x.shape
    assert torch.equal(dense[:, :, :: 2 * dilation, :: 2 * dilation], strided)


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn"])
def test_dilation_computes_the_same_at_more_pixels(name: str, output_stride: int) -> None:
    rows = [(row.name, 8, 8, 8, 4, 4, 4) for row in TABLE_1]
    fields: dict[str, Any] = dict(rows=rows, stem_channels=(8, 8, 16))
    plain = CvGoogLeNetModel(CvGoogLeNetConfig.variant(name, **fields)).eval()
    dilated = CvGoogLeNetModel(CvGoogLeNetConfig.variant(name, **fields, output_stride=output_stride)).eval()
    dilated.load_state_dict(plain.state_dict())
    pixels = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        maps, dilated_maps = (model(pixels, output_hidden_states=True).hidden_states for model in (plain, dilated))
    for stride, ours, expected in zip((2, 4, 8, 16, 32), dilated_maps, maps, strict=True):
        rate = max(stride // output_stride, 1)
        torch.testing.assert_close(ours[:, :, ::rate, ::rate], expected, rtol=1e-4, atol=1e-4)


# --- torchvision -----------------------------------------------------------------------------------------------------


def torchvision_pair(**fields: Any) -> tuple[Any, Any]:
    """torchvision's net and ours with the same random weights, in float64 and training, without dropout."""
    reference = randomise(torchvisions(num_classes=5, dropout=0.0, dropout_aux=0.0)()).double().train()
    config = CvGoogLeNetConfig.variant(
        "googlenet_bn", num_labels=5, **(dict(dropout=0.0, auxiliary_dropout=0.0) | fields)
    )
    (layout,) = FAMILY.layouts
    tensors, unknown = rename(reference.state_dict(), ((theirs, ours) for ours, theirs in layout.names(config)))
    assert not unknown
    ours = CvGoogLeNetForImageClassification(config).double().train()
    ours.load_state_dict(tensors)
    return reference, ours


def test_training_is_torchvisions_with_its_three_outputs_combined() -> None:
    """Logits of all three, loss and gradients from the first layer to the last."""
    reference, ours = torchvision_pair()
    pixels, labels = torch.randn(3, 3, 65, 80).double(), torch.tensor([4, 0, 2])
    theirs, output = reference(pixels), ours(pixels, labels=labels)
    for mine, other in zip(
        (output.logits, *output.aux_logits), (theirs.logits, theirs.aux_logits1, theirs.aux_logits2), strict=True
    ):
        torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)
    main, first, second = (F.cross_entropy(x, labels) for x in (theirs.logits, theirs.aux_logits1, theirs.aux_logits2))
    expected = main + 0.3 * (first + second)
    torch.testing.assert_close(output.loss.double(), expected, rtol=1e-6, atol=0)  # a loss is float32
    expected.backward()
    output.loss.backward()
    base = ours.googlenet
    for mine, other in (
        (base.stem.conv, reference.conv1.conv),
        (base.inception["4a"].branch5x5[1].conv, reference.inception4a.branch3[1].conv),
        (ours.auxiliary["4d"].hidden, reference.aux2.fc1),
        (ours.classifier, reference.fc),
    ):
        torch.testing.assert_close(mine.weight.grad, other.weight.grad, rtol=1e-5, atol=1e-7)


def test_the_papers_5x5_is_torchvisions_block_with_the_kernel_it_meant() -> None:
    """The rest of the block is alike."""
    reference = TorchvisionInception(12, 5, 6, 7, 3, 4, 2)
    reference.branch3[1].conv = nn.Conv2d(3, 4, 5, padding=2, bias=False)
    block = make_block(normalization="batch")
    randomise(reference)
    block.load_state_dict(dict(zip(block.state_dict(), reference.state_dict().values(), strict=True)))
    x = torch.randn(2, 12, 9, 8)
    torch.testing.assert_close(block(x), reference(x))


def test_conversion_takes_the_official_weights_setting_and_yields(tmp_path: Path) -> None:
    """A file can't tell how its pixels are meant; whether it has auxiliary classifiers it can."""
    file = tmp_path / "googlenet.safetensors"
    for auxiliary, overrides, transforms in (((), {}, True), (("4a", "4d"), {"transform_input": False}, False)):
        save_file(torchvisions(num_classes=4, aux_logits=bool(auxiliary))().state_dict(), file)
        convert_checkpoint(file, tmp_path / str(transforms), "googlenet", overrides)
        config = AutoConfig.from_pretrained(tmp_path / str(transforms))
        assert (config.transform_input, tuple(config.auxiliary_after)) == (transforms, auxiliary)
        assert (config.third_kernel, config.normalization, config.batch_norm_eps) == (3, "batch", 1e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("third_kernel", 5),
        ("normalization", "lrn"),
        ("pools", ((3, 2),) * 4),
        ("batch_norm_eps", 1e-5),
        ("stem_stride", 1),
        ("num_channels", 1),
        ("output_stride", 8),
        ("auxiliary_after", ("4b",)),
    ],
)
def test_a_config_without_foreign_form_is_refused_by_its_field(field: str, value: Any) -> None:
    (layout,) = FAMILY.layouts
    with pytest.raises(NoForeignForm, match=f"torchvision has no form for {field}="):
        layout.write(CvGoogLeNetConfig.variant("googlenet_bn", **{field: value}))


def test_what_the_exported_file_cannot_say_stands_beside_it(tmp_path: Path) -> None:
    model = CvGoogLeNetForImageClassification(
        CvGoogLeNetConfig.variant("googlenet_bn", transform_input=True, auxiliary_after=())
    )
    model.save_pretrained(tmp_path / "ours")
    CvImageProcessor().save_pretrained(tmp_path / "ours")
    export_checkpoint(tmp_path / "ours", tmp_path / "theirs", "torchvision")
    described = (tmp_path / "theirs" / "torchvision.json").read_text(encoding="utf-8")
    assert '"transform_input": true' in described
    assert '"aux_logits": false' in described


# --- Configs that can't be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"normalization": "group"}, "normalization is 'group'.*'lrn' or 'batch'"),
        ({"rows": [("3a", 8, 8)]}, r"rows are \[\('3a', 8, 8\)\].*six widths"),
        ({"stem_channels": (64, 192)}, r"stem_channels are \(64, 192\), expected three"),
        ({"third_kernel": 4}, "third_kernel is 4, expected an odd"),
        ({"pools": ((3, 2),)}, r"pools are \(\(3, 2\),\), expected 4 pairs"),
        ({"pools": ((3, 2), (3, 2), (3, 2), (1, 2))}, "a stride no larger"),
        ({"transform_input": True, "num_channels": 4}, "num_channels is 4, expected 3 with transform_input"),
        ({"auxiliary_after": ("4a", "4f")}, r"auxiliary_after is \('4a', '4f'\), expected some of \['3a'"),
        ({"auxiliary_after": ("4d", "4a")}, "in their order"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CvGoogLeNetConfig(**fields)
