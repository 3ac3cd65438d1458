"""Nets that read and write texts are trained on pairs, and what is left reads, finds and writes by itself."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import datasets
import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional as F

from cvhub.cli import main, parse
from cvhub.errors import CvhubError
from cvhub.evaluation.captions import caption_metrics, cider
from cvhub.evaluation.dataset import open_rows
from cvhub.evaluation.pairs import Pairing, PairRows, read_pairing
from cvhub.evaluation.retrieval import recall_metrics
from cvhub.inference.matching import match, picture_tokens
from cvhub.inference.pool import ModelPool
from cvhub.inference.writing import Writer
from cvhub.load import tasks_of
from cvhub.models.blip import TIED
from cvhub.models.blip_pretraining import CvBlipForPreTraining, SlowTwin, draw_strangers
from cvhub.models.losses_contrastive import softmax_loss
from cvhub.training.batches import Key
from cvhub.training.curves import read_curve
from cvhub.training.nets import build_reading_net, make_words, picture_transform
from cvhub.training.pairs import PairBatches, load_pairs, pairing_of
from cvhub.training.recipe import Recipe
from cvhub.training.recipe_file import load_recipe, read_recipe
from cvhub.training.run import prepare, train
from cvhub.training.trainer import training_arguments
from cvhub.training.vocabulary import make_tokenizer
from tests.test_truth import png

COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (40, 60, 220), "grey": (128, 128, 128)}
CHINESE = {"red": "红", "green": "绿", "blue": "蓝", "grey": "灰"}
SHAPES = {"square": "方块", "bar": "横条", "pole": "竖条"}
TOWER = {"rows": [[1, 8, 1, 1], [4, 16, 1, 2], [4, 24, 1, 2]], "stem_channels": 8, "head_channels": 0}
TEXTS = {"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 24}
NETS: dict[str, dict[str, Any]] = {
    "clip": {
        "projection_dim": 16,
        "vision_config": {"model_type": "cvhub_mobilenet_v2", **TOWER},
        "text_config": {"hidden_size": 16, "intermediate_size": 32, **TEXTS},
    },
    "blip": {
        "projection_dim": 16,
        "vision_config": {"model_type": "cvhub_mobilenet_v2", **TOWER},
        "text_config": {"hidden_size": 32, "intermediate_size": 64, **TEXTS},
    },
}


def drawing(colour: str, shape: str) -> bytes:
    pixels = np.full((32, 32, 3), 255, np.uint8)
    rows, columns = {"square": (8, 24), "bar": (13, 19), "pole": (2, 30)}[shape], {"pole": (13, 19)}.get(shape, (4, 28))
    pixels[slice(*rows), slice(*columns)] = COLOURS[colour]
    return png(pixels)


def save_table(folder: Path, rows: list[dict[str, Any]]) -> Path:
    kinds = {name: datasets.Value("string") for name in rows[0] if name not in ("image", "tags")}
    kinds |= {"image": datasets.Image()}
    if "tags" in rows[0]:
        kinds["tags"] = datasets.List(datasets.Value("string"))
    (folder / "data").mkdir(parents=True)
    table = datasets.Dataset.from_list(rows, features=datasets.Features(kinds))
    table.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twice twelve drawings with names in two languages, and keywords of some."""
    rows = [
        {
            "image": drawing(colour, shape),
            "label": f"{colour} {shape}",
            "label_zh": f"{CHINESE[colour]}{SHAPES[shape]}",
            "tags": [colour, shape] if colour != "grey" else [],
            "group": "" if colour == "grey" else shape,
            "base_label": f"{colour} {shape}",
        }
        for colour in COLOURS
        for shape in SHAPES
        for _ in range(2)
    ]
    return save_table(tmp_path_factory.mktemp("drawings"), rows)


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four others, whose texts are in another column."""
    rows = [{"image": drawing(colour, "bar"), "title": f"some_{colour}/thing"} for colour in COLOURS]
    return save_table(tmp_path_factory.mktemp("others"), rows)


def tiny_recipe(source: Path, family: str = "clip", **tables: Any) -> Recipe:
    recipe: dict[str, Any] = {
        "data": {"source": str(source), "validation": 0.0},
        "words": {"columns": ["label"], "vocabulary": 700},
        "picture": {"size": 32},
        "model": {"family": family, "config": json.loads(json.dumps(NETS[family]))},
        "optimiser": {"lr": 0.01, "batch": 12, "warmup_epochs": 0.5},
        "budget": {"epochs": 30, "save_minutes": 60},
        "compute": {"precision": "fp32"},
        "result": {"dtype": "float32"},
    }
    return read_recipe({name: recipe.get(name, {}) | tables.get(name, {}) for name in {**recipe, **tables}})


# -- what is read


def test_several_data_sets_each_with_its_columns(data: Path, more: Path) -> None:
    """Of each picture all that is said; what stands for spaces in file names is one, and nothing said is no pair."""
    words = {"columns": ["label", "tags", "title"], "sources": [str(more)]}
    pairs = load_pairs(tiny_recipe(data, words=words), "RGB").train
    assert len(pairs) == 28
    assert pairs.said[0] == ["red square", ["red", "square"]]
    assert pairs.said[-1] == ["some grey thing"]
    only_tags = load_pairs(tiny_recipe(data, words={"columns": ["tags"]}), "RGB").train
    assert len(only_tags) == 18


def test_what_is_held_out_is_neither_trained_on_nor_judged_by(data: Path, more: Path) -> None:
    """Rows of one name go together; a data set without the first column is divided by the next."""
    held = {"holdout": "base_label|title:0.25:0", "validation": 0.2}
    words = {"columns": ["label", "title"], "sources": [str(more)], "one_per": "base_label|title"}
    pairs = load_pairs(tiny_recipe(data, data=held, words=words), "RGB")
    names = [said[0] for said in pairs.train.said]
    assert pairs.held_out is not None
    judged = [said[0] for said in pairs.held_out.said]
    assert (len(set(names)), len(names)) == (
        7 + 2,
        14 + 2,
    )  # of 12 and 4 names a quarter is held out, of the rest 2 and 1
    assert len(judged) == len(set(judged)) == 3  # once each
    assert not set(names) & set(judged)


def test_a_column_that_no_data_set_has(data: Path, more: Path) -> None:
    with pytest.raises(CvhubError, match="has none of the columns label"):
        load_pairs(tiny_recipe(data, words={"columns": ["label"], "sources": [str(more)]}), "RGB")
    with pytest.raises(CvhubError, match="has no column 'name or title', only"):
        load_pairs(tiny_recipe(data, data={"holdout": "name|title:0.5:0"}), "RGB")


def test_a_text_depends_on_seed_epoch_and_sample_alone(data: Path) -> None:
    recipe = tiny_recipe(data, words={"columns": ["label", "label_zh", "tags"], "templates": ["{}", "a drawing of {}"]})
    pairs = load_pairs(recipe, "RGB").train
    tokenizer = make_words(recipe, list(pairs.every_text()))
    templates = recipe.words.templates
    made = PairBatches(pairs, tokenizer, templates, picture_transform(recipe), recipe.augmentation, 3)
    keys = [Key(epoch, 0, index) for epoch in range(4) for index in range(6)]
    batch = made.__getitems__(keys)
    again = made.__getitems__(keys[::-1])
    assert batch["pixel_values"].shape == (24, 3, 32, 32)
    texts, reversed_texts = (
        tokenizer.batch_decode(one["input_ids"], skip_special_tokens=True) for one in (batch, again)
    )
    assert texts == reversed_texts[::-1]
    assert {"red square", "红方块", "a drawing of red square"} & set(texts[::6])  # of the first picture
    assert len(set(texts)) > 8


@pytest.mark.parametrize("kind", ["CLIPProcessor", "BlipProcessor"])
def test_a_vocabulary_reads_what_it_was_made_of(kind: str) -> None:
    texts = ["a red square", "red, green and blue bars", "红方块", "竖条"] * 5
    tokenizer = make_tokenizer(kind, texts, 650, 20)
    assert len(tokenizer) <= 650
    for text in texts:
        read = tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True)
        assert read.replace(" ", "") == text.replace(" ", "")
    assert len(tokenizer("square")["input_ids"]) == 3  # start, the word, end
    assert make_tokenizer(kind, texts, 650, 20).get_vocab() == tokenizer.get_vocab()
    assert tokenizer.model_max_length == 20


def test_letters_that_no_text_had_are_read_too() -> None:
    """By their bytes: the end token, which stands for a text, comes last and once."""
    tokenizer = make_tokenizer("CLIPProcessor", ["a red square"], 600, 40)
    ids = tokenizer("ü😀 قطة")["input_ids"]
    assert ids.count(tokenizer.eos_token_id) == 1
    assert ids[-1] == tokenizer.eos_token_id
    with pytest.raises(CvhubError, match=r"words\.vocabulary is 500, but letters alone need 514 tokens"):
        make_tokenizer("CLIPProcessor", ["a red square"], 500, 40)


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"words": {"columns": [], "texts": "label"}}, "words.texts is 'label', which needs words.columns"),
        ({"augmentation": {"mixup": 0.2}}, "augmentation.mixup is 0.2, which words.columns can't be given"),
        ({"words": {"templates": ["a photo"]}}, "words.templates has 'a photo', expected texts with {}"),
        ({"words": {"twin_momentum": 0.9}}, "words.twin_momentum is 0.9, which is of model.family blip alone"),
        ({"words": {"queue": 8}}, "words.queue is 8, which needs words.twin_momentum"),
        ({"words": {"twin_momentum": 1.0}}, "words.twin_momentum is 1.0, expected 0 or more and less than 1"),
    ],
)
def test_what_such_a_recipe_cannot_say(tables: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CvhubError, match=sentence.replace("{}", r"\{\}")):
        tiny_recipe(Path("nowhere"), **tables)


@pytest.mark.parametrize("name", ["drawings_clip", "drawings_blip"])
def test_recipes_that_ship(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.data.holdout.startswith("base_label|title:")
    tokenizer = make_words(recipe, [f"word {number}" for number in range(50)])
    tokenizer.add_tokens([f"<{number}>" for number in range(recipe.words.vocabulary - len(tokenizer))])
    net = build_reading_net(recipe.model, tokenizer, seed=0)
    assert net.config.text_config.vocab_size == recipe.words.vocabulary
    tied = TIED.keys()  # to what is saved; what the heads share is saved once for each
    saved = sum(tensor.numel() for key, tensor in net.state_dict().items() if key not in tied)
    assert 2 * saved <= 8e6  # bytes in fp16


# -- BLIP's losses


@pytest.fixture
def blip(data: Path) -> tuple[CvBlipForPreTraining, dict[str, torch.Tensor]]:
    recipe = tiny_recipe(data, "blip")
    pairs = load_pairs(recipe, "RGB").train
    tokenizer = make_words(recipe, list(pairs.every_text()))
    net = build_reading_net(recipe.model, tokenizer, seed=0)
    made = PairBatches(pairs, tokenizer, ("{}",), picture_transform(recipe), recipe.augmentation, 0)
    return net.eval(), made.__getitems__([Key(0, 0, index) for index in range(0, 24, 4)])


def test_encoder_and_decoder_share_all_but_self_attention(blip: tuple[CvBlipForPreTraining, Any]) -> None:
    net, _ = blip
    encoder, decoder = net.text_encoder, net.text_decoder
    ours, theirs = dict(decoder.text.named_parameters()), dict(encoder.named_parameters())
    assert ours.keys() == theirs.keys()
    own = {name for name in ours if ours[name] is not theirs[name]}
    assert own == {name for name in ours if ".attention" in name}
    assert decoder.head.words.weight is encoder.embedding.weight


def test_the_three_losses(blip: tuple[CvBlipForPreTraining, dict[str, torch.Tensor]]) -> None:
    """Their sum; the contrast is CLIP's without a twin, and writing is the decoder's own loss from its start token."""
    net, batch = blip
    torch.manual_seed(0)
    with torch.no_grad():
        output = net(**batch)
    parts = output.contrastive_loss, output.matching_loss, output.writing_loss
    assert output.loss == pytest.approx(float(sum(parts)), abs=1e-6)
    images = F.normalize(net.get_image_features(batch["pixel_values"]).pooler_output, dim=-1)
    texts = F.normalize(net.get_text_features(batch["input_ids"], batch["attention_mask"]).pooler_output, dim=-1)
    logits = net.logit_scale.exp() * images @ texts.t()
    assert output.contrastive_loss == pytest.approx(float(softmax_loss(logits.detach())), abs=1e-5)
    begun = batch["input_ids"].clone()
    begun[:, 0] = net.config.text_config.bos_token_id
    tokens = net.vision_model(batch["pixel_values"]).last_hidden_state
    said = net.text_decoder(begun, batch["attention_mask"], tokens, use_cache=False).logits.log_softmax(-1)
    seen = batch["attention_mask"][:, 1:].bool()
    by_hand = -said[:, :-1].gather(2, begun[:, 1:, None])[:, :, 0][seen].mean()
    assert output.writing_loss == pytest.approx(float(by_hand.detach()), abs=1e-5)


def test_strangers_are_drawn_by_nearness_and_never_the_same() -> None:
    torch.manual_seed(0)
    logits = torch.tensor([[9.0, 3.0, 0.0], [0.0, 9.0, 3.0], [3.0, 0.0, 9.0]])
    same = torch.eye(3, dtype=torch.bool)
    drawn = torch.stack([draw_strangers(logits, same) for _ in range(400)])
    assert not (drawn == torch.arange(3)).any()
    assert (drawn == torch.tensor([1, 2, 0])).float().mean() == pytest.approx(1 / (1 + np.exp(-3)), abs=0.03)
    assert draw_strangers(logits, torch.ones(3, 3, dtype=torch.bool)).shape == (3,)  # nobody else is there


def test_a_slow_twin(blip: tuple[CvBlipForPreTraining, dict[str, torch.Tensor]]) -> None:
    """It follows by its momentum; its targets are the pairs' and its opinion's; its queue is full."""
    net, batch = blip
    twin = SlowTwin(net, momentum=0.75, queue=8, softness=0.4)
    before = net.text_projection.weight.detach().clone()
    with torch.no_grad():
        net.text_projection.weight.add_(1.0)
    twin.follow(net)
    slow: Any = twin.parts["text_projection"]
    assert torch.allclose(slow.weight, before + 0.25)
    scale = torch.tensor(10.0)
    first = twin.soften(batch["pixel_values"], batch["input_ids"], batch["attention_mask"], scale)
    assert (first.images.shape, first.of_images.shape) == ((6, 16), (6, 6))
    opinion = (scale * first.images @ first.texts.t()).softmax(-1)
    assert torch.allclose(first.of_images, 0.4 * opinion + 0.6 * torch.eye(6), atol=1e-6)
    second = twin.soften(batch["pixel_values"], batch["input_ids"], batch["attention_mask"], scale)
    assert second.of_texts.shape == (6, 12)
    assert torch.allclose(second.of_texts.sum(1), torch.ones(6))
    assert twin.texts.shape == (8, 16)
    other = SlowTwin(net, momentum=0.75, queue=8)
    other.restore(twin.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(twin.state_dict().values(), other.state_dict().values(), strict=True))


# -- whole runs


@pytest.fixture(scope="module")
def runs(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The finished folder of each family's run, made once."""
    made: dict[str, Path] = {}

    def run(family: str) -> Path:
        if family not in made:
            made[family] = tmp_path_factory.mktemp(family) / "run"
            words = {"columns": ["label", "label_zh"], "one_per": "base_label"}
            more = {"words": words, "data": {"holdout": "base_label:0.1:0"}, "result": {"knows": "squares, no photos"}}
            if family == "blip":
                more["words"] = {"columns": ["label"], "one_per": "base_label"}
                more["budget"] = {"epochs": 90}
            train(tiny_recipe(data, family, **more), made[family], "drawings")
        return made[family]

    return run


