"""Captions and answers: what `generate` gives, as text, and `cvhub predict` of nets that write."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cvhub.cli import main
from cvhub.convert import convert_checkpoint
from cvhub.errors import CvhubError
from cvhub.inference import openvino_decoder
from cvhub.inference.openvino_decoder import OpenVINODecoder
from cvhub.inference.pool import ModelPool
from cvhub.inference.runtime import RuntimeUnavailable
from cvhub.inference.writing import MOST_WORDS, Writer
from cvhub.inference.zero_shot import ZeroShot
from tests.cards import run_card
from tests.parity import load_any
from tests.test_blip import theirs_of, words


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny net of each head, on a vocabulary whose end is rare."""
    made = {}
    for kind in ("captions", "matching", "questions"):
        place = tmp_path_factory.mktemp(kind)
        theirs_of(kind, sep_token_id=41).save_pretrained(place / "theirs")
        words().save_pretrained(place / "theirs")
        convert_checkpoint(place / "theirs", place / "ours")
        made[kind] = place / "ours"
    return made


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures of two sizes, and what is none."""
    chance = np.random.default_rng(0)
    for number in range(3):
        pixels = chance.integers(0, 256, (80, 64 + 20 * (number % 2), 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    return tmp_path


def images(folder: Path) -> list[Image.Image]:
    return [Image.open(folder / f"{number}.png") for number in range(3)]


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("settings", [{}, {"num_beams": 3, "max_new_tokens": 7}])
def test_captions_are_what_the_net_generates(
    settings: dict[str, Any], runtime: str, folders: dict[str, Path], photos: Path
) -> None:
    writer = Writer(str(folders["captions"]), runtime, "fp32")
    assert writer.reason.startswith({"torch": "torch", "openvino": "OpenVINO"}[runtime])
    model = load_any(folders["captions"])
    pixels = torch.from_numpy(np.stack([writer.processor([image])[0] for image in images(photos)]))
    ids = model.generate(pixels, **({"max_new_tokens": 20} | settings))
    expected = [text.strip() for text in words().batch_decode(ids, skip_special_tokens=True)]
    assert writer.write(images(photos), **settings) == expected
    assert len(set(expected)) > 1


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_answers_follow_the_question(runtime: str, folders: dict[str, Path], photos: Path) -> None:
    writer = Writer(str(folders["questions"]), runtime, "fp32")
    model = load_any(folders["questions"])
    (image, *_) = images(photos)
    pixels = torch.from_numpy(writer.processor([image]))
    (text,) = writer.write([image], "w9 w8")
    ids = model.generate(torch.tensor([[2, 9, 8, 3]]), pixels, max_new_tokens=20)
    assert text == words().decode(ids[0], skip_special_tokens=True).strip()
    assert text != writer.write([image], "w20 w21 w22")[0]


def test_openvino_decodes_as_torch_does(folders: dict[str, Path]) -> None:
    ours, theirs = OpenVINODecoder(folders["captions"], "fp32"), load_any(folders["captions"]).text_decoder
    tokens, ids = torch.randn(2, 7, ours.config.encoder_hidden_size), torch.tensor([[1, 5, 9, 4], [1, 8, 8, 3]])
    with torch.no_grad():
        begun = ours(ids[:, :1], encoder_hidden_states=tokens)
        rest = ours(ids[:, 1:], cache=begun.cache, output_attentions=True)
        expected = theirs(ids, encoder_hidden_states=tokens, output_attentions=True)
    assert torch.allclose(torch.cat([begun.logits, rest.logits], 1), expected.logits, atol=1e-4)
    for found, wanted in zip(rest.cross_attentions, expected.cross_attentions, strict=True):
        assert torch.allclose(found, wanted[:, :, 1:], atol=1e-5)
    with pytest.raises(ValueError, match="takes at most"):
        ours(ids.repeat(1, 10), encoder_hidden_states=tokens)
    with pytest.raises(ValueError, match="a mask hides some tokens"):
        ours(ids, torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]), tokens)
    with pytest.raises(ValueError, match="no encoder_hidden_states"):
        ours(ids)


def test_where_openvino_cant_write_torch_does(
    folders: dict[str, Path], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeUnavailable("no decoder today.")

    expected = Writer(str(folders["captions"]), "torch", "fp32").write(images(photos))
    monkeypatch.setattr(openvino_decoder._Steps, "__init__", refuse)
    writer = Writer(str(folders["captions"]), precision="fp32")
    assert writer.reason.endswith("torch writes, since no decoder today.")
    assert writer.write(images(photos)) == expected
    with pytest.raises(RuntimeUnavailable, match="no decoder today"):
        Writer(str(folders["captions"]), "openvino", "fp32")


@pytest.mark.parametrize(
    ("kind", "settings", "sentence"),
    [
        ("questions", {"question": " "}, "answers questions, but none was asked"),
        ("questions", {"question": "w5 " * 30}, "the question has 32 tokens, this model reads 20 at most"),
    ],
)
def test_impossible_questions_are_refused(
    kind: str, settings: dict[str, Any], sentence: str, folders: dict[str, Path], photos: Path
) -> None:
    with pytest.raises(CvhubError, match=sentence):
        Writer(str(folders[kind])).write(images(photos), **settings)


def test_other_tasks_are_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(
        CvhubError, match="does zero-shot-image-classification, expected a model for image-text-to-text"
    ):
        Writer(str(folders["matching"]))
    pool = ModelPool()
    for kind, does in (("captions", "image-text-to-text"), ("matching", "zero-shot-image-classification")):
        with pytest.raises(CvhubError, match=f"does {does}, expected a model for image-classification"):
            pool.classifier(str(folders[kind]), "torch")


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_the_contrastive_heads_choose_among_labels(runtime: str, folders: dict[str, Path], photos: Path) -> None:
    """BLIP's text encoder sees both ways: padding has to stay unseen."""
    net = ZeroShot(str(folders["matching"]), runtime, "fp32")
    model = load_any(folders["matching"])
    labels = ["w5", "w6 w7 w8 w9 w10 w11 w12"]
    logits = net.logits(net.embed_images(images(photos)), net.embed_labels(labels, ["{}"]))
    pixels = torch.from_numpy(np.stack([net.processor([image])[0] for image in images(photos)]))
    for column, label in enumerate(labels):
        ids = words()(label, return_tensors="pt").input_ids
        with torch.no_grad():
            expected = model(ids, pixels).logits_per_image[:, 0].numpy()
        assert np.abs(logits[:, column] - expected).max() < 1e-3


