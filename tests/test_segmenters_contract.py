"""What every segmenter promises to transformers, to the Hub and to training, tried on a tiny net of each family."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoImageProcessor, pipeline

from cvhub.hub.folder import add_code
from cvhub.models import FAMILIES
from tests.test_models_contract import train
from tests.tiny import SEGMENTERS, TinyFamily

ROLES = [(name, auto) for name in FAMILIES for auto in SEGMENTERS if TinyFamily(name).has(auto)]
each_segmenter = pytest.mark.parametrize(("family", "auto"), ROLES, indirect=["family"])


def processor_of(family: TinyFamily, **fields: Any) -> Any:
    """The processor that the family's config names."""
    file, name = family.class_for("AutoConfig").processor
    return getattr(__import__(f"cvhub.models.{file}", fromlist=[name]), name)(**fields)


def labels_of(model: Any, size: tuple[int, int]) -> dict[str, Tensor]:
    """Labels of noise in blocks, as the net's forward takes them."""
    blocks = torch.randint(0, model.config.num_labels, (2, 4, 4))
    labels = blocks.repeat_interleave(size[0] // 4, 1).repeat_interleave(size[1] // 4, 2)
    if not hasattr(model.config, "thing_ids"):
        return {"labels": labels}
    instances = 1 + torch.arange(16).reshape(1, 4, 4).expand(2, 4, 4)
    instances = instances.repeat_interleave(size[0] // 4, 1).repeat_interleave(size[1] // 4, 2)
    return {"labels": labels, "instance_labels": instances * torch.isin(labels, torch.tensor(model.config.thing_ids))}


@each_segmenter
def test_each_pixel_has_a_logit_a_class(family: TinyFamily, auto: str) -> None:
    model = family.model(auto)
    with torch.no_grad():
        for size in ((64, 64), (75, 41)):
            assert model(torch.randn(2, 3, *size)).logits.shape == (2, 5, *size)


@each_segmenter
def test_a_picture_gets_the_same_answer_in_any_batch(family: TinyFamily, auto: str) -> None:
    model, pixels = family.model(auto), torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(pixels[:1]).logits, model(pixels).logits[:1])


@each_segmenter
def test_too_small_a_picture_is_one_sentence(family: TinyFamily, auto: str) -> None:
    model = family.model(auto)
    smallest = model.config.smallest_input
    with torch.no_grad():
        assert model(torch.randn(1, 3, smallest, smallest)).logits.shape[2:] == (smallest, smallest)
    with pytest.raises(ValueError, match=f"1x{smallest} pixels.*at least {smallest}x{smallest}"):
        model(torch.randn(1, 3, 1, smallest))


@each_segmenter
def test_half_precision_loads_as_float32(family: TinyFamily, auto: str, tmp_path: Path) -> None:
    model, pixels = family.model(auto), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = model(pixels).logits
    model.half().save_pretrained(tmp_path)
    loaded = type(model).from_pretrained(tmp_path).eval()
    assert loaded.dtype == torch.float32
    with torch.no_grad():
        found = loaded(pixels).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02 * expected.abs().max().item())


@each_segmenter
def test_another_number_of_labels(family: TinyFamily, auto: str, tmp_path: Path) -> None:
    model = family.model(auto)
    model.save_pretrained(tmp_path)
    resized = type(model).from_pretrained(tmp_path, num_labels=7, ignore_mismatched_sizes=True)
    assert resized(torch.randn(1, 3, 64, 64)).logits.shape[1] == 7
    kept = model.base_model.state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in resized.base_model.state_dict().items())


class Pictures(Dataset):
    """The same two pictures again and again."""

    def __init__(self, columns: dict[str, Tensor]):
        self.columns = columns

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {name: values[index % 2] for name, values in self.columns.items()}


@each_segmenter
@pytest.mark.parametrize("arguments", [{}, {"bf16": True}, {"activation_checkpointing": True}], ids=str)
def test_trainer_lowers_the_loss(family: TinyFamily, auto: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    model = family.model(auto)
    pixels = torch.randn(2, 3, 32, 32)
    arguments = {"optim": "adamw_torch", "learning_rate": 1e-2} | arguments
    losses = train(model, Pictures({"pixel_values": pixels, **labels_of(model, (32, 32))}), tmp_path, **arguments)
    assert losses[-1] < 0.9 * losses[0]


@each_segmenter
def test_export_keeps_batch_and_size_free(family: TinyFamily, auto: str) -> None:
    model = family.model(auto)
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.AUTO)
    example = {"pixel_values": torch.randn(2, 3, 64, 96)}
    exported = torch.export.export(model, (), example, dynamic_shapes={"pixel_values": free}, strict=False).module()
    for batch, size in ((1, (77, 102)), (3, (128, 64))):
        pixels = torch.randn(batch, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(exported(pixel_values=pixels)["logits"], model(pixels).logits)


@each_segmenter
def test_the_pipeline_finds_the_net_and_its_answer_is_the_processors(
    family: TinyFamily, auto: str, tmp_path: Path
) -> None:
    model, processor = family.model(auto), processor_of(family)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is type(processor)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 70, 3), dtype=np.uint8))
    segmenter = pipeline("image-segmentation", model=model, image_processor=processor)
    answers = segmenter(image, threshold=0.0)
    assert {answer["label"] for answer in answers} <= set(model.config.id2label.values())
    covered = sum(np.asarray(answer["mask"]) > 0 for answer in answers)
    assert covered.shape == (48, 70)
    assert covered.max() == 1
    with torch.no_grad():
        outputs = model(processor(image, return_tensors="pt")["pixel_values"])
    (semantic,) = processor.post_process_semantic_segmentation(outputs, target_sizes=[(48, 70)])
    assert torch.equal(semantic, outputs.logits[0].argmax(0))
    if not hasattr(model.config, "thing_ids"):
        assert covered.min() == 1
        assert {answer["label"] for answer in answers} == {
            model.config.id2label[label] for label in semantic.unique().tolist()
        }


