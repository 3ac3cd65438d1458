"""What the paper says of ViT (Dosovitskiy et al. 2021) holds for our net."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModelForImageClassification, ViTConfig

from cvhub.convert import convert_checkpoint
from cvhub.convert.family import Layout, NoForeignForm
from cvhub.convert.vit import FAMILY
from cvhub.errors import CvhubError
from cvhub.explain.cost import measure
from cvhub.inference.runtime import build_runtime
from cvhub.models.attention import EncoderBlock, PatchEmbedding, SelfAttention, resize_positions
from cvhub.models.image_processing import CvImageProcessor
from cvhub.models.layers import DropPath, drop_path_rates
from cvhub.models.pixels import PixelTransform
from cvhub.models.vit import CvViTConfig, CvViTForImageClassification, CvViTModel
from tests.counting import count_parameters
from tests.parity import SIZES, Foreign, from_config
from tests.tiny import TinyFamily

# The smallest net that still has all the family's parts: patches, heads, layers; of weights large enough to matter.
TINY: dict[str, Any] = {
    "image_size": 64,
    "patch_size": 16,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 48,
    "initializer_range": 0.1,
}
# What tests/test_parity.py compares besides the named nets of timm and torchvision. timm's take other sizes, and fill
# the last patch, where they are asked to; torchvision's don't.
TIMM_ARGUMENTS: dict[str, Any] = {"dynamic_img_size": True, "dynamic_img_pad": True}
PARITY_SIZES = {"timm": SIZES, "torchvision": ((224, 224),)}
LARGE = (
    "_clip_",
    "base_patch16",
    "base_patch8",
    "_patch32_384",
    "small_patch16_384",
    "vit_b_16",
    "vit_b_32",
    "google/",
)
GIANT = ("large", "huge", "vit_l_", "vit_h_")


def timm_vit(name: str = "vit_tiny_patch16_224", sizes: Any = SIZES, **arguments: Any) -> Foreign:
    return Foreign(lambda: timm.create_model(name, **arguments), sizes=sizes)


def transformers_vit(sizes: Any, **fields: Any) -> Foreign:
    """Asked to interpolate, it does so for each size but its own; pixels of a part of a patch it leaves out."""
    return from_config(ViTConfig(**fields), sizes=sizes, arguments={"interpolate_pos_encoding": True})


def torchvision_vit(arch: str, **fields: Any) -> Foreign:
    side = fields["image_size"]
    return Foreign(lambda: torchvision.models.VisionTransformer(**fields), arch, sizes=((side, side),))


# Nets of transformers, which DeiT's tests take too.
TINY_WIDTHS: dict[str, Any] = dict(hidden_size=192, num_attention_heads=3, intermediate_size=768)
SMALL_PATCHES: dict[str, Any] = dict(
    image_size=32,
    patch_size=4,
    hidden_size=24,
    num_attention_heads=4,
    num_hidden_layers=3,
    intermediate_size=20,
    num_channels=1,
    num_labels=5,
)
SMALL_SIZES = ((32, 32), (48, 20))
FOREIGN = {
    "timm-vit_tiny_patch16_224, its own size": timm_vit(sizes=((224, 224),)),
    "timm-vit_tiny_patch16_224, mean of the patches, grey": timm_vit(global_pool="avg", in_chans=1, **TIMM_ARGUMENTS),
    "timm-vit_tiny_patch16_224, no class token": timm_vit(
        global_pool="avg", class_token=False, depth=2, **TIMM_ARGUMENTS
    ),
    "timm-vit_tiny_patch16_224, no class token, norm before the mean": timm_vit(
        global_pool="avg", class_token=False, fc_norm=False, depth=2, **TIMM_ARGUMENTS
    ),
    "timm-vit_base_patch16_gap_224, narrow": timm_vit(
        "vit_base_patch16_gap_224", embed_dim=48, depth=2, num_classes=3, **TIMM_ARGUMENTS
    ),
    "timm, CLIP's image tower as a classifier": timm_vit(
        "vit_base_patch32_clip_224", embed_dim=48, depth=2, num_classes=3, **TIMM_ARGUMENTS
    ),
    "timm, that with its own activation": timm_vit(
        "vit_large_patch14_clip_quickgelu_224", embed_dim=48, depth=2, num_classes=3, **TIMM_ARGUMENTS
    ),
    "timm-vit_tiny_patch16_224, oblong": timm_vit(sizes=((64, 160),), img_size=(64, 160), num_classes=7),
    "timm-vit_tiny_patch16_224, patches of 8, no bias of qkv": timm_vit(
        sizes=((40, 40),), patch_size=8, img_size=40, qkv_bias=False
    ),
    "timm-vit_tiny_patch16_224, other widths": timm_vit(
        embed_dim=40, depth=3, num_heads=5, mlp_ratio=2.5, num_classes=4, **TIMM_ARGUMENTS
    ),
    "timm-vit_tiny_patch16_224, another activation": Foreign(
        lambda: timm.create_model("vit_tiny_patch16_224", act_layer="quick_gelu", depth=2, **TIMM_ARGUMENTS),
        sizes=SIZES,
        written=False,
    ),
    "torchvision, B, narrow": torchvision_vit(
        "vit_b_16", image_size=32, patch_size=8, num_layers=12, num_heads=12, hidden_dim=48, mlp_dim=40, num_classes=3
    ),
    "torchvision, L, narrow": torchvision_vit(
        "vit_l_16", image_size=28, patch_size=14, num_layers=24, num_heads=16, hidden_dim=32, mlp_dim=64, num_classes=6
    ),
    "torchvision, H, narrow": torchvision_vit(
        "vit_h_14", image_size=30, patch_size=10, num_layers=32, num_heads=16, hidden_dim=16, mlp_dim=24, num_classes=5
    ),
    "google/vit-base-patch16-224": transformers_vit(((224, 224), (96, 160))),
    "transformers, ViT-Ti/16": transformers_vit(((224, 224), (96, 160)), **TINY_WIDTHS, num_labels=1000),
    "transformers, small patches, grey": transformers_vit(SMALL_SIZES, **SMALL_PATCHES),
    "transformers, no bias of qkv, another activation and eps": transformers_vit(
        ((96, 96), (64, 96)),
        image_size=96,
        hidden_size=36,
        num_attention_heads=2,
        num_hidden_layers=5,
        intermediate_size=100,
        qkv_bias=False,
        hidden_act="quick_gelu",
        layer_norm_eps=1e-3,
    ),
    "transformers, made for sides that patches don't divide": transformers_vit(
        ((30, 30), (41, 26)), **SMALL_PATCHES | {"image_size": 30}
    ),
    "transformers, oblong, one head": from_config(
        ViTConfig(
            image_size=[48, 80],
            patch_size=8,
            hidden_size=16,
            num_attention_heads=1,
            num_hidden_layers=1,
            intermediate_size=64,
            hidden_act="relu",
        ),
        sizes=((48, 80),),
    ),
}

# Table 1: layers, width D, width of the MLP, heads, millions of parameters.
TABLE_1 = (
    ("base", 12, 768, 3072, 12, 86),
    ("large", 24, 1024, 4096, 16, 307),
    ("huge", 32, 1280, 5120, 16, 632),
)


def on_meta(variant: str, **fields: Any) -> Any:
    """The net without values: its shapes and sizes cost no memory."""
    with torch.device("meta"):
        return CvViTForImageClassification(CvViTConfig.variant(variant, **fields)).eval()


@pytest.fixture
def model() -> Any:
    return TinyFamily("vit").model()


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(2, 3, 64, 96)


# --- Table 1 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "layers", "width", "mlp", "heads", "millions"), TABLE_1)
def test_variants_are_table_1(name: str, layers: int, width: int, mlp: int, heads: int, millions: int) -> None:
    """Parameters are the encoder's and the embeddings', with patches of 16 pixels, and of 14 for Huge."""
    model = on_meta(name, patch_size=14 if name == "huge" else 16)
    assert len(model.vit.blocks) == layers
    for block in model.vit.blocks:
        assert (block.mlp.fc1.in_features, block.mlp.fc1.out_features) == (width, mlp)
        assert block.attention.heads == heads
    assert count_parameters(model.vit) / 1e6 == pytest.approx(millions, rel=0.015)


@pytest.mark.parametrize(
    ("variant", "patch_size", "side", "giga"),
    [
        ("tiny", 16, 224, 1.26),
        ("small", 16, 224, 4.6),
        ("base", 16, 224, 17.6),
        ("base", 32, 224, 4.4),
        ("base", 16, 384, 55.4),
    ],
)
def test_costs_are_as_published(variant: str, patch_size: int, side: int, giga: float) -> None:
    """Multiply-adds as others counted them: Liu et al. 2021 (Swin), table 1, for small and base."""
    model = on_meta(variant, patch_size=patch_size, image_size=side, num_labels=1000)
    cost = measure(model, side, side)
    assert cost.multiply_adds / 1e9 == pytest.approx(giga, rel=0.01)
    assert cost.receptive_field is None  # the whole picture
    fields = {layer.name: layer.receptive_field for layer in cost.layers}
    assert fields["vit.embeddings.patches.projection"] == patch_size
    assert fields["vit.blocks.0.attention.qkv"] == patch_size  # of what was mixed by nothing yet
    assert fields["vit.blocks.0.attention.proj"] is None


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_attention_is_counted_however_it_is_computed(implementation: str) -> None:
    """(L · 12D² of the linear layers + 2L²D of attention) · layers, and the projection and the classifier."""
    model = on_meta("tiny", attn_implementation=implementation, num_labels=1000)
    length, width = 1 + 14 * 14, 192
    expected = 12 * (length * 12 * width**2 + 2 * length**2 * width) + 196 * 768 * width + width * 1000
    cost = measure(model, 224, 224)
    assert cost.multiply_adds == expected
    assert cost.receptive_field is None


# --- Patches and positions (section 3.1, eq. 1) ----------------------------------------------------------------------


def test_the_patch_projection_is_a_strided_convolution() -> None:
    """Equation 1's x_p E: cutting, flattening and one linear layer, (P²·C) → D, on each patch."""
    patches = PatchEmbedding(3, 10, 4)
    x = torch.randn(2, 3, 8, 12)
    flattened = F.unfold(x, kernel_size=4, stride=4).transpose(1, 2)  # (N, HW/P², P²·C)
    assert flattened.shape == (2, 6, 48)
    weight = patches.projection.weight.flatten(1)  # E
    assert patches.projection.bias is not None
    expected = flattened @ weight.T + patches.projection.bias
    torch.testing.assert_close(patches(x).flatten(2).transpose(1, 2), expected)


