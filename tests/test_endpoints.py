"""Every endpoint of the page, called as programs call it: by gradio_client, over HTTP, and what it answers."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import pytest
from gradio_client import Client, handle_file
from PIL import Image

from cvhub import catalog
from cvhub.ui import app
from cvhub.ui.classify.own_classes import MAX_CLASSES
from cvhub.ui.figures import DENSE_FIGURES, FIGURES, STUDENT_FIGURES
from cvhub.ui.figures.figure import Figure
from cvhub.ui.strings import text
from tests.browser import SAMPLES

MODEL, SEGMENTER = "eurosat_resnet", "nuclei_unet"  # small, and bundled
TILE, COINS, APPLE, FISH, SUN, TREE = (
    handle_file(SAMPLES / f"{name}.jpg") for name in ("tile", "coins", "apple", "fish", "sun", "tree")
)
WIDTH, HEIGHT = 384, 303  # of the coins
PNG = "data:image/png;base64,"
BEST = ["River", "Residential"]  # what MODEL says of the tile


@dataclass(frozen=True)
class Example:
    """What an endpoint is asked, the rest being the page's own values, and whether an answer `fits`.

    `after`: the endpoint whose example the same visit asks before, where a visit's answer is shown in another way.
    """

    fits: Callable[[Any], bool]
    arguments: dict[str, Any] = field(default_factory=dict)
    after: str = ""


def has(*wanted: str) -> Callable[[Any], bool]:
    """Whether an answer, or one of its parts, says all of this."""
    return lambda answer: all(part in str(answer) for part in wanted)


def is_drawn(figure: Figure) -> Callable[[str], bool]:
    """The title in the language that was asked for; the paper, which is left out where drawing fails."""
    return has(f"<h2>{escape(text(f'{figure.NAME}_title', 'zh'))}</h2>", figure.PAPER)


def rows(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(table.splitlines()))


def labels(predictions: list[dict[str, Any]]) -> list[str]:
    return [each["label"] for each in predictions]


def sums_to_one(predictions: list[dict[str, Any]]) -> bool:
    return sum(each["score"] for each in predictions) == pytest.approx(1, abs=1e-5)


def own_classes(**of_class: list[Any]) -> dict[str, Any]:
    """The arguments of `learn_classes`, which have no names: those of the classes, then their pictures."""
    names = [*of_class, *[""] * (MAX_CLASSES - len(of_class))]
    values = [*names, *(of_class.get(name) for name in names)]
    return {f"param_{number}": value for number, value in enumerate(values, 4)}


def is_contrast(answer: dict[str, Any]) -> bool:
    mean = sum(answer["picture_losses"] + answer["text_losses"]) / 12
    return answer["loss"] == pytest.approx(mean, abs=1e-5) and [len(row) for row in answer["cosines"]] == [6] * 6


def is_segmented(answer: dict[str, Any]) -> bool:
    size = answer["width"], answer["height"]
    known = {segment["label"] for segment in answer["segments"]}
    return size == (WIDTH, HEIGHT) and known == {"nucleus"} and answer["mask"].startswith(PNG)


FIGURE_EXAMPLES = {
    f"figure_{figure.NAME}": Example(is_drawn(figure), {"language": "zh"})
    for figure in (*FIGURES, *DENSE_FIGURES, *STUDENT_FIGURES)
}
SEMANTIC = {"task": "semantic"}
EXAMPLES = FIGURE_EXAMPLES | {
    # Classify
    "answer": Example(has('data-model="eurosat_resnet"', "River"), {"picture": TILE, "models": [MODEL]}),
    "show": Example(has("River", "36.7 %"), {"temperature": 2}, "answer"),
    "export_csv": Example(lambda answer: [row["label"] for row in rows(answer)[:2]] == BEST, {}, "answer"),
    "export_json": Example(
        lambda answer: labels(json.loads(answer)["models"][0]["predictions"])[:2] == BEST, {}, "answer"
    ),
    "take_sample": Example(has("coffee.jpg", "efficientnet_lite0"), {"sample": "coffee", "models": [MODEL]}),
    "add_checkpoint": Example(
        has("'value': ['eurosat_resnet', 'a/net']", text("checkpoint_added", "en", name="a/net")),
        {"hub_id": "a/net", "files": None, "models": [MODEL]},
    ),
    "learn_classes": Example(
        has("'value': ['eurosat_resnet', 'warm, cold']", "of 4 pictures", ".zip"),
        {"base": MODEL, "models": [MODEL]} | own_classes(warm=[APPLE, SUN], cold=[FISH, TREE]),
    ),
    "compose_link": Example(has("models=eurosat_resnet&tau=2&"), {"models": [MODEL], "temperature": 2}),
    "classify": Example(
        lambda answer: sums_to_one(answer["models"][0]["predictions"]),
        {"image": TILE, "models": [MODEL], "temperature": 1, "top_k": 10},
    ),
    # Explore
    "choose_model": Example(lambda answer: answer[1:] == (64, 64) and has("cvhub_resnet")(answer[0]), {"model": MODEL}),
    "layers_csv": Example(
        lambda answer: sum(int(row["parameters"]) for row in rows(answer)) == 2_774_554,
        {"height": 64, "width": 64},
        "choose_model",
    ),
    "layers_json": Example(
        lambda answer: json.loads(answer)["parameters"] == 2_774_554, {"height": 64, "width": 64}, "choose_model"
    ),
    "architecture": Example(
        lambda answer: answer["parameters"] == 11_689_512 and answer["layers"][0]["output_shape"] == [64, 16, 32],
        {"model": "resnet18", "height": 32, "width": 64},
    ),
    # Segment
    "take_segment_sample": Example(has("coins.jpg", "nuclei_panoptic", "example"), {"sample": "coins"}),
    "answer_segment": Example(
        has("10 objects", "U-Net"), {"picture": COINS, "model": SEGMENTER, "runtime": "torch"} | SEMANTIC
    ),
    "show_task": Example(has("10 个物体"), SEMANTIC | {"language": "zh"}, "answer_segment"),
    "show_segments": Example(has("objects", "<segment-view"), SEMANTIC | {"threshold": 0.9}, "answer_segment"),
    "export_mask": Example(lambda answer: answer.startswith(PNG), SEMANTIC, "answer_segment"),
    "export_coco": Example(
        lambda answer: json.loads(answer)["images"][0]["width"] == WIDTH, SEMANTIC, "answer_segment"
    ),
    "export_objects": Example(lambda answer: len(rows(answer)) == 10, SEMANTIC, "answer_segment"),
    "take_mask": Example(has("<table"), SEMANTIC | {"file": Image.new("L", (WIDTH, HEIGHT), 1)}, "answer_segment"),
    "stop_segment": Example(has(text("segment_stopped", "zh")), {"language": "zh"}),
    "add_segmenter": Example(
        has("'value': 'a/net'", text("checkpoint_added", "en", name="a/net")), {"hub_id": "a/net", "files": None}
    ),
    "segment": Example(is_segmented, {"image": COINS, "model": SEGMENTER} | SEMANTIC),
    # Words
    "zero_shot": Example(
        lambda answer: labels(answer["predictions"])[0] == "apple" and sums_to_one(answer["predictions"]),
        {"picture": APPLE, "labels": "fish\napple\nhouse"},
    ),
    "search_pictures": Example(
        lambda answer: (answer["pictures"], len(answer["results"]), has("Fish")(answer["results"][0])) == (6, 2, True),
        {"files": None, "place": "", "split": "", "words": "an orange fish", "top_k": 2},
    ),
    "caption": Example(lambda answer: answer["caption"] == "apple" and 0 < answer["loss"] < 3, {"picture": APPLE}),
    "contrast": Example(is_contrast, {"files": None}),
    # Hub
    "describe_model": Example(
        lambda answer: answer["parameters"] == 2_774_554 and answer["tasks"] == ["image-classification"],
        {"model": MODEL},
    ),
    "list_models": Example(lambda answer: [row["name"] for row in answer] == [entry.name for entry in catalog.CATALOG]),
}


@pytest.fixture(scope="module")
def client(server: str) -> Client:
    return Client(server, verbose=False)


def ask(client: Client, name: str, folder: Path) -> Any:
    """The answer to an endpoint's example, in the visit that the client is in."""
    example = EXAMPLES[name]
    if example.after:
        ask(client, example.after, folder)
    arguments = dict(example.arguments)
    for key, value in arguments.items():
        if isinstance(value, Image.Image):
            value.save(folder / f"{key}.png")
            arguments[key] = handle_file(folder / f"{key}.png")
    return client.predict(**arguments, api_name=f"/{name}")


def test_every_endpoint_has_an_example() -> None:
    assert {name[1:] for name in app.build().get_api_info()["named_endpoints"]} == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_endpoint_answers(client: Client, name: str, tmp_path: Path) -> None:
    client.reset_session()
    answer = ask(client, name, tmp_path)
    assert EXAMPLES[name].fits(answer), answer
