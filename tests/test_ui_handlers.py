"""What the page does between the browser and the models, with models that are made up: no Chromium, no network."""

import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from cvhub.catalog import CATALOG
from cvhub.errors import CvhubError
from cvhub.inference.classify import Classification
from cvhub.inference.pool import default_pool
from cvhub.models.pixels import PixelTransform
from cvhub.ui import answering
from cvhub.ui.classify import handlers, link
from cvhub.ui.state import Facts, Session, View
from cvhub.ui.strings import speaker

ROOT = Path(__file__).parent.parent
CHOICES = ("auto", "auto", 1.0, "", "", 0.1, "en")  # runtime, precision, τ, classes, ε, language
SIDE = {"height": 32, "width": 32}


@dataclass
class MadeUp:
    """A classifier that always says "cat", and is loaded as soon as `ready` is set."""

    ready: Event
    labels: list[str] = field(default_factory=lambda: ["cat", "dog"])
    runtime: Any = field(default_factory=lambda: SimpleNamespace(name="torch", precision="fp32", reason="made up."))
    processor: PixelTransform = field(default_factory=lambda: PixelTransform(SIDE, SIDE, (0.5,) * 3, (0.5,) * 3))
    classifier_weight: np.ndarray = field(default_factory=lambda: np.ones((2, 4), np.float32))
    passes: int = 0

    def predict(self, images: list[Image.Image]) -> list[Classification]:
        self.passes += 1
        return [Classification(np.array([2.0, 0.0], np.float32), np.ones((4, 2, 2), np.float32), 1.0) for _ in images]


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, MadeUp | Exception]]:
    """By name: what loading gives, or raises."""
    models: dict[str, MadeUp | Exception] = {}

    def load(name: str, runtime: str, precision: str) -> tuple[MadeUp, Facts]:
        model = models[name]
        if isinstance(model, Exception):
            raise model
        assert model.ready.wait(10)
        return model, Facts(1, 1, 1)

    monkeypatch.setattr(answering, "load", load)
    yield models
    for model in models.values():
        if isinstance(model, MadeUp):
            model.ready.set()


@pytest.fixture
def picture(tmp_path: Path) -> str:
    Image.new("RGB", (40, 30), "teal").save(tmp_path / "teal.png")
    return str(tmp_path / "teal.png")


def ready() -> MadeUp:
    model = MadeUp(Event())
    model.ready.set()
    return model


def test_a_model_that_fails_in_any_way_is_a_sentence_and_the_others_answer(
    models, picture: str, caplog: pytest.LogCaptureFixture
):
    models |= {"resnet18": RuntimeError("secret path"), "resnet34": CvhubError("It is gone."), "resnet50": ready()}
    session = Session()
    with caplog.at_level(logging.CRITICAL, "cvhub.ui.answering"):
        *_, (_, _, cards, losses, *_) = handlers.answer(session, picture, list(models), *CHOICES)
    assert "This model failed unexpectedly (RuntimeError)" in cards
    assert "secret path" not in cards
    assert "It is gone." in cards
    assert "ResNet-50 says cat" in cards
    assert "ResNet-50" in losses


def test_an_answer_is_kept_and_only_what_is_new_is_asked(models, picture: str):
    first, second = ready(), ready()
    models |= {"resnet18": first, "resnet34": second}
    session = Session()
    list(handlers.answer(session, picture, ["resnet18"], *CHOICES))
    *_, (_, _, cards, *_) = handlers.answer(session, picture, ["resnet34", "resnet18"], *CHOICES)
    assert "Both say cat." in cards
    assert (first.passes, second.passes) == (1, 1)
    handlers.show(session, 3.0, "dog", "dog", 0.2, "zh")
    assert (first.passes, second.passes) == (1, 1)


def test_a_newer_question_silences_the_one_before(models, picture: str):
    slow = MadeUp(Event())
    models |= {"resnet18": slow, "resnet34": ready()}
    session = Session()
    before = handlers.answer(session, picture, ["resnet18", "resnet34"], *CHOICES)
    assert "Loading." in next(before)[2]
    *_, (_, _, cards, *_) = handlers.answer(session, picture, ["resnet34"], *CHOICES)
    assert "ResNet-34 says cat" in cards
    slow.ready.set()
    assert list(before) == []


