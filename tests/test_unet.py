"""What the paper says of U-Net (Ronneberger et al. 2015) holds for our net."""

from itertools import pairwise
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cvhub.models.losses_dense import dense_loss
from cvhub.models.mobilenet_v2 import CvMobileNetV2Config
from cvhub.models.resnet import CvResNetConfig
from cvhub.models.unet import UPSAMPLINGS, CvUNetConfig, CvUNetForSemanticSegmentation, CvUNetModel
from tests.counting import count_parameters
from tests.parity import Foreign

# The smallest net that still has all the family's parts; padded, so that it takes any picture.
TINY = {
    "widths": (4, 8, 8),
    "padding": True,
    "batch_norm": True,
    "dropout": 0.0,
    "num_channels": 3,
    "auxiliary_weights": (0.5,),
}
PADDED_SIZES = ((64, 64), (96, 64))  # theirs takes multiples of 32 only


def _smp(encoder: str, **fields: Any) -> Foreign:
    return Foreign(lambda: smp.Unet(encoder, encoder_weights=None, **fields), sizes=PADDED_SIZES, written=False)


FOREIGN = {
    "smp-Unet, resnet18": _smp("resnet18"),
    "smp-Unet, resnet50, 3 classes": _smp("resnet50", classes=3),
    "smp-Unet, resnext50_32x4d, grey": _smp("resnext50_32x4d", in_channels=1, classes=2),
    "smp-Unet, mobilenet_v2": _smp("mobilenet_v2"),
    "smp-Unet, mobilenet_v2, bilinear, narrow": _smp(
        "mobilenet_v2", decoder_interpolation="bilinear", decoder_channels=(64, 32, 16, 8, 4), classes=5
    ),
}


def paper(**fields: Any) -> CvUNetForSemanticSegmentation:
    """The paper's net, a sixteenth as wide unless said otherwise."""
    return CvUNetForSemanticSegmentation(CvUNetConfig(**({"widths": (4, 8, 16, 32, 64)} | fields))).eval()


