"""What the paper says of DeiT (Touvron et al. 2021) holds for our net."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DeiTConfig, DeiTForImageClassification, DeiTForImageClassificationWithTeacher

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert import processor as processors
from cvhub.convert.deit import FAMILY
from cvhub.convert.family import Layout, NoForeignForm
from cvhub.explain.cost import measure
from cvhub.models.deit import CvDeiTConfig, CvDeiTForImageClassification
from cvhub.models.vit import CvViTConfig
from tests.counting import count_parameters
from tests.parity import SIZES, Foreign, randomise, save
from tests.test_vit import SMALL_PATCHES, SMALL_SIZES, TINY_WIDTHS
from tests.test_vit import TIMM_ARGUMENTS as TIMM_ARGUMENTS  # their distilled nets are ViTs
from tests.test_vit import TINY as VIT_TINY
from tests.tiny import TinyFamily

# ViT's, with the distillation token and its head, and without chance in training.
TINY = VIT_TINY | {"drop_path_rate": 0.0}
# What tests/test_parity.py compares besides the named nets of timm.
LARGE = ("base", "facebook/")


def transformers_deit(cls: Any, sizes: Any, **fields: Any) -> Foreign:
    """Asked to interpolate, it does so for each size but its own."""
    return Foreign(lambda: cls(DeiTConfig(**fields)), sizes=sizes, arguments={"interpolate_pos_encoding": True})


# Whose heads are two, and whose distillation token has none.
with_teacher = partial(transformers_deit, DeiTForImageClassificationWithTeacher)
one_head = partial(transformers_deit, DeiTForImageClassification)
FOREIGN = {
    "timm-deit_tiny_distilled_patch16_224, its own size, grey": Foreign(
        lambda: timm.create_model("deit_tiny_distilled_patch16_224", in_chans=1, num_classes=3), sizes=((224, 224),)
    ),
    "timm-deit_tiny_patch16_224, its own size": Foreign(
        lambda: timm.create_model("deit_tiny_patch16_224"), sizes=((224, 224),)
    ),
    "timm-deit_tiny_distilled_patch16_224, other widths": Foreign(
        lambda: timm.create_model(
            "deit_tiny_distilled_patch16_224", embed_dim=20, depth=3, num_heads=2, mlp_ratio=3, **TIMM_ARGUMENTS
        ),
        sizes=SIZES,
    ),
    "facebook/deit-base-distilled-patch16-224": with_teacher(((224, 224), (96, 160)), num_labels=1000),
    "transformers, distilled DeiT-Ti": with_teacher(((224, 224), (96, 160)), **TINY_WIDTHS, num_labels=1000),
    "transformers, distilled, small patches, grey": with_teacher(SMALL_SIZES, **SMALL_PATCHES),
    "transformers, one head, no bias of qkv": one_head(
        ((48, 48), (64, 32)),
        image_size=48,
        hidden_size=36,
        num_attention_heads=3,
        num_hidden_layers=4,
        intermediate_size=50,
        qkv_bias=False,
        num_labels=7,
    ),
    "transformers, one head, another activation and eps": one_head(
        ((64, 64), (96, 40)),
        image_size=64,
        patch_size=8,
        hidden_size=16,
        num_attention_heads=1,
        num_hidden_layers=2,
        intermediate_size=70,
        hidden_act="gelu_new",
        layer_norm_eps=1e-2,
    ),
}

# Table 1: width, heads, layers, millions of parameters.
TABLE_1 = (("tiny", 192, 3, 12, 5), ("small", 384, 6, 12, 22), ("base", 768, 12, 12, 86))


def on_meta(variant: str, **fields: Any) -> Any:
    """The net without values: its shapes and sizes cost no memory."""
    with torch.device("meta"):
        return CvDeiTForImageClassification(CvDeiTConfig.variant(variant, num_labels=1000, **fields)).eval()


@pytest.fixture
def model() -> Any:
    return TinyFamily("deit").model()


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(2, 3, 64, 96)


@pytest.mark.parametrize(("name", "width", "heads", "layers", "millions"), TABLE_1)
def test_variants_are_table_1(name: str, width: int, heads: int, layers: int, millions: int) -> None:
    """Heads have 64 dimensions whatever the width. The distillation token and its head are not counted there."""
    model = on_meta(name, distillation="none")
    assert len(model.deit.blocks) == layers
    attention = model.deit.blocks[0].attention
    assert (attention.proj.in_features, attention.heads, width // heads) == (width, heads, 64)
    assert count_parameters(model) / 1e6 == pytest.approx(millions, abs=1)


@pytest.mark.parametrize(("variant", "giga"), [("tiny", 1.26), ("small", 4.6), ("base", 17.6)])
def test_costs_are_as_published(variant: str, giga: float) -> None:
    """As others counted them (Liu et al. 2021, table 1). The distillation token adds half a per cent."""
    plain, distilled = (measure(on_meta(variant, distillation=part), 224, 224) for part in ("none", "head"))
    assert plain.multiply_adds / 1e9 == pytest.approx(giga, rel=0.01)
    assert 1.005 < distilled.multiply_adds / plain.multiply_adds < 1.007


def test_without_distillation_it_is_vit(pixels: Tensor) -> None:
    """Section 3: "our training strategy" is what differs, not the net."""
    deit = TinyFamily("deit").model(distillation="none")
    vit = TinyFamily("vit").model()
    vit.load_state_dict({name.replace("deit.", "vit."): tensor for name, tensor in deit.state_dict().items()})
    assert torch.equal(deit(pixels).logits, vit(pixels).logits)
    assert deit(pixels).distillation_logits is None


def test_the_distillation_token_is_put_in_beside_the_class_token(model: Any, pixels: Tensor) -> None:
    """Section 4: added to the initial embeddings, and learned; it has a position of its own."""
    embeddings = model.deit.embeddings
    tokens = embeddings(pixels)
    assert tokens.shape == (2, 2 + 4 * 6, 24)
    torch.testing.assert_close(tokens[0, 1], embeddings.distillation_token[0, 0] + embeddings.positions[0, 1])
    torch.testing.assert_close(tokens[0, 0], embeddings.class_token[0, 0] + embeddings.positions[0, 0])
    assert embeddings.distillation_token.requires_grad
    assert embeddings.distillation_token.std() > 0


def test_the_distillation_token_goes_through_all_layers(model: Any, pixels: Tensor) -> None:
    """It "interacts with other embeddings through self-attention": all attend to it, and it to all."""
    output = model(pixels, output_attentions=True)
    for weights in output.attentions:
        assert (weights[:, :, :, 1] > 0).all()
        assert (weights[:, :, 1] > 0).all()
    nn.init.normal_(model.deit.embeddings.distillation_token)
    assert (model(pixels).cls_logits - output.cls_logits).abs().max() > 1e-4


def test_each_token_has_its_head_and_their_logits_are_averaged(model: Any, pixels: Tensor) -> None:
    """As in the released code; section 4 adds the softmax of the two."""
    output = model(pixels)
    tokens = model.deit(pixels).last_hidden_state
    torch.testing.assert_close(output.cls_logits, model.classifier(tokens[:, 0]))
    torch.testing.assert_close(output.distillation_logits, model.distillation_classifier(tokens[:, 1]))
    torch.testing.assert_close(output.logits, (output.cls_logits + output.distillation_logits) / 2)
    assert (output.cls_logits - output.distillation_logits).abs().max() > 0.01


@pytest.mark.parametrize("distillation", ["head", "token", "none"])
def test_the_class_head_learns_the_true_label(distillation: str, pixels: Tensor) -> None:
    """By cross entropy; without a teacher the distillation head has nothing to learn."""
    model = TinyFamily("deit").model(distillation=distillation).train()
    labels = torch.tensor([1, 3])
    output = model(pixels, labels=labels)
    torch.testing.assert_close(output.loss, F.cross_entropy(output.cls_logits, labels))
    output.loss.backward()
    assert model.classifier.weight.grad.any()
    if distillation == "head":
        assert model.distillation_classifier.weight.grad is None
        assert output.distillation_logits.requires_grad  # which a teacher can use
    if distillation != "none":
        assert model.deit.embeddings.distillation_token.grad.any()  # it is attended to


def test_without_a_teacher_labels_train_all_that_answers(pixels: Tensor) -> None:
    """As timm does it: their loss is that of the mean, so that the distillation head's start doesn't stay in it."""
    model = TinyFamily("deit").model(distillation="head", teacher=False).train()
    labels = torch.tensor([1, 3])
    output = model(pixels, labels=labels)
    torch.testing.assert_close(output.loss, F.cross_entropy(output.logits, labels))
    output.loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    assert model.distillation_classifier.weight.grad.any()


def test_a_token_without_a_head_takes_part_in_attention(pixels: Tensor) -> None:
    """transformers' DeiTForImageClassification."""
    model = TinyFamily("deit").model(distillation="token")
    output = model(pixels)
    assert torch.equal(output.logits, output.cls_logits)
    assert output.distillation_logits is None
    assert model.deit(pixels).last_hidden_state.shape == (2, 26, 24)
    assert not any("distillation_classifier" in name for name in model.state_dict())


