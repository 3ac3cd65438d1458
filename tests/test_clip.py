"""CLIP (Radford et al. 2021): parity with transformers, open_clip and OpenAI's layout, and what the papers say."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoModel, AutoProcessor, AutoTokenizer, CLIPConfig, CLIPModel, PreTrainedTokenizerFast

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert.clip import FAMILY
from cvhub.convert.clip_tokenizer import make_tokenizer
from cvhub.convert.family import NoForeignForm
from cvhub.errors import CvhubError
from cvhub.models.attention import SelfAttention
from cvhub.models.clip import VARIANTS, CvClipConfig, CvClipModel, CvClipTextConfig
from cvhub.models.losses_contrastive import sigmoid_loss, softmax_loss
from tests.parity import difference, randomise

TEXT: dict[str, Any] = {
    "vocab_size": 120,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 12,
    "eos_token_id": 119,
}
VIT: dict[str, Any] = {
    "model_type": "cvhub_vit",
    "image_size": 64,
    "patch_size": 16,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "pre_norm": True,
}
RESNET: dict[str, Any] = {
    "model_type": "cvhub_clip_resnet",
    "depths": (1, 2, 1, 1),
    "width": 8,
    "image_size": 64,
    "num_attention_heads": 4,
    "projection_dim": 16,
}
TINY: dict[str, Any] = {"vision_config": VIT, "text_config": TEXT, "projection_dim": 16}
MOBILE = {"model_type": "cvhub_mobilenet_v2", "rows": [[1, 8, 1, 2], [2, 8, 1, 2]], "head_channels": 24}
TOWERS = {"vit": VIT, "resnet": RESNET, "mobilenet": MOBILE}
SENTENCES = (
    "a photo of a cat",
    "A  photo of\ta CAT, isn't it?! 3.14",
    "un œuf, straße, naïve façade",
    "一只猫坐在垫子上",
    "قطة على السجادة",
    "кошка 😀👩‍👩‍👧 ½",
    "",
)


def ids(*texts: tuple[int, ...], end: int = 119, length: int = 8) -> Tensor:
    """Token numbers, each text behind a start and before its end, padded with the end as CLIP's tokenizer does."""
    rows = [[118, *text, end] for text in texts]
    return torch.tensor([row + [end] * (length - len(row)) for row in rows])


IDS = ids((3, 4, 5), (1,), (7, 8, 9, 10, 2))


def tiny(**fields: Any) -> CvClipModel:
    torch.manual_seed(0)
    model = randomise(CvClipModel(CvClipConfig(**(TINY | fields))))
    assert isinstance(model, CvClipModel)
    return model


# --- Parity ----------------------------------------------------------------------------------------------------------


def transformers_clip(text: dict[str, Any] | None = None, **vision: Any) -> CLIPModel:
    """With CLIP's own vocabulary, so that its tokenizer fits."""
    words = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    sees = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 40}
    sees |= {"image_size": 64, "patch_size": 16}
    config = CLIPConfig(text_config=words | (text or {}), vision_config=sees | vision, projection_dim=20)
    return CLIPModel(config)


def open_clip_model(vision: dict[str, Any], **fields: Any) -> tuple[nn.Module, dict[str, Any]]:
    """A net of open_clip's, and what its config says of it."""
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
    config = {"embed_dim": 20, "vision_cfg": {"image_size": 64, **vision}, "text_cfg": text, **fields}
    return open_clip.CLIP(**config), config


