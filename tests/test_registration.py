"""transformers' Auto classes know our models in whatever order things are imported, and `import cvhub` stays light."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

import cvhub
from tests.tiny import TinyFamily

CHECK = """
import importlib
import torch
import transformers
from transformers import AutoConfig
from cvhub.models import FAMILIES
torch.set_default_device("meta")
for family in FAMILIES:
    module = importlib.import_module(f"cvhub.models.{family}")
    base = importlib.import_module("cvhub.models.base")
    classes = {auto: cls for cls in base.family_classes(module.__name__) for auto in cls.auto_classes}
    config_class = classes.pop("AutoConfig")
    assert type(AutoConfig.for_model(config_class.model_type)) is config_class
    for auto, cls in classes.items():
        assert type(getattr(transformers, auto).from_config(config_class())) is cls, (auto, cls)
    file, name = config_class.processor
    processor = getattr(importlib.import_module(f"cvhub.models.{file}"), name)
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING
    assert set(IMAGE_PROCESSOR_MAPPING[config_class].values()) == {processor}
"""
ORDERS = {
    "cvhub first": "import cvhub",
    "configuration alone first": "from transformers import AutoConfig; import cvhub",
    "a model file first": "import cvhub.models.mobilenet_v2",
    "the processor first": "import cvhub.models.image_processing",
    "a segmenter's processor first": "import cvhub.models.dense_processing",
    "what transformers share first": "import cvhub.models.attention",
    "processors of words next": "import cvhub; from transformers import AutoProcessor, CLIPModel",
    "pipelines next": "import cvhub; import transformers.pipelines",
    "everything else first": "from transformers import Trainer, pipeline; import cvhub",
}
PIPELINE = """
import builtins, sys
import cvhub
from PIL import Image
from transformers import pipeline

def refuse(question):
    raise SystemExit(question)

builtins.input = refuse
print(pipeline("image-classification", model=sys.argv[1])(Image.new("RGB", (70, 70)))[0]["label"])
"""
LIGHT = """
import sys
import cvhub
assert "load_model" in dir(cvhub)
heavy = {"torch", "transformers", "numpy", "PIL", "timm", "openvino", "gradio", "huggingface_hub"} & set(sys.modules)
assert not heavy, heavy
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=250)


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, Future]]:
    """All orders' processes, two at a time: each has to import torch."""
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(run, first + CHECK) for name, first in ORDERS.items()}


@pytest.mark.parametrize("order", ORDERS)
def test_auto_classes_know_us_in_any_order_of_imports(order: str, runs: dict[str, Future]) -> None:
    done = runs[order].result()
    assert done.returncode == 0, done.stderr


def test_a_pipeline_asks_for_no_leave_to_run_a_folders_code(tmp_path: Path) -> None:
    from cvhub.models.image_processing import CvImageProcessor

    TinyFamily("resnet").model().save_pretrained(tmp_path)
    CvImageProcessor().save_pretrained(tmp_path)
    done = run(PIPELINE, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("LABEL_")


def test_import_cvhub_imports_nothing_heavy() -> None:
    done = run(LIGHT)
    assert done.returncode == 0, done.stderr


def test_public_names_are_all_there() -> None:
    for name in cvhub.__all__:
        assert getattr(cvhub, name) is not None
    assert set(cvhub.__all__) <= set(dir(cvhub))
    with pytest.raises(AttributeError, match="no attribute 'CvNothing'"):
        cvhub.CvNothing  # noqa: B018
