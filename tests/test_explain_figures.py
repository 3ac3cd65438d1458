"""The figures of the Explore tab on convolutional nets: computed from real modules, equal to what the papers say."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from cvhub.explain.figures import (
    auxiliary,
    bottleneck,
    depthwise,
    gradient,
    identity,
    quantisation,
    reduction,
    resnets,
    stacked,
    surface,
)
from cvhub.explain.latency import milliseconds, timed_net
from cvhub.models.inception import TABLE_1
from cvhub.models.mobilenet_v1 import MOBILENET_V1_ROWS

SAMPLES = Path(__file__).parents[1] / "cvhub" / "ui" / "samples"


@pytest.mark.parametrize(
    ("kernel", "in_channels", "out_channels", "side"), [(3, 512, 512, 14), (5, 32, 7, 9), (1, 8, 16, 4), (9, 3, 64, 30)]
)
def test_a_separable_convolution_costs_what_equation_5_says(kernel, in_channels, out_channels, side):
    found = depthwise.compare(kernel, in_channels, out_channels, side)
    assert found.full.parameters == kernel**2 * in_channels * out_channels
    assert found.full.multiply_adds == found.full.parameters * side**2
    assert found.separable.parameters == kernel**2 * in_channels + in_channels * out_channels
    assert found.ratio == pytest.approx(depthwise.promised(kernel, out_channels), rel=1e-12)


def test_stacked_3x3_see_as_far_as_one_larger_and_weigh_less():
    channels, side = 24, 10
    found = stacked.compare(channels, side)
    assert {name: net.field for name, net in found.items()} == {
        "3×3": 3,
        "2 × 3×3": 5,
        "5×5": 5,
        "3 × 3×3": 7,
        "7×7": 7,
    }
    weights = {name: net.cost.parameters / channels**2 for name, net in found.items()}
    assert weights == {"3×3": 9, "2 × 3×3": 18, "5×5": 25, "3 × 3×3": 27, "7×7": 49}  # section 2.3: 27C² and 49C²
    for net in found.values():
        assert net.cost.receptive_field == net.field  # arithmetic and gradient agree
        assert net.cost.multiply_adds == net.cost.parameters * side**2


def test_a_stack_sees_its_middle_best_and_one_convolution_sees_evenly():
    middle = stacked.SIDE // 2
    reach = stacked.gradient_reach((3, 3, 3))
    assert reach[middle, middle] > 5 * reach[middle - 3, middle - 3] > 0
    assert stacked.gradient_reach((7,))[middle - 3 : middle + 4, middle - 3 : middle + 4].min() > 0.5


@pytest.mark.parametrize(
    ("name", "layers", "block", "depths", "last", "giga"),
    [
        ("resnet18", 18, "basic", (2, 2, 2, 2), 512, 1.8),
        ("resnet34", 34, "basic", (3, 4, 6, 3), 512, 3.6),
        ("resnet50", 50, "bottleneck", (3, 4, 6, 3), 2048, 3.8),
        ("resnet101", 101, "bottleneck", (3, 4, 23, 3), 2048, 7.6),
        ("resnet152", 152, "bottleneck", (3, 8, 36, 3), 2048, 11.3),
    ],
)
def test_the_resnets_are_the_papers_table_1(name, layers, block, depths, last, giga):
    row = resnets.row(name)
    assert (row.layers, row.block, row.depths, row.widths[-1]) == (layers, block, depths, last)
    assert row.multiply_adds / 1e9 == pytest.approx(giga, rel=0.02)


def test_every_net_has_a_gradient_in_each_layer_and_without_shortcuts_it_drifts_most():
    found = gradient.by_layer(20, normalised=True)
    assert set(found) == {"A", "B", "C", "none"}
    assert {len(norms) for norms in found.values()} == {19}  # 6n + 1 convolutions
    assert min(min(norms) for norms in found.values()) > 0
    drift = {shortcut: norms[0] / norms[-1] for shortcut, norms in found.items()}
    assert drift["none"] == max(drift.values()) > 2 * drift["A"]


def test_at_56_layers_a_plain_nets_gradient_drifts_with_batch_norm_and_vanishes_without():
    """Section 4.1: BatchNorm keeps a plain net's signals from vanishing. Without it only shortcuts do."""
    normalised, bare = (
        {shortcut: gradient.norms(56, shortcut, normed) for shortcut in ("A", "none")} for normed in (True, False)
    )
    assert {len(norms) for found in (normalised, bare) for norms in found.values()} == {55}
    drift = {shortcut: norms[0] / norms[-1] for shortcut, norms in normalised.items()}
    assert drift["none"] > 100 * drift["A"] > 100
    assert 0 < 1000 * bare["none"][0] < bare["A"][0]