def test_one_logit_tells_two_classes_apart() -> None:
    model = TinyFamily("unet").model("AutoModelForSemanticSegmentation", num_labels=2, single_logit=True)
    with torch.no_grad():
        outputs = model(torch.randn(1, 3, 32, 32))
    assert outputs.logits.shape[1] == 1
    (found,) = processor_of(TinyFamily("unet")).post_process_semantic_segmentation(outputs)
    assert torch.equal(found, (outputs.logits[0, 0] > 0).long())


REMOTE_PROGRAM = """
import json, sys
sys.modules["cvhub"] = None  # importing it fails, though it may be installed here
import torch, transformers
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModel, pipeline
trust = dict(trust_remote_code=True)
image = Image.open(sys.argv[1])
answers = {}
for auto, folder in zip(sys.argv[2::2], sys.argv[3::2]):
    processor = AutoImageProcessor.from_pretrained(folder, **trust)
    pixels = processor(image, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        logits = getattr(transformers, auto).from_pretrained(folder, **trust).eval()(pixels).logits
        AutoModel.from_pretrained(folder, **trust)
    found = pipeline("image-segmentation", model=folder, **trust)(image, threshold=0.0)
    answers[folder] = {"logits": logits.tolist(), "labels": [answer["label"] for answer in found]}
print(json.dumps(answers))
"""


def test_folders_work_where_cvhub_is_not_installed(tmp_path: Path) -> None:
    """The Auto classes and the pipeline, by the code in the folder, in a fresh process."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    image.save(tmp_path / "image.png")
    arguments, expected = [], {}
    for name, auto in ROLES:
        family = TinyFamily(name)
        model, processor = family.model(auto), processor_of(family)
        folder = tmp_path / name
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        with torch.no_grad():
            outputs = model(processor(image, return_tensors="pt")["pixel_values"])
        expected[str(folder)] = (model, processor, outputs)
        arguments += [auto, str(folder)]
    program = [sys.executable, "-c", REMOTE_PROGRAM, str(tmp_path / "image.png"), *arguments]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    for folder, (model, processor, outputs) in expected.items():
        torch.testing.assert_close(torch.tensor(answers[folder]["logits"]), outputs.logits)
        assert answers[folder]["labels"] == labels_by(processor, outputs, model.config)


@each_segmenter
def test_a_push_brings_the_code_that_saving_brings(family: TinyFamily, auto: str, tmp_path: Path) -> None:
    """The processor's too, without which nothing could read the net's maps."""
    folder, made = tmp_path / "net", tmp_path / "made"
    family.model(auto).save_pretrained(folder)
    processor_of(family).save_pretrained(folder)
    add_code(folder, made, family.name)
    for name in ("config.json", "preprocessor_config.json"):
        saved, pushed = (json.loads((place / name).read_text(encoding="utf-8")) for place in (folder, made))
        assert pushed["auto_map"] == saved["auto_map"]
    assert {file.name for file in made.glob("*.py")} == {file.name for file in folder.glob("*.py")}


def labels_by(processor: Any, outputs: SimpleNamespace, config: Any) -> list[str]:
    """The names of what the pipeline's post-processing finds."""
    if hasattr(config, "thing_ids"):
        (result,) = processor.post_process_panoptic_segmentation(outputs, threshold=0.0)
        return [config.id2label[segment["label_id"]] for segment in result["segments_info"]]
    (semantic,) = processor.post_process_semantic_segmentation(outputs)
    return [config.id2label[label] for label in semantic.unique().tolist()]


def test_every_segmenter_is_listed_where_pipelines_look() -> None:
    for name, auto in ROLES:
        config = TinyFamily(name).config()
        found = {
            kind
            for kind in ("AutoModelForImageSegmentation", "AutoModelForSemanticSegmentation")
            if type(config) in getattr(transformers, kind)._model_mapping
        }
        assert found == {auto.replace("Universal", "Image")}
