"""The architectures of the Explore tab: the tree, the table, a picture's way, and what can't be shown. No Chromium."""

import csv
import json
import logging
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

import gradio as gr
import pytest

from cvhub.catalog import CATALOG, CHECKPOINTS
from cvhub.convert.named import entry_config, net_without_weights, read_config, write_config
from cvhub.explain.activations import way
from cvhub.explain.cost import measure
from cvhub.explain.tree import walk as walk_tree
from cvhub.load import is_at_hand
from cvhub.ui import numerals
from cvhub.ui.explore import tree, walk
from cvhub.ui.explore.architecture import (
    architecture_of,
    choose_model,
    layers_csv,
    layers_json,
    show_architecture,
    show_walk,
)
from cvhub.ui.strings import speaker

LITE = "efficientnet_lite0"
CAT = str(Path(__file__).parent.parent / "cvhub" / "ui" / "samples" / "chelsea.jpg")


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_every_models_config_can_be_changed_and_read_back(entry):
    config = entry_config(entry)
    text = write_config(config)
    assert "id2label" not in text
    assert read_config(text).to_dict() == config.to_dict()


def test_a_tree_has_a_row_for_each_node_and_its_numbers():
    html = tree.tree_view(tree.study("resnet50", 224, 224), speaker("en"))
    nodes = list(walk_tree(tree.study("resnet50", 224, 224).tree))
    assert html.count('class="row"') == len(nodes)
    assert html.count("<details") == html.count("</details>") == sum(bool(node.children) for _, node in nodes)
    assert '1–5 <b class="times">×5</b>' in html
    cost = measure(net_without_weights(read_config("resnet50")), 224, 224)
    facts = re.sub("<.*?>", "", re.search('class="facts costs">(.*?)</p>', html)[1])
    assert facts.startswith(
        f"{numerals.count(cost.parameters)} parameters · {numerals.count(cost.multiply_adds)} multiply-adds · "
    )
    assert f"receptive field {cost.receptive_field} px · for a picture of 224 × 224 pixels" in facts


def test_bars_of_a_level_add_up_to_the_net():
    found = tree.study("resnet18", 224, 224)
    html = tree.tree_view(found, speaker("en"))
    shares = [
        float(share) for share in re.findall(r'--depth:1">.*?class="parameters">.*?width:([\d.]+)%', html, re.DOTALL)
    ]
    assert len(shares) == 2  # the net and its classifier
    assert sum(shares) == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("name", ["resnet152", "vgg16", "vit_base", LITE])
def test_no_more_is_unfolded_than_fits(name: str):
    root = tree.study(name, 224, 224).tree
    unfolded = tree.unfolded_at_first(root)
    rows = 1 + sum(len(node.children) for _, node in walk_tree(root) if id(node) in unfolded)
    assert 3 < rows <= tree.ROWS_AT_FIRST


def test_a_model_comes_with_its_config_and_its_size():
    shown, text, height, width = choose_model("vit_base_384")
    assert (shown, height, width) == ("vit_base_384", 384, 384)
    assert json.loads(text)["image_size"] == 384
    assert choose_model(LITE)[2:] == (224, 224)


def test_a_typed_config_is_shown():
    text = json.dumps({"model_type": "cvhub_resnet", "depths": [1, 1, 1, 1], "widths": [8, 16, 32, 64]})
    tree, layers = show_architecture(True, text, 64, 96, "en")
    assert "<h2>Your config</h2>" in tree
    assert "64 × 96 pixels" in tree
    assert "resnet.stem.conv · Conv2d · 64 × 32 × 48" in [said for said, _ in layers["choices"]]


