"""What the papers say of DeepLabV3 and V3+ (Chen et al. 2017, 2018) holds for our net."""

from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision
import transformers
from torch import Tensor, nn
from torch.nn import functional as F

from cvhub.models.deeplab import ASPP, CvDeepLabConfig, CvDeepLabForSemanticSegmentation, SeparableConv
from cvhub.models.losses_dense import dense_loss
from cvhub.models.mobilenet_v2 import CvMobileNetV2Config
from cvhub.models.resnet import CvResNetConfig
from cvhub.models.segmentation import enlarge, mixtures
from tests.counting import count_parameters
from tests.parity import Foreign

# At least 8 channels: torch 2.14 overwrites memory that isn't its own where it goes back through a 1×1 convolution of
# stride 2 with 4 input channels in channels_last on AVX2.
TINY_BACKBONE = {
    "model_type": "cvhub_resnet",
    "block": "basic",
    "depths": (1, 1, 1, 1),
    "widths": (8, 8, 16, 16),
    "stem_width": 8,
    "output_stride": 16,
}
# The smallest net that still has all the family's parts.
TINY = {
    "backbone": TINY_BACKBONE,
    "atrous_rates": (1, 2),
    "aspp_channels": 8,
    "low_level_feature": "stage1",
    "low_level_channels": 4,
    "auxiliary_features": ("stage3",),
    "auxiliary_weights": (0.5,),
    "dropout": 0.0,
}
NO_DOWNLOAD = {"weights_backbone": None}
ARGUMENTS = {f"deeplabv3_{name}": NO_DOWNLOAD | {"aux_loss": True} for name in ("resnet50", "resnet101")}
PARITY_SIZES = {"": ((65, 64), (96, 40))}


def _smp(kind: str, encoder: str, **fields: Any) -> Foreign:
    build = getattr(smp, kind)
    sizes = ((64, 64), (96, 64))  # theirs takes multiples of its stride only
    return Foreign(lambda: build(encoder, encoder_weights=None, **fields), sizes=sizes, written=False)


def _mobile(**fields: Any) -> Foreign:
    config = transformers.MobileNetV2Config(**fields)
    build = transformers.MobileNetV2ForSemanticSegmentation
    return Foreign(lambda: build(config), sizes=((65, 64), (96, 40)), written=False)


def _without_auxiliary_head(name: str) -> Foreign:
    build = torchvision.models.get_model
    return Foreign(lambda: build(name, weights=None, num_classes=21, **NO_DOWNLOAD), name, sizes=PARITY_SIZES[""])


FOREIGN = {
    "torchvision-deeplabv3_resnet50, no auxiliary head": _without_auxiliary_head("deeplabv3_resnet50"),
    "torchvision-deeplabv3_resnet101, no auxiliary head": _without_auxiliary_head("deeplabv3_resnet101"),
    "google/deeplabv3_mobilenet_v2_1.0_513": _mobile(output_stride=8, num_labels=21),
    "transformers, stride 16": _mobile(output_stride=16, num_labels=4),
    "transformers, stride 32, narrow": _mobile(output_stride=32, depth_multiplier=0.5, num_labels=2),
    "transformers, symmetric, grey": _mobile(output_stride=8, tf_padding=False, num_channels=1, num_labels=3),
    "smp-DeepLabV3Plus, resnet18": _smp("DeepLabV3Plus", "resnet18"),
    "smp-DeepLabV3Plus, resnet50, stride 8": _smp("DeepLabV3Plus", "resnet50", encoder_output_stride=8, classes=3),
    "smp-DeepLabV3Plus, mobilenet_v2": _smp("DeepLabV3Plus", "mobilenet_v2", classes=2),
    "smp-DeepLabV3Plus, mobilenet_v2, plain ASPP": _smp(
        "DeepLabV3Plus", "mobilenet_v2", decoder_aspp_separable=False, decoder_atrous_rates=(2, 4, 6), in_channels=1
    ),
    "smp-DeepLabV3, mobilenet_v2": _smp("DeepLabV3", "mobilenet_v2", classes=5),
}


def tiny(**fields: Any) -> CvDeepLabForSemanticSegmentation:
    return CvDeepLabForSemanticSegmentation(CvDeepLabConfig(**TINY | fields)).eval()


@pytest.mark.parametrize("output_stride", [8, 16])
def test_the_backbones_last_map_keeps_the_output_stride(output_stride: int) -> None:
    model = tiny(backbone=TINY_BACKBONE | {"output_stride": output_stride})
    with torch.no_grad():
        states = model(torch.randn(1, 3, 64, 96), output_hidden_states=True).hidden_states
    assert states[-1].shape[2:] == (64 // output_stride, 96 // output_stride)


def test_a_dilated_filter_meets_as_many_pixels_as_an_undilated_one_of_the_stride() -> None:
    """Section 3.1: the same weights, at stride 16 and 32, say the same where both look."""
    wide, narrow = (tiny(backbone=TINY_BACKBONE | {"output_stride": stride}).deeplab.backbone for stride in (32, 16))
    narrow.load_state_dict(wide.state_dict())
    pixels = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        coarse, fine = wide.feature_maps(pixels)[-1], narrow.feature_maps(pixels)[-1]
    torch.testing.assert_close(fine[:, :, ::2, ::2], coarse)


def test_aspp_has_a_branch_a_rate_a_1x1_and_the_pictures_mean() -> None:
    config = CvDeepLabConfig(atrous_rates=(6, 12, 18), backbone=TINY_BACKBONE)
    aspp = ASPP(config, 16, 8).eval()
    assert len(aspp.branches) == 5
    dilated = [branch.conv for branch in list(aspp.branches)[1:4]]
    assert [conv.dilation for conv in dilated] == [(6, 6), (12, 12), (18, 18)]
    assert all(conv.padding == conv.dilation for conv in dilated)
    x = torch.randn(2, 16, 9, 7)
    pooled = aspp.branches[4](x)
    assert pooled.shape == (2, 8, 9, 7)
    assert torch.equal(pooled, pooled[:, :, :1, :1].expand_as(pooled))


def test_a_rate_as_large_as_the_map_leaves_the_filters_middle() -> None:
    """Section 3.3: then all but the middle weight fall on padding, and a 3×3 filter is a 1×1."""
    config = CvDeepLabConfig(atrous_rates=(9,), backbone=TINY_BACKBONE)
    conv = ASPP(config, 4, 3).eval().branches[1].conv
    x = torch.randn(1, 4, 9, 9)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight[:, :, 1:2, 1:2]))