def test_a_picture_is_cut_into_patches(model: Any, pixels: Tensor) -> None:
    """Each patch's token before the encoder depends on the pixels of that patch and on no others."""
    embeddings = model.vit.embeddings
    changed = pixels.clone()
    changed[:, :, 16:32, 80:96] += 1  # row 1, column 5 of 4x6
    difference = (embeddings(changed) - embeddings(pixels)).abs().sum(2)
    assert difference[0].nonzero().flatten().tolist() == [1 + 1 * 6 + 5]


@pytest.mark.parametrize(("side", "patch_size"), [(224, 16), (224, 32), (384, 16), (224, 14)])
def test_the_sequence_has_hw_over_p_squared_patches_and_the_class_token(side: int, patch_size: int) -> None:
    model = on_meta("base", image_size=side, patch_size=patch_size)
    output = model.vit(torch.empty(2, 3, side, side, device="meta"))
    assert output.last_hidden_state.shape == (2, 1 + side**2 // patch_size**2, 768)


def test_a_patch_becomes_a_vector_of_d_dimensions() -> None:
    widths = {name: on_meta(name).vit.embeddings.patches.projection.out_channels for name in ("tiny", "base", "huge")}
    assert widths == {"tiny": 192, "base": 768, "huge": 1280}


def test_positions_are_learned_absolute_and_added(model: Any, pixels: Tensor) -> None:
    """Added, so the width stays D; a row for the class token and for each patch of the sequence, of 1D."""
    embeddings = model.vit.embeddings
    assert embeddings.positions.shape == (1, 1 + 16, 24)
    assert embeddings.positions.requires_grad
    x = pixels[:, :, :, :64]
    with_positions = embeddings(x)
    positions = embeddings.positions.detach().clone()
    nn.init.zeros_(embeddings.positions)
    torch.testing.assert_close(with_positions, embeddings(x) + positions)
    assert with_positions.shape == (2, 17, 24)


def test_the_class_token_goes_first_and_is_the_same_for_all_pictures(model: Any, pixels: Tensor) -> None:
    """z_0^0 = x_class (eq. 1), as in BERT."""
    embeddings = model.vit.embeddings
    first = embeddings(pixels)[:, 0]
    assert torch.equal(first[0], first[1])
    torch.testing.assert_close(first[0], embeddings.class_token[0, 0] + embeddings.positions[0, 0])
    assert torch.equal(embeddings.positions_for((2, 9))[:, :1], embeddings.positions[:, :1])  # of any picture's size


@pytest.mark.parametrize("antialias", [True, False])
def test_positions_are_interpolated_in_two_dimensions(antialias: bool) -> None:
    """Section 3.2: "according to their location in the original image". So a slope stays one."""
    slopes = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(6.0), indexing="ij"), dim=-1)
    learned = slopes.flatten(0, 1)[None]  # (1, 48, 2): each position's row and column
    assert torch.equal(resize_positions(learned, (8, 6), (8, 6), antialias), learned)
    larger = resize_positions(learned, (8, 6), (16, 12), antialias).view(16, 12, 2)
    rows, columns = larger[4:-4, :, 0], larger[:, 4:-4, 1]  # away from the edges, which bicubic curves reach beyond
    torch.testing.assert_close(
        rows, ((torch.arange(4.0, 12) + 0.5) / 2 - 0.5)[:, None].expand(-1, 12), rtol=0, atol=0.05
    )
    torch.testing.assert_close(columns, ((torch.arange(4.0, 8) + 0.5) / 2 - 0.5).expand(16, -1), rtol=0, atol=0.05)
    half = resize_positions(learned.half(), (8, 6), (4, 3), antialias)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), resize_positions(learned, (8, 6), (4, 3), antialias), rtol=0, atol=1e-2)