def test_a_picture_walks_through_a_config_whose_net_is_untrained():
    text = json.dumps({"model_type": "cvhub_resnet", "depths": [1, 1, 1, 1], "widths": [8, 16, 32, 64]})
    _, layers = show_architecture(True, text, 64, 96, "en")
    html = show_walk(True, text, CAT, layers["value"], 64, 96, "en")
    assert "This net is untrained" in html
    assert "resnet.stages.0: the 16 strongest of 32 channels" in html
    assert html == show_walk(True, text, CAT, layers["value"], 64, 96, "en")
    walk.untrained.cache_clear()
    assert html == show_walk(True, text, CAT, layers["value"], 64, 96, "en")  # initial weights are always the same
    assert "untrained" not in show_walk(True, LITE, CAT, "mobilenet_v2.stem.conv", 224, 224, "en")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"model_type": "cvhub_resnet", "num_channels": 4}, "takes pictures of 4 channels"),
        (
            {"model_type": "cvhub_vit", "hidden_size": 4096, "num_attention_heads": 8},
            "No picture walks through so large",
        ),
    ],
)
def test_why_no_picture_walks_through_a_config_is_said(fields: dict, sentence: str):
    text = json.dumps(fields)
    tree, layers = show_architecture(True, text, 224, 224, "en")
    assert "parameters" in tree
    assert layers["choices"] == []
    assert sentence in show_walk(True, text, CAT, None, 224, 224, "en")


SEGMENTERS = [entry for entry in CATALOG if entry.task.endswith("segmentation")]


@pytest.mark.parametrize("entry", SEGMENTERS, ids=lambda entry: entry.name)
def test_a_segmenter_is_taken_apart_as_a_classifier_is(entry):
    name, _, height, width = choose_model(entry.name)
    drawn, _ = show_architecture(True, name, height, width, "en")
    assert f"for a picture of {height} × {width} pixels" in drawn
    data = architecture_of(name, height, width)
    assert data["parameters"] == entry.parameters
    rows = list(csv.DictReader(StringIO(layers_csv(name, height, width))))
    assert len(rows) == len(data["layers"]) > 80
    assert sum(int(row["multiply_adds"]) for row in rows) == data["multiply_adds"]


@pytest.mark.parametrize("entry", [entry for entry in SEGMENTERS if is_at_hand(entry)], ids=lambda entry: entry.name)
def test_a_picture_walks_through_a_segmenter(entry):
    name, _, height, width = choose_model(entry.name)
    _, layers = show_architecture(True, name, height, width, "en")
    html = show_walk(True, name, CAT, layers["value"], height, width, "en")
    assert html.count("data:image/png") == 1 + len(way(list(walk.trained(name).places))) + 16


def test_a_picture_walks_through_a_net_of_the_hub_that_is_in_the_cache(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repo, file: "file")
    monkeypatch.setattr("cvhub.load.resolve", lambda name: CHECKPOINTS / "eurosat_resnet")
    walk.trained.cache_clear()
    try:
        html = show_walk(True, "resnet18", CAT, "resnet.stages.0", 224, 224, "en")
    finally:
        walk.trained.cache_clear()
    assert "resnet.stages.0: the 16 strongest" in html
    assert "untrained" not in html


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("eurosat_vgg", 64),
        ("efficientnet_lite2", 260),
        ("mobilenet_v1_075_hf", 192),
        ("deeplabv3_mobilenet_v2_hf", 513),
        ("scenes_panoptic", 192),
        ("pets_deeplab", 224),
        ("resnet50", 224),
    ],
)
def test_a_model_is_shown_at_the_size_that_it_is_made_for(name: str, size: int):
    assert choose_model(name)[2:] == (size, size)


@pytest.mark.parametrize(
    ("text", "height", "sentence"),
    [
        ("{", 64, "This is not JSON"),
        ('{"model_type": "gpt"}', 64, "model_type is 'gpt', expected one of"),
        ('{"model_type": "cvhub_resnet", "depth": 3}', 64, "has no field 'depth'"),
        ('{"model_type": "cvhub_vit", "patch_size": 13}', 64, "patch_size"),
        ('{"model_type": "cvhub_vit", "hidden_size": 0}', 64, "hidden_size is 0, expected at least 1."),
        ('{"model_type": "cvhub_vit", "layer_norm_eps": "x"}', 224, "The model can't take 224x64 pixels: layer_norm"),
        ('{"model_type": "cvhub_googlenet", "stem_stride": 0}', 64, "stem_stride is 0, expected at least 1."),
        ("vit_base", 8, "8"),
        (LITE, None, "whole numbers from 1 to 2048"),
    ],
)
def test_what_can_not_be_shown_is_a_sentence(text: str, height: int | None, sentence: str):
    tree, layers = show_architecture(True, text, height, 64, "en")
    said = re.search('role="status">(.*?)</p>', tree)[1]
    assert sentence in said.replace("&#x27;", "'")
    assert len(said) < 400
    assert layers["choices"] == []
    for export in (architecture_of, layers_csv, layers_json):
        with pytest.raises(gr.Error) as raised:
            export(text, height, 64)
        assert sentence in raised.value.message


