"""The READMEs: their examples run, their tables and tree are true, and the two languages say the same."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cvhub.catalog import CATALOG, CHECKPOINTS, Entry
from cvhub.evaluation.metrics import wilson_interval
from tests import loopback_hub
from tests.examples import as_python, read_blocks, run
from tests.test_blip import theirs_of, words
from tests.test_clip import transformers_clip

ROOT = Path(__file__).parents[1]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")
READMES = pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])
BLOCKS = read_blocks(ENGLISH)
COMMANDS = [
    line.removeprefix("$ ")
    for block in BLOCKS
    if block.language == "console"
    for line in block.code.splitlines()
    if line.startswith("$ ")
]


def model_rows() -> list[str]:
    """The rows of the model table, as the catalogue has them."""
    return [
        f"| `{entry.name}` | {entry.title} | `{entry.family}` | {entry.dataset} | {entry.num_labels or '–'} "
        f"| {entry.parameters / 1e6:.1f} M | {_weights(entry)} | {entry.licence} |"
        for entry in CATALOG
    ]


def zoo_rows() -> list[str]:
    """The rows of the table of the classifiers that we trained."""
    rows = []
    for entry in (entry for entry in trained("classification") if entry.dataset == "eurosat"):
        accuracy = entry.metrics["accuracy"]
        low, high = wilson_interval(round(accuracy * entry.tested), entry.tested)
        rows.append(
            f"| `{entry.name}` | {100 * accuracy:.2f} | {100 * low:.1f} to {100 * high:.1f} "
            f"| {100 * entry.metrics['top5']:.2f} | {entry.parameters / 1e6:.2f} M | {entry.training_minutes} |"
        )
    return rows


def segmenter_rows() -> list[str]:
    """The rows of the table of the segmenters that we trained; what a net can't be asked for is a dash."""
    rows = []
    for entry in trained("segmentation"):
        values = (
            f"{100 * entry.metrics[name]:.1f}" if name in entry.metrics else "–"
            for name in ("iou", "miou", "boundary_f", "ap50", "pq")
        )
        rows.append(
            f"| `{entry.name}` | {entry.dataset} | {' | '.join(values)} | {entry.tested} "
            f"| {entry.parameters / 1e6:.2f} M | {entry.training_minutes} |"
        )
    return rows


def trained(kind: str) -> list[Entry]:
    return [entry for entry in CATALOG if entry.training_minutes and entry.task.endswith(kind)]


def _weights(entry: Entry) -> str:
    if entry.source == "bundled":
        return f"[{entry.location}](cvhub/checkpoints/{entry.location}/README.md)"
    site = {"hub": "https://huggingface.co", "package": "https://pypi.org/project"}[entry.source]
    return f"[{entry.location}]({site}/{entry.location})"


def tree_paths(text: str) -> list[str]:
    """The paths of the annotated tree, indented by two spaces a level."""
    (tree,) = re.findall(r"^```text\n(app\.py .*?)^```$", text, re.MULTILINE | re.DOTALL)
    parents: list[str] = []
    paths = []
    for line in tree.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        parents[depth:] = [line.split()[0]]
        paths.append("".join(parents))
    return paths


# Table of what a net of pictures and words is worth → the net, and of each column its metric and how it is written.
WAYS = ("text_to_image", "image_to_text")
IN_WORDS = {
    "words": (
        "drawings_clip",
        {f"{way}_recall@{k}": 100 for way in ("text_to_image", "image_to_text") for k in (1, 5)},
    ),
    "captions": ("drawings_blip", {"exact": 100, "cider": 1}),
}