def test_the_last_patch_is_filled_with_zeros(model: Any) -> None:
    """At the bottom and right, so that a picture of any size has an answer and no pixel is left out."""
    x = torch.randn(2, 3, 50, 71)
    filled = F.pad(x, (0, 9, 0, 14))
    torch.testing.assert_close(model(x).logits, model(filled).logits)
    x[:, :, 49, 70] += 10
    assert (model(x).logits - model(filled).logits).abs().max() > 1e-4


def test_a_picture_of_one_patch_a_side_is_refused(model: Any) -> None:
    with pytest.raises(ValueError, match=r"31x64 pixels.*at least 32x32"):
        model(torch.randn(1, 3, 31, 64))
    assert model(torch.randn(1, 3, 32, 33)).logits.shape == (1, 5)
    one_patch = TinyFamily("vit").model(image_size=16)
    assert one_patch(torch.randn(1, 3, 16, 16)).logits.shape == (1, 5)


def test_openvino_interpolates_positions_as_torch_does(tmp_path: Path) -> None:
    """One converted program for all sizes, larger and smaller than its own. (With antialiasing: test_inference.py.)"""
    model = TinyFamily("vit").model(antialias_positions=False)
    model.save_pretrained(tmp_path)
    CvImageProcessor(crop_size={"height": 64, "width": 64}).save_pretrained(tmp_path)
    runtime = build_runtime(tmp_path, "openvino", "fp32")
    for size in ((64, 64), (32, 32), (33, 160), (224, 48), (131, 65)):
        x = torch.randn(2, 3, *size)
        answer = torch.from_numpy(runtime.run(x.numpy())["logits"])
        torch.testing.assert_close(answer, model(x).logits.detach(), rtol=1e-4, atol=1e-5)


