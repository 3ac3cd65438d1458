"""BLIP (Li et al. 2022): parity with transformers and the original's files, token by token, and what the paper says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import (
    AutoProcessor,
    BlipConfig,
    BlipForConditionalGeneration,
    BlipForImageTextRetrieval,
    BlipForQuestionAnswering,
    PreTrainedTokenizerFast,
)

from cvhub.convert import convert_checkpoint, export_checkpoint
from cvhub.convert.blip import TEXT_BLOCK
from cvhub.convert.blip_tokenizer import REPO, make_tokenizer
from cvhub.errors import CvhubError
from cvhub.models.blip import CvBlipConfig, CvBlipForConditionalGeneration, CvBlipForImageTextRetrieval
from cvhub.models.blip_text import CvBlipTextConfig, CvBlipTextDecoder, attention_bias, next_word_loss
from tests.loopback_hub import LoopbackHub, hub_fixture  # noqa: F401 (a fixture)
from tests.parity import difference, load_any, randomise

TINY: dict[str, Any] = {
    "vision_config": {
        "image_size": 64,
        "patch_size": 16,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 40,
        "fill_patches": False,
        "initializer_range": 0.1,
    },
    "text_config": {
        "vocab_size": 60,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 48,
        "max_position_embeddings": 20,
        "bos_token_id": 57,
        "sep_token_id": 3,
        "eos_token_id": 3,
        "initializer_range": 0.1,
    },
    "projection_dim": 16,
}
# What transformers' configs say of nets as small; questions need both widths alike there.
TEXT: dict[str, Any] = {
    **{name: TINY["text_config"][name] for name in ("vocab_size", "hidden_size", "num_hidden_layers", "bos_token_id")},
    **{name: TINY["text_config"][name] for name in ("num_attention_heads", "max_position_embeddings", "sep_token_id")},
    "intermediate_size": 48,
    "pad_token_id": 0,
}
VISION: dict[str, Any] = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 40}
VISION |= {"image_size": 64, "patch_size": 16}
HEADS = {
    "captions": BlipForConditionalGeneration,
    "matching": BlipForImageTextRetrieval,
    "questions": BlipForQuestionAnswering,
}
IDS = torch.tensor([[57, 5, 6, 7, 3], [57, 9, 8, 3, 0]])
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])


def theirs_of(kind: str, **text: Any) -> Any:
    """transformers' net, everything random but for the tensors that are tied."""
    torch.manual_seed(0)
    width = 32 if kind == "questions" else 24
    config = BlipConfig(
        text_config=TEXT | text, vision_config=VISION | {"hidden_size": width}, image_text_hidden_size=16
    )
    model: Any = randomise(HEADS[kind](config))
    model.tie_weights()
    return model


