"""The figures of the Explore tab on nets that attend: from the models' own code, equal to what the papers say."""

from typing import Any

import numpy as np
import pytest
import torch

from cvhub.errors import CvhubError
from cvhub.explain.attention import attention
from cvhub.explain.figures import growth, positions, windows
from cvhub.models.swin import CvSwinConfig, CvSwinModel
from tests.tiny import TinyFamily

# --- ViT's patches and positions -------------------------------------------------------------------------------------


@pytest.fixture(params=["vit", "deit"])
def model(request: pytest.FixtureRequest) -> Any:
    return TinyFamily(request.param).model()


def test_patches_are_what_the_net_projects(model: Any) -> None:
    """Equation 1: each patch flattened, times E."""
    size = model.config.patch_size
    picture = np.random.default_rng(0).normal(size=(2 * size, 3 * size - 1, 3)).astype(np.float32)
    cut = positions.patches(picture, size)
    assert cut.shape == (2, 3, size, size, 3)
    embedding = model.base_model.embeddings.patches
    flat = torch.from_numpy(cut).permute(0, 1, 4, 2, 3).flatten(2)  # (h, w, C·P·P)
    kernel, bias = embedding.projection.weight.flatten(1), embedding.projection.bias
    expected = embedding(torch.from_numpy(picture).permute(2, 0, 1)[None])[0]
    torch.testing.assert_close((flat @ kernel.T + bias).permute(2, 0, 1), expected, rtol=1e-4, atol=1e-5)


def test_similarity_is_the_cosine_of_two_position_embeddings(model: Any) -> None:
    rows, columns = model.config.grid
    found = positions.similarity(model)
    assert found.shape == (rows, columns, rows, columns)
    learned = model.base_model.embeddings.positions[0, model.config.num_prefix_tokens :].detach().double()
    expected = torch.nn.functional.cosine_similarity(learned[0], learned[columns + 1], dim=0)
    assert found[0, 0, 1, 1] == pytest.approx(float(expected))
    np.testing.assert_allclose(np.einsum("ijij->ij", found), 1)
    assert np.abs(found).max() <= 1 + 1e-9


def test_similarity_of_another_grid_is_of_interpolated_positions(model: Any) -> None:
    rows, columns = model.config.grid
    assert positions.similarity(model, (rows + 1, columns + 2)).shape == (rows + 1, columns + 2) * 2


def test_attention_between_two_patches_is_the_models(model: Any) -> None:
    pixels = torch.randn(1, 3, 64, 96)
    seen = attention(model, pixels)
    weights = torch.stack(model(pixels, output_attentions=True).attentions)[:, 0].detach()
    first, columns = model.config.num_prefix_tokens, seen.grid[1]
    expected = weights[:, :, first + columns + 2, first + 3]
    np.testing.assert_allclose(positions.between(seen, (1, 2), (0, 3)), expected, rtol=1e-5)
    with pytest.raises(CvhubError, match=r"\(4, 0\) is not on the grid of 4 × 6"):
        positions.between(seen, (4, 0), (0, 0))


def test_attention_distance_by_hand(model: Any) -> None:
    """Two patches side by side, 16 pixels apart: a fair look costs 8 pixels, one at the other 16, at itself 0."""
    seen = attention(model, torch.randn(1, 3, 64, 96))
    tokens = seen.weights.shape[-1] - 24
    for weights, pixels in ((np.full((2, 2), 0.5), 8), (np.eye(2)[::-1], 16), (np.eye(2), 0)):
        padded = np.pad(weights, ((tokens, 0), (tokens, 0)), constant_values=0.7)  # other tokens don't count
        by_hand = type(seen)(padded[None, None], (1, 2))
        np.testing.assert_allclose(positions.distances(by_hand, 16), [[pixels]])
    assert positions.distances(seen, 16).shape == seen.weights.shape[:2]


def test_a_net_without_positions_is_told_so() -> None:
    with pytest.raises(CvhubError, match="CvResNetForImageClassification learns no position"):
        positions.similarity(TinyFamily("resnet").model())


# --- Swin's windows --------------------------------------------------------------------------------------------------