def test_the_recipe_leaves_branches_out_and_drops_nothing_else() -> None:
    """Table 9: stochastic depth 0.1, dropout none."""
    config = CvDeiTConfig()
    assert (config.drop_path_rate, config.dropout, config.attention_dropout) == (0.1, 0, 0)
    rates = [block.drop_path.rate for block in on_meta("tiny").deit.blocks]
    assert rates == pytest.approx([0.1 * i / 11 for i in range(12)])
    assert CvViTConfig().drop_path_rate == 0


def layout(library: str) -> Layout:
    return next(layout for layout in FAMILY.layouts if layout.library == library)


def test_each_kind_has_its_name_in_the_libraries() -> None:
    def written(library: str, distillation: str) -> dict[str, Any]:
        return layout(library).write(CvDeiTConfig.variant("small", distillation=distillation, layer_norm_eps=1e-6))

    assert written("timm", "head")["architecture"] == "deit_small_distilled_patch16_224"
    assert written("timm", "none")["architecture"] == "deit_small_patch16_224"
    assert written("transformers", "head")["architectures"] == ["DeiTForImageClassificationWithTeacher"]
    assert written("transformers", "token")["architectures"] == ["DeiTForImageClassification"]
    for library, distillation in (("timm", "token"), ("transformers", "none")):
        with pytest.raises(NoForeignForm, match=f"no form for distillation='{distillation}'"):
            written(library, distillation)


