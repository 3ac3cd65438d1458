"""BLIP's checkpoints in transformers (captions, matching, questions) and in the original repo's files."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cvhub.convert.blip_tokenizer import make_tokenizer
from cvhub.convert.clip import OPENAI, heads
from cvhub.convert.family import Family, Fields, Layout, NoForeignForm, Shapes, require, resize_then_crop
from cvhub.convert.renaming import Part
from cvhub.convert.vit import timm_names
from cvhub.errors import CvhubError
from cvhub.models.blip import CvBlipConfig
from cvhub.models.blip_text import CvBlipTextConfig
from cvhub.models.vit import CvViTConfig

Names = Iterator[tuple[Part, Part]]

# Fields that transformers' configs share with ours, by their names.
TEXT_FIELDS = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("max_position_embeddings", "layer_norm_eps", "label_smoothing", "bos_token_id", "sep_token_id", "pad_token_id"),
)
VISION_FIELDS = (
    *("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "image_size", "patch_size"),
    *("hidden_act", "layer_norm_eps", "attention_dropout"),
)
VIT: Fields = {"fill_patches": False, "antialias_positions": False}
# Parts of a text block, ours and theirs, and of a picture's in transformers.
TEXT_BLOCK = (
    *((f"attention.{part}", f"attention.self.{part}") for part in ("query", "key", "value")),
    *((f"cross_attention.{part}", f"crossattention.self.{part}") for part in ("query", "key", "value")),
    *(("attention.proj", "attention.output.dense"), ("attention_norm", "attention.output.LayerNorm")),
    *(("cross_attention.proj", "crossattention.output.dense"), ("cross_norm", "crossattention.output.LayerNorm")),
    *(("mlp.fc1", "intermediate.dense"), ("mlp.fc2", "output.dense"), ("mlp_norm", "output.LayerNorm")),
)
VISION_BLOCK = (("attention.qkv", "self_attn.qkv"), ("attention.proj", "self_attn.projection"))
VISION_BLOCK += (("norm1", "layer_norm1"), ("norm2", "layer_norm2"), ("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2"))
# transformers' class → the end of ours.
CLASSES = {
    "BlipForConditionalGeneration": "ForConditionalGeneration",
    "BlipForImageTextRetrieval": "ForImageTextRetrieval",
    "BlipForQuestionAnswering": "ForQuestionAnswering",
}
# What transformers writes twice, since both are the same tensor.
TIED = tuple(f"text_decoder.cls.predictions.decoder.{leaf}" for leaf in ("weight", "bias"))
# Of the original's training, and of no use after it.
MOMENTUM = ("visual_encoder_m.", "text_encoder_m.", "vision_proj_m.", "text_proj_m.", "image_queue", "text_queue")
MOMENTUM += ("queue_ptr", "ptr_queue", "idx_queue", "text_decoder_m.")


def _text_names(config: CvBlipTextConfig) -> Names:
    """Of all that a folder may hold: a captioner has no encoder, a judge no decoder."""
    for ours, theirs in (("text_encoder", "text_encoder"), ("text_decoder.text", "text_decoder.bert")):
        yield f"{ours}.embedding", f"{theirs}.embeddings.word_embeddings"
        yield f"{ours}.positions", f"{theirs}.embeddings.position_embeddings.weight"
        yield f"{ours}.norm", f"{theirs}.embeddings.LayerNorm"
        for i in range(config.num_hidden_layers):
            for our_part, their_part in TEXT_BLOCK:
                yield f"{ours}.blocks.{i}.{our_part}", f"{theirs}.encoder.layer.{i}.{their_part}"
    head = "text_decoder.cls.predictions"
    yield "text_decoder.head.dense", f"{head}.transform.dense"
    yield "text_decoder.head.norm", f"{head}.transform.LayerNorm"
    yield "text_decoder.head.bias", f"{head}.bias"
    yield "visual_projection", "vision_proj"
    yield "text_projection", "text_proj"
    yield "matching", "itm_head"


def _transformers_names(config: CvBlipConfig) -> Names:
    ours, theirs = "vision_model.embeddings", "vision_model.embeddings"
    yield f"{ours}.patches.projection", f"{theirs}.patch_embedding"
    yield f"{ours}.class_token", f"{theirs}.class_embedding"
    yield f"{ours}.positions", f"{theirs}.position_embedding"
    yield "vision_model.norm", "vision_model.post_layernorm"
    for i in range(config.vision_config.num_hidden_layers):
        for our_part, their_part in VISION_BLOCK:
            yield f"vision_model.blocks.{i}.{our_part}", f"vision_model.encoder.layers.{i}.{their_part}"
    yield from _text_names(config.text_config)


def _original_names(config: CvBlipConfig) -> Names:
    """timm's ViT under a name of its own, and BERT's, which transformers has too."""
    yield from ((ours, f"visual_encoder.{theirs}") for ours, theirs in timm_names(config.vision_config, "vision_model"))
    yield from _text_names(config.text_config)


def _read_transformers(config: Fields) -> Fields:
    from transformers import BlipConfig

    theirs: Any = BlipConfig.from_dict(config)
    text, vision = theirs.text_config, theirs.vision_config
    words = {name: getattr(text, name) for name in TEXT_FIELDS}
    words |= {"dropout": text.hidden_dropout_prob, "attention_dropout": text.attention_probs_dropout_prob}
    return {
        "vision_config": CvViTConfig(**{name: getattr(vision, name) for name in VISION_FIELDS}, **VIT),
        "text_config": CvBlipTextConfig(**words, eos_token_id=text.sep_token_id),
        "projection_dim": theirs.image_text_hidden_size,
        "logit_scale_init_value": theirs.logit_scale_init_value,
    }


def _write_transformers(config: CvBlipConfig) -> Fields:
    vision, text = config.vision_config, config.text_config
    require(vision, "transformers", pre_norm=False, pooling="cls", class_token=True, qkv_bias=True, num_channels=3)
    words = {name: getattr(text, name) for name in TEXT_FIELDS}
    words |= {"hidden_dropout_prob": text.dropout, "attention_probs_dropout_prob": text.attention_dropout}
    ends = {ours: theirs for theirs, ours in CLASSES.items()}
    saved = (config.architectures or ["CvBlip"])[0].removeprefix("CvBlip")
    if saved not in ends:
        raise CvhubError(f"transformers has no class for CvBlip{saved}: a head of BLIP's was expected.")
    return {
        "model_type": "blip",
        "architectures": [ends[saved]],
        "image_text_hidden_size": config.projection_dim,
        "logit_scale_init_value": config.logit_scale_init_value,
        "text_config": {"model_type": "blip_text_model", "is_decoder": True, **words},
        "vision_config": {"model_type": "blip_vision_model", **{name: getattr(vision, name) for name in VISION_FIELDS}},
    }


def _cannot_write(config: CvBlipConfig) -> Fields:
    raise NoForeignForm("blip", "model_type", config.model_type)


def _sizes(config: CvBlipConfig, shapes: Shapes) -> Fields:
    """What tensors' shapes tell of the ViT, and of the text transformer that there is."""
    width, channels, patch, _ = shapes["vision_model.embeddings.patches.projection.weight"]
    vision = config.vision_config.to_dict() | heads(config.vision_config, width)
    vision |= {"hidden_size": width, "num_channels": channels, "patch_size": patch}
    vision |= {"image_size": math.isqrt(shapes["vision_model.embeddings.positions"][1] - 1) * patch}
    vision |= {"intermediate_size": shapes["vision_model.blocks.0.mlp.fc1.weight"][0]}
    body = "text_encoder" if "text_encoder.embedding.weight" in shapes else "text_decoder.text"
    vocabulary, hidden = shapes[f"{body}.embedding.weight"]
    text = config.text_config.to_dict() | heads(config.text_config, hidden)
    text |= {"vocab_size": vocabulary, "hidden_size": hidden}
    text |= {"max_position_embeddings": shapes[f"{body}.positions"][0]}
    text |= {"intermediate_size": shapes[f"{body}.blocks.0.mlp.fc1.weight"][0]}
    fields: Fields = {"vision_config": vision, "text_config": text}
    if "visual_projection.weight" in shapes:
        fields["projection_dim"] = shapes["visual_projection.weight"][0]
    return fields