def contiguous(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


VISION = {
    "vit": {"layers": 2, "width": 64, "patch_size": 16, "head_width": 16},
    "resnet": {"layers": [1, 2, 1, 1], "width": 8, "head_width": 64},
}


@pytest.mark.parametrize(
    ("text", "vision"),
    [
        ({}, {}),
        ({"eos_token_id": 2, "max_position_embeddings": 32}, {"patch_size": 32, "hidden_act": "gelu"}),
        ({"hidden_act": "gelu", "layer_norm_eps": 1e-6}, {"num_channels": 1, "layer_norm_eps": 1e-6}),
    ],
)
def test_transformers_nets_come_and_go(text: dict[str, Any], vision: dict[str, Any], tmp_path: Path) -> None:
    theirs = randomise(transformers_clip(text, **vision))
    theirs.save_pretrained(tmp_path / "theirs")
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    export_checkpoint(tmp_path / "ours", tmp_path / "back", "transformers")
    original = load_file(tmp_path / "theirs" / "model.safetensors")
    returned = load_file(tmp_path / "back" / "model.safetensors")
    assert returned.keys() == original.keys()
    assert all(torch.equal(returned[name], original[name]) for name in original)
    again = CLIPModel.from_pretrained(tmp_path / "back").eval()
    pixels = torch.randn(2, vision.get("num_channels", 3), 64, 64)
    texts = ids((3, 4, 5), (1,), (7, 49400, 9), end=49407)
    compare(tmp_path / "ours", lambda: theirs, pixels, texts)
    with torch.no_grad():
        assert torch.equal(again(texts, pixels).logits_per_image, theirs.float()(texts, pixels).logits_per_image)


@pytest.mark.parametrize("kind", VISION)
@pytest.mark.parametrize("fields", [{}, {"quick_gelu": True}, {"init_logit_bias": -10.0}])
def test_open_clip_folders(kind: str, fields: dict[str, Any], tmp_path: Path) -> None:
    """As open_clip's `push_to_hf_hub` writes them."""
    model, config = open_clip_model(VISION[kind], **fields)
    source = tmp_path / "theirs"
    source.mkdir()
    save_file(contiguous(randomise(model)), source / "open_clip_model.safetensors")
    preprocess = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.2], "interpolation": "bilinear", "resize_mode": "squash"}
    described = {"model_cfg": config, "preprocess_cfg": preprocess}
    (source / "open_clip_config.json").write_text(json.dumps(described))
    convert_checkpoint(source, tmp_path / "ours")
    compare(tmp_path / "ours", lambda: model, torch.randn(2, 3, 64, 64), ids((3,), (1, 2), end=49407, length=77))
    processor: Any = AutoProcessor.from_pretrained(tmp_path / "ours")
    assert list(processor.image_processor.image_mean) == preprocess["mean"]
    assert dict(processor.image_processor.size) == {"height": 64, "width": 64}
    with pytest.raises(NoForeignForm, match="open_clip has no form"):
        export_checkpoint(tmp_path / "ours", tmp_path / "back", "open_clip")