# --- The encoder (eq. 2 to 4) ----------------------------------------------------------------------------------------


@pytest.fixture
def block() -> EncoderBlock:
    """A block whose norms are no identity."""
    config = CvViTConfig(**TINY)
    config._attn_implementation = "eager"
    made = EncoderBlock(SelfAttention(config, 24, 3), 24, 48)
    for norm in (made.norm1, made.norm2):
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias)
    return made.eval()


def test_norms_come_before_and_shortcuts_around(block: EncoderBlock) -> None:
    """Equations 2 and 3: z' = MSA(LN(z)) + z, then MLP(LN(z')) + z'."""
    z = torch.randn(2, 7, 24)
    between = block.attention(block.norm1(z))[0] + z
    torch.testing.assert_close(block(z)[0], block.mlp(block.norm2(between)) + between)


def test_a_block_whose_branches_end_in_zeros_is_the_identity(block: EncoderBlock) -> None:
    z = torch.randn(2, 7, 24)
    for last in (block.attention.proj, block.mlp.fc2):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    assert torch.equal(block(z)[0], z)


def test_the_mlp_is_two_layers_with_a_gelu_between(block: EncoderBlock) -> None:
    z = torch.randn(2, 7, 24)
    torch.testing.assert_close(block.mlp(z), block.mlp.fc2(F.gelu(block.mlp.fc1(z))))