def _lacking(config: CvBlipConfig) -> dict[str, Tensor]:
    """transformers' judge compares without a temperature."""
    return {"logit_scale": torch.tensor(float(config.logit_scale_init_value))}


def _processor(architecture: str) -> Fields:
    square = {"height": 384, "width": 384}
    return resize_then_crop(384, 384, Image.Resampling.BICUBIC, **OPENAI) | {"size": square}


# What the original's files are for: the name to give to --arch, and the end of our class.
ORIGINAL_TASKS = {
    "caption": "ForConditionalGeneration",
    "retrieval": "ForImageTextRetrieval",
    "vqa": "ForQuestionAnswering",
}
ORIGINAL: Fields = {"vision_config": {"layer_norm_eps": 1e-6, "image_size": 384, **VIT}}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}


FAMILY = Family(
    name="blip",
    prefix="CvBlip",
    suffix="Model",
    tokenizer=make_tokenizer,
    sizes=_sizes,
    layouts=(
        Layout(
            library="transformers",
            architectures={name: {} for name in CLASSES},
            suffixes=CLASSES,
            names=_transformers_names,
            read=_read_transformers,
            write=_write_transformers,
            processor=_processor,
            lacking=_lacking,
            leftovers=("position_ids",),
            unused=TIED,
        ),
        Layout(
            library="blip",
            architectures={
                f"blip_{task}_{size}": ORIGINAL | fields
                for task in ORIGINAL_TASKS
                for size, fields in (("base", {}), ("large", {"vision_config": ORIGINAL["vision_config"] | LARGE}))
            },
            suffixes={
                f"blip_{task}_{size}": suffix for task, suffix in ORIGINAL_TASKS.items() for size in ("base", "large")
            },
            names=_original_names,
            write=_cannot_write,
            processor=_processor,
            lacking=_lacking,
            leftovers=("position_ids",),
            unused=(*TIED, *MOMENTUM, "temp"),
        ),
    ),
)