def measured_in_words(name: str, metrics: Mapping[str, int]) -> list[list[str]]:
    """The values in the net's card, by what was measured."""
    card = (CHECKPOINTS / name / "README.md").read_text(encoding="utf-8")
    results = yaml.safe_load(card.split("---")[1])["model-index"][0]["results"]
    values = [{metric["type"]: metric["value"] for metric in result["metrics"]} for result in results]
    return [
        [f"{times * found[metric]:.{1 if times == 100 else 2}f}" for metric, times in metrics.items()]
        for found in values
        if set(metrics) <= set(found)
    ]


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with what the examples take for granted: pictures, two sorted by class, and a torchvision checkpoint."""
    import torch
    import torchvision

    shutil.copytree(ROOT / "cvhub" / "ui" / "samples", tmp_path / "cvhub" / "ui" / "samples")
    for name, picture in (("Egyptian cat", "chelsea.jpg"), ("espresso", "coffee.jpg")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        shutil.copy(ROOT / "cvhub" / "ui" / "samples" / picture, tmp_path / "photos" / name)
    torch.save(torchvision.models.resnet18().state_dict(), tmp_path / "resnet18.pth")
    return tmp_path


def files_of(model: Any, folder: Path) -> dict[str, bytes]:
    """The files of a repo like the official one, with a net of some kilobytes."""
    model.save_pretrained(folder)
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.timeout(900)
def test_the_examples_run_one_after_another(workplace: Path) -> None:
    with loopback_hub.serving() as hub:
        hub.users = {"a-token": "someone"}
        hub.add("openai/clip-vit-base-patch32", files_of(transformers_clip(), workplace / "clip"))
        for kind, repo in (("captions", "blip-image-captioning-base"), ("questions", "blip-vqa-base")):
            words().save_pretrained(workplace / kind)
            hub.add(f"Salesforce/{repo}", files_of(theirs_of(kind), workplace / kind))
        environment = hub.environment(workplace / "huggingface", token="a-token")
        for block in BLOCKS:
            code = as_python(block.code) if block.language == "console" else block.code
            output = run(code, workplace, environment)
            assert block.output is None or output == block.output
    assert "model.safetensors" in hub.repos["someone/my-resnet"].files


def test_every_other_command_is_a_target_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z]+):", makefile, re.MULTILINE)
    others = [command for command in COMMANDS if not command.startswith("cvhub ")]
    assert others == ["make app", "make test"]
    assert {command.split()[1] for command in others} <= set(targets)
    for named in re.findall(r"`make (\w+)`", ENGLISH):
        assert named in targets


def test_both_languages_have_the_same_examples() -> None:
    assert read_blocks(CHINESE) == BLOCKS


def test_both_languages_have_the_same_tables() -> None:
    tables = [[line for line in text.splitlines() if line.startswith("| `")] for text in (ENGLISH, CHINESE)]
    assert tables[0] == tables[1]


def test_both_languages_have_the_same_tree() -> None:
    assert tree_paths(CHINESE) == tree_paths(ENGLISH)


@READMES
def test_the_tables_are_the_catalogues(text: str) -> None:
    for name, rows in (("models", model_rows()), ("zoo", zoo_rows()), ("segmenters", segmenter_rows())):
        (table,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.DOTALL)
        assert table.splitlines()[2:] == rows


@READMES
@pytest.mark.parametrize("name", IN_WORDS)
def test_the_tables_of_words_are_the_cards(name: str, text: str) -> None:
    (table,) = re.findall(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.DOTALL)
    rows = [[cell.strip() for cell in row.strip("|").split("|")][2:] for row in table.splitlines()[2:]]
    assert sorted(rows) == sorted(measured_in_words(*IN_WORDS[name]))


def test_every_path_of_the_tree_exists() -> None:
    missing = [path for path in tree_paths(ENGLISH) if not (ROOT / path).exists()]
    assert not missing


def test_the_tree_names_every_folder_at_the_top_and_every_room_of_the_package() -> None:
    paths = tree_paths(ENGLISH)
    made = {"build", "dist", "__pycache__", "cvhub.egg-info"}  # by tools; git ignores them
    folders = [folder for folder in ROOT.iterdir() if folder.is_dir() and folder.name not in made]
    visible = {f"{folder.name}/" for folder in folders if not folder.name.startswith(".")}
    rooms = {f"cvhub/{file.parent.name}/" for file in ROOT.glob("cvhub/*/__init__.py")}
    assert visible | rooms <= set(paths)


def test_the_tree_names_every_file_of_models() -> None:
    files = {f"cvhub/models/{file.name}" for file in ROOT.glob("cvhub/models/*.py") if file.name != "__init__.py"}
    assert files == {path for path in tree_paths(ENGLISH) if path.startswith("cvhub/models/") and path.endswith(".py")}


@READMES
def test_every_link_into_the_repository_leads_somewhere(text: str) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)\)", text)
    assert targets
    assert not [target for target in targets if not (ROOT / target).is_file()]