def test_a_class_picked_while_a_model_loads_stays_picked(models, picture: str):
    slow = MadeUp(Event())
    models |= {"resnet18": slow, "resnet34": ready()}
    session = Session()
    answers = handlers.answer(session, picture, ["resnet18", "resnet34"], *CHOICES)
    assert "Loading." in next(answers)[2]
    handlers.show(session, 3.0, "dog", "", 0.1, "en")
    slow.ready.set()
    *_, (_, _, cards, _, heat_class, _) = answers
    assert heat_class == gr.skip()
    assert "Loading." not in cards
    assert cards.count('aria-pressed="true"') == cards.count('data-class="dog"') == 2


def test_a_new_picture_takes_back_the_classes_that_were_chosen(models, picture: str, tmp_path: Path):
    models["resnet18"] = ready()
    session, other = Session(), shutil.copy(picture, tmp_path / "other.png")
    chosen = ("auto", "auto", 1.0, "dog", "dog", 0.1, "en")
    (*_, first), (*_, heat_class, true_class) = (
        next(handlers.answer(session, asked, ["resnet18"], *chosen)) for asked in (picture, other)
    )
    assert first == gr.skip()
    assert heat_class["value"] == true_class["value"] == session.view.heat_class == session.view.true_class == ""


def test_a_view_that_was_overtaken_is_not_shown(models, picture: str, monkeypatch):
    models |= {"resnet18": ready()}
    session, results = Session(), handlers.results
    list(handlers.answer(session, picture, ["resnet18"], *CHOICES))

    def results_meanwhile(answers: list[Any], view: View) -> str:
        monkeypatch.setattr(handlers, "results", results)
        assert 'data-class="dog"' in handlers.show(session, 1.0, "dog", "", 0.1, "en")[0]
        return results(answers, view)

    monkeypatch.setattr(handlers, "results", results_meanwhile)
    assert handlers.show(session, 3.0, "", "", 0.1, "en") == (gr.skip(), gr.skip())
    assert session.view == View(heat_class="dog")


def test_a_class_picked_while_a_question_waits_in_line_stays_picked(models, picture: str):
    models |= {"resnet18": ready(), "resnet34": ready()}
    session = Session()
    list(handlers.answer(session, picture, ["resnet18"], *CHOICES, asked=1))
    handlers.show(session, 1.0, "dog", "", 0.1, "en", asked=3)
    *_, (_, _, cards, *_) = handlers.answer(session, picture, ["resnet18", "resnet34"], *CHOICES, asked=2)
    assert cards.count('aria-pressed="true"') == cards.count('data-class="dog"') == 2
    assert handlers.show(session, 1.0, "", "", 0.1, "en", asked=2) == (gr.skip(), gr.skip())


def test_a_view_is_whole_although_a_model_answers_while_it_is_drawn(models, picture: str, monkeypatch):
    slow = MadeUp(Event())
    models |= {"resnet18": slow, "resnet34": ready()}
    session, results = Session(), handlers.results

    def results_while_it_answers(answers: list[Any], view: View) -> str:
        cards = results(answers, view)
        slow.ready.set()
        for answer in answers:
            if answer.asking is not None:
                answer.asking.result(10)
        return cards

    monkeypatch.setattr(handlers, "results", results_while_it_answers)
    (_, _, cards, losses, *_), *_, (*_, last_losses, _, _) = handlers.answer(session, picture, list(models), *CHOICES)
    assert "Loading." in cards
    assert "ResNet-34" in losses
    assert "ResNet-18" not in losses
    assert "ResNet-18" in last_losses


def test_a_view_that_fails_is_a_sentence_and_no_endless_waiting(models, picture: str, monkeypatch, caplog):
    models |= {"resnet18": ready()}
    monkeypatch.setattr(handlers, "results", lambda answers, view: 1 / 0)
    with caplog.at_level(logging.CRITICAL, "cvhub.ui.classify.handlers"):
        *_, (session, _, cards, *_) = handlers.answer(Session(), picture, ["resnet18"], *CHOICES)
    assert "could not be shown (ZeroDivisionError)" in cards
    monkeypatch.undo()
    monkeypatch.setattr(answering, "load", lambda *key: (models["resnet18"], Facts(1, 1, 1)))
    *_, (_, _, cards, *_) = handlers.answer(session, picture, ["resnet18"], *CHOICES)
    assert "ResNet-18 says cat" in cards


