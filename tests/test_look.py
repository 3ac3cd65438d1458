"""What is known of a model before its weights travel."""

import json
import shutil
from pathlib import Path

import pytest
from loopback_hub import LoopbackHub, hub_fixture  # noqa: F401 (a fixture)

from cvhub.catalog import find_entry
from cvhub.errors import CvhubError
from cvhub.look import count_numbers, look, look_into
from tests.test_clip import transformers_clip
from tests.test_hub import save_folder

CARD = b"---\nlicense: mit\n---\n# Theirs\n"


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_bundled_row_is_looked_at_without_a_network() -> None:
    seen = look("digits_vit")
    assert (seen.library, seen.architecture, seen.tasks) == ("cvhub", "vit", ("image-classification",))
    assert seen.parameters == 303_658
    assert seen.config["model_type"] == "cvhub_vit"
    assert "model.safetensors" in seen.files
    assert seen.card.startswith("---\n")


def test_our_folder_is_recognised_and_counted(tmp_path: Path) -> None:
    net = save_folder("resnet", tmp_path / "net")
    (tmp_path / "net" / "cache").mkdir()
    seen = look_into(tmp_path / "net", "mine")
    buffers = sum(buffer.numel() for buffer in net.buffers() if buffer.is_floating_point())
    assert seen.parameters == net.num_parameters() + buffers
    assert "cache" not in seen.files
    assert seen.size == sum(file.stat().st_size for file in (tmp_path / "net").iterdir() if file.is_file())


@pytest.mark.parametrize(
    ("config", "library", "architecture", "tasks"),
    [
        ({"architecture": "resnet50"}, "timm", "resnet50", ("image-classification",)),
        ({"model_type": "swin"}, "transformers", "swin", ("image-classification",)),
        (
            {"model_type": "mobilenet_v2", "architectures": ["MobileNetV2ForSemanticSegmentation"]},
            "transformers",
            "MobileNetV2ForSemanticSegmentation",
            ("semantic-segmentation",),
        ),
        ({"model_type": "clip"}, "transformers", "clip", ("zero-shot-image-classification",)),
    ],
)
def test_a_foreign_layout_is_recognised_and_no_weights_travel(
    hub: LoopbackHub, config: dict, library: str, architecture: str, tasks: tuple[str, ...]
) -> None:
    hub.add("ann/net", {"config.json": json.dumps(config).encode(), "README.md": CARD, "model.safetensors": b"x" * 99})
    seen = look("ann/net")
    assert (seen.library, seen.architecture, seen.tasks, seen.problem) == (library, architecture, tasks, "")
    assert (seen.repo, seen.files["model.safetensors"]) == ("ann/net", 99)
    assert seen.card == CARD.decode()
    assert not [request for request in hub.requests if "safetensors" in request]


def test_open_clips_layout_is_recognised(hub: LoopbackHub) -> None:
    hub.add("ann/clip", {"open_clip_config.json": b'{"model_cfg": {"embed_dim": 8}}'})
    seen = look("ann/clip")
    assert (seen.library, seen.tasks) == ("open_clip", ("zero-shot-image-classification",))
    assert seen.config == {"model_cfg": {"embed_dim": 8}}


def test_what_is_not_known_here_is_shown_with_the_reason(hub: LoopbackHub) -> None:
    hub.add("ann/text", {"config.json": b'{"model_type": "bert"}', "README.md": CARD})
    seen = look("ann/text")
    assert (seen.library, seen.tasks) == ("", ())
    assert seen.problem.startswith("Architecture 'bert' is unknown here")
    assert seen.config == {"model_type": "bert"}
    hub.add("ann/newer", {"config.json": b'{"model_type": "cvhub_capsules"}'})
    assert "the family 'capsules', which this version of cvhub doesn't know" in look("ann/newer").problem


def test_what_has_weights_as_pickles_alone_is_shown_with_the_reason(hub: LoopbackHub) -> None:
    hub.add("ann/net", {"config.json": b'{"model_type": "swin"}', "pytorch_model.bin": b"x"})
    seen = look("ann/net")
    assert (seen.library, seen.tasks) == ("transformers", ("image-classification",))
    assert seen.problem.startswith("ann/net has no weights as safetensors, only pytorch_model.bin, a pickle")


def test_a_row_of_the_hub_keeps_what_the_catalogue_knows(hub: LoopbackHub) -> None:
    entry = find_entry("resnet18")
    assert entry
    hub.add(entry.location, {"config.json": b'{"architecture": "resnet18"}'})
    seen = look("resnet18")
    assert (seen.model, seen.repo, seen.parameters) == ("resnet18", entry.location, entry.parameters)


def test_the_numbers_are_those_that_the_hub_counts(hub: LoopbackHub, tmp_path: Path) -> None:
    transformers_clip().save_pretrained(tmp_path / "clip")
    hub.add("ann/clip", files_of(tmp_path / "clip"))
    assert look("ann/clip").parameters == count_numbers(tmp_path / "clip" / "model.safetensors")


def test_a_cached_repo_is_looked_at_when_the_hub_is_away(hub: LoopbackHub, tmp_path: Path) -> None:
    from cvhub.hub.download import download

    save_folder("resnet", tmp_path / "net")
    hub.add("ann/net", files_of(tmp_path / "net"))
    download("ann/net")
    hub.status = 503
    seen = look("ann/net")
    assert (seen.library, seen.repo) == ("cvhub", "ann/net")
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(CvhubError, match="The Hub has a problem of its own with ann/net"):
        look("ann/net")


@pytest.mark.parametrize(
    ("files", "expected"),
    [({}, "nothing says what it is"), (None, "The Hub has no ann/net that you may see")],
)
def test_what_can_not_be_looked_at_is_one_sentence(
    hub: LoopbackHub, files: dict[str, bytes] | None, expected: str
) -> None:
    if files is not None:
        hub.add("ann/net", files)
    with pytest.raises(CvhubError, match=expected):
        look("ann/net")