@pytest.mark.parametrize(
    ("arch", "scalars", "quick"),
    [
        ("ViT-B/32", True, True),
        ("ViT-B/32", False, True),
        ("ViT-B-32", False, False),
        ("ViT-B-32-quickgelu", False, True),
        ("RN50", True, True),
        ("RN50", False, False),
        ("RN50-quickgelu", False, True),
    ],
)
def test_bare_state_dicts(
    arch: str, scalars: bool, quick: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """OpenAI's, whose nets have QuickGELU and whose files may tell their sizes in scalars, and open_clip's, which call
    the ViTs otherwise and the ResNets the same."""
    layers = [3, 4, 6, 3] if "RN50" in arch else 12
    vision = {"layers": layers, "width": 8} if "RN50" in arch else {"layers": 12, "width": 64, "patch_size": 16}
    _, config = open_clip_model(vision, quick_gelu=quick)
    config["text_cfg"]["layers"] = 12
    model = open_clip.CLIP(**config)
    tensors = contiguous(randomise(model))
    if scalars:
        tensors |= {"input_resolution": torch.tensor(64), "context_length": torch.tensor(77)}
    save_file(tensors, tmp_path / "weights.safetensors")
    convert_checkpoint(tmp_path / "weights.safetensors", tmp_path / "ours", arch)
    told = "The tensors fit RN50 of open_clip as well as that of openai, which is another net: the former is taken."
    assert (told in caplog.text) == (arch == "RN50" and not scalars)
    compare(tmp_path / "ours", lambda: model, torch.randn(2, 3, 64, 64), ids((3,), (1, 2), end=49407, length=77))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_activations_of_open_clips_names_are_theirs(name: str) -> None:
    (layout,) = (layout for layout in FAMILY.layouts if layout.library == "open_clip")
    plain = name.replace("/", "-").replace("@336px", "-336")
    for known in (plain, f"{plain}-quickgelu"):
        config = open_clip.get_model_config(known)
        assert config is not None
        expected = "quick_gelu" if config.get("quick_gelu") else "gelu"
        assert layout.architectures[known]["text_config"].hidden_act == expected


def compare(folder: Path, reference: Callable[[], nn.Module], pixels: Tensor, texts: Tensor) -> None:
    ours, theirs = AutoModel.from_pretrained(folder).eval(), reference().eval()
    assert type(ours) is CvClipModel
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        ours, theirs = ours.to(dtype), theirs.to(dtype)
        with torch.no_grad():
            said = ours(texts, pixels.to(dtype)).logits_per_image
            if isinstance(theirs, CLIPModel):
                expected = theirs(texts, pixels.to(dtype)).logits_per_image
            else:
                assert isinstance(theirs, open_clip.CLIP)
                theirs.attn_mask = theirs.attn_mask.to(dtype)
                expected, _ = theirs.get_logits(pixels.to(dtype), texts)
        assert difference(said, expected) <= tolerance


# --- Words -----------------------------------------------------------------------------------------------------------


def test_the_default_tokenizer_is_clips() -> None:
    """open_clip's own, which is written in Python, and cleans texts first: none of these needs it."""
    ours = make_tokenizer(CvClipConfig())
    reference = open_clip.get_tokenizer("ViT-B-32")
    padded = ours(list(SENTENCES), padding="max_length", return_tensors="pt").input_ids
    for text, row, expected in zip(SENTENCES, padded, reference(list(SENTENCES)), strict=True):
        words = expected[expected > 0]  # it pads with zeros
        assert torch.equal(row[: len(words)], words), text
        assert (row[len(words) :] == ours.eos_token_id).all()
    assert ours.decode(ours(SENTENCES[3]).input_ids, skip_special_tokens=True) == SENTENCES[3]


def test_a_folders_own_tokenizer_comes_along(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = {word: number for number, word in enumerate(["[UNK]", "<s>", "</s>", "cat", "猫"])}
    plain = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    theirs = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="[UNK]", bos_token="<s>", eos_token="</s>")
    transformers_clip({"vocab_size": 5}).save_pretrained(tmp_path / "theirs")
    theirs.save_pretrained(tmp_path / "theirs")
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    ours: Any = AutoTokenizer.from_pretrained(tmp_path / "ours")
    assert ours("cat 猫 dog").input_ids == theirs("cat 猫 dog").input_ids == [3, 4, 0]
    theirs.add_tokens(["one", "more"])
    theirs.save_pretrained(tmp_path / "theirs")
    with pytest.raises(CvhubError, match="has 7 tokens, but the net has 5 embeddings"):
        convert_checkpoint(tmp_path / "theirs", tmp_path / "again")


def test_an_own_vocabulary_has_no_default(tmp_path: Path) -> None:
    transformers_clip({"vocab_size": 600}).save_pretrained(tmp_path / "theirs")
    with pytest.raises(CvhubError, match="its vocabulary of 600 tokens is not CLIP's own"):
        convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")


PROGRAM = """
import json, sys
sys.modules["cvhub"] = None  # importing it fails, though it may be installed here
import torch
from PIL import Image
from transformers import (
    AutoConfig, AutoImageProcessor, AutoModel, AutoModelForZeroShotImageClassification, AutoProcessor, AutoTokenizer,
    pipeline,
)
folder, picture, *labels = sys.argv[1:]
trust = dict(trust_remote_code=True)
image = Image.open(picture)
inputs = AutoProcessor.from_pretrained(folder, **trust)(text=labels, images=image, return_tensors="pt", padding=True)
with torch.no_grad():
    outputs = AutoModelForZeroShotImageClassification.from_pretrained(folder, **trust).eval()(**inputs)
assert type(AutoModel.from_pretrained(folder, **trust)).__name__ == "CvClipModel"
words = AutoTokenizer.from_pretrained(folder, **trust)(labels, return_tensors="pt", padding=True)
assert torch.equal(words.input_ids, inputs.input_ids)
pixels = AutoImageProcessor.from_pretrained(folder, **trust)(image, return_tensors="pt")
assert torch.equal(pixels.pixel_values, inputs.pixel_values)
said = pipeline("zero-shot-image-classification", model=folder, **trust)(image, labels, hypothesis_template="{}")
print(json.dumps([outputs.logits_per_image.tolist(), {one["label"]: one["score"] for one in said}]))
"""


def test_folders_work_where_cvhub_is_not_installed(tmp_path: Path) -> None:
    """All Auto classes and the pipeline, in a fresh process, half precision on disk, and with no dtype given."""
    theirs = randomise(transformers_clip())
    theirs.half().save_pretrained(tmp_path / "theirs")
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8))
    image.save(tmp_path / "image.png")
    labels = ["a photo of a cat", "猫"]
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "ours"), str(tmp_path / "image.png"), *labels]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    said, scores = json.loads(done.stdout.splitlines()[-1])
    processor: Any = AutoProcessor.from_pretrained(tmp_path / "ours")
    inputs = processor(text=labels, images=image, return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = theirs.float()(**inputs).logits_per_image
    assert difference(torch.tensor(said), expected) <= 1e-4
    assert [scores[label] for label in labels] == pytest.approx(expected.softmax(-1)[0].tolist(), abs=1e-4)


# --- What the papers say ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("ViT-B/32", 151_277_313), ("ViT-B/16", 149_620_737), ("ViT-L/14", 427_616_513),
        ("ViT-L/14@336px", 427_944_193), ("RN50", 102_007_137), ("RN101", 119_688_033), ("RN50x4", 178_300_601),
        ("RN50x16", 290_979_217), ("RN50x64", 623_258_305),
    ],
)  # fmt: skip
def test_the_papers_nets_have_the_released_sizes(name: str, parameters: int) -> None:
    with torch.device("meta"):
        model = CvClipModel(CvClipConfig.variant(name))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert len(VARIANTS) == 9


