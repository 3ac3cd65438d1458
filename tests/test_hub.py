"""Pushing to and pulling from a Hub, for real, over HTTP on this machine; and what is said when it doesn't work."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard, constants, hf_hub_download
from loopback_hub import LoopbackHub, hub_fixture, serving  # noqa: F401 (a fixture)
from PIL import Image
from safetensors.torch import save_file
from transformers import AutoModelForImageClassification, ResNetConfig, ResNetForImageClassification

from cvhub.cli import main
from cvhub.errors import CvhubError
from cvhub.hub.card import NEEDED, write_card
from cvhub.hub.download import download, fetch_description, fetched
from cvhub.hub.push import push
from cvhub.load import load_model, resolve
from cvhub.models.image_processing import CvImageProcessor
from tests.cards import run_card
from tests.faults.disks import no_large_files
from tests.tiny import CLASSIFIER, TinyFamily, families_with

ROOT = Path(__file__).parents[1]
CLASSIFIERS = families_with(CLASSIFIER)
MODEL_FILES = {"config.json", "model.safetensors", "preprocessor_config.json"}


def code_of(name: str) -> set[str]:
    """The files that a family's repo carries: its own and the processor's, and what these import, and so on."""
    files, new = set[str](), {name, "image_processing"}
    while new:
        files |= new
        code = "\n".join((ROOT / "cvhub" / "models" / f"{file}.py").read_text(encoding="utf-8") for file in new)
        new = set(re.findall(r"^from \.(\w+) import", code, re.MULTILINE)) - files
    return {f"{file}.py" for file in files}


def save_folder(name: str, folder: Path) -> Any:
    """A complete folder of a family's tiny net, its weights in half precision, and the net in float32."""
    model = TinyFamily(name).model().half()
    model.save_pretrained(folder)
    CvImageProcessor(size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64}).save_pretrained(folder)
    return model.float()


def remove_code(folder: Path) -> None:
    """Leaves a folder as those in `cvhub/checkpoints` are: no .py files, and configs that point at none."""
    for file in folder.glob("*.py"):
        file.unlink()
    for file in (folder / "config.json", folder / "preprocessor_config.json"):
        config = json.loads(file.read_text())
        del config["auto_map"]
        file.write_text(json.dumps(config))


def run(program: str, *arguments: str, cwd: Path, environment: dict[str, str]) -> str:
    """The last line that a Python program prints in a process of its own."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


# --- From one process through the Hub into another -------------------------------------------------------------------

PUSH_PROGRAM = """
import sys
from pathlib import Path
import cvhub
from transformers import AutoImageProcessor, AutoModelForImageClassification
from cvhub.hub.push import push

for folder in map(Path, sys.argv[1:]):
    AutoModelForImageClassification.from_pretrained(folder).push_to_hub(f"ann/{folder.name}-method")
    AutoImageProcessor.from_pretrained(folder).push_to_hub(f"ann/{folder.name}-method")
    print(push(folder, f"ann/{folder.name}-folder", private=True))
    # With cvhub imported, no remote code is needed.
    AutoModelForImageClassification.from_pretrained(f"ann/{folder.name}-folder")
