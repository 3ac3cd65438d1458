"""What a net attended to: attention maps by their definition, and rollout by its paper's equations."""

from typing import Any

import numpy as np
import pytest
import torch

from cvhub.errors import CvhubError
from cvhub.explain.attention import Attention, attention
from tests.tiny import TinyFamily


@pytest.fixture(params=["vit", "deit"])
def model(request: pytest.FixtureRequest) -> Any:
    return TinyFamily(request.param).model()


def random_attention(layers: int = 3, heads: int = 2, grid: tuple[int, int] = (2, 3), tokens: int = 1) -> Attention:
    length = tokens + grid[0] * grid[1]
    weights = np.random.default_rng(0).random((layers, heads, length, length))
    return Attention(weights / weights.sum(-1, keepdims=True), grid)


def test_the_weights_are_the_models_and_the_grid_the_pictures(model: Any) -> None:
    pixels = torch.randn(1, 3, 50, 90)
    seen = attention(model, pixels)
    expected = model(pixels, output_attentions=True).attentions
    assert seen.grid == (4, 6)  # the last row and column of patches are filled up
    for layer, weights in zip(seen.weights, expected, strict=True):
        np.testing.assert_allclose(layer, weights[0].detach(), rtol=1e-6)
    np.testing.assert_allclose(seen.weights.sum(-1), 1, rtol=1e-5)


def test_a_map_is_a_tokens_row_of_weights(model: Any) -> None:
    """Of each head, patches only; the distillation token has maps of its own."""
    seen = attention(model, torch.randn(1, 3, 64, 96))
    first = model.config.num_prefix_tokens
    assert seen.maps().shape == (3, 4, 6)
    for token in range(first):
        expected = seen.weights[0, :, token, first:].reshape(3, 4, 6)
        np.testing.assert_array_equal(seen.maps(layer=0, token=token), expected)
    assert seen.maps()[1, 2, 5] == seen.weights[-1, 1, 0, first + 2 * 6 + 5]


def test_rollout_is_the_recursion_of_its_paper() -> None:
    """Abnar & Zuidema 2020, eq. 1: A~(l) = A(l) A~(l - 1), and A = 0.5 W + 0.5 I with the heads of W averaged."""
    seen = random_attention()

    def rolled(layer: int) -> np.ndarray:
        mixed = 0.5 * seen.weights[layer].mean(0) + 0.5 * np.eye(7)
        return mixed if layer == 0 else mixed @ rolled(layer - 1)

    np.testing.assert_allclose(seen.rollout(), rolled(2)[0, 1:].reshape(2, 3))
    np.testing.assert_allclose(seen.rollout(token=4), rolled(2)[4, 1:].reshape(2, 3))
    assert rolled(2).sum(1) == pytest.approx(1)  # a share of each token, and all of them together


def test_rollout_by_hand() -> None:
    """One layer: half of the class token's weights. Where it attends to itself alone, nothing comes from a patch."""
    weights = np.full((1, 1, 3, 3), 1 / 3)
    np.testing.assert_allclose(Attention(weights, (1, 2)).rollout(), [[1 / 6, 1 / 6]])
    weights[0, 0, 0] = [1, 0, 0]
    assert not Attention(weights, (1, 2)).rollout().any()


def test_rollout_finds_the_patch_that_all_layers_read() -> None:
    seen = random_attention(grid=(4, 4))
    seen.weights[:, :, :, 1 + 6] += 3
    sharpened = Attention(seen.weights / seen.weights.sum(-1, keepdims=True), seen.grid)
    assert sharpened.rollout().argmax() == 6


@pytest.mark.parametrize("family", ["resnet", "mobilenet_v2"])
def test_a_net_without_attention_is_told_so(family: str) -> None:
    with pytest.raises(CvhubError, match=r"ForImageClassification has no attention between all patches"):
        attention(TinyFamily(family).model(), torch.randn(1, 3, 64, 64))


def test_a_net_without_class_token_is_told_so_and_parts_of_patches_that_are_left_out_are_in_no_map() -> None:
    with pytest.raises(CvhubError, match=r"ForImageClassification has no class token"):
        attention(TinyFamily("vit").model(pooling="mean", class_token=False), torch.randn(1, 3, 64, 64))
    pixels = torch.randn(1, 3, 70, 47)
    grids = [attention(TinyFamily("vit").model(fill_patches=fill), pixels).grid for fill in (True, False)]
    assert grids == [(5, 3), (4, 2)]