def logits_of(model: Any, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return model(pixels).logits


def test_a_572_pixel_tile_gives_388_as_in_figure_1() -> None:
    config = CvUNetConfig()
    assert (config.output_size(572), config.margin, config.stride) == (388, 92, 16)
    assert logits_of(paper(), torch.randn(1, 1, 572, 572)).shape == (1, 2, 388, 388)


def test_figure_1s_maps_have_its_sizes() -> None:
    sizes: list[int] = []
    model = CvUNetModel(paper().config).eval()
    for level in model.encoder.levels:
        level.register_forward_hook(lambda module, inputs, output: sizes.append(output.shape[2]))
    with torch.no_grad():
        states = model(torch.randn(1, 1, 572, 572), output_hidden_states=True).hidden_states
    assert sizes == [568, 280, 136, 64, 28]
    assert [state.shape[2] for state in states] == [52, 100, 196, 388]


def test_it_has_23_convolutions_and_31_million_parameters() -> None:
    with torch.device("meta"):
        model = CvUNetForSemanticSegmentation(CvUNetConfig())
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == 23
    by_hand = sum(9 * a * b + b + 9 * b * b + b for a, b in pairwise((1, 64, 128, 256, 512, 1024)))
    by_hand += sum(4 * a * b + b + 9 * a * b + b + 9 * b * b + b for a, b in pairwise((1024, 512, 256, 128, 64)))
    assert count_parameters(model) == by_hand + 64 * 2 + 2 == 31_030_658


def test_valid_logits_are_those_of_the_whole_picture() -> None:
    """Figure 2: a tile, moved by a multiple of the stride, says of its pixels what the whole picture does."""
    model = paper(widths=(3, 4, 5))
    config = model.config
    picture = torch.randn(1, 1, config.smallest_input + 40, config.smallest_input + 24)
    whole = logits_of(model, picture)
    side = config.smallest_input + 8
    tile = logits_of(model, picture[:, :, 12 : 12 + side, 4 : 4 + side])
    expected = whole[:, :, 12 : 12 + tile.shape[2], 4 : 4 + tile.shape[3]]
    torch.testing.assert_close(tile, expected)


def test_each_logit_sees_the_margin_around_it() -> None:
    """What `margin` leaves out on one side is what a logit sees beyond itself, up to the bottom's coarse pixels."""
    model = paper(widths=(3, 4, 5))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()  # and pixels above 0: no ReLU is silent
    margin, side = model.config.margin, model.config.smallest_input + 8
    pixels = torch.rand(1, 1, side, side, requires_grad=True)
    model(pixels).logits[0, 0, 0, 0].backward()
    seen = pixels.grad[0, 0].nonzero()
    assert seen.min() == 0
    assert 2 * margin <= seen.max() <= 2 * margin + model.config.stride


@pytest.mark.parametrize(("size", "fitting"), [(570, "556 or 572"), (573, "572 or 588")])
def test_a_tile_that_cannot_be_halved_is_refused(size: int, fitting: str) -> None:
    with pytest.raises(ValueError, match=f"{size} pixels.*try {fitting}"):
        paper()(torch.zeros(1, 1, size, 572))


def test_the_smallest_tile_gives_logits_and_a_smaller_one_an_error() -> None:
    model = paper()
    assert logits_of(model, torch.randn(1, 1, 188, 188)).shape == (1, 2, 4, 4)
    with pytest.raises(ValueError, match="172x188 pixels, this net needs at least 188x188"):
        model(torch.zeros(1, 1, 172, 188))


def test_labels_of_the_picture_are_cut_to_what_valid_convolutions_see() -> None:
    model = paper(widths=(3, 4))
    side = model.config.smallest_input + 6
    pixels, labels = torch.randn(2, 1, side, side), torch.randint(0, 2, (2, side, side))
    output = model(pixels, labels=labels)
    m = model.config.margin
    torch.testing.assert_close(output.loss, dense_loss(output.logits, labels[:, m:-m, m:-m], "cross_entropy"))


def test_weights_start_as_section_3_says() -> None:
    torch.manual_seed(0)
    model = CvUNetForSemanticSegmentation(CvUNetConfig(widths=(16, 32, 64)))
    for block in (model.unet.encoder.levels[2], model.unet.decoder[0].convs):
        weight = block.conv2.conv.weight
        assert weight.std().item() == pytest.approx((2 / (9 * weight.shape[1])) ** 0.5, rel=0.05)
    up = model.unet.decoder[0].up.weight
    assert up.std().item() == pytest.approx((2 / up.shape[0]) ** 0.5, rel=0.05)


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
@pytest.mark.parametrize("size", [(64, 64), (37, 50), (4, 9)])
def test_padded_nets_keep_any_size(upsampling: str, size: tuple[int, int]) -> None:
    model = CvUNetForSemanticSegmentation(CvUNetConfig(**TINY | {"upsampling": upsampling})).eval()
    output = model(torch.randn(2, 3, *size), output_auxiliary=True)
    assert output.logits.shape == (2, 2, *size)
    assert [logits.shape for logits in output.auxiliary_logits] == [(2, 2, *size)]


def test_skip_connections_carry_detail_past_the_bottom() -> None:
    """Without them all that reaches the logits went through the bottom's map."""
    pixels = torch.randn(1, 3, 64, 64)
    for skips, differs in ((True, True), (False, False)):
        model = CvUNetForSemanticSegmentation(CvUNetConfig(**TINY | {"skip_connections": skips})).eval()
        model.unet.encoder.levels[2].register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        answers = logits_of(model, pixels), logits_of(model, -pixels)
        assert torch.equal(*answers) is not differs


def test_deep_supervision_adds_each_levels_weighted_loss() -> None:
    config = CvUNetConfig(**TINY | {"widths": (4, 8, 8, 8), "auxiliary_weights": (0.5, 0.25), "loss": "bce_dice"})
    model = CvUNetForSemanticSegmentation(config).eval()
    pixels, labels = torch.randn(2, 3, 32, 48), torch.randint(0, 2, (2, 32, 48))
    output = model(pixels, labels=labels, output_auxiliary=True)
    assert len(output.losses) == 3
    main, first, second = output.losses
    torch.testing.assert_close(output.loss, main + 0.5 * first + 0.25 * second)
    for logits, loss in zip((output.logits, *output.auxiliary_logits), output.losses, strict=True):
        torch.testing.assert_close(dense_loss(logits, labels, "bce_dice"), loss)
    silent = model(pixels, labels=labels)
    assert silent.auxiliary_logits is None
    torch.testing.assert_close(silent.loss, main)
    coarser = model.unet(pixels, output_hidden_states=True).hidden_states[1]  # at half the size, as fine as heads go
    expected = F.interpolate(model.auxiliary[0](coarser), (32, 48), mode="bilinear")
    torch.testing.assert_close(output.auxiliary_logits[0], expected)


def test_deep_supervision_brings_gradient_to_the_coarse_levels() -> None:
    """The head of a level is two layers from it, the last one is as many levels away as there are between."""
    torch.manual_seed(0)
    config = CvUNetConfig(**TINY | {"auxiliary_weights": (1.0,)})
    model = CvUNetForSemanticSegmentation(config)
    pixels, labels = torch.randn(2, 3, 32, 32), torch.randint(0, 2, (2, 32, 32))
    losses = model(pixels, labels=labels).losses
    weight = model.unet.decoder[0].convs.conv2.conv.weight
    main, auxiliary = (torch.autograd.grad(loss, weight, retain_graph=True)[0].norm() for loss in losses)
    assert auxiliary > 0
    assert main > 0


def test_pixels_may_have_weights() -> None:
    model = CvUNetForSemanticSegmentation(CvUNetConfig(**TINY | {"auxiliary_weights": ()})).eval()
    pixels, labels = torch.randn(1, 3, 16, 16), torch.randint(0, 2, (1, 16, 16))
    weights = torch.rand(1, 16, 16)
    output = model(pixels, labels=labels, label_weights=weights)
    torch.testing.assert_close(output.loss, dense_loss(output.logits, labels, "cross_entropy", weights=weights))


@pytest.mark.parametrize(
    "backbone",
    [
        CvResNetConfig(block="basic", depths=(1, 1, 1, 1), widths=(4, 8, 8, 8), stem_width=4),
        CvMobileNetV2Config(width_multiplier=0.1, head_channels=0),
    ],
    ids=["resnet", "mobilenet_v2"],
)
def test_a_backbone_serves_as_the_contracting_path(backbone: Any) -> None:
    config = CvUNetConfig(backbone=backbone, padding=True, upsampling="nearest", num_channels=3)
    assert len(config.expanding_widths) == 5
    model = CvUNetForSemanticSegmentation(config).eval()
    assert logits_of(model, torch.randn(1, 3, 64, 96)).shape == (1, 2, 64, 96)
    assert logits_of(model, torch.randn(1, 3, 45, 33)).shape == (1, 2, 45, 33)
    again = CvUNetConfig.from_dict(config.to_dict())
    assert type(again.backbone) is type(backbone)
    assert again.encoder_widths == config.encoder_widths


def test_the_maps_of_a_backbone_can_be_named() -> None:
    backbone = CvMobileNetV2Config(width_multiplier=0.1)
    names = ("stem", "stage1", "stage2", "stage3", "stage4")
    config = CvUNetConfig(backbone=backbone, padding=True, num_channels=3, backbone_features=names)
    assert config.encoder_widths[-1] == backbone.stage_channels[4] != 1280


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"upsampling": "cubic"}, "upsampling is 'cubic'"),
        ({"widths": (8,)}, r"widths are \(8,\), expected at least two"),
        ({"padding": False}, "padding is False, expected True with"),
        ({"auxiliary_weights": (1.0, 0.5)}, "auxiliary_weights are .* fewer than 2"),
        ({"decoder_widths": (8,)}, r"decoder_widths are \(8,\), expected 2"),
        ({"loss": "hinge"}, "loss is 'hinge', expected one of"),
        ({"backbone": {"model_type": "cvhub_vit"}}, "backbone has model_type 'cvhub_vit'"),
        ({"backbone": {"model_type": "cvhub_resnet", "num_channels": 1}}, "num_channels=1, not 3"),
        ({"single_logit": True, "num_labels": 3}, "num_labels is 3, expected 2 with single_logit"),
    ],
)
def test_a_wrong_field_is_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        CvUNetConfig(**TINY | fields)