def test_windows_are_squares_of_m_patches() -> None:
    found = windows.partition(CvSwinConfig(), 224, 224, stage=3, shifted=False)  # 14 × 14 patches of 16 pixels
    expected = np.kron([[0, 1], [2, 3]], np.ones((7, 7), dtype=int))
    np.testing.assert_array_equal(found.groups, expected)
    np.testing.assert_array_equal(found.windows, expected)
    assert (found.shift, found.patch) == ((0, 0), 16)
    assert not found.masks.any()


def test_shifted_windows_are_figure_2_and_their_mask_figure_4() -> None:
    """Nine parts of four windows: one whole, two of two parts, one of four."""
    found = windows.partition(CvSwinConfig(), 224, 224, stage=3, shifted=True)
    bands = np.repeat([0, 1, 2], [3, 7, 4])  # shifted by ⌊7/2⌋
    np.testing.assert_array_equal(found.groups, 3 * bands[:, None] + bands)
    rolled = np.repeat([0, 1], [7, 7])
    expected = np.roll(2 * rolled[:, None] + rolled, found.shift, (0, 1))
    for window in range(4):
        assert len(np.unique(found.windows[expected == window])) == 1
    assert len(np.unique(found.windows)) == 4
    assert found.shift == (3, 3)
    parts = [len(np.unique(mask, axis=0)) for mask in found.masks]
    assert parts == [1, 2, 2, 4]


def test_groups_are_what_a_block_of_the_net_lets_meet() -> None:
    """By the gradient through attention with weights of chance, at a size that windows don't divide."""
    config = CvSwinConfig(embed_dim=8, num_heads=(2,), depths=(2,), window_size=4, attn_implementation="eager")
    found = windows.partition(config, 4 * 9, 4 * 14, stage=1, shifted=True)
    attend = CvSwinModel(config).eval().stages[0].blocks[1].attention
    for row, column in ((0, 0), (5, 7), (8, 13)):
        x = torch.randn(1, 9, 14, 8, requires_grad=True)
        (gradient,) = torch.autograd.grad(attend(x)[0][0, row, column].sum(), x)
        met = gradient[0].abs().sum(-1).numpy() > 1e-20
        np.testing.assert_array_equal(met, found.groups == found.groups[row, column])


def test_one_window_over_the_whole_map_is_not_shifted() -> None:
    found = windows.partition(CvSwinConfig(), 224, 224, stage=4, shifted=True)
    assert found.shift == (0, 0)
    assert not found.groups.any()
    assert not found.masks.any()


# --- Growing pictures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pair", "side"), [("published", 224), ("published", 448), ("twins", 56), ("twins", 168)])
def test_attention_costs_what_equations_1_and_2_say(pair: str, side: int) -> None:
    vit, swin = growth.points(pair, side)
    assert vit.attention == vit.promised
    assert swin.attention == swin.promised
    config = growth.configs(pair, side)[1]
    patches = [side // (config.patch_size * 2**stage) for stage in range(len(config.depths))]
    equation_2 = [
        depth * (4 * n**2 * c**2 + 2 * config.window_size**2 * n**2 * c)
        for depth, n, c in zip(config.depths, patches, config.stage_channels, strict=True)
    ]
    assert swin.promised == sum(equation_2)


def test_filled_windows_cost_more_than_the_map_they_cover() -> None:
    vit, swin = growth.points("twins", 60)  # 15 patches a side, filled up to 21
    assert swin.attention == swin.promised > 2 * (4 * 15**2 * 96**2 + 2 * 49 * 15**2 * 96)
    assert vit.attention == vit.promised


def test_vit_grows_with_the_square_of_the_area_and_swin_with_the_area() -> None:
    (vit, swin), (larger_vit, larger_swin) = (growth.points("twins", side) for side in (112, 224))
    assert larger_swin.attention == 4 * swin.attention
    assert larger_vit.attention > 13 * vit.attention


def test_published_nets_are_of_equal_cost_at_224_pixels() -> None:
    """Swin-T is 4.5 billion multiply-adds (table 1(a)), ViT-S/16, which is DeiT-S there, 4.6."""
    vit, swin = growth.points("published", 224)
    assert (vit.multiply_adds / 1e9, swin.multiply_adds / 1e9) == pytest.approx((4.6, 4.5), abs=0.05)


def test_latencies_are_measured() -> None:
    assert min(growth.latencies(56)) > 0