def test_attention_is_appendix_a(block: EncoderBlock) -> None:
    """Equations 5 to 8, a head at a time: [q, k, v] = z U_qkv, A = softmax(qkᵀ/√D_h), A v, all heads, U_msa."""
    z = torch.randn(1, 7, 24)
    attention, width = block.attention, 8
    query, key, value = attention.qkv(z)[0].chunk(3, dim=-1)
    heads = []
    for i in range(3):
        q, k, v = (part[:, i * width : (i + 1) * width] for part in (query, key, value))
        heads.append((q @ k.T / width**0.5).softmax(dim=-1) @ v)
    expected = attention.proj(torch.cat(heads, dim=-1))
    torch.testing.assert_close(attention(z)[0][0], expected)


def test_all_patches_attend_to_all_patches(model: Any, pixels: Tensor) -> None:
    """The class token too: no weight is zero, and each token's weights add up to 1."""
    attentions = model(pixels, output_attentions=True).attentions
    assert len(attentions) == 2
    for weights in attentions:
        assert weights.shape == (2, 3, 25, 25)
        assert (weights > 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3, 25))


def test_fast_attention_is_the_same(model: Any, pixels: Tensor) -> None:
    """Weights come out where they are asked for and never else; the answer doesn't depend on it."""
    eager = CvViTForImageClassification.from_pretrained(
        None, config=model.config, state_dict=model.state_dict(), attn_implementation="eager"
    ).eval()
    assert (model.config._attn_implementation, eager.config._attn_implementation) == ("sdpa", "eager")
    fast = model(pixels)
    assert fast.attentions is None
    torch.testing.assert_close(model(pixels, output_attentions=True).logits, fast.logits)
    torch.testing.assert_close(eager(pixels).logits, fast.logits)
    eager.config.output_attentions = True
    assert len(eager(pixels).attentions) == 2


def test_hidden_states_are_before_and_after_each_block(model: Any, pixels: Tensor) -> None:
    output = model.vit(pixels, output_hidden_states=True)
    states = output.hidden_states
    assert torch.equal(states[0], model.vit.embeddings(pixels))
    for i, block in enumerate(model.vit.blocks):
        torch.testing.assert_close(states[i + 1], block(states[i])[0])
    torch.testing.assert_close(output.last_hidden_state, model.vit.norm(states[-1]))
    assert model.vit(pixels).hidden_states is None


def test_the_class_token_is_classified(model: Any, pixels: Tensor) -> None:
    """Equation 4, y = LN(z_L^0), and a single linear layer (section 3.2)."""
    output = model.vit(pixels, output_hidden_states=True)
    torch.testing.assert_close(output.pooler_output, model.vit.norm(output.hidden_states[-1][:, 0]))
    assert isinstance(model.classifier, nn.Linear)
    torch.testing.assert_close(model(pixels).logits, model.classifier(output.pooler_output))


def test_or_the_mean_of_the_patches(pixels: Tensor) -> None:
    """Appendix D.3; the class token takes no part in the mean."""
    model = TinyFamily("vit").model(pooling="mean")
    output = model.vit(pixels, output_hidden_states=True)
    assert torch.equal(output.last_hidden_state, output.hidden_states[-1])
    mean = output.hidden_states[-1][:, 1:].mean(1)
    torch.testing.assert_close(model(pixels).logits, model.classifier(model.vit.norm(mean)))


