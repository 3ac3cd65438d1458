"""The Hub tab's handlers: models looked at, handed over, packed and published."""

import re
import time
import zipfile
from collections.abc import Callable
from html import unescape
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from loopback_hub import LoopbackHub, hub_fixture  # noqa: F401 (a fixture)
from transformers import AutoModelForImageClassification, ResNetConfig, ResNetForImageClassification

from cvhub.catalog import CATALOG
from cvhub.errors import CvhubError
from cvhub.ui.classify import handlers as classify
from cvhub.ui.distill import handlers as distill
from cvhub.ui.explore import architecture
from cvhub.ui.hub import account, browse_handlers, browse_readout, publish_handlers
from cvhub.ui.hub.publish_handlers import Made
from cvhub.ui.hub.state import HubSession
from cvhub.ui.segment import handlers as segment
from cvhub.ui.segment.state import SegmentSession
from cvhub.ui.sharing import Door, Offer, Shelf
from cvhub.ui.state import Session
from cvhub.ui.strings import speaker
from cvhub.ui.words import tab as words
from tests.test_hub import save_folder

SAY = speaker("en")
CLASSIFIES, SEGMENTS = ("image-classification",), ("semantic-segmentation",)
ANY = Door((), lambda offer: ("opened",), [], [gr.State()])
DOORS = [Door(CLASSIFIES, ANY.take, [], []), Door(SEGMENTS, ANY.take, [], []), ANY]


def plain(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def look_at(session: HubSession, model: str, language: str = "en") -> SimpleNamespace:
    _, *shown = browse_handlers.look_at(DOORS, session, model, "all", language)
    names = ("list", "head", "parts", "card", "pack", "download", "note")
    return SimpleNamespace(**dict(zip(names, shown, strict=False)), doors=[button["visible"] for button in shown[7:]])


@pytest.fixture
def foreign(hub: LoopbackHub, tmp_path: Path) -> LoopbackHub:
    """A Hub with a tiny net of transformers in it, whose card shows a picture from elsewhere."""
    sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    ResNetForImageClassification(ResNetConfig(layer_type="basic", **sizes)).save_pretrained(tmp_path / "theirs")
    files = {file.name: file.read_bytes() for file in (tmp_path / "theirs").iterdir()}
    card = "---\nlicense: mit\n---\n# Their net\n\n![x](https://elsewhere/x.png) <IMG src=y>\n```\n# code\n```\n"
    hub.add("someone/net", files | {"README.md": card.encode(), "<b>.txt": b""})
    return hub


# --- Models ----------------------------------------------------------------------------------------------------------


def test_the_list_is_the_catalogue_and_what_of_it_is_of_a_kind() -> None:
    rows = {kind: browse_handlers.show_list(kind, "resnet18", "en") for kind in browse_readout.KINDS}
    assert rows["all"].count("<button") == len(CATALOG)
    assert sum(rows[kind].count("<button") for kind in ("classify", "segment", "words")) == len(CATALOG)
    assert rows["segment"].startswith('<p class="facts">5 models.')
    assert 'data-class="resnet18" aria-pressed="true"' in rows["all"]
    assert rows["all"].count('aria-pressed="true"') == 1
    assert "46.8 MB" in plain(rows["classify"])  # ResNet-18: 11.7 million parameters of 4 bytes


def test_a_bundled_model_is_shown_whole() -> None:
    seen = look_at(HubSession(), "nuclei_unet")
    assert "A model of cvhub, of the family unet." in plain(seen.head)
    assert "names pixels" in plain(seen.head)
    assert "iou 0.8001" in plain(seen.head)
    assert "model.safetensors" in seen.parts
    assert "cvhub_unet" in seen.parts
    assert seen.card.startswith("### ")
    assert seen.pack["value"] == "Pack as a folder"
    assert seen.doors == [False, True, True]


def test_a_foreign_repo_is_shown_before_its_weights_travel(foreign: LoopbackHub) -> None:
    session = HubSession()
    seen = look_at(session, "someone/net")
    assert browse_handlers.hand_over(ANY, "explore", session)[1] == "opened"
    assert "In the layout of transformers, architecture resnet" in plain(seen.head)
    assert f'href="{foreign.url}/someone/net"' in seen.head
    assert "Licence of the weights mit" in plain(seen.head)
    assert "&lt;b&gt;.txt" in seen.parts
    assert seen.card == "### Their net\n\n \n```\n# code\n```"
    assert seen.doors == [True, False, True]
    assert not [request for request in foreign.requests if "safetensors" in request]
    assert "transformers 的格式" in look_at(HubSession(), "someone/net", "zh").head


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in pairwise("abcdefghi")
)


