"""Model cards made from what is known of a folder, and from nothing else: what is unknown is left out.

Metadata reference: https://huggingface.co/docs/hub/model-cards#model-card-metadata
"""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from PIL import Image

from cvhub import models
from cvhub.errors import CvhubError
from cvhub.models.pixels import PixelTransform

# Stands in a card's examples until the model is pushed and has a name.
FOLDER = "path/to/this/folder"
# In every card that transformers' `push_to_hub` fills in from its template.
BLANK = "[More Information Needed]"
AND = " and "  # between the names of several data sets
MEASURED = "## Measured"
BY = "By `cvhub evaluate`"
TABLE = re.compile(f"^(?={BY})", re.MULTILINE)  # where each begins
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
# What who has no cvhub needs; a test compares it with requirements.txt.
NEEDED = 'torch pillow "transformers>=5.23"'
PHOTO, PICTURE = "photo.jpg", "picture.png"  # what examples ask about; a net that doesn't know all isn't shown a photo
RETRIEVAL, CAPTIONS = "zero-shot-image-classification", "image-text-to-text"
ANSWERS = "visual-question-answering"


def write_card(
    folder: Path,
    *,
    title: str,
    task: str | None,
    licence: str | None,
    dataset: str | None,
    metrics: Mapping[str, float],
    source: str | None,
    base_model: str | None = None,
    training: str | None = None,
    knows: str | None = None,
) -> None:
    """Writes README.md into a folder that has its config.json and, if it is to have one, its processor's file."""
    card = model_card(
        folder,
        title=title,
        task=task,
        licence=licence,
        dataset=dataset,
        metrics=metrics,
        source=source,
        base_model=base_model,
        training=training,
        knows=knows,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def complete_card(folder: Path, repo_id: str) -> None:
    """Makes the README.md of a folder that is about to become `repo_id` the best that is known.

    A missing or blank card is written from the folder's files; in one that is there, the examples get the repo's name.
    """
    file = folder / "README.md"
    card = file.read_text(encoding="utf-8") if file.is_file() else BLANK
    if BLANK in card:
        card = model_card(folder, title=repo_id.rpartition("/")[2])
    file.write_text(card.replace(FOLDER, repo_id), encoding="utf-8")


def add_measurements(folder: Path, metrics: Mapping[str, float], dataset: str, split: str, count: int) -> None:
    """Writes measured values into a folder's card: its `model-index`, and a section.

    `dataset` is what was measured on, `count` the pictures of its `split`, whose earlier values these replace. The card
    may call the data set by the name that it says it was trained on.
    """
    check_card(folder)
    file = folder / "README.md"
    card = ModelCard(file.read_text(encoding="utf-8"))
    data: Any = card.data  # a ModelCardData, which its class doesn't say
    task, known = data.pipeline_tag, data.datasets or [dataset]
    name = dataset if dataset in known else known[0]
    data.model_name = card.text.strip().partition("\n")[0].removeprefix("# ")
    place = f"{name}, split {split}"
    others = [
        result for result in data.eval_results or [] if (result.dataset_name, result.dataset_split) != (name, split)
    ]
    data.eval_results = [*others, *_results(task, name, metrics, split)] if task else None
    body, _, measured = card.text.partition(f"\n{MEASURED}\n")
    tables = [table.strip() for table in TABLE.split(measured) if table.strip() and f"{place}:\n" not in table]
    tables.append(_measured(f"the {count:,} pictures of {place}", metrics))
    parts = [f"---\n{data.to_yaml()}\n---", body.strip(), MEASURED, *tables]
    file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def check_card(folder: Path) -> None:
    if not (folder / "README.md").is_file():
        raise CvhubError(f"{folder} has no README.md to write the values into.")


def model_card(
    folder: Path,
    *,
    title: str,
    task: str | None = None,
    licence: str | None = None,
    dataset: str | None = None,
    metrics: Mapping[str, float] | None = None,
    source: str | None = None,
    base_model: str | None = None,
    training: str | None = None,
    knows: str | None = None,
) -> str:
    """The text of a card.

    - `task`: transformers' name of it, read from the config's class unless given; `licence`: of the weights.
    - `dataset`: what the weights were trained and measured on, several joined by `AND`; `metrics`: name → value.
    - `source`: where the weights come from: a Hub id becomes the card's `base_model`.
    - `base_model`: the Hub id of what was fine-tuned; `training`: a section on how, in Markdown.
    - `knows`: what kinds of picture the net knows, and which it doesn't: "drawings (emoji, clip art), no photos".
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    family = config["model_type"].removeprefix("cvhub_")
    auto_class = _auto_class(config)
    task = _task(auto_class) if task is None or task.endswith("segmentation") else task
    if base_model is None and source and HUB_ID.fullmatch(source):
        base_model = source
    data = _metadata(title, task, family, licence, dataset, metrics or {}, base_model)
    parts = [
        f"# {title}",
        _paper(family),
        _origin(licence, dataset, source),
        f"The net knows {knows}." if knows else None,
        _usage(folder, task, auto_class, PICTURE if knows else PHOTO),
        _preprocessing(folder),
        _labels(config),
        training,
        _measurements(dataset, metrics or {}),
    ]
    body = "\n\n".join(part for part in parts if part)
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n"))


def _metadata(
    title: str,
    task: str | None,
    family: str,
    licence: str | None,
    dataset: str | None,
    metrics: Mapping[str, float],
    base_model: str | None,
) -> ModelCardData:
    results = _results(task, dataset, metrics) if task and dataset else []  # a `model-index` needs both
    return ModelCardData(
        library_name="transformers",
        pipeline_tag=task,
        license=licence.lower() if licence else None,
        tags=["cvhub", family],
        datasets=dataset.split(AND) if dataset else None,
        base_model=base_model,
        model_name=title if results else None,
        eval_results=results or None,
    )


def _results(task: str, dataset: str, metrics: Mapping[str, float], split: str | None = None) -> list[EvalResult]:
    return [
        EvalResult(
            task_type=task,
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split=split,
            metric_type=name,
            metric_value=value,
        )
        for name, value in metrics.items()
    ]


def _auto_class(config: Mapping[str, Any]) -> str:
    """The Auto class that lists the class whose weights the folder holds, one of a task where there is one."""
    saved = config["architectures"][0]
    autos = [auto for auto, place in config["auto_map"].items() if place.endswith(f".{saved}")]
    return next((auto for auto in autos if "For" in auto), autos[0])


def _task(auto_class: str) -> str | None:
    """AutoModelForImageClassification → image-classification; None for features. The Hub has one task of all masks."""
    _, _, head = auto_class.partition("For")
    if head.endswith("Segmentation"):
        return "image-segmentation"
    return re.sub(r"(?<=.)(?=[A-Z])", "-", head).lower() or None


def _paper(family: str) -> str:
    """The first line of the model file: the paper and its address."""
    file = Path(models.__path__[0]) / f"{family}.py"
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8")))
    assert docstring, f"{file.name} has no docstring"
    return f"Architecture: {docstring.splitlines()[0]}"


def _origin(licence: str | None, dataset: str | None, source: str | None) -> str:
    sentences = []
    if source:
        place = f"[{source}](https://huggingface.co/{source})" if HUB_ID.fullmatch(source) else source
        sentences.append(f"The weights come from {place}, rewritten by cvhub without changing a number.")
    if dataset:
        sentences.append(f"They were trained on {dataset}." if source else f"The weights were trained on {dataset}.")
    if licence:
        sentences.append(f"Their licence: {licence}." if sentences else f"The weights' licence: {licence}.")
    return " ".join(sentences)


def _usage(folder: Path, task: str | None, auto_class: str, picture: str) -> str:
    trust = "trust_remote_code=True"
    with_processor = (folder / "preprocessor_config.json").is_file()
    words = (folder / "processor_config.json").is_file()
    processor = "AutoProcessor" if words else "AutoImageProcessor"
    example = _example(task, words, picture, trust) if with_processor and task else []
    imports = [auto_class] + ([processor] if with_processor else [])
    imports += ["pipeline"] if any("pipeline(" in line for line in example) else []
    lines = ["from PIL import Image"] if any("Image.open(" in line for line in example) else []
    lines += [f"from transformers import {', '.join(sorted(imports, key=str.lower))}", "", f'name = "{FOLDER}"']
    lines.append(f"model = {auto_class}.from_pretrained(name, {trust})")
    if with_processor:
        lines.append(f"processor = {processor}.from_pretrained(name, {trust})")
    lines += ["", *example] if example else []
    note = (
        f"`{trust}` lets transformers run the `.py` files that lie beside the weights; "
        "where the package cvhub is installed and imported, its own code is used instead."
    )
    if task == "image-segmentation":
        note += (
            " transformers' pipeline writes that the model is not supported, since its list of segmenters has only its "
            "own; the answer is complete."
        )
    install = ["```console", f"$ pip install {NEEDED}", "```"]
    return "\n".join(["## Use", "", *install, "", "```python", *lines, "```", "", note])


def _example(task: str, words: bool, picture: str, trust: str) -> list[str]:
    """How a picture is asked about, by transformers' pipeline of the task where it has one."""
    if task == ANSWERS:  # which lost its pipeline in transformers 5
        return [
            f'inputs = processor(images=Image.open("{picture}"), text="what is this?", return_tensors="pt")',
            "answer = model.generate(input_ids=inputs.input_ids, pixel_values=inputs.pixel_values, max_new_tokens=20)",
            "print(processor.decode(answer[0], skip_special_tokens=True))",
        ]
    if not words:
        return [f'predict = pipeline("{task}", model=model, image_processor=processor)', f'print(predict("{picture}"))']
    asked = {RETRIEVAL: 'candidate_labels=["cat", "dog"]', CAPTIONS: 'text=""'}  # a caption goes on with the text
    return [f'predict = pipeline("{task}", model=name, {trust})', f'print(predict("{picture}", {asked[task]}))']


def _preprocessing(folder: Path) -> str | None:
    file = folder / "preprocessor_config.json"
    if not file.is_file():
        return None
    transform = PixelTransform.from_config(json.loads(file.read_text(encoding="utf-8")))
    steps = [f"A picture is read as {'grey' if transform.mode == 'L' else 'RGB'}"]
    if transform.do_resize:
        steps.append(f"resized to {_size(transform.size)} pixels ({Image.Resampling(transform.resample).name.lower()})")
    if transform.do_center_crop:
        steps.append(f"cropped to the central {transform.crop_size['height']}×{transform.crop_size['width']}")
    if transform.do_rescale:
        steps.append(f"divided by {1 / transform.rescale_factor:.6g}")
    if transform.do_normalize:
        steps.append(
            f"normalised with mean {_numbers(transform.image_mean)} and deviation {_numbers(transform.image_std)}"
        )
    return f"## Pictures\n\n{', '.join(steps)}."


def _size(size: Mapping[str, int]) -> str:
    for edge, side in (("shortest_edge", "shorter"), ("longest_edge", "longer")):
        if edge in size:
            return f"a {side} side of {size[edge]}"
    return f"{size['height']}×{size['width']}"


def _numbers(values: Any) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _labels(config: Mapping[str, Any]) -> str | None:
    """How many classes, and their names where they are few; unnamed ones (LABEL_0 …) are only counted."""
    names = list((config.get("id2label") or {}).values())
    if not names:
        return None
    if str(names[0]).startswith("LABEL_"):
        return f"## Classes\n\n{len(names)}, without names."
    listed = ": " + ", ".join(names) if len(names) <= 50 else ", named under `id2label` in `config.json`"
    return f"## Classes\n\n{len(names)}{listed}."


def _measurements(dataset: str | None, metrics: Mapping[str, float]) -> str | None:
    return f"{MEASURED}\n\n{_measured(dataset, metrics)}" if metrics else None


def _measured(place: str | None, metrics: Mapping[str, float]) -> str:
    rows = [f"| {name} | {value:.4g} |" for name, value in metrics.items()]
    return "\n".join([f"{BY}{f', on {place}' if place else ''}:", "", "| metric | value |", "|---|---|", *rows])