"""

PULL_PROGRAM = """
import json, sys
sys.modules["cvhub"] = None  # importing it fails, though it may be installed here
import torch
from PIL import Image
from transformers import (
    AutoBackbone, AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification, pipeline
)
trust = dict(trust_remote_code=True)
image = Image.open("photo.jpg")
answers = {}
for repo in sys.argv[1:]:
    pixels = AutoImageProcessor.from_pretrained(repo, **trust)(image, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        logits = AutoModelForImageClassification.from_pretrained(repo, **trust).eval()(pixels).logits
        features = AutoModel.from_pretrained(repo, **trust).eval()(pixels).last_hidden_state
        config = AutoConfig.from_pretrained(repo, **trust)
        feature_map = features
        if "AutoBackbone" in config.auto_map:
            (feature_map,) = AutoBackbone.from_pretrained(repo, **trust).eval()(pixels).feature_maps
    answers[repo] = {
        "type": config.model_type,
        "pixels": pixels.tolist(),
        "logits": logits.tolist(),
        "features": features.tolist(),
        "feature_map": feature_map.tolist(),
        "best": pipeline("image-classification", model=repo, **trust)("photo.jpg")[0]["label"],
    }
print(json.dumps(answers))
"""


class Pushed:
    """A Hub with each family's tiny net on it twice: by the model's `push_to_hub`, and by `push` of a bare folder."""

    def __init__(self, hub: LoopbackHub, home: Path):
        self.hub = hub
        self.home = home
        self.folders = {name: home / name for name in CLASSIFIERS}
        self.models = {name: save_folder(name, folder) for name, folder in self.folders.items()}
        for folder in self.folders.values():
            remove_code(folder)
        self.before = self.content()
        environment = hub.environment(home / "pusher", "token-of-ann") | {"PYTHONPATH": str(ROOT)}
        self.answer = run(PUSH_PROGRAM, *map(str, self.folders.values()), cwd=home, environment=environment)

    def content(self) -> dict[Path, bytes]:
        return {file: file.read_bytes() for folder in self.folders.values() for file in folder.iterdir()}


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    with serving() as hub:
        yield Pushed(hub, tmp_path_factory.mktemp("pushed"))


def test_repos_work_in_a_process_with_an_empty_cache_and_without_cvhub(pushed: Pushed) -> None:
    """All Auto classes and the pipeline, by the code in the repo, with no dtype given."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8))
    image.save(pushed.home / "photo.jpg")
    environment = pushed.hub.environment(pushed.home / "puller", "token-of-ann")
    answers = json.loads(run(PULL_PROGRAM, *pushed.hub.repos, cwd=pushed.home, environment=environment))
    assert len(answers) == 2 * len(CLASSIFIERS)
    for repo, answer in answers.items():
        name = repo.removeprefix("ann/").rpartition("-")[0]
        model = pushed.models[name]
        processor = CvImageProcessor.from_pretrained(pushed.folders[name])
        pixels = processor(Image.open(pushed.home / "photo.jpg"), return_tensors="pt")["pixel_values"]
        with torch.no_grad():
            logits, features = model(pixels).logits, model.base_model(pixels).last_hidden_state
        assert answer["type"] == f"cvhub_{name}"
        assert torch.equal(torch.tensor(answer["pixels"]), pixels)
        torch.testing.assert_close(torch.tensor(answer["logits"]), logits)
        torch.testing.assert_close(torch.tensor(answer["features"]), features)
        torch.testing.assert_close(torch.tensor(answer["feature_map"]), features)
        assert answer["best"] == model.config.id2label[logits.argmax().item()]


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_pushed_folder_is_complete_after_one_commit(pushed: Pushed, name: str) -> None:
    repo = pushed.hub.repos[f"ann/{name}-folder"]
    assert repo.private
    assert [commit.title for commit in repo.commits] == ["initial commit", "Upload model"]
    assert set(repo.files) == MODEL_FILES | code_of(name) | {"README.md", ".gitattributes"}
    assert repo.files["model.safetensors"] == (pushed.folders[name] / "model.safetensors").read_bytes()
    for file in MODEL_FILES - {"model.safetensors"}:
        on_hub, here = json.loads(repo.files[file]), json.loads((pushed.folders[name] / file).read_text())
        del on_hub["auto_map"]
        assert on_hub == here


def test_a_push_changes_nothing_in_the_folder(pushed: Pushed) -> None:
    assert pushed.answer == f"{pushed.hub.url}/ann/{CLASSIFIERS[-1]}-folder"
    assert pushed.content() == pushed.before


@pytest.mark.parametrize("way", ["method", "folder"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_pushed_model_has_a_card_that_names_it(pushed: Pushed, name: str, way: str) -> None:
    repo_id = f"ann/{name}-{way}"
    card = ModelCard(pushed.hub.repos[repo_id].files["README.md"].decode())
    assert card.text.strip().startswith(f"# {name}-{way}\n")
    metadata = card.data.to_dict()
    assert metadata["pipeline_tag"] == "image-classification"
    assert metadata["tags"] == ["cvhub", name]
    assert f'name = "{repo_id}"' in card.text
    assert "Information Needed" not in card.text


# --- Cards -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "resnet"
    save_folder("resnet", folder)
    return folder


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A complete folder to change at will."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "folder"))


def read_card(folder: Path, **facts: Any) -> ModelCard:
    unknown: dict[str, Any] = {"licence": None, "dataset": None, "metrics": {}, "source": None}
    write_card(folder, title="Tiny", task="image-classification", **(unknown | facts))
    return ModelCard.load(folder / "README.md")


def test_a_card_tells_what_is_known(folder: Path) -> None:
    metrics = {"accuracy": 0.75125, "top5": 0.9}
    card = read_card(
        folder, licence="Apache-2.0", dataset="imagenet-1k", metrics=metrics, source="timm/resnet18.a1_in1k"
    )
    data: Any = card.data
    assert (data.library_name, data.license, data.datasets) == ("transformers", "apache-2.0", ["imagenet-1k"])
    assert data.base_model == "timm/resnet18.a1_in1k"
    assert data.model_name == "Tiny"
    assert {result.metric_type: result.metric_value for result in data.eval_results or ()} == metrics
    assert {(result.task_type, result.dataset_type) for result in data.eval_results or ()} == {
        ("image-classification", "imagenet-1k")
    }
    assert "https://arxiv.org/abs/1512.03385" in card.text
    assert "| accuracy | 0.7512 |" in card.text
    assert "shorter side of 72 pixels (bicubic), cropped to the central 64×64, divided by 255" in card.text


def test_a_card_says_nothing_of_what_is_unknown(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    card = read_card(folder, source="weights.pth")
    assert set(card.data.to_dict()) == {"library_name", "pipeline_tag", "tags"}
    assert "The weights come from weights.pth" in card.text
    assert "AutoModelForImageClassification" in card.text
    for word in ("licence", "trained on", "Measured", "Pictures", "None"):
        assert word not in card.text


def test_measurements_without_a_data_set_are_no_model_index(folder: Path) -> None:
    card = read_card(folder, metrics={"accuracy": 0.5})
    assert "model-index" not in card.data.to_dict()
    assert "| accuracy | 0.5 |" in card.text


def test_a_card_names_few_classes_and_counts_many(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for count, expected in ((3, "3: kind 0, kind 1, kind 2."), (60, "60, named under")):
        config["id2label"] = {str(index): f"kind {index}" for index in range(count)}
        (folder / "config.json").write_text(json.dumps(config))
        assert expected in read_card(folder).text
    grey = {"size": {"height": 70, "width": 80}, "do_center_crop": False, "image_mean": [0.5], "image_std": [0.25]}
    CvImageProcessor(**grey).save_pretrained(folder)
    expected = (
        "read as grey, resized to 70×80 pixels (bicubic), divided by 255, normalised with mean 0.5 and deviation 0.25."
    )
    assert expected in read_card(folder).text
    CvImageProcessor(**grey | {"size": {"longest_edge": 90}}).save_pretrained(folder)
    assert "resized to a longer side of 90 pixels" in read_card(folder).text


def test_a_card_says_what_its_code_needs() -> None:
    listed = (Path(__file__).parents[1] / "requirements.txt").read_text(encoding="utf-8").splitlines()
    torch, pillow, transformers = NEEDED.split()
    assert {torch, pillow} <= {line.partition(">")[0] for line in listed}
    assert transformers.strip('"') in listed


def test_the_code_in_a_card_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_card(folder)
    names = run_card(folder, folder, monkeypatch)
    assert {answer["label"] for answer in names["predict"]("photo.jpg")} == {f"LABEL_{i}" for i in range(5)}


# --- Downloads -------------------------------------------------------------------------------------------------------

TEXTS = {"config.json": b"{}", "preprocessor_config.json": b"{ }", "README.md": b"# A model"}
WEIGHTS = {"model.safetensors": bytes(range(256)) * 40}


def test_a_download_brings_weights_and_no_code(hub: LoopbackHub) -> None:
    unwanted = ("modeling.py", "pytorch_model.bin", "onnx/model.safetensors", "picture.png", "model.pkl", "tf_model.h5")
    hub.add("ann/net", TEXTS | WEIGHTS | dict.fromkeys(unwanted, b"x"))
    folder = download("ann/net")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == TEXTS | WEIGHTS
    asked = {request.split("/", 5)[-1] for request in hub.requests if "/resolve/" in request}
    assert asked == set(TEXTS | WEIGHTS)


def test_a_download_takes_the_revision_asked_for(hub: LoopbackHub) -> None:
    repo = hub.add("ann/net", TEXTS | WEIGHTS)
    first = repo.commits[0].oid
    repo.commit("second", repo.files | {"config.json": b"[]"})
    assert (download("ann/net") / "config.json").read_bytes() == b"[]"
    assert (download("ann/net", first) / "config.json").read_bytes() == b"{}"
    with pytest.raises(CvhubError, match=r"ann/net has no revision 'v9'\.$"):
        download("ann/net", "v9")


def test_what_is_fetched_first_is_not_asked_for_again(hub: LoopbackHub) -> None:
    hub.add("ann/net", TEXTS | WEIGHTS)
    hub.add("ann/other", TEXTS | WEIGHTS)
    with fetched("ann/net"):
        asked = len(hub.requests)
        folder = download("ann/net")
        assert len(hub.requests) == asked
        assert download("ann/other") != folder
    assert (folder / "config.json").read_bytes() == b"{}"
    asked = len(hub.requests)
    assert download("ann/net") == folder
    assert len(hub.requests) > asked


@pytest.mark.fault
def test_files_in_the_cache_serve_when_the_hub_does_not(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("ann/net", TEXTS | WEIGHTS)
    folder = download("ann/net")
    downloads = [request for request in hub.requests if request.startswith("GET") and "/resolve/" in request]
    hub.status = 503
    assert download("ann/net") == folder
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert download("ann/net") == folder
    assert len(downloads) == len(TEXTS | WEIGHTS)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CvhubError, match="ann/net is not in the cache, and HF_HUB_OFFLINE is set"):
        download("ann/net")


@pytest.mark.parametrize("fault", [{"private": True}, {"disabled": True}, None])
def test_what_the_hub_refuses_is_not_taken_from_the_cache(hub: LoopbackHub, fault: dict[str, bool] | None) -> None:
    hub.add("ann/net", TEXTS | WEIGHTS)
    download("ann/net")
    if fault is None:
        del hub.repos["ann/net"]
    else:
        hub.add("ann/net", TEXTS | WEIGHTS, **fault)
    for ask in (download, fetch_description):
        with pytest.raises(CvhubError, match=r"no ann/net that you may see|disabled on the Hub"):
            ask("ann/net")


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 429}, {"web_page": True}])
def test_a_hub_that_says_nothing_of_a_repo_leaves_it_to_the_cache(hub: LoopbackHub, fault: dict[str, Any]) -> None:
    hub.add("ann/net", TEXTS | WEIGHTS)
    folder = download("ann/net")
    for name, value in fault.items():
        setattr(hub, name, value)
    assert download("ann/net") == folder


def test_a_push_in_between_divides_no_download(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = hub.add("ann/net", TEXTS | WEIGHTS)

    def fetch_and_push(*arguments: Any, **options: Any) -> str:
        path = hf_hub_download(*arguments, **options)
        repo.commit("in between", {name: content + b" " for name, content in repo.files.items()})
        return path

    with monkeypatch.context() as patch:
        patch.setattr("cvhub.hub.download.hf_hub_download", fetch_and_push)
        folder = download("ann/net")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == TEXTS | WEIGHTS
    hub.status = 503
    assert download("ann/net") == folder
    hub.status = None
    assert (download("ann/net") / "config.json").read_bytes() == repo.files["config.json"]


def test_a_look_brings_nothing_garbled_and_takes_nothing_from_the_cache(hub: LoopbackHub) -> None:
    repo = hub.add("ann/net", TEXTS | WEIGHTS)
    folder = download("ann/net")
    repo.commit("second", {name: content + b" " for name, content in repo.files.items()})
    hub.garbled = True
    with pytest.raises(CvhubError, match="another checksum"):
        fetch_description("ann/net")
    hub.garbled = False
    described, _ = fetch_description("ann/net")
    assert (described / "config.json").read_bytes() == repo.files["config.json"]
    hub.status = 503  # the weights that were looked at are not here, those from before are
    assert download("ann/net") == folder


def test_only_what_is_fetched_counts(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvhub.hub.download.MAX_BYTES", 15_000)
    hub.add("ann/net", TEXTS | WEIGHTS | {"onnx/model.safetensors": bytes(9000)})
    assert download("ann/net").is_dir()


def test_a_huge_repo_is_refused_before_its_weights_travel(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvhub.hub.download.MAX_BYTES", 10_000)
    hub.add("ann/huge", TEXTS | WEIGHTS)
    with pytest.raises(CvhubError, match=r"ann/huge has 0\.0 GB of weights, the limit is 0\.0 GB"):
        download("ann/huge")
    assert not [request for request in hub.requests if "safetensors" in request]


def test_a_private_or_gated_repo_opens_to_its_owner(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add("ann/private", TEXTS | WEIGHTS, private=True)
    hub.add("ann/gated", TEXTS | WEIGHTS, gated=True)
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    for repo in ("ann/private", "ann/gated"):
        assert (download(repo) / "model.safetensors").read_bytes() == WEIGHTS["model.safetensors"]


@pytest.mark.fault
@pytest.mark.parametrize("token", [None, "token-of-bob"])
@pytest.mark.parametrize(
    ("repo_id", "expected"),
    [
        ("ann/gated", "ann/gated is gated: ask for access at {url}/ann/gated, then log in with `hf auth login`"),
        (
            "ann/private",
            "The Hub has no ann/private that you may see: check the name or, if it is private, log in",
        ),
        ("ann/missing", "The Hub has no ann/missing that you may see: check the name"),
        ("ann/disabled", "ann/disabled has been disabled on the Hub."),
        ("ann/pickle", "ann/pickle has no weights as safetensors, only pytorch_model.bin, a pickle"),
        ("ann/data", "ann/data has no weights as safetensors: look for"),
        ("ann/texts", "ann/texts has no config.json"),
        ("ann/a name", "'ann/a name' is not a Hub id: expected OWNER/NAME"),
    ],
)
def test_what_the_hub_will_not_give_is_one_sentence(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, token: str | None, repo_id: str, expected: str
) -> None:
    hub.add("ann/gated", TEXTS | WEIGHTS, gated=True)
    hub.add("ann/private", TEXTS | WEIGHTS, private=True)
    hub.add("ann/disabled", TEXTS | WEIGHTS, disabled=True)
    hub.add("ann/pickle", TEXTS | {"pytorch_model.bin": b"x"})
    hub.add("ann/data", TEXTS)
    hub.add("ann/texts", {"README.md": b"# Nothing"})
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(CvhubError) as caught:
        download(repo_id)
    assert expected.format(url=hub.url) in str(caught.value)
    assert_one_sentence(caught.value)


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"status": 500}, r"problem of its own with ann/net \(500\): try again later"),
    ({"status": 429}, r"no more requests about ann/net for now \(429\)"),
    ({"status": 418}, r"refused a request about ann/net \(418\): Internal Error"),
    ({"delay": 0.6}, "did not answer in time about ann/net"),
    ({"web_page": True}, "What answers at http.* about ann/net is not a Hub"),
    ({"users": {}}, "refuses your token for ann/net: log in"),
]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short: for the Hub's answers, and between attempts."""
    monkeypatch.setattr("cvhub.hub.download.PATIENCE", 0.2)
    monkeypatch.setattr("cvhub.hub.push.PATIENCE", 0.2)
    monkeypatch.setattr("huggingface_hub.file_download._ETAG_RETRY_TIMEOUT", 0.2)  # a minute
    no_waiting = SimpleNamespace(sleep=lambda seconds: None, time=time.time)
    monkeypatch.setattr("huggingface_hub.file_download.time", no_waiting)


@pytest.mark.fault
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        *FAULTS,
        ({"body_limit": 4000}, "in the middle of ann/net: try again"),
        ({"garbled": True}, r"ann/net did not arrive whole \(.* has another checksum\): try again"),
        ({"delay": 0.6, "punctual": 1}, "did not answer in time about ann/net"),
    ],
)
def test_a_failing_hub_is_one_sentence(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], expected: str
) -> None:
    hub.add("ann/net", TEXTS | WEIGHTS)
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    for name, value in fault.items():
        setattr(hub, name, value)
    with pytest.raises(CvhubError, match=expected) as caught:
        download("ann/net")
    assert_one_sentence(caught.value)