def test_a_clip_learns_and_leaves_a_complete_folder(runs: Any, data: Path, capsys: Any) -> None:
    folder = runs("clip")
    curve = read_curve(folder / "curves.csv")
    assert curve[-1]["loss"] < 0.5 * curve[0]["loss"]
    assert read_pairing(folder) == Pairing("label", "base_label:0.1:0", "base_label")
    assert "The net knows squares, no photos." in (folder / "README.md").read_text(encoding="utf-8")
    model = transformers.AutoModelForZeroShotImageClassification.from_pretrained(folder)
    assert model.config.text_config.vocab_size <= 700
    assert transformers.AutoProcessor.from_pretrained(folder).tokenizer("红方块")["input_ids"]
    for texts in ("label", "label_zh"):
        report = evaluated(capsys, folder, data, "--learnt", "--texts", texts)
        assert report["n"] == 11
        assert report["text_to_image_recall@5"] > 0.9
    assert evaluated(capsys, folder, data)["n"] == 1  # what is held out, as the folder remembers
    assert evaluated(capsys, folder, data, "--holdout", "", "--one-per", "")["n"] == 24


def test_what_training_was_watched_on_is_neither_learnt_nor_held_out(runs: Any, data: Path, capsys: Any) -> None:
    recipe = tiny_recipe(data, "clip", data={"holdout": "base_label:0.1:0", "validation": 0.2, "holdout_seed": 3})
    pairs = load_pairs(recipe, "RGB")
    rows = PairRows(open_rows(str(data), "train", streaming=False), pairing_of(recipe))
    assert rows.pairing.watched == "0.2:3"
    parts = [set(rows.groups(part)) for part in (rows.kept, rows.watched, rows.held_out)]
    assert [len(part) for part in parts] == [9, 2, 1]
    assert len(set.union(*parts)) == 12
    assert pairs.held_out is not None
    assert (len(pairs.train), len(pairs.held_out)) == (len(rows.kept), len(rows.watched))
    report = evaluated(capsys, runs("clip"), data, "--learnt", "--watched", "0.2:3")
    assert (report["n"], report["rows"]) == (
        9,
        "all but those held out by base_label:0.1:0, all but those watched by 0.2:3, one a base_label",
    )
    assert evaluated(capsys, runs("clip"), data, "--holdout", "", "--watched", "0.2:3")["n"] == 12