def test_how_much_of_the_spiral_a_relu_loses():
    for dimensions in (2, 3, 5, 10):
        expected = bottleneck.expected_share(dimensions)
        assert bottleneck.share_lost(dimensions) == pytest.approx(expected, abs=0.06)
    assert bottleneck.expected_share(2) == 0.75
    passage = bottleneck.passage(30)
    assert not passage.lost.any()


def test_what_is_active_in_every_dimension_comes_back_as_it_was():
    passage = bottleneck.passage(2)
    # With two dimensions a point is told by both or lost.
    np.testing.assert_allclose(passage.returned[~passage.lost], passage.spiral[~passage.lost], atol=1e-5)


# --- Inception's reductions ------------------------------------------------------------------------------------------


def test_reductions_and_naive_blocks_cost_what_their_widths_say():
    """Figures 2(a) and 2(b), biases among the parameters. (tests/test_googlenet.py has the numbers of table 1.)"""
    found = reduction.compare()
    assert [block.name for block in found] == [row.name for row in TABLE_1]
    assert [block.side for block in found] == [28] * 2 + [14] * 5 + [7] * 2
    for block, row in zip(found, TABLE_1, strict=True):
        c = block.in_channels
        reduced = c * (row.conv1 + row.reduce3 + row.reduce5 + row.project)
        reduced += 9 * row.reduce3 * row.conv3 + 25 * row.reduce5 * row.conv5
        assert block.reduced.multiply_adds == reduced * block.side**2
        assert block.reduced.parameters == reduced + row.out_channels + row.reduce3 + row.reduce5
        naive = row.conv1 + 9 * row.conv3 + 25 * row.conv5
        biases = row.conv1 + row.conv3 + row.conv5
        for cost, channels in ((block.naive, c), (block.piled, block.piled_channels)):
            assert cost.multiply_adds == naive * channels * block.side**2
            assert cost.parameters == naive * channels + biases


def test_naive_blocks_pile_channels_up_and_reductions_do_not():
    """Section 4: the pooling's output is as wide as its input, so each block would give more than it got."""
    found = reduction.compare()
    for block, row, following in zip(found, TABLE_1, found[1:], strict=False):
        assert following.in_channels == row.out_channels
        assert following.piled_channels == block.piled_channels + row.conv1 + row.conv3 + row.conv5
    x = torch.zeros(1, 16, 5, 5)
    block = reduction.NaiveInception(reduction.CvGoogLeNetConfig(), 16, TABLE_1[0])
    assert block(x).shape == (1, 16 + 64 + 128 + 32, 5, 5)


# --- A branch of zero ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 5])
def test_blocks_whose_branch_is_zero_hand_a_picture_on_and_plain_ones_lose_it(depth):
    picture = np.asarray(Image.open(SAMPLES / "coffee.jpg").resize((40, 30))) / 255
    passage = identity.passage(picture, gamma=0, depth=depth)
    np.testing.assert_array_equal(passage.residual, passage.entered)
    np.testing.assert_array_equal(passage.entered, picture.astype(np.float32))
    assert passage.residual_change == 0
    assert not passage.plain.any()
    assert passage.plain_change == passage.entered.max() > 0.9


def test_the_relu_after_the_sum_takes_what_is_negative():
    values = np.random.default_rng(0).normal(size=(9, 8, 3))
    passage = identity.passage(values, gamma=0, depth=3)
    np.testing.assert_array_equal(passage.residual, np.maximum(passage.entered, 0))
    assert passage.residual_change == pytest.approx(-values.min())


def test_the_further_gamma_is_from_zero_the_further_blocks_are_from_the_identity():
    picture = np.random.default_rng(0).random((12, 12, 3))
    changes = [identity.passage(picture, gamma, depth=2).residual_change for gamma in (0, 0.1, 0.5, 1)]
    assert changes == sorted(changes)
    assert changes[1] > 0


# --- Auxiliary classifiers -------------------------------------------------------------------------------------------