@pytest.mark.parametrize(
    ("metadata", "licence", "problem"),
    [
        ("license: mit\ndate: 2024-02-31", "mit", ""),
        ("license: mit\nflag: !!bool foo\nwhen: !!timestamp x\nwhat: !!python/object:os.system x", "mit", ""),
        ("license: mit\nabout: 1 --- 2", "mit", ""),
        ("license: [mit, {a: b}, [c]]", "mit", ""),
        (f"{BOMB}license: *i", "", ""),
        (f"{BOMB}license: mit", "mit", ""),
        ("license: {a: b}", "", ""),
        ("license: [mit", "", "The card's metadata can't be read as YAML (ParserError)."),
        ("license: " + "[" * 9000, "", "The card's metadata can't be read as YAML (RecursionError)."),
        ("license: mit\nx: " + "y" * 20_000, "", "The card's metadata has 20017 characters, the limit is 20000."),
    ],
)
def test_a_strangers_metadata_is_read_or_is_said_not_to_be(
    hub: LoopbackHub, metadata: str, licence: str, problem: str
) -> None:
    card = f"---\n{metadata}\n---\n# Theirs\n\na\n---\nb\n"
    hub.add("someone/net", {"config.json": b'{"model_type": "resnet"}', "README.md": card.encode()})
    seen = look_at(HubSession(), "someone/net")
    assert seen.card == "### Theirs\n\na\n---\nb"
    assert ("Licence of the weights mit" in plain(seen.head)) == bool(licence)
    assert plain(seen.head).endswith(problem)
    assert ("metadata" in seen.head) == bool(problem)


def test_of_a_field_with_many_values_some_are_shown() -> None:
    assert browse_readout.listed([str(number) for number in range(10**6)]) == ", ".join(map(str, range(20)))


@pytest.mark.parametrize("card", ["![" * 300_000, "![](" * 300_000, "<img " * 300_000, "---\n" * 300_000])
def test_no_card_takes_long(card: str) -> None:
    began = time.process_time()
    browse_readout.card_text(card)
    assert time.process_time() - began < 5  # squared, it would be hours


def test_what_is_not_known_here_opens_nowhere(hub: LoopbackHub) -> None:
    hub.add("someone/bert", {"config.json": b'{"model_type": "bert"}'})
    session = HubSession()
    seen = look_at(session, "someone/bert")
    assert "It can't be opened here: Architecture 'bert' is unknown here" in plain(seen.head)
    assert seen.doors == [False, False, False]
    assert seen.pack["visible"] is False
    assert browse_handlers.hand_over(ANY, "explore", session)[1] != "opened"
    _, download, said = browse_handlers.make_archive(session, "en")
    assert download["visible"] is False
    assert "Look at a model first" in said


@pytest.mark.parametrize(
    ("model", "language", "expected"),
    [
        ("someone/missing", "en", "The Hub has no someone/missing that you may see"),
        ("someone/missing", "zh", "Hub 上没有你可以访问的 someone/missing"),
        ("/etc", "en", "“/etc” is neither a model of the list nor a Hub id"),
    ],
)
def test_what_is_not_there_is_a_sentence(hub: LoopbackHub, model: str, language: str, expected: str) -> None:
    seen = look_at(HubSession(), model, language)
    assert expected in plain(seen.head)
    assert seen.doors == [False, False, False]