@pytest.mark.parametrize("share", ["half", "2:0"])
def test_a_share_that_is_none_is_refused(share: str, data: Path, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        parse(["evaluate", "drawings_clip", str(data), "--watched", share])
    assert f"'{share}' is not SHARE:SEED, such as 0.05:0" in capsys.readouterr().err


def test_classes_of_a_column_of_texts(runs: Any, data: Path, capsys: Any, caplog: Any) -> None:
    """Rows without one are left out, and said to be."""
    report = evaluated(capsys, runs("clip"), data, "--target", "group", "--learnt")
    assert set(report["per_class"]) == set(SHAPES)
    assert report["rows"] == "all but those held out by base_label:0.1:0, one a base_label"
    left_out = 11 - report["n"]
    assert f"{left_out} of 11 rows have no class" in caplog.text


def test_a_card_keeps_what_was_measured_elsewhere(runs: Any, data: Path, capsys: Any) -> None:
    folder = runs("clip")
    for more in ((), ("--texts", "label_zh"), ("--target", "group", "--learnt")):
        evaluated(capsys, folder, data, *more, "--card")
        evaluated(capsys, folder, data, *more, "--card")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.count("By `cvhub evaluate`") == 3
    assert card.count("## Measured") == 1
    assert "texts in label_zh" in card
    assert card.count("metric_type") == 0  # the card's library writes `type`
    assert card.count("type: recall@5") == 2


def test_a_blip_learns_to_write_and_to_find(runs: Any, data: Path, tmp_path: Path, capsys: Any) -> None:
    """One folder has every head: captions by their own class, and contrast and matching by theirs."""
    folder = runs("blip")
    curve = read_curve(folder / "curves.csv")
    for name in ("contrastive_loss", "matching_loss", "writing_loss"):
        assert curve[-1][name] < 0.9 * curve[0][name], name
    report = evaluated(capsys, folder, data, "--learnt")
    assert report["exact"] > 0.7
    assert report["cider"] > 5
    assert (report["n"], report["texts"]) == (11, "label")
    finder = transformers.AutoModelForZeroShotImageClassification.from_pretrained(folder).eval()
    writer = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()
    assert torch.equal(finder.text_encoder.embedding.weight, writer.text_decoder.text.embedding.weight)
    processor = transformers.AutoProcessor.from_pretrained(folder)
    rows = datasets.load_dataset(str(data), split="train")
    names = sorted(set(rows["label"]))
    inputs: Any = processor(text=names, images=[rows[0]["image"]], padding=True, return_tensors="pt")
    with torch.no_grad():
        output = finder(**inputs)
    right = names.index(rows[0]["label"])
    assert output.itm_score.softmax(-1)[:, 1].argsort(descending=True)[:3].tolist().count(right) == 1
    # Here, too, whoever asks for a task gets its head.
    assert tasks_of(folder) == ["image-text-to-text", "zero-shot-image-classification"]
    pool, picture = ModelPool(), rows[0]["image"].convert("RGB")
    net = pool.zero_shot(str(folder), precision="fp32")
    fits = [match(net, picture_tokens(net, picture), name) for name in names]
    assert np.allclose(fits, output.itm_score.softmax(-1)[:, 1], atol=1e-4)
    writes = pool.get(str(folder), precision="fp32")
    assert isinstance(writes, Writer)
    ids = writer.generate(processor(images=[picture], return_tensors="pt").pixel_values, max_new_tokens=20)
    assert writes.write([picture]) == [processor.decode(ids[0], skip_special_tokens=True).strip()]
    file = tmp_path / "0.png"
    picture.save(file)
    assert main(["predict", str(folder), str(file), "--labels", ",".join(names), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["predictions"]) == min(5, len(names))


def test_a_run_with_a_twin_goes_on_where_it_stopped(data: Path, tmp_path: Path) -> None:
    """Queue and twin come back: the resumed run ends as the undisturbed one."""
    words = {"twin_momentum": 0.9, "queue": 16}
    recipe = tiny_recipe(data, "blip", words=words, budget={"epochs": 6, "save_minutes": 1e-6, "validate_every": 1.0})
    whole = prepared(recipe, tmp_path / "whole")
    whole.run_on()
    broken = prepared(recipe, tmp_path / "broken")
    broken.add_callback(StopAt(7))
    broken.run_on()
    resumed = prepared(recipe, tmp_path / "broken")
    resumed.run_on()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name]), name
    assert torch.equal(whole.twin.texts, resumed.twin.texts)


