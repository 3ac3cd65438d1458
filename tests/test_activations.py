"""Activation maps: what a module's output is as a map over the picture, and that the maps are the module's."""

import numpy as np
import pytest
import torch

from cvhub.convert.named import net_without_weights, read_config
from cvhub.errors import CvhubError
from cvhub.explain.activations import Layout, activation_maps, find_layout, places, way
from tests.tiny import CLASSIFIER, TinyFamily, families_with


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((64, 112, 112), Layout(112, 112, 64, channels_last=False)),
        ((64, 55, 55), Layout(55, 55, 64, channels_last=False)),  # AlexNet's, without the border
        ((56, 56, 96), Layout(56, 56, 96, channels_last=True)),
        ((197, 192), Layout(14, 14, 192, channels_last=True, extra_tokens=1)),
        ((198, 192), Layout(14, 14, 192, channels_last=True, extra_tokens=2)),
        ((1000,), None),
        ((512, 1, 1), None),
        ((200, 192), None),
    ],
)
def test_the_shape_tells_how_an_output_lies_over_the_picture(shape: tuple[int, ...], layout: Layout | None):
    assert find_layout(shape, 224, 224) == layout


def test_rows_and_columns_are_told_apart():
    assert find_layout((7, 28, 56), 224, 448) == Layout(28, 56, 7, channels_last=False)
    assert find_layout((28, 56, 7), 224, 448) == Layout(28, 56, 7, channels_last=True)


def test_the_way_through_a_resnet_is_its_stages():
    """He et al. 2015, table 1: maps of 112, 56, 28, 14 and 7 positions a side."""
    stops = way(places(net_without_weights(read_config("resnet18")), 224, 224))
    assert [stop.layout.rows for stop in stops] == [112, 56, 28, 14, 7]
    assert stops[1].name == "resnet.stages.0"


def test_the_way_through_a_segmenter_shrinks_and_grows_again():
    stops = way(places(net_without_weights(read_config("pets_deeplab")), 224, 224))
    assert [stop.layout.rows for stop in stops] == [112, 56, 28, 14, 56]


@pytest.mark.parametrize("family", families_with(CLASSIFIER), indirect=True)
def test_every_classifier_gives_maps_of_all_its_places(family: TinyFamily):
    model = family.class_for(CLASSIFIER)(family.config()).eval()
    side = max(64, model.config.smallest_input)
    with torch.device("meta"):
        skeleton = family.class_for(CLASSIFIER)(family.config())
    found = places(skeleton, side, side)
    maps = activation_maps(model, torch.randn(1, 3, side, side), [place.name for place in found])
    assert len(way(found)) >= 1
    for place in found:
        assert maps[place.name].shape == (place.layout.channels, place.layout.rows, place.layout.columns), place.name


def test_maps_are_the_modules_outputs_and_no_hook_stays():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, stride=2, padding=1), torch.nn.ReLU())
    pixel_values = torch.randn(1, 3, 16, 16)
    maps = activation_maps(net, pixel_values, ["0", "1", "1"])
    expected = net[0](pixel_values)[0].detach().numpy()
    np.testing.assert_allclose(maps["0"], expected, atol=1e-6)
    np.testing.assert_allclose(maps["1"], expected.clip(0), atol=1e-6)
    assert not net[0]._forward_hooks
    with pytest.raises(CvhubError, match="no module 'nothing'"):
        activation_maps(net, pixel_values, ["nothing"])


def test_the_last_tokens_are_the_patches_in_reading_order():
    class Tokens(torch.nn.Module):
        def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
            patches = torch.arange(6.0).reshape(1, 6, 1)
            return torch.cat([torch.full((1, 1, 1), -1.0), patches], dim=1)

    net = torch.nn.Sequential(Tokens())
    maps = activation_maps(net, torch.zeros(1, 3, 8, 12), ["0"])
    np.testing.assert_array_equal(maps["0"], [[[0, 1, 2], [3, 4, 5]]])