def test_a_newer_look_is_not_covered_by_an_older_one(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from cvhub import look as looking

    session, look = HubSession(), looking.look

    def slow(model: str) -> Any:
        seen = look(model)
        if model == "digits_vit":
            look_at(session, "digits_deit")
        return seen

    monkeypatch.setattr(looking, "look", slow)
    _, *older = browse_handlers.look_at(DOORS, session, "digits_vit", "all", "en")
    assert all("value" not in update for update in older)
    assert session.seen
    assert session.seen.model == "digits_deit"


def test_a_typed_id_is_checked_before_it_is_asked_for() -> None:
    assert browse_handlers.take_hub_id(" timm/resnet18.a1_in1k ", "old", "en") == ("timm/resnet18.a1_in1k", "")
    model, said = browse_handlers.take_hub_id("resnet", "old", "en")
    assert model == "old"
    assert "“resnet” is neither" in said


def test_a_converted_model_is_a_folder_that_transformers_loads(foreign: LoopbackHub, tmp_path: Path) -> None:
    session = HubSession()
    look_at(session, "someone/net")
    _, download, said = browse_handlers.make_archive(session, "en")
    assert "AutoModel loads this folder" in said
    with zipfile.ZipFile(download["value"]) as archive:
        archive.extractall(tmp_path)
    assert {"resnet.py", "model.safetensors", "README.md"} <= {file.name for file in (tmp_path / "net").iterdir()}
    assert 'name = "net"' in (tmp_path / "net" / "README.md").read_text()
    assert type(AutoModelForImageClassification.from_pretrained(tmp_path / "net")).__name__.startswith("CvResNet")
    assert list(session.converted) == ["someone/net"]
    session.forget()
    assert not Path(download["value"]).exists()


def test_an_archive_is_offered_in_every_language_until_the_next_look(foreign: LoopbackHub) -> None:
    session = HubSession()
    assert look_at(session, "someone/net").download["visible"] is False
    browse_handlers.make_archive(session, "en")
    assert "visible" not in browse_handlers.show([], session, "someone/net", "all", "zh")[5]
    assert look_at(session, "someone/net").download["visible"] is False


def test_what_is_not_loaded_makes_no_model_huge(foreign: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    files = foreign.repos["someone/net"].files
    monkeypatch.setattr(browse_handlers, "MOST_BYTES", sum(map(len, files.values())))
    foreign.add("someone/net", files | {"tf_model.h5": bytes(10**6), "onnx/model.safetensors": bytes(10**6)})
    session = HubSession()
    look_at(session, "someone/net")
    assert browse_handlers.make_archive(session, "en")[1]["visible"]


def test_a_huge_model_is_not_packed(foreign: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse_handlers, "MOST_BYTES", 1000)
    session = HubSession()
    look_at(session, "someone/net")
    assert "This repo has 0.0 GB" in browse_handlers.make_archive(session, "en")[2]


def test_programs_are_told_the_same(foreign: LoopbackHub) -> None:
    told = browse_handlers.describe_model("someone/net")
    assert (told["library"], told["tasks"], told["problem"]) == ("transformers", ["image-classification"], "")
    with pytest.raises(gr.Error, match="neither a model of the list"):
        browse_handlers.describe_model("/etc")
    assert [row["name"] for row in browse_handlers.list_models()] == [entry.name for entry in CATALOG]
    assert {row["task"] for row in browse_handlers.list_models("classify")} == set(CLASSIFIES)
    with pytest.raises(gr.Error, match="kind is 'poetry'"):
        browse_handlers.list_models("poetry")


# --- Into the other tabs ---------------------------------------------------------------------------------------------


def test_a_door_opens_for_what_fits() -> None:
    assert [door.fits(Offer("net", CLASSIFIES)) for door in DOORS] == [True, False, True]


def test_classify_takes_a_model_beside_the_others() -> None:
    models = [f"net{number}" for number in range(9)]
    (update,) = classify.take_offer(Offer("owner/net", CLASSIFIES), Session(), models)
    assert update["value"] == [*models[:8], "owner/net"]
    assert ("owner/net", "owner/net") in update["choices"]
    assert classify.take_offer(Offer("net3", CLASSIFIES), Session(), models[:5])[0]["value"][-1] == "net3"


def test_segment_words_and_explore_choose_it() -> None:
    (update,) = segment.take_offer(Offer("owner/net", SEGMENTS), SegmentSession())
    assert update["value"] == "owner/net"
    assert ("owner/net", "owner/net") in update["choices"]
    parts, contrastive, captioner = words.take_offer(Offer("owner/clip", ("zero-shot-image-classification",)))
    assert (parts["selected"], contrastive["value"]) == ("zero-shot", "owner/clip")
    assert "value" not in captioner
    parts, _, captioner = words.take_offer(Offer("drawings_blip", ("image-text-to-text",)))
    assert (parts["selected"], captioner["value"]) == ("caption", "drawings_blip")
    parts, model = architecture.take_offer(Offer("owner/net", CLASSIFIES))
    assert (parts["selected"], model["value"]) == ("architecture", "owner/net")


def test_explore_takes_a_net_of_the_hub_apart(foreign: LoopbackHub) -> None:
    shown, config, _, _ = architecture.choose_model("someone/net")
    assert shown == config
    assert '"model_type": "cvhub_resnet"' in config
    assert "12.3 k parameters" in plain(architecture.show_architecture(True, shown, 64, 64, "en")[0])


# --- Publishing ------------------------------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Any]:
    """Calls a handler of "Publish" in a visit that has a net of its own, "猫 & Co"."""
    save_folder("resnet", tmp_path / "own")
    (tmp_path / "own" / "README.md").unlink(missing_ok=True)
    session = Session(checkpoints={"猫 & Co": tmp_path / "own"})
    page = Made({"classify": Shelf(gr.State(), lambda visit: visit.checkpoints)})
    return lambda name, *arguments: getattr(page, name)(*arguments, session)


WHAT = "classify:猫 & Co"


def test_what_a_visit_made_is_offered_in_the_name_of_the_login(
    hub: LoopbackHub, made: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    session = HubSession()
    _, what, repo, account_note = made("offer", None, session, None, "", "en")
    assert what["choices"] == [("猫 & Co (Classify)", WHAT)]
    assert (what["value"], repo) == (WHAT, "ann/Co")
    assert "You publish as ann." in account_note
    assert made("offer", None, session, WHAT, "ann/mine", "en")[2] == "ann/mine"


def test_files_and_card_are_seen_before_anything_is_sent(hub: LoopbackHub, made: Callable[..., Any]) -> None:
    view, card = made("preview", HubSession(), WHAT, "ann/net", "en")
    assert {"model.safetensors", "resnet.py", "README.md"} <= set(plain(view).split())
    assert 'name = "ann/net"' in card
    assert not hub.requests
    assert "has made nothing yet" in made("preview", HubSession(), "classify:other", "", "en")[0]
    assert "还没有可发布的内容" in made("preview", HubSession(), None, "", "zh")[0]


def test_it_is_pushed_privately_and_proposed_to_others(
    hub: LoopbackHub, made: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    said = made("push", None, HubSession(), WHAT, " ann/net ", "upload", True, "en")
    assert f'href="{hub.url}/ann/net"' in said
    assert hub.repos["ann/net"].private
    assert "model.safetensors" in hub.repos["ann/net"].files
    hub.add("bob/net", {"README.md": b"# Bob's\n"})
    said = made("push", None, HubSession(), WHAT, "bob/net", "proposal", True, "en")
    assert f'href="{hub.url}/bob/net/discussions/1"' in said
    assert hub.repos["bob/net"].files == {"README.md": b"# Bob's\n"}
    assert "model.safetensors" in hub.repos["bob/net"].proposals[0].files
    assert "README.md" in hub.repos["bob/net"].proposals[0].files
    said = made("push", None, HubSession(), WHAT, "bob/net", "upload", True, "en")
    assert "Your token has no right to do this with bob/net" in plain(said)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"SYSTEM": "spaces", "OAUTH_CLIENT_ID": "x"}, "Sign in with Hugging Face to publish."),
        ({"SYSTEM": "spaces"}, "This Space lets nobody sign in"),
        ({"GRADIO_SERVER_NAME": "0.0.0.0"}, "This page is open to others and lends nobody its machine's login"),
        ({"GRADIO_SHARE": "true"}, "This page is open to others and lends nobody its machine's login"),
    ],
)
def test_no_stranger_is_lent_the_machines_login(
    hub: LoopbackHub,
    made: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    expected: str,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert expected in plain(made("push", None, HubSession(), WHAT, "ann/net", "upload", True, "en"))
    assert expected in plain(made("offer", None, HubSession(), None, "", "en")[3])
    assert not hub.requests


def test_a_visitor_of_a_space_pushes_with_their_own_token(
    hub: LoopbackHub, made: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")  # the Space's own, which is for nobody
    visitor = gr.OAuthToken(token="token-of-bob", scope="contribute-repos", expires_at=2**40)
    assert made("offer", visitor, HubSession(), None, "", "en")[2] == "bob/Co"
    made("push", visitor, HubSession(), WHAT, "bob/net", "upload", False, "en")
    assert not hub.repos["bob/net"].private
    assert "no right" in made("push", visitor, HubSession(), WHAT, "ann/net", "upload", False, "en")


def test_without_a_login_a_sentence_says_what_to_do(hub: LoopbackHub, made: Callable[..., Any]) -> None:
    assert "run `hf auth login`" in made("push", None, HubSession(), WHAT, "ann/net", "upload", True, "en")
    with pytest.raises(CvhubError, match="Nobody is logged in"):
        account.token_of(None, SAY)
    assert not hub.requests


def test_a_token_that_a_browser_brings_counts_on_a_space_only(
    hub: LoopbackHub, made: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor = gr.OAuthToken(token="token-of-bob", scope="", expires_at=2**40)
    with pytest.raises(CvhubError, match="Nobody is logged in"):
        account.token_of(visitor, SAY)


def test_own_classes_are_published_without_their_archive(hub: LoopbackHub, tmp_path: Path) -> None:
    from cvhub.ui.classify.own_classes import pack

    save_folder("resnet", tmp_path / "own")
    assert pack(tmp_path / "own").is_file()
    page = Made({"classify": Shelf(gr.State(), lambda visit: visit.checkpoints)})
    session = Session(checkpoints={"own": tmp_path / "own"})
    assert ".zip" not in page.preview(HubSession(), "classify:own", "ann/net", "en", session)[0]


def test_students_are_offered_once_they_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("taught", "alone"):
        (tmp_path / name).mkdir()
    (tmp_path / "taught" / "model.safetensors").write_bytes(b"")

    def folder(run: str) -> Path:
        if run != "mine":
            raise CvhubError("There is no such run any more.")
        return tmp_path

    monkeypatch.setattr(distill, "jobs", lambda: SimpleNamespace(folder=folder))
    assert distill.students("mine") == {"taught": tmp_path / "taught"}
    assert distill.students("") == {}
    assert distill.student_title("taught", SAY) == "student with teachers"


def test_a_repo_that_is_there_is_as_private_as_it_is() -> None:
    assert publish_handlers.show_way("upload")["visible"]
    assert not publish_handlers.show_way("proposal")["visible"]
