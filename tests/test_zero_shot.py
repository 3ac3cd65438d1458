"""Any labels: both towers on both runtimes, what is asked of a label, and `cvhub predict --labels`."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from PIL import Image
from torch.nn import functional as F
from transformers import AutoModel, AutoProcessor, pipeline

from cvhub.cli import main
from cvhub.convert import convert_checkpoint
from cvhub.convert.clip_tokenizer import make_tokenizer
from cvhub.convert.words import name_processor
from cvhub.errors import CvhubError
from cvhub.hub.card import write_card
from cvhub.hub.folder import check_folder
from cvhub.inference.runtime import build_runtime, example_inputs
from cvhub.inference.tokens import Tokens
from cvhub.inference.zero_shot import ZeroShot
from cvhub.models.clip import CvClipConfig, CvClipModel
from cvhub.models.image_processing import CvImageProcessor
from tests.cards import run_card
from tests.parity import difference, randomise
from tests.test_clip import RESNET, TINY, TOWERS, VIT

WORDS: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 20,
}
LABELS = ["cat", "a dog", "猫", "قطة", "😀"]


def save(folder: Path, **fields: Any) -> Path:
    """A random net that reads CLIP's vocabulary, complete."""
    torch.manual_seed(0)
    config = CvClipConfig(**(TINY | {"text_config": WORDS} | fields))
    randomise(CvClipModel(config)).save_pretrained(folder)  # pyright: ignore[reportCallIssue]
    CvImageProcessor(size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64}).save_pretrained(folder)
    make_tokenizer(config).save_pretrained(folder)
    name_processor(folder, config)
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def asked(clip: Path) -> ZeroShot:
    return ZeroShot(str(clip), "torch", "fp32")


@pytest.fixture
def pictures() -> list[Image.Image]:
    chance = np.random.default_rng(0)
    return [Image.fromarray(chance.integers(0, 256, (80, 64 + 20 * i, 3), np.uint8)) for i in range(3)]


def expected_logits(folder: Path, images: list[Image.Image], texts: list[str]) -> np.ndarray:
    """transformers' way, with the folder's own parts."""
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    inputs: Any = processor(text=texts, images=images, return_tensors="pt", padding=True)
    with torch.no_grad():
        return model(**inputs).logits_per_image.numpy()


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("tower", TOWERS)
def test_towers_on_both_runtimes(tower: str, runtime: str, tmp_path: Path) -> None:
    """Any batch and size, and any length of texts."""
    folder = save(tmp_path, vision_config=TOWERS[tower])
    model = AutoModel.from_pretrained(folder).eval()
    for part, features in (("image", model.get_image_features), ("text", model.get_text_features)):
        ready = build_runtime(folder, runtime, "fp32", part)
        assert ready.name == runtime
        for batch, larger in ((1, False), (5, True), (2, False)):
            inputs = example_inputs(folder, part, batch, larger)
            with torch.no_grad():
                expected = F.normalize(features(torch.from_numpy(inputs)).pooler_output, dim=-1)
            assert difference(torch.from_numpy(ready.run(inputs)["embeds"]), expected) <= 1e-4


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("fields", [{}, {"loss": "sigmoid", "logit_bias_init_value": -3}])
def test_answers_are_the_nets(
    fields: dict[str, Any], runtime: str, pictures: list[Image.Image], tmp_path: Path
) -> None:
    folder = save(tmp_path, **fields)
    net = ZeroShot(str(folder), runtime, "fp32")
    labels = net.embed_labels(LABELS, ["{}"])
    logits = net.logits(net.embed_images(pictures), labels)
    expected = expected_logits(folder, pictures, LABELS)
    assert np.abs(logits - expected).max() <= 1e-3
    tensor = torch.from_numpy(expected)
    scores = (torch.sigmoid(tensor) if fields else tensor.softmax(-1)).numpy()
    best = net.top(logits[0], LABELS, k=2)
    assert [one.index for one in best] == np.argsort(-expected[0])[:2].tolist()
    assert [one.score for one in best] == pytest.approx(np.sort(scores[0])[::-1][:2].tolist(), abs=1e-4)


def test_a_label_is_asked_as_transformers_pipeline_does(clip: Path, pictures: list[Image.Image]) -> None:
    said: Any = pipeline("zero-shot-image-classification", model=str(clip))(pictures[0], candidate_labels=LABELS)
    net = ZeroShot(str(clip), precision="fp32")
    answer = net.top(net.logits(net.embed_images(pictures[:1]), net.embed_labels(LABELS))[0], LABELS)
    assert {one.label: one.score for one in answer} == pytest.approx(
        {one["label"]: one["score"] for one in said}, abs=1e-4
    )