@pytest.mark.parametrize(("name", "heads"), [("deit_tiny", "head"), ("deit_tiny_distilled", ["head", "head_dist"])])
def test_an_exported_folder_loads_in_timm(name: str, heads: Any, tmp_path: Path) -> None:
    """With its size, which the name doesn't tell, and with both heads."""
    model = randomise(timm.create_model(f"{name}_patch16_224", img_size=(48, 80), depth=2, num_classes=6))
    _, source = save(model, tmp_path / "theirs")
    convert_checkpoint(source, tmp_path / "ours")
    export_checkpoint(tmp_path / "ours", tmp_path / "back", "timm")
    again: Any = timm.create_model(f"local-dir:{tmp_path / 'back'}", pretrained=True).eval()
    assert again.pretrained_cfg["classifier"] == heads
    pixels = torch.randn(1, 3, 48, 80)
    torch.testing.assert_close(again(pixels), model(pixels))


def test_transformers_loads_what_is_written_for_it(tmp_path: Path) -> None:
    foreign = with_teacher((), **TINY_WIDTHS, num_hidden_layers=2, image_size=48, num_labels=6)
    model = randomise(foreign.build())
    _, source = save(model, tmp_path / "theirs")
    convert_checkpoint(source, tmp_path / "ours")
    export_checkpoint(tmp_path / "ours", tmp_path / "back", "transformers")
    loaded: Any = DeiTForImageClassificationWithTeacher.from_pretrained(tmp_path / "back", output_loading_info=True)
    again, info = loaded
    assert not any(info.values()), info
    pixels = torch.randn(1, 3, 48, 48)
    torch.testing.assert_close(again.eval()(pixels).logits, model(pixels).logits)


def test_facebooks_preprocessing_squashes_before_it_crops() -> None:
    """One number is both sides to transformers' DeiTImageProcessor, as in the files of facebook/deit-*."""
    source = {"feature_extractor_type": "DeiTFeatureExtractor", "size": 256, "crop_size": 224, "resample": 3}
    fields = processors.from_transformers(source, layout("transformers").processor("deit"))
    assert fields["size"] == {"height": 256, "width": 256}
    assert fields["crop_size"] == {"height": 224, "width": 224}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"distillation": "hard"}, "distillation is 'hard'.*'head', 'token', 'none'"),
        ({"pooling": "mean"}, "pooling is 'mean', expected 'cls'"),
        ({"image_size": 230}, "image_size is 230"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CvDeiTConfig(**fields)