def test_what_can_not_be_asked_is_one_sentence(models, picture: str, tmp_path: Path):
    ten = [f"somebody/model-{i}" for i in range(10)]
    for asked, chosen, sentence in (
        (None, ["resnet18"], "No picture yet."),
        (picture, [], "No model chosen."),
        (picture, ten, "10 models were asked for; at most 9"),
        (str(tmp_path / "none.png"), ["resnet18"], "none.png does not exist."),
    ):
        ((_, _, cards, losses, *_),) = handlers.answer(Session(), asked, chosen, *CHOICES)
        assert sentence in cards
        assert losses == ""


@pytest.mark.parametrize("name", ["/etc", "../secret", "cvhub/ui", ".", "a/b/c", "file:x/y", "", "~/x"])
def test_a_folder_of_the_server_is_never_a_model(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(CvhubError, match="neither a model of the list nor a Hub id"):
        answering.locate(name, Session(), speaker("en"))


def test_a_checkpoint_belongs_to_its_visit_and_goes_with_it(tmp_path: Path):
    weights, config, processor = (
        tmp_path / name for name in ("w.safetensors", "config.json", "preprocessor_config.json")
    )
    for file in (weights, config, processor):
        file.write_text("{}")
    session, chosen = Session(), ["resnet18"]
    files = [str(file) for file in (weights, config, processor)]
    for name in ("w", "w 2"):
        _, update, said = handlers.add_checkpoint(session, "", files, chosen, "en")
        assert update["value"] == ["resnet18", name]
        assert f"{name} joins the models" in said
    folder = session.checkpoints["w"]
    assert {file.name for file in folder.iterdir()} == {"model.safetensors", "config.json", "preprocessor_config.json"}
    assert answering.locate("w", session, speaker("en")) == str(folder)
    with pytest.raises(CvhubError):
        answering.locate("w", Session(), speaker("en"))
    handlers.forget(session)
    assert not folder.exists()


@pytest.fixture
def upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A visit that brought a small ResNet of transformers', and an empty cache."""
    from transformers import ResNetConfig, ResNetForImageClassification

    monkeypatch.setenv("CVHUB_CACHE", str(tmp_path / "cache"))
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=3)
    ResNetForImageClassification(config).save_pretrained(tmp_path / "theirs")
    files = [str(tmp_path / "theirs" / name) for name in ("model.safetensors", "config.json")]
    session = Session()
    handlers.add_checkpoint(session, "", files, [], "en")
    return session


def test_what_is_made_of_an_upload_goes_with_the_visit(upload: Session, tmp_path: Path):
    """Its conversion, what OpenVINO compiled, its cost: none of it is in the cache that all share."""
    (folder,) = upload.checkpoints.values()
    classifier, facts = answering.load(str(folder))
    assert classifier.folder.is_relative_to(folder)
    assert facts.parameters > 0
    assert {"models", "costs"} <= {made.name for made in (folder / "cache").iterdir()}
    assert not (tmp_path / "cache").exists()
    assert len(classifier.predict([Image.new("RGB", (97, 75))])[0].logits) == 3  # of another size, compiled later
    handlers.forget(upload)
    assert not folder.exists()
    assert not (tmp_path / "cache").exists()


def test_an_upload_that_was_dropped_is_built_anew_in_its_own_place(upload: Session, tmp_path: Path):
    (folder,) = upload.checkpoints.values()
    answering.load(str(folder))
    default_pool().drop(str(folder))
    shutil.rmtree(folder / "cache")
    classifier, _ = answering.load(str(folder))
    assert classifier.folder.is_relative_to(folder)
    assert not (tmp_path / "cache").exists()
    handlers.forget(upload)


def test_a_model_is_answered_while_another_is_downloaded(monkeypatch: pytest.MonkeyPatch):
    began, arrived = Event(), Event()

    def download(repo_id: str, revision: str | None = None) -> Path:
        began.set()
        assert arrived.wait(timeout=60)
        raise CvhubError("fetched")

    monkeypatch.setattr("cvhub.hub.download.download", download)
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(answering.load, "someone/large")
        try:
            assert began.wait(timeout=60)
            answering.forget("digits_vit")
            assert answering.load("digits_vit", "torch", "fp32")[1].parameters > 0
            assert not slow.done()
        finally:
            arrived.set()