def test_patches_alone_may_be_the_sequence(pixels: Tensor) -> None:
    """timm's "gap" nets: no class token, and a norm before the mean."""
    model: Any = TinyFamily("vit").model(pooling="normed_mean", class_token=False)
    output = model.vit(pixels)
    assert output.last_hidden_state.shape == (2, 24, 24)
    assert model.vit.embeddings.positions.shape == (1, 16, 24)
    torch.testing.assert_close(output.pooler_output, output.last_hidden_state.mean(1))
    torch.testing.assert_close(model(pixels).logits, model.classifier(output.pooler_output))


# --- Inductive bias, and what attention costs ------------------------------------------------------------------------


def shuffled(pixels: Tensor, order: Tensor) -> Tensor:
    """The picture whose patches of 16 pixels have changed places."""
    patches = F.unfold(pixels, 16, stride=16)[:, :, order]
    return F.fold(patches, pixels.shape[2:], 16, stride=16)


def test_without_positions_patches_may_change_places(model: Any, pixels: Tensor) -> None:
    """The encoder knows of no neighbourhood: all of it has to be learned by the positions, from data."""
    order = torch.randperm(24)
    with_positions = model.vit(pixels).pooler_output
    assert (model.vit(shuffled(pixels, order)).pooler_output - with_positions).abs().max() > 0.01
    nn.init.zeros_(model.vit.embeddings.positions)
    there, here = (model.vit(x).last_hidden_state for x in (shuffled(pixels, order), pixels))
    torch.testing.assert_close(there[:, 1:], here[:, 1:][:, order])
    torch.testing.assert_close(there[:, 0], here[:, 0])


def test_attention_costs_the_square_of_the_patches() -> None:
    """Twice the side is four times the patches, so four times the linear layers' cost and sixteen times attention's."""
    costs = []
    for side in (224, 448, 896):
        cost = measure(on_meta("base", num_labels=1000), side, side)
        attention = 12 * 2 * (1 + side**2 // 256) ** 2 * 768
        costs.append((cost.multiply_adds - attention, attention))
    for (linear, attention), (more_linear, more_attention) in pairwise(costs):
        assert more_linear / linear == pytest.approx(4, rel=0.01)
        assert more_attention / attention == pytest.approx(16, rel=0.02)
    shares = [attention / (linear + attention) for linear, attention in costs]
    assert shares[0] < 0.05  # at 224 pixels it hardly counts
    assert shares[2] > 0.35


# --- Training --------------------------------------------------------------------------------------------------------


def test_weights_start_as_the_config_says() -> None:
    """Tokens and positions too; biases 0, norms as identities, on the meta device or off it."""
    config = CvViTConfig(**TINY | {"initializer_range": 0.05, "hidden_size": 96})
    for model in (CvViTModel(config), CvViTModel.from_pretrained(None, config=config, state_dict={})):
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                assert not parameter.any(), name
            elif "norm" in name:
                assert parameter.eq(1).all(), name
            else:
                assert parameter.std().item() == pytest.approx(0.05, rel=0.3), name


def test_dropout_falls_where_appendix_b_1_says() -> None:
    """Behind the embeddings and every linear layer but qkv: with nothing kept, all branches are 0."""
    model = TinyFamily("vit").model("AutoModel", dropout=0.999999).train()
    output = model(torch.randn(2, 3, 64, 64), output_hidden_states=True)
    assert not output.hidden_states[-1].any()
    attention_only = TinyFamily("vit").model("AutoModel", attention_dropout=0.5).train()
    x = torch.randn(2, 3, 64, 64)
    assert not torch.equal(attention_only(x).pooler_output, attention_only(x).pooler_output)


def test_drop_path_leaves_out_whole_branches_and_keeps_the_mean() -> None:
    drop, x = DropPath(0.25), torch.ones(4000, 3, 2)
    dropped = drop.train()(x)
    kept = dropped[:, 0, 0] > 0
    assert torch.equal(dropped, kept[:, None, None] * x / 0.75)
    assert kept.float().mean().item() == pytest.approx(0.75, abs=0.03)
    assert torch.equal(drop.eval()(x), x)
    assert drop_path_rates(0.2, 5) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert drop_path_rates(0.2, 1) == [0]
    rates = [block.drop_path.rate for block in on_meta("base", drop_path_rate=0.11).vit.blocks]
    assert rates == pytest.approx([0.01 * i for i in range(12)])


# --- Conversion ------------------------------------------------------------------------------------------------------


def test_torchvisions_older_files_are_read(tmp_path: Path) -> None:
    """The files that it offers call the MLP's layers linear_1 and linear_2, which its own class renames."""
    fields: dict[str, Any] = dict(
        image_size=32, patch_size=8, num_layers=12, num_heads=12, hidden_dim=48, mlp_dim=40, num_classes=3
    )
    theirs = torchvision.models.VisionTransformer(**fields).eval()
    older = {
        name.replace("mlp.0", "mlp.linear_1").replace("mlp.3", "mlp.linear_2"): tensor
        for name, tensor in theirs.state_dict().items()
    }
    assert len(older.keys() - theirs.state_dict().keys()) == 48
    save_file(older, tmp_path / "older.safetensors")
    convert_checkpoint(tmp_path / "older.safetensors", tmp_path / "ours", "vit_b_16")
    ours = AutoModelForImageClassification.from_pretrained(tmp_path / "ours").eval()
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(ours(x).logits, theirs(x), rtol=1e-4, atol=1e-5)
    size = PixelTransform.from_folder(tmp_path / "ours").crop_size
    assert size == {"height": 32, "width": 32}  # the net's own, where the source says nothing


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"fc_norm": True}, "fc_norm=True"),
        ({"reg_tokens": 4}, "reg_tokens=4"),
        ({"global_pool": "max"}, "global_pool='max'"),
    ],
)
def test_timms_other_vits_are_refused(arguments: dict[str, Any], expected: str, tmp_path: Path) -> None:
    model = timm.create_model("vit_tiny_patch16_224", embed_dim=24, depth=1, **arguments)
    timm.models.save_for_hf(model, str(tmp_path / "theirs"), safe_serialization=True)
    with pytest.raises(CvhubError, match=f"no form for {expected}"):
        convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")