def test_several_templates_are_the_mean_on_the_sphere(asked: ZeroShot) -> None:
    both = asked.embed_labels(["cat"], ["a {}.", "one {}, again {}"])
    first, second = asked.embed_texts(["a cat.", "one cat, again cat"])
    assert np.allclose(both[0], (first + second) / np.linalg.norm(first + second), atol=1e-6)
    assert np.allclose(np.linalg.norm(both, axis=1), 1, atol=1e-6)


def test_texts_are_embedded_once(asked: ZeroShot, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"picture number {i}" * (1 + i % 2) for i in range(70)]
    before = asked.embed_texts(texts)
    monkeypatch.setattr(asked.text_runtime, "run", lambda inputs: pytest.fail("these are known"))
    assert np.array_equal(asked.embed_texts(texts[::-1]), before[::-1])


def test_texts_alone_are_as_among_others(asked: ZeroShot) -> None:
    """Of other lengths, in another order, an empty one among them."""
    texts = ["", "a much longer sentence about cats", "猫", "cat"]
    together = asked.embed_texts(texts)
    for text, embedding in zip(texts, together, strict=True):
        alone = asked.text_runtime.run(asked.tokens([text]))["embeds"][0]
        assert np.abs(alone - embedding).max() < 1e-5


def test_lengths_are_few(clip: Path) -> None:
    config = json.loads((clip / "config.json").read_text())["text_config"]
    tokens = Tokens(clip, config)
    assert tokens(["cat"]).shape == (1, 8)
    assert tokens(["cat", "one two three four five six seven"]).shape == (2, 16)
    assert tokens(["one " * 18]).shape == (1, 20)
    assert (tokens(["cat"])[0, 2:] == 49407).all()
    with pytest.raises(CvhubError, match=r"the text “one one .*…” has 10,002 tokens, this model reads 20 at most"):
        tokens(["cat", "one " * 10_000])


@pytest.mark.parametrize(
    ("labels", "templates", "sentence"),
    [
        ([], ["{}"], "There are no labels"),
        (["cat", " "], ["{}"], "Label 2 of 2 is empty"),
        (["cat", "dog", "cat"], ["{}"], "The label 'cat' is given twice"),
        (["cat", "dog", "Cat"], ["{}"], "The net reads the labels 'cat' and 'Cat' alike"),
        (["cat"], [], "There are no templates"),
        (["cat"], ["a photo"], "The template 'a photo' has no {}"),
    ],
)
def test_impossible_labels_are_refused(labels: list[str], templates: list[str], sentence: str, asked: ZeroShot) -> None:
    with pytest.raises(CvhubError, match=sentence):
        asked.embed_labels(labels, templates)


def test_a_thousand_labels(asked: ZeroShot, pictures: list[Image.Image]) -> None:
    labels = [f"thing {i}" for i in range(1000)]
    logits = asked.logits(asked.embed_images(pictures), asked.embed_labels(labels))
    assert logits.shape == (3, 1000)
    assert asked.scores(logits).sum(1) == pytest.approx(1)
    assert len(asked.top(logits[0], labels, k=2000)) == 1000


def test_another_task_is_refused() -> None:
    with pytest.raises(CvhubError, match="does image-classification, expected a model for zero-shot"):
        ZeroShot("eurosat_vgg")


def test_a_folder_without_words_is_one_sentence(tmp_path: Path) -> None:
    folder = save(tmp_path, vision_config=VIT)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CvhubError, match=r"has no tokenizer.json, so that no text can be read"):
        ZeroShot(str(folder))
    with pytest.raises(CvhubError, match=r"has no tokenizer.json, so it is not a complete model"):
        check_folder(folder)


# --- The command line ------------------------------------------------------------------------------------------------