def test_a_visit_that_ends_while_its_upload_is_converted_leaves_nothing(
    upload: Session, monkeypatch: pytest.MonkeyPatch
):
    (folder,) = upload.checkpoints.values()
    count = answering.count

    def ended(converted: Path) -> Any:
        facts = count(converted)
        (folder / "config.json").unlink()
        return facts

    monkeypatch.setattr(answering, "count", ended)
    answering.load(str(folder), "torch", "fp32")
    assert not folder.exists()
    assert not any(key[0] == str(folder) for key in answering._costs)


def test_a_checkpoint_that_can_not_be_added_is_said(tmp_path: Path):
    nine = [entry.name for entry in CATALOG][: link.MAX_MODELS]
    for hub_id, files, models, sentence in (
        ("", None, [], "Give a Hub id, or one .safetensors file"),
        ("a/b", ["x.safetensors"], [], "Give a Hub id, or one .safetensors file"),
        (
            "",
            [str(tmp_path / "pickle.pth"), str(tmp_path / "config.json")],
            [],
            "Give a Hub id, or one .safetensors file",
        ),
        ("/etc", None, [], "neither a model of the list nor a Hub id"),
        ("a/b", None, nine, "nine models are chosen already"),
        ("a/b", None, ["resnet18"], "a/b joins the models of this visit"),
    ):
        assert sentence in handlers.add_checkpoint(Session(), hub_id, files, models, "en")[2]


@pytest.mark.parametrize(
    ("sample", "chosen", "given"),
    [
        ("tile", list(link.DEFAULT_MODELS), link.ZOO),
        ("tile", ["efficientnet_lite1"], link.ZOO),
        ("tile", ["own net"], None),
        ("tile", [link.ZOO[0]], None),
        ("coffee", list(link.ZOO), link.DEFAULT_MODELS),
        ("coffee", [link.ZOO[0], "efficientnet_lite1"], None),
        ("coffee", ["resnet50"], None),
        ("coffee", [], link.DEFAULT_MODELS),
    ],
)
def test_a_sample_brings_models_that_know_what_is_in_it(sample: str, chosen: list[str], given: tuple[str, ...] | None):
    """Unless one of those chosen may."""
    picture, update = handlers.take_sample(sample, chosen, Session())
    assert Path(picture).is_file()
    assert update.get("value") == (given and list(given))
    assert given is None or set(given) <= {name for _, name in update["choices"]}


def test_classes_are_listed_for_who_opens_a_list_and_not_sent_with_answers(models, picture: str):
    models["resnet18"] = ready()
    session = Session()
    *_, (_, _, _, _, heat, _) = handlers.answer(session, picture, ["resnet18"], *CHOICES)
    assert "choices" not in heat
    heat, true = handlers.list_classes(session, "en")
    assert heat["choices"] == [("each model's top class", ""), ("cat", "cat"), ("dog", "dog")]
    assert true["choices"][1:] == heat["choices"][1:]
    heat, _ = handlers.list_classes(Session(), "zh")
    assert heat["choices"] == [(speaker("zh")("heat_class_own"), "")]


def test_a_failure_of_every_model_is_said(models, picture: str):
    models["resnet18"] = CvhubError("It is gone.")
    *_, (_, _, cards, losses, *_) = handlers.answer(Session(), picture, ["resnet18"], *CHOICES)
    assert "No model could answer." in cards
    assert losses == ""


def test_the_app_starts_where_its_environment_says_and_leaves_nothing_behind(tmp_path: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": "", "TMPDIR": str(tmp_path)}
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        page = wait_for(f"http://127.0.0.1:{port}/")
        assert "cvhub" in page
        with pytest.raises(HTTPError):
            urlopen(f"http://127.0.0.1:{port}/gradio_api/monitoring/summary")
        assert len(list(tmp_path.glob("cvhub-page-*"))) == 1
        app.terminate()
        assert app.wait(60) == 0
        assert list(tmp_path.glob("cvhub-*")) == []
    finally:
        app.kill()
        app.wait()


def wait_for(address: str) -> str:
    for _ in range(600):
        try:
            with urlopen(address) as response:
                return response.read().decode()
        except URLError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {address}")