def test_auxiliary_gradients_are_torchs_own_of_the_whole_loss():
    """And are added up to the row that an auxiliary classifier hangs on, not above."""
    found = auxiliary.gradients("0.05")
    assert found.names == ("conv1", "conv2", *(row.name for row in TABLE_1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = auxiliary.narrow("lrn")
        auxiliary.begin_small(model, 0.05)
        side = auxiliary.SIDE
        pixels, labels = torch.randn(4, 3, side, side), torch.randint(10, (4,))
        model.train()(pixels, labels=labels).loss.backward()
    assert found.together[0] == pytest.approx(model.base_model.stem.conv.weight.grad.norm().item(), rel=1e-4)
    above = found.names.index("4e")
    assert found.together[above:] == pytest.approx(found.without[above:], rel=1e-5)
    assert found.together[above - 1] > 1.5 * found.without[above - 1]


def test_auxiliary_classifiers_matter_where_weights_start_too_small_and_hardly_elsewhere():
    small = auxiliary.gradients("0.05")
    assert small.together[0] > 100 * small.without[0] > 0
    for start, normalization in (("fan_in", "lrn"), ("fan_in", "batch"), ("0.01", "batch")):
        found = auxiliary.gradients(start, normalization)
        assert found.together == pytest.approx(found.without, rel=0.1)
        assert min(found.without) > 0.01


# --- α and ρ ---------------------------------------------------------------------------------------------------------


def test_the_cost_surface_is_the_papers_tables_6_and_7():
    millions = {(cell.alpha, cell.size): cell.cost.multiply_adds / 1e6 for cell in surface.surface()}
    weights = {cell.alpha: cell.cost.parameters / 1e6 for cell in surface.surface()}
    assert len(millions) == 16
    for alpha, cost, parameters in ((1.0, 569, 4.2), (0.75, 325, 2.6), (0.5, 149, 1.3), (0.25, 41, 0.5)):
        assert millions[alpha, 224] == pytest.approx(cost, abs=0.6)
        assert weights[alpha] == pytest.approx(parameters, abs=0.06)
    for size, cost in ((192, 418), (160, 290), (128, 186)):
        assert millions[1.0, size] == pytest.approx(cost, abs=0.7)


def equation_7(alpha: float, size: int) -> float:
    """Σ K²·αM·(ρF)² + αM·αN·(ρF)² over the depthwise separable convolutions, K = 3; F of the output's map."""
    channels, side, total = 32, size // 2, 0.0
    for c, n, s in MOBILENET_V1_ROWS:
        for i in range(n):
            side //= s if i == 0 else 1
            total += (9 + alpha * c) * alpha * channels * side**2
            channels = c
    return total


def test_the_surface_is_equation_7_and_nearly_alpha_squared_times_rho_squared():
    for cell in surface.surface():
        blocks = sum(layer.multiply_adds for layer in cell.cost.layers if ".stages." in layer.name)
        assert blocks == equation_7(cell.alpha, cell.size)
        # The stem, the depthwise convolutions and the classifier have α once: more than the square promises.
        assert 1 <= cell.cost.multiply_adds / cell.promised < 1.17
        assert cell.promised == pytest.approx(568_740_352 * cell.alpha**2 * cell.rho**2)


def test_a_latency_is_the_least_of_some_passes():
    passes = []

    class Slow(nn.Module):
        def forward(self, x):
            passes.append(x)
            return x

    assert 0 < milliseconds(Slow(), torch.zeros(1), repetitions=4) < 100
    assert len(passes) == 5
    net = timed_net(surface.config(0.25))
    assert torch.isfinite(net(torch.zeros(1, 3, 64, 64)).logits).all()


# --- ReLU6 in 8 bits -------------------------------------------------------------------------------------------------


def test_rounding_to_8_bits_is_uniform_and_its_noise_a_twelfth_of_the_squared_step():
    x = torch.rand(100_000) * 6
    x[0] = 6
    rounded = quantisation.quantise(x)
    assert len(rounded.unique()) == 256
    assert (rounded - x).abs().max() <= 6 / 255 / 2 + 1e-6
    # Of uniform values up to R: power R²/3, noise (R/255)²/12.
    assert quantisation.decibels(x, rounded - x) == pytest.approx(10 * math.log10(4 * 255**2), abs=0.1)
    assert quantisation.decibels(x, torch.zeros(1)) == math.inf


def test_relu6_keeps_the_range_and_so_the_precision_of_every_layer():
    pictures = [Image.open(SAMPLES / f"{name}.jpg") for name in ("chelsea", "coffee")]
    found = quantisation.compare(pictures)
    assert len(found.clipped) == len(found.unclipped) == len(found.without) == 33
    for clipped, unclipped in zip(found.clipped, found.unclipped, strict=True):
        assert clipped.name == unclipped.name
        assert clipped.greatest == 6 < unclipped.greatest
        assert clipped.decibels > unclipped.decibels + 2
    assert found.clipped_answers.decibels > found.without_answers.decibels + 10
    assert found.clipped_answers.as_trained == found.pictures == 2


def test_looking_at_activations_leaves_the_net_as_it_was():
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU6(inplace=True), nn.ReLU(inplace=True))
    x = torch.randn(3, 4) * 9
    seen = {}
    with quantisation.each_activation(net, lambda name, activation, x: seen.setdefault(name, activation(x)) * 0):
        assert not net(x).any()
    assert list(seen) == ["1", "2"]
    assert net(x).max() <= 6
    assert quantisation.without_clip(net)(x).max() > 6