def words(size: int = 58) -> PreTrainedTokenizerFast:
    """A vocabulary of words by number, which wraps texts as BERT's tokenizer does."""
    vocabulary = {f"w{number}": number for number in range(size)}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="w1"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    plain.post_processor = processors.TemplateProcessing("w2 $A w3", None, [("w2", 2), ("w3", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, unk_token="w1", pad_token="w0", bos_token="w57", cls_token="w2", sep_token="w3"
    )


def converted(kind: str, tmp_path: Path, **text: Any) -> tuple[Any, Any]:
    """Their net and ours."""
    theirs = theirs_of(kind, **text)
    theirs.save_pretrained(tmp_path / "theirs")
    words().save_pretrained(tmp_path / "theirs")
    convert_checkpoint(tmp_path / "theirs", tmp_path / "ours")
    return theirs, load_any(tmp_path / "ours")


def pictures(count: int = 2, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(2)).to(dtype)


# --- Parity ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HEADS)
def test_logits_are_transformers_and_the_file_comes_back(kind: str, tmp_path: Path) -> None:
    theirs, ours = converted(kind, tmp_path)
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        ours, theirs, pixels = ours.to(dtype), theirs.to(dtype), pictures(dtype=dtype)
        with torch.no_grad():
            if kind == "captions":
                said = ours(pixels, IDS, attention_mask=MASK, labels=IDS)
                expected = theirs(pixels, IDS, attention_mask=MASK, labels=IDS)
                pairs = [(said.logits, expected.logits), (said.loss, expected.loss.float())]
            elif kind == "matching":
                said = ours(IDS, pixels, attention_mask=MASK)
                near = theirs(IDS, pixels, attention_mask=MASK, use_itm_head=False).itm_score
                fits = theirs(IDS, pixels, attention_mask=MASK).itm_score
                pairs = [(said.itm_score, fits), (said.logits_per_image / ours.logit_scale.exp(), near)]
            else:  # whole questions: transformers' decoder attends to their padding, the original's doesn't
                pairs = [(ours(IDS, pixels, labels=IDS).logits, answer_logits(theirs, pixels))]
        assert all(difference(ours_, theirs_) <= tolerance for ours_, theirs_ in pairs)
    export_checkpoint(tmp_path / "ours", tmp_path / "back", "transformers")
    original = load_file(tmp_path / "theirs" / "model.safetensors")
    returned = load_file(tmp_path / "back" / "model.safetensors")
    assert returned.keys() == original.keys()
    assert all(torch.equal(returned[name], original[name]) for name in original)
    again = HEADS[kind].from_pretrained(tmp_path / "back")
    assert again.config.text_config.sep_token_id == 3


def answer_logits(theirs: BlipForQuestionAnswering, pixels: Tensor) -> Tensor:
    """Which their net keeps to itself."""
    tokens = theirs.vision_model(pixels).last_hidden_state
    question = theirs.text_encoder(IDS, encoder_hidden_states=tokens).last_hidden_state
    return theirs.text_decoder(IDS, encoder_hidden_states=question).logits


@pytest.mark.parametrize(
    "settings",
    [
        {"max_length": 14},
        {"max_length": 14, "num_beams": 3},
        {"max_new_tokens": 9, "num_beams": 4, "length_penalty": 0.5, "repetition_penalty": 1.2},
        {"max_new_tokens": 9, "num_beams": 4, "num_return_sequences": 2},
        {"max_length": 14, "use_cache": False},
        {"max_length": 14, "do_sample": True, "top_p": 0.8, "temperature": 1.5},
    ],
)  # fmt: skip
def test_captions_are_transformers_token_by_token(settings: dict[str, Any], tmp_path: Path) -> None:
    """Greedy, beams and nucleus, from the start and from words that begin it; on a vocabulary with a rare end."""
    theirs, ours = converted("captions", tmp_path, sep_token_id=41)
    pixels = pictures(3)
    begun = {"input_ids": torch.tensor([[2, 5, 6, 3]] * 3), "attention_mask": torch.ones(3, 4, dtype=torch.long)}
    for more in ({}, begun):
        torch.manual_seed(1)
        expected = theirs.generate(pixels, **{name: value.clone() for name, value in more.items()}, **settings)
        torch.manual_seed(1)
        assert torch.equal(ours.generate(pixels, **more, **settings), expected)
        assert (expected[:, 0] == 57).all()


@pytest.mark.parametrize("settings", [{"max_length": 14}, {"max_length": 14, "num_beams": 3}])
def test_answers_are_transformers_token_by_token(settings: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = converted("questions", tmp_path, sep_token_id=41)
    expected = theirs.generate(IDS, pictures(), attention_mask=MASK, **settings)
    assert torch.equal(ours.generate(IDS, pictures(), attention_mask=MASK, **settings), expected)


VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "##s"]
VOCABULARY += [f"word{number}" for number in range(30522 - len(VOCABULARY))]  # as many as BERT has


@pytest.mark.parametrize("kind", HEADS)
def test_the_originals_files(kind: str, tmp_path: Path, hub: LoopbackHub) -> None:
    """Their ViT is timm's, the rest is as in transformers; training leaves a momentum copy and queues beside."""
    hub.add(REPO, {"vocab.txt": "\n".join(VOCABULARY).encode()})
    shared = {"num_hidden_layers": 12, "hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 40}
    config = BlipConfig(
        text_config=shared | {"max_position_embeddings": 20},
        vision_config=shared | {"image_size": 64, "patch_size": 16, "layer_norm_eps": 1e-6},
        image_text_hidden_size=16,
    )
    theirs: Any = randomise(HEADS[kind](config))
    theirs.tie_weights()
    tensors = {original_name(name): tensor.clone() for name, tensor in theirs.state_dict().items()}
    left = {"temp": torch.tensor(0.07), "image_queue": torch.zeros(3), "visual_encoder_m.norm.weight": torch.ones(3)}
    torch.save({"model": tensors | left}, tmp_path / "weights.pth")
    arch = {"captions": "blip_caption_base", "matching": "blip_retrieval_base", "questions": "blip_vqa_base"}[kind]
    convert_checkpoint(tmp_path / "weights.pth", tmp_path / "ours", arch)
    ours, theirs, pixels = load_any(tmp_path / "ours").double(), theirs.double(), pictures(dtype=torch.float64)
    with torch.no_grad():
        if kind == "captions":
            said, expected = ours(pixels, IDS).logits, theirs(pixels, IDS).logits
        elif kind == "matching":
            said, expected = ours(IDS, pixels).itm_score, theirs(IDS, pixels).itm_score
        else:
            said, expected = ours(IDS, pixels, labels=IDS).logits, answer_logits(theirs, pixels)
    assert difference(said, expected) <= 1e-9
    processor: Any = AutoProcessor.from_pretrained(tmp_path / "ours")
    assert processor.tokenizer("a cats").input_ids == [2, 5, 6, 7, 3]
    assert processor.tokenizer.convert_tokens_to_ids(["[DEC]", "[ENC]"]) == [30522, 30523]
    with pytest.raises(CvhubError, match="blip has no form"):
        export_checkpoint(tmp_path / "ours", tmp_path / "back", "blip")


def test_without_berts_words_the_originals_are_not_read(hub: LoopbackHub) -> None:
    with pytest.raises(CvhubError, match=REPO):
        make_tokenizer(CvBlipConfig())
    hub.add(REPO, {"vocab.txt": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]"})
    with pytest.raises(CvhubError, match="its vocabulary of 30,524 tokens is not BLIP's own"):
        make_tokenizer(CvBlipConfig())


def original_name(name: str) -> str:
    """transformers' name of a tensor → the original's."""
    parts = (
        ("vision_model.embeddings.class_embedding", "visual_encoder.cls_token"),
        ("vision_model.embeddings.position_embedding", "visual_encoder.pos_embed"),
        ("vision_model.embeddings.patch_embedding", "visual_encoder.patch_embed.proj"),
        ("vision_model.encoder.layers", "visual_encoder.blocks"),
        ("vision_model.post_layernorm", "visual_encoder.norm"),
        ("self_attn.projection", "attn.proj"),
        ("self_attn.qkv", "attn.qkv"),
        ("layer_norm", "norm"),
    )
    for theirs, originals in parts:
        name = name.replace(theirs, originals)
    return name


# --- Where cvhub is not installed ------------------------------------------------------------------------------------


PROGRAM = """
import json, sys
sys.modules["cvhub"] = None  # importing it fails, though it may be installed here
import torch, transformers
from PIL import Image
from transformers import AutoModel, AutoProcessor, pipeline
auto, folder, picture = sys.argv[1:]
trust = dict(trust_remote_code=True)
image = Image.open(picture)
processor = AutoProcessor.from_pretrained(folder, **trust)
model = getattr(transformers, auto).from_pretrained(folder, **trust).eval()
tokens = AutoModel.from_pretrained(folder, **trust).eval()(processor(images=image, return_tensors="pt").pixel_values)
answers = {"features": tokens.pooler_output.tolist()}
inputs = processor(images=image, text="w9 w8", return_tensors="pt")
inputs.pop("token_type_ids", None)
if "ZeroShot" in auto:
    with torch.no_grad():
        answers["fits"] = model(**inputs).itm_score.tolist()
    judge = pipeline("zero-shot-image-classification", model=folder, **trust)
    answers["best"] = judge(image, ["w5", "w6"], hypothesis_template="{}")[0]["label"]
else:
    answers["ids"] = model.generate(**inputs, max_length=12).tolist()
if auto == "AutoModelForImageTextToText":
    writer = pipeline("image-text-to-text", model=folder, **trust)
    answers["text"] = writer(image, text="w9 w8", generate_kwargs={"max_length": 12})[0]["generated_text"]
print(json.dumps(answers))
"""
AUTOS = {
    "captions": "AutoModelForImageTextToText",
    "matching": "AutoModelForZeroShotImageClassification",
    "questions": "AutoModelForVisualQuestionAnswering",
}


@pytest.mark.parametrize("kind", HEADS)
def test_folders_work_where_cvhub_is_not_installed(kind: str, tmp_path: Path) -> None:
    _, ours = converted(kind, tmp_path, sep_token_id=41)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8))
    image.save(tmp_path / "image.png")
    command = [sys.executable, "-c", PROGRAM, AUTOS[kind], str(tmp_path / "ours"), str(tmp_path / "image.png")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    processor: Any = AutoProcessor.from_pretrained(tmp_path / "ours")
    inputs = processor(images=image, text="w9 w8", return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        features = ours.vision_model(inputs.pixel_values).pooler_output
    assert difference(torch.tensor(answers["features"]), features) <= 1e-5
    if kind == "matching":
        with torch.no_grad():
            assert difference(torch.tensor(answers["fits"]), ours(**inputs).itm_score) <= 1e-4
        assert answers["best"] in ("w5", "w6")
    else:
        ids = ours.generate(**inputs, max_length=12)
        assert answers["ids"] == ids.tolist()
    if kind == "captions":
        assert answers["text"] == processor.decode(ids[0], skip_special_tokens=True)


# --- What the paper says ---------------------------------------------------------------------------------------------


def test_the_base_net_has_the_released_size() -> None:
    """Of Salesforce/blip-image-captioning-base, whose matrix of words is counted once."""
    with torch.device("meta"):
        ours = CvBlipForConditionalGeneration(CvBlipConfig())
        theirs = BlipForConditionalGeneration(BlipConfig())
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters()) == 223_971_644


def test_one_transformer_encodes_and_decodes() -> None:
    """Encoder and decoder differ in the direction in which they look, not in their tensors."""
    with torch.device("meta"):
        decoder = CvBlipTextDecoder(CvBlipTextConfig()).text.state_dict()
        encoder = CvBlipForImageTextRetrieval(CvBlipConfig()).text_encoder.state_dict()
    assert {name: t.shape for name, t in encoder.items()} == {name: t.shape for name, t in decoder.items()}
    assert len({ours for ours, _ in TEXT_BLOCK}) == len(TEXT_BLOCK) == 13


def tiny(cls: Any, **fields: Any) -> Any:
    torch.manual_seed(0)
    return cls(CvBlipConfig(**(TINY | fields))).eval()


def test_a_decoder_sees_what_stands_before() -> None:
    model = tiny(CvBlipForConditionalGeneration)
    changed = IDS.clone()
    changed[:, 3:] = 50
    with torch.no_grad():
        before, after = model(pictures(), IDS).logits, model(pictures(), changed).logits
    assert torch.allclose(before[:, :3], after[:, :3], atol=1e-5)
    assert not torch.allclose(before[:, 3:], after[:, 3:], atol=1e-3)


def test_contrast_sees_the_text_alone_and_matching_both() -> None:
    model = tiny(CvBlipForImageTextRetrieval)
    pixels = pictures(3)
    with torch.no_grad():
        one, other = model(IDS[:1], pixels[:1]), model(IDS[:1], pixels[1:2])
        all_with_one = model(IDS[:1], pixels)
        unpaired = model(IDS, pixels)
    assert torch.equal(one.text_embeds, other.text_embeds)
    assert not torch.allclose(one.itm_score, other.itm_score)
    assert torch.allclose(all_with_one.itm_score[:1], one.itm_score, atol=1e-5)
    assert unpaired.itm_score is None
    assert unpaired.logits_per_image.shape == (3, 2)
    assert model.logit_scale.exp().item() == pytest.approx(1 / 0.07)


def test_padding_and_its_mask_change_nothing() -> None:
    model = tiny(CvBlipForImageTextRetrieval)
    short, long = IDS[1:, :4], IDS[1:]
    with torch.no_grad():
        expected, said = model(short, pictures(1)), model(long, pictures(1), attention_mask=MASK[1:])
    assert torch.allclose(said.itm_score, expected.itm_score, atol=1e-5)
    assert torch.allclose(said.text_embeds, expected.text_embeds, atol=1e-5)


def test_the_loss_asks_for_the_next_word() -> None:
    logits, labels = torch.randn(2, 4, 7), torch.tensor([[1, 2, 3, -100], [1, 6, -100, -100]])
    said = logits.log_softmax(-1)
    by_hand = -(said[0, 0, 2] + said[0, 1, 3] + said[1, 0, 6]) / 3
    assert next_word_loss(logits, labels).item() == pytest.approx(by_hand.item(), abs=1e-6)
    assert next_word_loss(logits.bfloat16(), labels).dtype == torch.float32
    with pytest.raises(ValueError, match=r"labels have shape \(2, 3\), expected \(2, 4\)"):
        next_word_loss(logits, labels[:, 1:])


def test_what_may_be_seen() -> None:
    x = torch.zeros(1, 2, 4)
    assert attention_bias(None, 2, 1, causal=False, x=x) is None
    lowest = torch.finfo(torch.float32).min
    bias = attention_bias(torch.tensor([[1, 1, 0]]), 2, 1, causal=True, x=x)
    assert bias is not None
    assert bias.tolist() == [[[[0, 0, lowest], [0, 0, lowest]]]]
    assert attention_bias(None, 1, 5, causal=True, x=x[:, :1]) is None  # the last token sees all


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"vision_config": {"model_type": "cvhub_swin"}}, "expected one of cvhub_vit, cvhub_mobilenet_v2"),
        ({"text_config": TINY["text_config"] | {"num_attention_heads": 5}}, "hidden_size 32 can't be shared by 5"),
        ({"projection_dim": 0}, "projection_dim is 0, expected at least 1"),
    ],
)
def test_impossible_configs_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        CvBlipConfig(**(TINY | fields))


def test_impossible_inputs_are_refused() -> None:
    model = tiny(CvBlipForConditionalGeneration)
    with pytest.raises(ValueError, match="21 tokens, this text transformer takes at most 20"):
        model(pictures(1), torch.ones(1, 21, dtype=torch.long))
    with pytest.raises(ValueError, match=r"shape \(5,\), expected \(texts, tokens\)"):
        model(pictures(1), IDS[0])