def test_pairs_are_compared_within_one_process(data: Path, tmp_path: Path) -> None:
    arguments = Mock(world_size=2)
    with pytest.raises(CvhubError, match="Each of 2 processes would compare the pairs of its own part"):
        prepare(tiny_recipe(data), tmp_path, arguments)


class StopAt(transformers.TrainerCallback):
    """As if somebody stopped it after so many steps."""

    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        control.should_training_stop = control.should_save = state.global_step >= self.step


def prepared(recipe: Recipe, folder: Path) -> Any:
    (folder / ".training").mkdir(parents=True, exist_ok=True)
    return prepare(dataclasses.replace(recipe), folder, training_arguments(recipe, folder))


def evaluated(capsys: Any, folder: Path, data: Path, *more: str) -> dict[str, Any]:
    assert main(["evaluate", str(folder), str(data), *more, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


# -- metrics


def test_recall_counts_strangers_that_are_nearer() -> None:
    similarity = np.array([[0.9, 0.5, 0.1], [0.6, 0.4, 0.5], [0.2, 0.3, 0.3]])
    values = recall_metrics(similarity, np.eye(3, dtype=bool), ranks=(1, 2, 3))
    assert values["image_to_text_recall@1"] == pytest.approx(1 / 3)  # a tie counts against
    assert values["image_to_text_recall@2"] == pytest.approx(2 / 3)
    assert values["text_to_image_recall@1"] == pytest.approx(1 / 3)
    assert values["recall@3"] == 1.0


def test_pictures_of_the_same_text_count_together() -> None:
    similarity = np.array([[0.1, 0.2], [0.9, 0.3], [0.3, 0.8]])
    own = np.array([[True, False], [True, False], [False, True]])
    values = recall_metrics(similarity, own, ranks=(1,))
    assert values == {
        "image_to_text_recall@1": pytest.approx(2 / 3),
        "text_to_image_recall@1": 1.0,
        "recall@1": pytest.approx(5 / 6),
    }


def test_captions_by_their_words() -> None:
    said = ["red square", "blue bar", "a green pole"]
    assert caption_metrics(["Red  square.", "blue pole", "a green pole"], said)["exact"] == pytest.approx(2 / 3)
    scores = cider(["red square", "blue pole", "nothing"], said)
    assert scores[0] == pytest.approx(10)
    assert scores[2] == 0
    # Of one word: log 3 for blue, log 3 for bar and pole, each in one text of three; of two words nothing is shared.
    assert scores[1] == pytest.approx(10 * (np.log(3) ** 2 / (2 * np.log(3) ** 2) + 0) / 2)