def test_an_unexpected_failure_is_a_sentence_without_details(monkeypatch, caplog: pytest.LogCaptureFixture):
    def fail(*_: object) -> None:
        raise RuntimeError("secret path")

    monkeypatch.setattr(tree, "study", fail)
    monkeypatch.setattr(walk, "walk", fail)
    monkeypatch.setattr(walk, "find_walker", lambda *_: None)
    with caplog.at_level(logging.CRITICAL, "cvhub.ui.explore.architecture"):
        drawn, _ = show_architecture(True, LITE, 224, 224, "en")
        walked = show_walk(True, LITE, CAT, "x", 224, 224, "en")
        with pytest.raises(gr.Error) as raised:
            architecture_of(LITE, 224, 224)
    for html in (drawn, walked, raised.value.message):
        assert "(RuntimeError)" in html
        assert "secret path" not in html


def test_nothing_is_computed_before_anybody_looks():
    tree, layers = show_architecture(False, LITE, 224, 224, "en")
    assert "Computing." in tree
    assert layers == gr.skip()
    assert show_walk(False, LITE, CAT, None, 224, 224, "en") == ""


def test_many_may_open_the_tab_at_once_in_a_process_that_has_imported_nothing():
    """transformers' lazy imports lock each other out in several threads."""
    code = """
from concurrent.futures import ThreadPoolExecutor
from cvhub.ui.explore.architecture import choose_model, show_architecture
from cvhub.ui.figures import FIGURES
from cvhub.ui.figures.part import draw
from cvhub.inference.pool import default_pool
first = FIGURES[0]
with ThreadPoolExecutor(5) as threads:
    threads.submit(lambda: default_pool().get("efficientnet_lite0", "torch"))
    drawn = [threads.submit(draw, first, "en", *(c.value for c in first.CONTROLS)) for _ in range(2)]
    shown = threads.submit(show_architecture, True, "resnet18", 64, 64, "en")
    chosen = threads.submit(choose_model, "resnet18")
    print(all("could not be" not in str(one.result()) for one in (*drawn, shown, chosen)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr[-2000:]


def test_a_picture_walks_through_a_net_whose_weights_are_at_hand():
    _, layers = show_architecture(True, LITE, 224, 224, "en")
    names = [name for _, name in layers["choices"]]
    assert layers["value"] in names
    html = show_walk(True, LITE, CAT, "mobilenet_v2.stem.conv", 224, 224, "en")
    assert html.count("data:image/png") == 1 + 5 + 16  # the picture, five sizes of map, the strongest channels
    assert "mobilenet_v2.stem.conv: the 16 strongest of 32 channels" in html
    assert "“nothing” is no layer" in show_walk(True, LITE, CAT, "nothing", 224, 224, "en")
    assert "No picture yet." in show_walk(True, LITE, None, "mobilenet_v2.stem.conv", 224, 224, "en")


def test_why_no_picture_walks_through_a_net_of_the_hub_is_said():
    html = show_walk(True, "resnet50", CAT, None, 224, 224, "en")
    assert "timm/resnet50.a1_in1k" in html
    assert "EfficientNet-Lite0" in html
    assert "data:image" not in html


def test_the_table_is_exported_layer_by_layer():
    layers = measure(net_without_weights(read_config("resnet18")), 96, 96).layers
    rows = list(csv.DictReader(StringIO(layers_csv("resnet18", 96, 96))))
    assert [row["name"] for row in rows] == [layer.name for layer in layers]
    assert rows[0]["kernel"] == "7x7"
    assert rows[0]["output_shape"] == "64x48x48"
    assert sum(int(row["multiply_adds"]) for row in rows) == sum(layer.multiply_adds for layer in layers)
    data = architecture_of("resnet18", 96, 96)
    assert (data["height"], len(data["layers"])) == (96, len(layers))
    assert data["parameters"] == 11_689_512
    with pytest.raises(gr.Error, match="nothing"):
        architecture_of("nothing", 96, 96)
