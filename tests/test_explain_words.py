"""Words and pictures: heat of a word, a caption step by step, matching and contrast, against the nets themselves."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cvhub.errors import CvhubError
from cvhub.explain.contrast import contrast
from cvhub.explain.words import LAST_LAYERS, word_heat, words_of
from cvhub.inference.matching import can_match, match, picture_tokens
from cvhub.inference.writing import Step, Writer, choose_token
from cvhub.inference.zero_shot import ZeroShot
from tests.parity import load_any
from tests.test_clip import TOWERS
from tests.test_writing import folders, images, photos  # noqa: F401 (fixtures)
from tests.test_zero_shot import save


def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8))


# --- Heat of a word --------------------------------------------------------------------------------------------------


def last_map(model: Any, pixels: Tensor, tower: str) -> tuple[Tensor, Tensor]:
    """Where heat is looked for, (C, h, w), with what the image tower makes of it, (E,)."""
    kept: list[Tensor] = []
    where = model.vision_model.blocks[-1].norm1 if tower == "vit" else model.vision_model
    hook = where.register_forward_hook(
        lambda module, inputs, output: kept.append(output if tower == "vit" else output.last_hidden_state)
    )
    features = model.get_image_features(pixels.requires_grad_()).pooler_output[0]
    hook.remove()
    return kept[0], features


@pytest.mark.parametrize("tower", ["vit", "mobilenet"])
def test_the_heat_of_a_word_is_the_gradient_of_the_cosine(tower: str, tmp_path: Path) -> None:
    net = ZeroShot(str(save(tmp_path, vision_config=TOWERS[tower])), "torch", "fp32")
    (text,) = net.embed_texts(["a cat"])
    model, pixels = load_any(tmp_path), torch.from_numpy(net.processor([picture()]))
    seen, features = last_map(model, pixels, tower)
    cosine = F.cosine_similarity(features, torch.from_numpy(text), dim=0)
    (gradient,) = torch.autograd.grad(cosine, seen)
    if tower == "vit":  # patches behind the class token, on a grid of 4 × 4
        seen, gradient = (part[:, 1:].transpose(1, 2).unflatten(2, (4, 4)) for part in (seen, gradient))
    expected = torch.relu((gradient.mean((2, 3), keepdim=True) * seen).sum(1))[0].detach()
    heat = word_heat(net, picture(), text)
    assert heat.max() == 1
    assert np.allclose(heat, (expected / expected.max()).numpy(), atol=1e-4)


def test_words_have_heats_of_their_own(tmp_path: Path) -> None:
    net = ZeroShot(str(save(tmp_path, vision_config=TOWERS["resnet"])), "torch", "fp32")
    cat, dog = (word_heat(net, picture(), text) for text in net.embed_texts(["a cat", "the moon over water"]))
    assert cat.shape == dog.shape
    assert not np.allclose(cat, dog)


def test_a_net_of_several_heads_has_heats_too() -> None:
    net = ZeroShot("drawings_blip", "torch", "fp32")
    assert word_heat(net, picture(), net.embed_texts(["a cat"])[0]).max() == 1


# --- A caption step by step ------------------------------------------------------------------------------------------


@pytest.fixture
def writer(folders: dict[str, Path]) -> Writer:  # noqa: F811
    return Writer(str(folders["captions"]), precision="fp32")


def test_greedy_steps_write_what_the_net_generates(writer: Writer, photos: Path) -> None:  # noqa: F811
    for image in images(photos):
        steps = list(writer.steps(image))
        assert steps[-1].text == writer.write([image])[0]
        assert [step.text for step in steps] == sorted((step.text for step in steps), key=len)


@pytest.mark.parametrize("way", ["greedy", "beams", "nucleus"])
def test_each_step_is_what_the_whole_net_says(
    way: str,
    writer: Writer,
    folders: dict[str, Path],  # noqa: F811
    photos: Path,  # noqa: F811
) -> None:
    """Probability and attention of each token, from one pass over all without a cache."""
    image = images(photos)[0]
    steps = {
        "greedy": lambda: list(writer.steps(image, most=6)),
        "beams": lambda: writer.best_beam(image, 3, most=6),
        "nucleus": lambda: list(writer.steps(image, top_p=0.8, seed=4, most=6)),
    }[way]()
    model = load_any(folders["captions"])
    ids = torch.tensor([[model.config.text_config.bos_token_id, *(step.token for step in steps)]])
    with torch.no_grad():
        output = model(torch.from_numpy(writer.processor([image])), ids[:, :-1], output_attentions=True)
    p = output.logits[0].softmax(-1)
    attention = torch.stack(output.cross_attentions)[:, 0]  # (layers, heads, T, S)
    for place, step in enumerate(steps):
        assert step.probability == pytest.approx(float(p[place, step.token]), abs=1e-5)
        patches = attention[:, :, place, 1:].unflatten(-1, step.attention.shape[2:])
        assert np.allclose(step.attention, patches.numpy(), atol=1e-5)
        assert (step.attention.sum((2, 3)) < 1).all()


def test_beams_find_what_generate_finds(writer: Writer, photos: Path) -> None:  # noqa: F811
    for image in images(photos):
        assert writer.best_beam(image, 3, most=7)[-1].text == writer.write([image], num_beams=3, max_new_tokens=7)[0]


def test_a_nucleus_is_the_fewest_that_have_enough() -> None:
    p = np.array([0.05, 0.5, 0.15, 0.3])
    chance = np.random.default_rng(0)
    assert choose_token(p, None, chance) == 1
    assert {choose_token(p, 0.4, chance) for _ in range(50)} == {1}
    drawn = [choose_token(p, 0.7, chance) for _ in range(4000)]
    assert set(drawn) == {1, 3}
    assert drawn.count(1) / 4000 == pytest.approx(0.5 / 0.8, abs=0.03)
    assert {choose_token(p, 1.0, chance) for _ in range(500)} == {0, 1, 2, 3}


def test_a_seed_decides_what_chance_writes(writer: Writer, photos: Path) -> None:  # noqa: F811
    image = images(photos)[0]
    texts = [list(writer.steps(image, top_p=1.0, seed=seed))[-1].text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [({"top_p": 0.0}, "top p is 0.0, expected more than 0"), ({"top_p": 1.5}, "top p is 1.5, expected more than 0")],
)
def test_impossible_settings_are_refused(
    settings: dict[str, Any],
    sentence: str,
    writer: Writer,
    photos: Path,  # noqa: F811
) -> None:
    with pytest.raises(CvhubError, match=sentence):
        next(writer.steps(images(photos)[0], **settings))
    with pytest.raises(CvhubError, match="beams are 99, expected 1 to 16"):
        writer.best_beam(images(photos)[0], 99)


def test_only_captions_are_written_step_by_step(folders: dict[str, Path], photos: Path) -> None:  # noqa: F811
    with pytest.raises(CvhubError, match="does visual-question-answering, expected a model for image-text-to-text"):
        next(Writer(str(folders["questions"])).steps(images(photos)[0]))


# --- Words of tokens -------------------------------------------------------------------------------------------------


def steps_of(texts: list[str], ends: bool = True) -> list[Step]:
    """The text after each token; their probabilities are 1/2, 1/3 …, their attention 1, 2 … everywhere."""
    steps = [
        Step(number, text, False, 1 / (number + 2), np.full((4, 2, 1, 1), number + 1.0))
        for number, text in enumerate(texts)
    ]
    return [*steps, Step(99, texts[-1], True, 0.5, np.zeros((4, 2, 1, 1)))] if ends else steps


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a", "a red", "a red apple"], ["a", "red", "apple"]),
        (["a", "a snow", "a snowman", "a snowman."], ["a", "snowman."]),
        (["一", "一只", "一只猫咪"], ["一", "只", "猫咪"]),
        (["a", "a \N{REPLACEMENT CHARACTER}", "a 😀"], ["a", "😀"]),
        (["", "the", "the sun"], ["the", "sun"]),
        (["قطة", "قطة سوداء"], ["قطة", "سوداء"]),
    ],
)
def test_tokens_make_words(texts: list[str], expected: list[str]) -> None:
    assert [word.text for word in words_of(steps_of(texts))] == expected
    assert [word.text for word in words_of(steps_of(texts, ends=False))] == expected


def test_a_word_has_what_its_tokens_have() -> None:
    words = words_of(steps_of(["a", "a snow", "a snowman"]))
    assert [word.probability for word in words] == pytest.approx([1 / 2, 1 / 3 * 1 / 4])
    assert [float(word.attention[0, 0]) for word in words] == [1, 2.5]
    step = Step(0, "a", False, 1, np.arange(8.0).reshape(4, 2, 1, 1))
    assert float(words_of([step])[0].attention[0, 0]) == np.arange(8)[8 - 2 * LAST_LAYERS :].mean()


# --- Matching and contrast -------------------------------------------------------------------------------------------


def test_matching_is_the_nets_head(folders: dict[str, Path], photos: Path) -> None:  # noqa: F811
    """Padding stays unseen."""
    net = ZeroShot(str(folders["matching"]), precision="fp32")
    model, image = load_any(folders["matching"]), images(photos)[0]
    pixels = torch.from_numpy(net.processor([image]))
    for text in ("w5", "w6 w7 w8 w9 w10 w11 w12"):
        ids = torch.from_numpy(net.tokens([text]))
        ids = ids[:, : int((ids != net.tokens.filling).sum())]
        with torch.no_grad():
            expected = model(ids, pixels).itm_score.softmax(-1)[0, 1]
        assert match(net, picture_tokens(net, image), text) == pytest.approx(float(expected), abs=1e-5)


def test_a_net_that_only_compares_cannot_match(tmp_path: Path) -> None:
    net = ZeroShot(str(save(tmp_path)), "torch", "fp32")
    assert not can_match(net)
    with pytest.raises(CvhubError, match="has no head that judges whether a text fits"):
        picture_tokens(net, picture())


def test_the_contrast_is_the_nets_loss(tmp_path: Path) -> None:
    net = ZeroShot(str(save(tmp_path)), "torch", "fp32")
    model, texts = load_any(tmp_path), ["a cat", "the moon", "猫"]
    chance = np.random.default_rng(1)
    shown = [Image.fromarray(chance.integers(0, 256, (64, 64, 3), np.uint8)) for _ in texts]
    with torch.no_grad():
        output = model(torch.from_numpy(net.tokens(texts)), torch.from_numpy(net.processor(shown)), return_loss=True)
    found = contrast(net.embed_images(shown), net.embed_texts(texts), 1 / net.scale)
    assert found.loss == pytest.approx(float(output.loss), abs=1e-4)
    assert found.loss == pytest.approx((found.picture_losses.mean() + found.text_losses.mean()) / 2, abs=1e-5)
    assert np.allclose(found.among_texts, output.logits_per_image.softmax(1), atol=1e-4)
    assert np.allclose(found.among_pictures, output.logits_per_image.softmax(0), atol=1e-4)
    assert np.allclose(found.cosines * net.scale, output.logits_per_image, atol=1e-3)


def test_a_contrast_of_nothing_is_refused() -> None:
    with pytest.raises(CvhubError, match="There are 2 pictures and 3 texts, expected as many of each"):
        contrast(np.eye(2), np.eye(3)[:, :2], 0.1)
    with pytest.raises(CvhubError, match="temperature is 0, expected more than 0"):
        contrast(np.eye(2), np.eye(2), 0)