def test_predict_writes_a_caption_a_line(
    folders: dict[str, Path], photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["predict", str(folders["captions"]), str(photos), "--json", "--beams", "2", "--precision", "fp32"]) == 1
    )
    lines = {Path(line["path"]).name: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert "error" in lines.pop("bad.png")
    expected = Writer(str(folders["captions"]), precision="fp32").write(images(photos), num_beams=2)
    assert [lines[f"{number}.png"]["caption"] for number in range(3)] == expected
    assert main(["predict", str(folders["questions"]), str(photos / "0.png"), "--question", "w9 w8"]) == 0
    assert Writer(str(folders["questions"])).write(images(photos)[:1], "w9 w8")[0] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("captions", ["--labels", "a,b"], "--labels is for zero-shot classifiers"),
        ("captions", ["--question", "what"], "--question is for nets that answer questions"),
        ("captions", ["--top-k", "2"], "--top-k is for classifiers"),
        ("questions", [], "--question says what is asked"),
        ("matching", ["--labels", "a", "--beams", "2"], "--beams is for nets that write"),
        ("captions", ["--beams", "17"], "beams are 17, expected 1 to 16."),
    ],
)
def test_options_of_other_tasks_are_bad_usage(
    kind: str, options: list[str], sentence: str, folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(folders[kind]), "picture.png", *options])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_a_question_that_is_no_unicode_is_refused(folders: dict[str, Path], photos: Path) -> None:
    with pytest.raises(CvhubError, match=r"the text “w9 �” has the lone surrogate U\+DCFF, expected valid Unicode"):
        Writer(str(folders["questions"]), "torch").write(images(photos), "w9 \udcff")


@pytest.mark.parametrize("kind", ["captions", "matching", "questions"])
def test_the_code_in_a_card_runs(
    kind: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By each head's own way to be asked, on a vocabulary of no real words."""
    names = run_card(folders[kind], tmp_path, monkeypatch)
    if kind == "matching":
        said = names["predict"]("photo.jpg", candidate_labels=["w5", "w6"])
        assert {answer["label"] for answer in said} == {"w5", "w6"}
        return
    if kind == "captions":
        said = names["predict"]("photo.jpg", text="", max_new_tokens=MOST_WORDS)[0]["generated_text"]
    else:
        said = names["processor"].decode(names["answer"][0], skip_special_tokens=True)
    with Image.open("photo.jpg") as image:
        expected = Writer(str(folders[kind]), "torch", "fp32").write([image], "what is this?")
    assert [said] == expected
