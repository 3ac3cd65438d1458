"""What is asked before a visitor types: labels, templates and captions of the sample drawings, by language.

They are what nets read, not what the page says. Where a visitor has changed none of it, it follows the language.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from cvhub.ui.samples import DRAWINGS, FOLDER
from cvhub.ui.strings import Say

LONGEST_NAME = 60  # letters of a picture's file
PHOTO = "chelsea"
SAMPLES = (*DRAWINGS, PHOTO)
NAMES: Mapping[str, tuple[str, ...]] = {
    "en": ("apple", "fish", "house", "sun", "tree", "car", "cat"),
    "zh": ("苹果", "鱼", "房子", "太阳", "树", "汽车", "猫"),
}
CAPTIONS: Mapping[str, tuple[str, ...]] = {
    "en": ("a red apple", "an orange fish", "a house with a red roof", "the sun", "a green tree", "a blue car"),
    "zh": ("一个红苹果", "一条橙色的鱼", "一座红屋顶的房子", "太阳", "一棵绿树", "一辆蓝色的汽车"),
}
PHOTO_CAPTION = {"en": "a cat", "zh": "一只猫"}
TEMPLATES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "plain": {"en": ("{}",), "zh": ("{}",)},
    "photo": {"en": ("a photo of {}.",), "zh": ("一张{}的照片。",)},
    "ensemble": {
        "en": ("{}", "a drawing of {}.", "a picture of {}.", "clip art of {}.", "an icon of {}.", "a photo of {}."),
        "zh": ("{}", "一幅{}的画。", "一张{}的图片。", "{}的剪贴画。", "{}的图标。", "一张{}的照片。"),
    },
}


def lines(text: str | None) -> list[str]:
    """A text a line, without empty ones."""
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def labels(language: str) -> str:
    return "\n".join(NAMES[language])


def captions(language: str) -> str:
    """Of the drawings, in their order."""
    return "\n".join(CAPTIONS[language])


def caption(sample: str, language: str) -> str:
    return PHOTO_CAPTION[language] if sample == PHOTO else CAPTIONS[language][DRAWINGS.index(sample)]


def templates(kind: str, language: str) -> str:
    return "\n".join(TEMPLATES[kind][language])


def all_of(language: str) -> dict[str, str]:
    """Every default text by a name of its own."""
    texts = {"labels": labels(language), "captions": captions(language)}
    texts |= {f"caption {sample}": caption(sample, language) for sample in SAMPLES}
    return texts | {f"templates {kind}": templates(kind, language) for kind in TEMPLATES}


ALL: Mapping[str, Mapping[str, str]] = {language: all_of(language) for language in NAMES}


def in_language(text: str, language: str) -> str | None:
    """A default text, perhaps of another language, in this one; None where the visitor wrote it."""
    names = [name for texts in ALL.values() for name, default in texts.items() if default == text]
    return ALL[language][names[0]] if names else None


def retell(text: str | None, language: str) -> Any:
    """What nobody has changed, in another language."""
    told = in_language(text or "", language)
    return gr.skip() if told is None else told


def retell_both(first: str | None, second: str | None, language: str) -> tuple[Any, Any]:
    return retell(first, language), retell(second, language)


def picture_name(file: str, say: Say) -> str:
    """What a sample shows, or the name of a visitor's file."""
    path = Path(file)
    if path.parent == FOLDER and path.stem in SAMPLES:
        return say(f"words_sample_{path.stem}")
    return path.name[:LONGEST_NAME]