def test_separable_convolutions_cost_a_fraction() -> None:
    separable, plain = SeparableConv(256, 256, 3), nn.Conv2d(256, 256, 3, bias=False)
    weights = sum(parameter.numel() for name, parameter in separable.named_parameters() if "norm" not in name)
    assert weights / count_parameters(plain) == pytest.approx(1 / 256 + 1 / 9)
    x = torch.randn(1, 256, 5, 4)
    assert separable(x).shape == x.shape


def test_v3plus_draws_at_stride_4() -> None:
    model = tiny()
    with torch.no_grad():
        assert model.deeplab(torch.randn(1, 3, 64, 96)).last_hidden_state.shape == (1, 8, 16, 24)


def test_the_mobile_net_is_separable_throughout_and_small() -> None:
    model = CvDeepLabForSemanticSegmentation(CvDeepLabConfig.mobile(num_labels=2))
    assert 2.5e6 < count_parameters(model) < 3e6
    assert model.config.backbone.stage_names[-1] == "stage4"  # 320 channels, as the paper's ASPP reads them
    head = [
        module for name, module in model.named_modules() if "backbone" not in name and isinstance(module, nn.Conv2d)
    ]
    assert all(conv.kernel_size == (1, 1) or conv.groups > 1 for conv in head)


@pytest.mark.parametrize("size", [(64, 64), (33, 70)])
def test_logits_have_the_pictures_size_unless_asked_otherwise(size: tuple[int, int]) -> None:
    pixels = torch.randn(1, 3, *size)
    with torch.no_grad():
        enlarged, small = (tiny(upsample=upsample)(pixels).logits for upsample in (True, False))
    assert enlarged.shape[2:] == size
    assert small.shape[2:] == tuple(-(-side // 4) for side in size)


def test_small_logits_are_enlarged_for_the_loss() -> None:
    model, labels = tiny(upsample=False), torch.randint(0, 2, (1, 64, 64))
    output = model(torch.randn(1, 3, 64, 64), labels=labels)
    enlarged = F.interpolate(output.logits, (64, 64), mode="bilinear")
    torch.testing.assert_close(output.loss, dense_loss(enlarged, labels, "cross_entropy"))


def test_the_auxiliary_head_speaks_in_training_and_counts_half() -> None:
    model, labels = tiny(), torch.randint(0, 2, (2, 64, 64))
    pixels = torch.randn(2, 3, 64, 64)
    assert model(pixels).auxiliary_logits is None
    output = model.train()(pixels, labels=labels)
    assert output.auxiliary_logits[0].shape == output.logits.shape
    main, auxiliary = output.losses
    torch.testing.assert_close(output.loss, main + 0.5 * auxiliary)


def test_a_mobile_backbone_survives_a_json_round_trip() -> None:
    config = CvDeepLabConfig.mobile(num_labels=3, loss="focal")
    again = CvDeepLabConfig.from_dict(config.to_dict())
    assert type(again.backbone) is CvMobileNetV2Config
    assert again.to_dict() == config.to_dict()
    assert CvDeepLabConfig().backbone.to_dict() == CvResNetConfig(output_stride=16).to_dict()


def loss_on(labels: Tensor) -> Tensor:
    return tiny()(torch.randn(1, 3, 64, 64), labels=labels).loss


def test_ignored_pixels_cost_nothing() -> None:
    assert loss_on(torch.full((1, 64, 64), 255)) == 0


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"low_level_feature": "stage9"}, "no feature map 'stage9', only stem, stage1"),
        ({"auxiliary_weights": ()}, r"auxiliary_weights are \(\), expected 1"),
        ({"atrous_rates": (0, 6)}, r"atrous_rates are \(0, 6\), expected dilations from 1 on"),
    ],
)
def test_a_wrong_field_is_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        CvDeepLabConfig(**TINY | fields)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(40, 30), (9, 12), (13, 7), (1, 30)])
def test_what_is_traced_enlarges_by_matrices(size: tuple[int, int], align_corners: bool) -> None:
    maps = torch.randn(2, 3, 10, 8)
    rows, columns = (mixtures(*sides, align_corners) for sides in zip(maps.shape[2:], size, strict=True))
    expected = F.interpolate(maps, size, mode="bilinear", align_corners=align_corners)
    assert torch.allclose(rows @ maps @ columns.t(), expected, atol=1e-5)
    assert torch.allclose(enlarge(maps, size, align_corners), expected, atol=1e-6)