def layout(library: str) -> Layout:
    return next(layout for layout in FAMILY.layouts if layout.library == library)


@pytest.mark.parametrize(
    ("library", "fields", "field"),
    [
        ("timm", {"layer_norm_eps": 1e-12}, "layer_norm_eps"),
        ("timm", {"hidden_act": "relu"}, "hidden_act"),
        ("torchvision", {"qkv_bias": False}, "qkv_bias"),
        ("torchvision", {"pooling": "mean"}, "pooling"),
        ("torchvision", {"num_channels": 1}, "num_channels"),
        ("torchvision", {"image_size": (224, 256)}, "image_size"),
        ("torchvision", {"image_size": 225, "fill_patches": False}, "image_size"),
        ("torchvision", {"num_hidden_layers": 13}, "num_hidden_layers"),
        ("transformers", {"pooling": "mean"}, "pooling"),
    ],
)
def test_a_config_without_foreign_form_is_refused_by_its_field(
    library: str, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(NoForeignForm, match=f"no form for {field}="):
        layout(library).write(CvViTConfig(**fields))


def test_any_config_of_timms_activation_and_norm_has_a_form_there(tmp_path: Path) -> None:
    """As a named net and arguments, with which timm builds it."""
    config = CvViTConfig(**TINY | {"image_size": (48, 80), "pooling": "mean", "num_labels": 3})
    written = layout("timm").write(config)
    theirs = timm.create_model(written["architecture"], num_classes=3, **written["model_args"])
    names = {name for _, name in layout("timm").names(config)}
    assert {name.rpartition(".")[0] or name for name in theirs.state_dict()} <= names
    assert theirs.pos_embed.shape == (1, 16, 24)


def test_a_half_precision_file_keeps_its_positions(tmp_path: Path) -> None:
    model = TinyFamily("vit").model().half()
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert torch.equal(saved["vit.embeddings.positions"], model.vit.embeddings.positions)


# --- Configs that can't be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pooling": "max"}, "pooling is 'max'.*'cls', 'mean'"),
        ({"class_token": False}, "pooling is 'cls', but there is no class_token"),
        ({"hidden_act": "geluu"}, "hidden_act is 'geluu'.*'gelu'"),
        ({"image_size": 225}, "image_size is 225, expected multiples of patch_size 16"),
        ({"image_size": (224, 230)}, r"image_size is \(224, 230\)"),
        ({"num_attention_heads": 7}, "hidden_size 768 can't be shared by 7 heads"),
    ],
)
def test_a_config_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CvViTConfig(**fields)