def test_the_softmax_loss_is_transformers_and_lowest_for_pairs() -> None:
    theirs = randomise(transformers_clip())
    texts, pixels = ids((3, 4), (5,), (6, 7, 8), end=49407), torch.randn(3, 3, 64, 64)
    output = theirs(texts, pixels, return_loss=True)
    assert softmax_loss(output.logits_per_image).item() == pytest.approx(output.loss.item(), abs=1e-6)
    logits = 20 * torch.eye(4)
    assert softmax_loss(logits) < softmax_loss(logits.flip(0))
    assert softmax_loss(torch.zeros(4, 4)).item() == pytest.approx(np.log(4))
    assert softmax_loss(logits.bfloat16()).dtype == torch.float32
    with pytest.raises(ValueError, match=r"shape \(3, 4\), expected as many pictures as texts"):
        softmax_loss(torch.zeros(3, 4))


def test_pictures_of_which_the_same_is_said_are_right_for_each_other() -> None:
    """Where two of three texts are the same, either of two pictures is right, and neither is a stranger."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.2, 0.1, 2.0]])
    same = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    ways = (-one.log_softmax(1) for one in (logits, logits.t()))
    by_hand = sum(((way[0, :2].mean() + way[1, :2].mean() + way[2, 2]) / 3).item() for way in ways) / 2
    assert softmax_loss(logits, same).item() == pytest.approx(by_hand)
    assert softmax_loss(logits, torch.eye(3).bool()).item() == pytest.approx(softmax_loss(logits).item())
    signs = torch.where(same, 1.0, -1.0)
    assert sigmoid_loss(logits, same).item() == pytest.approx((-F.logsigmoid(signs * logits).sum() / 3).item())
    with pytest.raises(ValueError, match=r"same has shape \(2, 2\), expected that of the logits, \(3, 3\)"):
        softmax_loss(logits, same[:2, :2])


def test_the_sigmoid_loss_is_siglips() -> None:
    """SigLIP's pseudocode (algorithm 1), and transformers' loss of the same logits."""
    logits = torch.randn(5, 5)
    labels = 2 * torch.eye(5) - torch.ones(5, 5)
    assert sigmoid_loss(logits).item() == pytest.approx((-F.logsigmoid(labels * logits).sum() / 5).item())
    model = tiny(loss="sigmoid")
    assert model.config.logit_bias_init_value == -10
    fresh = CvClipModel(CvClipConfig(**TINY, loss="sigmoid"))
    assert fresh.logit_bias is not None
    assert fresh.logit_bias.item() == -10
    output = model(IDS, torch.randn(3, 3, 64, 64), return_loss=True)
    assert output.loss.item() == pytest.approx(sigmoid_loss(output.logits_per_image).item())


def test_no_token_sees_what_is_behind_it() -> None:
    model = tiny().text_model
    with torch.no_grad():
        before = model(IDS).last_hidden_state
        changed = IDS.clone()
        changed[:, 3:] = 50
        after = model(changed).last_hidden_state
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_the_end_token_stands_for_the_text() -> None:
    """By number or as the highest; padding behind it changes nothing, nor does a mask of it."""
    for pooling in ("end", "highest"):
        model = tiny(text_config=TEXT | {"pooling": pooling}).text_model
        with torch.no_grad():
            long, short = model(ids((3, 4), length=8)), model(ids((3, 4), length=4))
            masked = model(ids((3, 4), length=8), attention_mask=torch.tensor([[1, 1, 1, 1, 0, 0, 0, 0]]))
        assert torch.equal(short.pooler_output, short.last_hidden_state[:, 3])
        assert torch.allclose(long.pooler_output, short.pooler_output, atol=1e-6)
        assert torch.equal(long.pooler_output, masked.pooler_output)


@pytest.mark.parametrize("tower", TOWERS)
def test_features_are_what_the_logits_are_made_of(tower: str) -> None:
    model = tiny(vision_config=TOWERS[tower])
    pixels = torch.randn(2, 3, 64, 96)  # of any size
    with torch.no_grad():
        output = model(IDS, pixels, output_attentions=True, output_hidden_states=True)
        image = F.normalize(model.get_image_features(pixels).pooler_output, dim=-1)
        text = F.normalize(model.get_text_features(IDS).pooler_output, dim=-1)
    assert torch.allclose(output.image_embeds, image, atol=1e-6)
    assert torch.allclose(output.logits_per_image, model.logit_scale.exp() * image @ text.t(), atol=1e-4)
    assert torch.equal(output.logits_per_text, output.logits_per_image.t())
    assert output.text_model_output.attentions[0].shape == (3, 4, 8, 8)
    assert len(output.vision_model_output.hidden_states) > 1


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_both_attentions_say_the_same(implementation: str, tmp_path: Path) -> None:
    model = tiny(vision_config=RESNET)
    model.save_pretrained(tmp_path)
    again: Any = AutoModel.from_pretrained(tmp_path, attn_implementation=implementation).eval()
    assert again.text_model.config._attn_implementation == implementation
    assert again.vision_model.config._attn_implementation == implementation
    pixels = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert difference(again(IDS, pixels).logits_per_image, model(IDS, pixels).logits_per_image) < 1e-5


def test_residual_layers_start_smaller_the_more_there_are() -> None:
    text = CvClipTextConfig(**TEXT | {"hidden_size": 128, "num_hidden_layers": 8})
    model = CvClipModel(CvClipConfig(vision_config=VIT, text_config=text, projection_dim=16))
    attention = next(module for module in model.text_model.modules() if isinstance(module, SelfAttention))
    assert attention.qkv.weight.std().item() == pytest.approx(128**-0.5, rel=0.1)
    assert attention.proj.weight.std().item() == pytest.approx((2 * 8 * 128) ** -0.5, rel=0.1)
    assert model.logit_scale.exp().item() == pytest.approx(1 / 0.07)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"loss": "hinge"}, "loss is 'hinge', expected one of"),
        ({"vision_config": {"model_type": "cvhub_swin"}}, "model_type 'cvhub_swin', expected one of cvhub_vit"),
        ({"vision_config": RESNET | {"projection_dim": 8}}, "projection_dim is 16, but the tower's is 8"),
        ({"vision_config": RESNET | {"image_size": 50}}, "image_size is 50, expected a multiple of 32"),
        ({"vision_config": RESNET | {"num_attention_heads": 3}}, "256 channels can't be shared by 3 heads"),
        ({"text_config": TEXT | {"pooling": "mean"}}, "pooling is 'mean', expected one of"),
        ({"text_config": TEXT | {"num_attention_heads": 5}}, "hidden_size 32 can't be shared by 5 heads"),
    ],
)
def test_impossible_configs_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        CvClipConfig(**(TINY | fields))


def test_impossible_inputs_are_refused() -> None:
    model = tiny()
    pixels = torch.randn(1, 3, 64, 64)
    with pytest.raises(ValueError, match="13 tokens, this text tower takes at most 12"):
        model(ids((1,), length=13), pixels)
    with pytest.raises(ValueError, match=r"shape \(8,\), expected \(texts, tokens\)"):
        model(IDS[0], pixels)
    with pytest.raises(ValueError, match="leaves out the first token"):
        model(IDS, pixels, attention_mask=torch.zeros_like(IDS))
    with pytest.raises(ValueError, match="1 channels, this config has 3"):
        model(IDS, pixels[:, :1])


@pytest.mark.parametrize("fields", [{"scale_fc": True}, {"pool_type": "avg"}, {"timm_model_name": "convnext_base"}])
def test_what_open_clip_alone_has_is_named(fields: dict[str, Any], tmp_path: Path) -> None:
    model, config = open_clip_model(VISION["vit"])
    save_file(contiguous(model), tmp_path / "open_clip_model.safetensors")
    config["vision_cfg"] |= fields
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    with pytest.raises(NoForeignForm, match=next(iter(fields))):
        convert_checkpoint(tmp_path, tmp_path / "ours")