def test_predict_names_the_likeliest_labels(
    clip: Path, pictures: list[Image.Image], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number}.png")
    (tmp_path / "bad.png").write_bytes(b"no picture")
    command = ["predict", str(clip), str(tmp_path), "--labels", ", ".join(LABELS), "--template", "{}", "--json"]
    assert main([*command, "--top-k", "2", "--precision", "fp32"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    answers = {Path(line["path"]).name: line for line in lines}
    assert "error" in answers.pop("bad.png")
    scores = torch.from_numpy(expected_logits(clip, pictures, LABELS)).softmax(-1)
    for number, line in enumerate(answers[f"{i}.png"] for i in range(3)):
        best = scores[number].topk(2)
        assert [one["label"] for one in line["predictions"]] == [LABELS[i] for i in best.indices.tolist()]
        assert [one["score"] for one in line["predictions"]] == pytest.approx(best.values.tolist(), abs=1e-4)


def test_evaluate_asks_about_the_data_sets_classes(
    clip: Path, pictures: list[Image.Image], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As often right as the net's own logits of these words are."""
    names = ["cat", "a dog", "thing"]
    for number, picture in enumerate(pictures * 4):
        folder = tmp_path / names[number % 3]
        folder.mkdir(exist_ok=True)
        picture.rotate(90 * (number // 3), expand=True).save(folder / f"{number}.png")
    command = ["evaluate", str(clip), str(tmp_path), "--template", "{}", "--map", "thing=猫", "--json"]
    assert main(command) == 0
    report = json.loads(capsys.readouterr().out)
    asked = sorted(["cat", "a dog", "thing"])
    words = ["猫" if name == "thing" else name for name in asked]
    files = [(file, asked.index(file.parent.name)) for file in sorted(tmp_path.rglob("*.png"))]
    expected = expected_logits(clip, [Image.open(file) for file, _ in files], words)
    assert report["n"] == 12
    assert report["accuracy"] == pytest.approx(np.mean(expected.argmax(1) == [label for _, label in files]))
    with pytest.raises(SystemExit):
        main(["evaluate", "eurosat_vgg", str(tmp_path), "--template", "{}"])
    assert "--template is for zero-shot classifiers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "options", "sentence"),
    [
        ("", [], "does zero-shot-image-classification: --labels A,B,… says among what"),
        ("", ["--labels", "a", "--out", "masks"], "--out is for segmenters and --engine ray"),
        ("eurosat_vgg", ["--labels", "a,b"], "--labels is for zero-shot classifiers"),
        ("eurosat_vgg", ["--template", "{}"], "--template is for zero-shot classifiers"),
    ],
)
def test_options_of_other_tasks_are_bad_usage(
    model: str, options: list[str], sentence: str, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["predict", model or str(clip), "picture.png", *options])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_the_card_shows_how_to_ask(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert_checkpoint(clip, tmp_path / "copy")
    write_card(tmp_path / "copy", title="T", task=None, licence=None, dataset=None, metrics={}, source="owner/name")
    card = ModelCard.load(tmp_path / "copy" / "README.md")
    assert card.data.pipeline_tag == "zero-shot-image-classification"
    assert "AutoModelForZeroShotImageClassification.from_pretrained(name" in card.text
    assert 'predict("photo.jpg", candidate_labels=["cat", "dog"])' in card.text
    assert "arxiv.org/abs/2103.00020" in card.text
    said = run_card(tmp_path / "copy", tmp_path, monkeypatch)["predict"]("photo.jpg", candidate_labels=["cat", "dog"])
    assert {answer["label"] for answer in said} == {"cat", "dog"}
    asked = {"title": "T", "task": None, "licence": None, "dataset": None, "metrics": {}, "source": None}
    write_card(tmp_path / "copy", **asked, knows="drawings, no photos")
    text = (tmp_path / "copy" / "README.md").read_text()
    assert "The net knows drawings, no photos." in text
    assert "photo.jpg" not in text
    assert "predict" in run_card(tmp_path / "copy", tmp_path, monkeypatch)


@pytest.mark.parametrize("options", [["--labels", "\udcff,a"], ["--labels", "a", "--template", "\ud83d {}"]])
def test_what_is_no_unicode_is_refused_in_a_sentence(
    options: list[str], clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As bytes of the command line that are no UTF-8 come, and half an emoji on the page."""
    Image.new("RGB", (64, 64)).save(tmp_path / "one.png")
    assert main(["predict", str(clip), str(tmp_path / "one.png"), *options]) == 1
    told = capsys.readouterr().err
    assert "expected valid Unicode." in told
    assert "\ufffd" in told


def test_info_shows_both_towers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = save(tmp_path, vision_config=RESNET)
    assert main(["info", str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    names = {layer["name"].split(".")[0] for layer in said["layers"]}
    assert {"vision_model", "text_model", "text_projection"} <= names
    assert said["parameters"] == AutoModel.from_pretrained(folder).num_parameters()