@pytest.mark.fault
def test_what_came_garbled_is_fetched_anew(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    hub.add("ann/net", TEXTS | WEIGHTS)
    hub.garbled = True
    with pytest.raises(CvhubError, match="another checksum"):
        download("ann/net")
    hub.garbled = False
    folder = download("ann/net")
    assert {name: (folder / name).read_bytes() for name in TEXTS | WEIGHTS} == TEXTS | WEIGHTS


@pytest.mark.fault
def test_a_disk_that_takes_no_download_is_no_fault_of_the_hubs(hub: LoopbackHub, tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": bytes(300_000)}
    hub.add("ann/net", files)
    said = rf"The cache {tmp_path / 'cache'} can't be written \(File too large\): HF_HOME may name another place"
    with no_large_files(), pytest.raises(CvhubError, match=said):
        download("ann/net")
    folder = download("ann/net")
    assert {name: (folder / name).read_bytes() for name in files} == files


@pytest.mark.fault
def test_a_hub_out_of_reach_is_one_sentence(hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    )
    for attempt in (lambda: download("ann/net"), lambda: push(folder, "ann/net")):
        with pytest.raises(CvhubError, match=r"at http://127.0.0.1:9 can't be reached for ann/net \(ConnectError\)"):
            attempt()
    assert not hub.requests


def assert_one_sentence(error: CvhubError) -> None:
    text = str(error)
    assert len(text) <= 300
    assert "\n" not in text
    assert text.endswith(".")


# --- A Hub id as MODEL -----------------------------------------------------------------------------------------------


def test_a_pushed_model_answers_by_its_hub_id(hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    push(folder, "ann/net", private=True)
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = AutoModelForImageClassification.from_pretrained(folder)(pixels).logits
        assert torch.equal(load_model("ann/net")(pixels).logits, expected)


def test_a_name_of_the_catalogue_is_pushed_as_its_folder_is(
    hub: LoopbackHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    monkeypatch.chdir(tmp_path)
    assert main(["push", "eurosat_mobilenet_v2", "ann/net"]) == 0
    pushed = hub.repos["ann/net"].files["model.safetensors"]
    assert pushed == (resolve("eurosat_mobilenet_v2") / "model.safetensors").read_bytes()


def test_a_foreign_repo_is_converted_and_named_in_the_card(hub: LoopbackHub, tmp_path: Path) -> None:
    sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    theirs = ResNetForImageClassification(ResNetConfig(layer_type="basic", **sizes)).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    hub.add("someone/resnet", {file.name: file.read_bytes() for file in (tmp_path / "theirs").iterdir()})
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(load_model("someone/resnet")(pixels).logits, theirs(pixels).logits)
    card = ModelCard.load(resolve("someone/resnet") / "README.md")
    assert card.data.to_dict()["base_model"] == "someone/resnet"


# --- Pushes that are refused -----------------------------------------------------------------------------------------


def spoil(folder: Path, kind: str) -> None:
    """Makes a complete folder one that must not be pushed."""
    config = folder / "config.json"
    if kind == "foreign":
        config.write_text('{"model_type": "resnet"}')
    elif kind == "no object":
        config.write_text("[1, 2")
    elif kind == "bad field":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"shortcut": "D"}))
    elif kind == "another's class":
        config.write_text(json.dumps(json.loads(config.read_text()) | {"architectures": ["ResNetModel"]}))
    elif kind == "pickle":
        (folder / "pytorch_model.bin").write_bytes(b"x")
    elif kind == "truncated":
        content = (folder / "model.safetensors").read_bytes()
        (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    elif kind == "a shard missing":
        index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        save_file({"a": torch.zeros(1)}, folder / "model-00001-of-00002.safetensors")
    else:
        (folder / kind).unlink()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("foreign", "holds a model of type 'resnet', not one of cvhub"),
        ("no object", "config.json in .* can't be read as JSON"),
        ("bad field", "config.json in .*shortcut is 'D'"),
        ("another's class", r"architectures in config.json .* is \['ResNetModel'\], expected a class of resnet.py"),
        ("pickle", "pytorch_model.bin in .* is a pickle"),
        ("truncated", "model.safetensors in .* is not a whole safetensors file"),
        ("a shard missing", "has no model-00002-of-00002.safetensors"),
        ("model.safetensors", "has no model.safetensors"),
        ("config.json", "has no config.json"),
        ("preprocessor_config.json", "has no preprocessor_config.json"),
    ],
)
def test_a_folder_that_is_not_complete_is_not_pushed(
    hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, expected: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    spoil(folder, kind)
    with pytest.raises(CvhubError, match=expected) as caught:
        push(folder, "ann/net")
    assert_one_sentence(caught.value)
    assert not hub.repos


@pytest.mark.parametrize(
    ("token", "repo_id", "expected"),
    [
        (None, "ann/net", "Pushing to ann/net needs a Hub token: log in with `hf auth login` or set HF_TOKEN."),
        ("token-of-nobody", "ann/net", "The Hub refuses your token for ann/net: log in"),
        ("token-of-bob", "ann/net", "Your token has no right to do this with ann/net: You don't have"),
        ("token-of-ann", "net", "'net' is not a Hub id: expected OWNER/NAME."),
        ("token-of-ann", "ann/a net", "'ann/a net' is not a Hub id: expected OWNER/NAME"),
        ("token-of-bob", "ann/private", "Your token has no right to do this with ann/private"),
        ("token-of-bob", "ann/gated", "Your token has no right to do this with ann/gated"),
    ],
)
def test_a_push_that_is_not_allowed_is_one_sentence(
    hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch, token: str | None, repo_id: str, expected: str
) -> None:
    hub.add("ann/private", {}, private=True)
    hub.add("ann/gated", {}, gated=True)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(CvhubError) as caught:
        push(folder, repo_id)
    assert expected in str(caught.value)
    assert_one_sentence(caught.value)
    assert not any(repo.files for repo in hub.repos.values())


def test_a_token_that_only_reads_can_not_push(hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    hub.readers.add("ann")
    with pytest.raises(CvhubError, match="Your token has no right to do this with ann/net: You don't have the rights"):
        push(folder, "ann/net")
    assert not hub.repos


@pytest.mark.fault
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("fault", "expected"), FAULTS)
def test_a_push_to_a_failing_hub_is_one_sentence(
    hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any], expected: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    for name, value in fault.items():
        setattr(hub, name, value)
    with pytest.raises(CvhubError, match=expected) as caught:
        push(folder, "ann/net")
    assert_one_sentence(caught.value)
    assert not hub.repos


def test_a_card_of_the_owners_stays_and_a_blank_one_goes(
    hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    hub.add("ann/mine", {"README.md": b"---\nlicense: mit\n---\n# Mine\n"})
    hub.add("ann/blank", {"README.md": b"---\ntags: []\n---\n[More Information Needed]\n"})
    (folder / "training_args.bin").write_bytes(b"a pickle that Trainer leaves behind")
    for repo_id in ("ann/mine", "ann/blank"):
        push(folder, repo_id)
    mine, blank = hub.repos["ann/mine"].files, hub.repos["ann/blank"].files
    assert mine["README.md"].endswith(b"# Mine\n")
    assert b"# blank\n" in blank["README.md"]
    assert "training_args.bin" not in blank
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Ours, in path/to/this/folder\n")
    push(folder, "ann/mine")
    assert hub.repos["ann/mine"].files["README.md"].endswith(b"# Ours, in ann/mine\n")


def test_a_card_with_wrong_metadata_is_refused(hub: LoopbackHub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    (folder / "README.md").write_text("---\n- a list\n---\n# A model\n")
    with pytest.raises(CvhubError, match=r"does not take ann/net: Invalid metadata .* YAML must be a mapping"):
        push(folder, "ann/net")
