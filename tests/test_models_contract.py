"""What every architecture promises to transformers, to the Hub and to training, tried on a tiny net of each family."""

import copy
import inspect
import json
import math
import shutil
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_flatten
from torch.utils.data import Dataset
from transformers import (
    AutoBackbone,
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoModelForSemanticSegmentation,
    AutoModelForUniversalSegmentation,
    Trainer,
    TrainingArguments,
)

from cvhub.models import FAMILIES
from cvhub.models.image_processing import CvImageProcessor
from tests.tiny import CLASSIFIER, SEGMENTERS, TinyFamily, families_with

BUILDERS = {
    "AutoModel": AutoModel,
    CLASSIFIER: AutoModelForImageClassification,
    "AutoBackbone": AutoBackbone,
    **dict(zip(SEGMENTERS, (AutoModelForSemanticSegmentation, AutoModelForUniversalSegmentation), strict=True)),
}


def reads_a_text(family: TinyFamily, auto: str) -> bool:
    return "input_ids" in inspect.signature(family.class_for(auto).forward).parameters


# Of nets that are given pictures alone; tests/test_words_contract.py has the others.
ROLES = [
    (family.name, auto)
    for family in map(TinyFamily, FAMILIES)
    for auto in BUILDERS
    if family.has(auto) and not reads_a_text(family, auto)
]
CLASSIFIERS = families_with(CLASSIFIER)
BACKBONES = families_with("AutoBackbone")
DILATABLE = [name for name in BACKBONES if TinyFamily(name).can_dilate()]
each_role = pytest.mark.parametrize(("family", "auto"), ROLES, indirect=["family"])
each_classifier = pytest.mark.parametrize("family", CLASSIFIERS, indirect=True)
each_backbone = pytest.mark.parametrize("family", BACKBONES, indirect=True)
each_dilatable = pytest.mark.parametrize("family", DILATABLE, indirect=True)


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(2, 3, 64, 96)


def logits_of(model: Any, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        return model(pixels).logits


# --- The Auto classes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FAMILIES)
def test_widths_and_depths_are_at_least_1(name: str) -> None:
    family = TinyFamily(name)
    for field in family.config().counts:
        value = getattr(family.config(), field)
        zeros = [0] * max(1, len(value)) if isinstance(value, (list, tuple)) else 0
        with pytest.raises(ValueError, match=rf"{field} is .*0.*, expected at least 1"):
            family.config(**{field: zeros})
    with pytest.raises(ValueError, match="num_labels is 0"):
        family.config(num_labels=0)


@each_role
def test_auto_classes_build_our_classes(family: TinyFamily, auto: str) -> None:
    assert type(BUILDERS[auto].from_config(family.config())) is family.class_for(auto)


@each_classifier
def test_auto_classes_load_a_folder_without_remote_code(family: TinyFamily, tmp_path: Path) -> None:
    family.model().save_pretrained(tmp_path)
    CvImageProcessor().save_pretrained(tmp_path)
    assert type(AutoConfig.from_pretrained(tmp_path)) is family.class_for("AutoConfig")
    assert type(AutoModel.from_pretrained(tmp_path)) is family.class_for("AutoModel")
    assert type(AutoModelForImageClassification.from_pretrained(tmp_path)) is family.class_for(CLASSIFIER)
    assert type(AutoImageProcessor.from_pretrained(tmp_path)) is CvImageProcessor


REMOTE_PROGRAM = """
import json, sys
sys.modules["cvhub"] = None  # importing it fails, though it may be installed here
import torch
from PIL import Image
from transformers import (
    AutoBackbone, AutoConfig, AutoImageProcessor, AutoModel, AutoModelForImageClassification, pipeline
)
trust = dict(trust_remote_code=True)
image = Image.open(sys.argv[1])
answers = {}
for folder in sys.argv[2:]:
    config = AutoConfig.from_pretrained(folder, **trust)
    processor = AutoImageProcessor.from_pretrained(folder, **trust)
    pixels = processor(image, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        logits = AutoModelForImageClassification.from_pretrained(folder, **trust).eval()(pixels).logits
        features = AutoModel.from_pretrained(folder, **trust).eval()(pixels).pooler_output
    best = pipeline("image-classification", model=folder, **trust)(image)[0]
    answers[folder] = {
        "logits": logits.tolist(),
        "features": features.tolist(),
        "best": best["label"],
    }
    if "AutoBackbone" in config.auto_map:
        answers[folder]["channels"] = AutoBackbone.from_config(config, **trust).channels
print(json.dumps(answers))
"""


def test_half_precision_folders_work_where_cvhub_is_not_installed(tmp_path: Path) -> None:
    """All Auto classes and the pipeline, by the code in the folder, in a fresh process, with no dtype given."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (80, 100, 3), dtype=np.uint8))
    image.save(tmp_path / "image.png")
    processor = CvImageProcessor(size={"shortest_edge": 72}, crop_size={"height": 64, "width": 64})
    pixels = processor(image, return_tensors="pt")["pixel_values"]
    expected = {}
    for name in CLASSIFIERS:
        model = TinyFamily(name).model().half()
        folder = tmp_path / name
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        with torch.no_grad():
            output = model.float()(pixels, output_hidden_states=True)
        expected[str(folder)] = (output.logits, model.base_model.eval()(pixels).pooler_output, model.config)

    program = [sys.executable, "-c", REMOTE_PROGRAM, str(tmp_path / "image.png"), *expected]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    for folder, (logits, features, config) in expected.items():
        torch.testing.assert_close(torch.tensor(answers[folder]["logits"]), logits)
        torch.testing.assert_close(torch.tensor(answers[folder]["features"]), features)
        assert answers[folder]["best"] == config.id2label[logits.argmax().item()]
        if Path(folder).name in BACKBONES:
            assert answers[folder]["channels"] == config.stage_channels[-1:]


# --- Saving and loading ----------------------------------------------------------------------------------------------


@each_role
def test_a_round_trip_is_exact(family: TinyFamily, auto: str, tmp_path: Path, pixels: Tensor) -> None:
    model = family.model(auto)
    model.save_pretrained(tmp_path)
    loaded, info = type(model).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    for part in model.config.sub_configs:  # where transformers notes what was loaded
        getattr(model.config, part).dtype = loaded.dtype
    assert loaded.config.to_dict() == model.config.to_dict() | {"_name_or_path": str(tmp_path)}
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    with torch.no_grad():
        torch.testing.assert_close(loaded(pixels).to_tuple(), model(pixels).to_tuple())


@each_backbone
@pytest.mark.parametrize("auto", ["AutoModel", "AutoBackbone"])
def test_a_classifiers_folder_gives_its_features(family: TinyFamily, auto: str, tmp_path: Path) -> None:
    classifier = family.model()
    classifier.save_pretrained(tmp_path)
    model, info = family.class_for(auto).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    expected = classifier.base_model.state_dict()
    if auto == "AutoModel":  # a backbone may end with its last map
        assert model.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())


@each_classifier
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(family: TinyFamily, dtype: torch.dtype, tmp_path: Path, pixels: Tensor) -> None:
    """A half-precision file loads as float32 unless a dtype is named, and computes in either."""
    model = family.model()
    expected = logits_of(model, pixels)
    model.to(dtype).save_pretrained(tmp_path)
    file = load_file(tmp_path / "model.safetensors")
    weights = (tensor for name, tensor in file.items() if not name.endswith("num_batches_tracked"))
    assert {tensor.dtype for tensor in weights} == {dtype}

    cls = type(model)
    assert cls.from_pretrained(tmp_path).dtype == torch.float32
    half = cls.from_pretrained(tmp_path, dtype=dtype)
    assert half.dtype == dtype
    tolerance = 0.05 * expected.abs().max().item()
    torch.testing.assert_close(logits_of(cls.from_pretrained(tmp_path), pixels), expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(logits_of(half, pixels.to(dtype)).float(), expected, rtol=0, atol=tolerance)


@each_classifier
def test_another_number_of_labels(family: TinyFamily, tmp_path: Path, pixels: Tensor) -> None:
    """A new head starts as a fresh one does, and the rest keeps its weights."""
    model = family.model()
    model.save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        type(model).from_pretrained(tmp_path, num_labels=7)
    resized = type(model).from_pretrained(tmp_path, num_labels=7, ignore_mismatched_sizes=True)
    assert logits_of(resized, pixels).shape == (2, 7)
    fresh = type(model)(family.config(num_labels=7))
    assert resized.classifier.weight.std().item() == pytest.approx(fresh.classifier.weight.std().item(), rel=0.3)
    assert not resized.classifier.bias.any()
    kept = model.base_model.state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in resized.base_model.state_dict().items())


@each_role
def test_what_a_file_lacks_is_initialised(family: TinyFamily, auto: str, tmp_path: Path) -> None:
    """`from_pretrained` builds on the meta device, so a tensor that nobody fills would hold what was in memory.

    One half of the tensors is missing, then the other.
    """
    model = family.model(auto)
    model.save_pretrained(tmp_path)
    whole = load_file(tmp_path / "model.safetensors")
    names, fresh = sorted(whole), family.class_for(auto)(family.config()).state_dict()
    for kept in (names[::2], names[1::2]):
        save_file({name: whole[name] for name in kept}, tmp_path / "model.safetensors", metadata={"format": "pt"})
        loaded = type(model).from_pretrained(tmp_path).state_dict()
        for name, tensor in fresh.items():
            if name in kept:
                assert torch.equal(loaded[name], whole[name]), name
            else:
                assert starts_alike(loaded[name], tensor), name


def starts_alike(found: Tensor, fresh: Tensor) -> bool:
    """Whether a tensor is one that the same initialisation has made; of few numbers chance leaves little to compare."""
    if (fresh == fresh.flatten()[0]).all():  # a norm's weight, a bias, a statistic
        return torch.equal(found, fresh)
    if fresh.numel() < 100:
        return 0 < found.abs().max().item() < 5 * fresh.abs().max().item()
    return found.std().item() == pytest.approx(fresh.std().item(), rel=0.3)


# --- Inputs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "dilated"),
    [*((name, False) for name in BACKBONES), *((name, True) for name in DILATABLE)],
    indirect=["family"],
)
def test_any_size_from_the_smallest_on(family: TinyFamily, dilated: bool) -> None:
    """At the smallest size the last map of the undilated net is one pixel; below, the error names both sizes.

    Between multiples of the stride a net rounds as its layers do: convolutions up, some poolings down.
    """
    model = family.model(**({"output_stride": 8} if dilated else {}))
    smallest = model.config.smallest_input
    assert family.config().map_sizes(smallest)[-1] == 1
    with torch.no_grad():
        for height, width in ((smallest, smallest), (smallest + 1, smallest + 7), (3 * smallest - 1, smallest)):
            output = model.base_model(torch.randn(1, 3, height, width))
            sizes = tuple(model.config.map_sizes(side)[-1] for side in (height, width))
            assert output.last_hidden_state.shape[2:] == sizes
            assert output.pooler_output.isfinite().all()
        too_small = f"{smallest - 1}x{smallest + 5} pixels.*{smallest}x{smallest}"
        with pytest.raises(ValueError, match=too_small):
            model(torch.randn(1, 3, smallest - 1, smallest + 5))


@each_classifier
@pytest.mark.parametrize("channels", [1, 4, 5])
def test_any_number_of_channels(family: TinyFamily, channels: int, tmp_path: Path) -> None:
    model = family.model(num_channels=channels)
    model.save_pretrained(tmp_path)
    loaded = AutoModelForImageClassification.from_pretrained(tmp_path)
    pixels = torch.randn(1, channels, 64, 64)
    torch.testing.assert_close(logits_of(loaded, pixels), logits_of(model, pixels))
    with pytest.raises(ValueError, match=f"{channels + 1} channels.*{channels}"):
        model(torch.randn(1, channels + 1, 64, 64))
    with pytest.raises(ValueError, match=r"\(3, 64, 64\).*batch"):
        model(torch.randn(3, 64, 64))


@each_classifier
def test_a_grey_picture_reaches_a_net_of_one_channel(family: TinyFamily) -> None:
    model = family.model(num_channels=1)
    processor = CvImageProcessor(image_mean=[0.5], image_std=[0.5], crop_size={"height": 64, "width": 64})
    pixels = processor(Image.new("RGB", (90, 70), "teal"), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 1, 64, 64)
    assert logits_of(model, pixels).shape == (1, 5)


@each_classifier
def test_a_picture_gets_the_same_answer_in_any_batch(family: TinyFamily) -> None:
    model, pixels = family.model(), torch.randn(7, 3, 64, 64)
    expected = logits_of(model, pixels)
    for size in (1, 2):
        torch.testing.assert_close(logits_of(model, pixels[:size]), expected[:size])
    assert logits_of(model, pixels[:0]).shape == (0, 5)


# --- Outputs ---------------------------------------------------------------------------------------------------------


@each_backbone
def test_hidden_states_are_the_stages(family: TinyFamily, pixels: Tensor) -> None:
    """One map a stage name, of the stage's channels and stride; the last one is `last_hidden_state`."""
    model = family.model()
    config = model.config
    with torch.no_grad():
        output = model.base_model(pixels, output_hidden_states=True)
        assert model.base_model(pixels).hidden_states is None
        classifier_states = model(pixels, output_hidden_states=True).hidden_states
    shapes = zip(config.stage_channels, config.map_sizes(64), config.map_sizes(96), strict=True)
    assert [tuple(state.shape) for state in output.hidden_states] == [(2, *shape) for shape in shapes]
    assert len(config.stage_names) == len(output.hidden_states)
    assert torch.equal(output.hidden_states[-1], output.last_hidden_state)
    pool = model.base_model.pool if family.can_dilate() else lambda last_map: last_map.mean((2, 3))
    assert torch.equal(output.pooler_output, pool(output.last_hidden_state))
    assert all(torch.equal(a, b) for a, b in zip(classifier_states, output.hidden_states, strict=True))


@each_backbone
def test_the_config_can_ask_for_hidden_states(family: TinyFamily, pixels: Tensor) -> None:
    model = family.model(output_hidden_states=True)
    assert len(model(pixels).hidden_states) == len(model.config.stage_names)
    assert model(pixels, output_hidden_states=False).hidden_states is None


@each_role
def test_outputs_as_tuples(family: TinyFamily, auto: str, pixels: Tensor) -> None:
    model = family.model(auto)
    with torch.no_grad():
        as_tuple = model(pixels, return_dict=False)
        expected = model(pixels).to_tuple()
    assert isinstance(as_tuple, tuple)
    torch.testing.assert_close(as_tuple, expected)


# --- Backbones -------------------------------------------------------------------------------------------------------


@each_backbone
def test_a_backbone_gives_the_maps_that_were_asked_for(family: TinyFamily, tmp_path: Path, pixels: Tensor) -> None:
    classifier = family.model()
    classifier.save_pretrained(tmp_path)
    states = classifier(pixels, output_hidden_states=True).hidden_states
    names = classifier.config.stage_names
    cls = family.class_for("AutoBackbone")
    asked = {"out_features": [names[0], names[2]]}, {"out_indices": [0, 2]}, {"out_indices": [-len(names), 2]}
    for fields in asked:
        backbone = cls.from_pretrained(tmp_path, **fields)
        assert backbone.channels == [classifier.config.stage_channels[i] for i in (0, 2)]
        output = backbone(pixels)
        assert output.hidden_states is None
        assert all(torch.equal(a, b) for a, b in zip(output.feature_maps, (states[0], states[2]), strict=True))
    default = cls.from_pretrained(tmp_path)
    assert default.out_features == names[-1:]
    output = default(pixels, output_hidden_states=True)
    assert torch.equal(output.feature_maps[0], states[-1])
    assert all(torch.equal(a, b) for a, b in zip(output.hidden_states, states, strict=True))
    with pytest.raises(ValueError, match="stage99"):
        family.config(out_features=["stage99"])


@each_dilatable
@pytest.mark.parametrize("dilate_first_block", [False, True])
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_output_stride(family: TinyFamily, output_stride: int, dilate_first_block: bool, tmp_path: Path) -> None:
    """Stages past the stride keep their map's size by dilation; their weights fit as they are."""
    family.model().save_pretrained(tmp_path)
    fields = {"output_stride": output_stride, "dilate_first_block": dilate_first_block}
    model, info = AutoModel.from_pretrained(tmp_path, **fields, output_loading_info=True)
    assert not any(info.values()), info
    with torch.no_grad():
        states = model(torch.randn(1, 3, 128, 64), output_hidden_states=True).hidden_states
    strides = np.cumprod(model.config.stage_strides).clip(max=output_stride).tolist()
    assert model.config.map_strides == strides
    sizes = zip(model.config.map_sizes(128), model.config.map_sizes(64), strict=True)
    assert [tuple(state.shape[2:]) for state in states] == list(sizes)
    for (previous, state), (before, after) in zip(pairwise(states), pairwise(strides), strict=True):
        assert after > before or state.shape[2:] == previous.shape[2:]


@each_dilatable
@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilating_first_blocks_is_the_rule_of_segmentation_models_pytorch(
    family: TinyFamily, output_stride: int, pixels: Tensor
) -> None:
    """Its rule, written here as a walk over the convolutions: past the stride a stage has stride 1 and one rate.

    It knows no pooling that halves a map; the same is asked of those.
    """
    plain = family.model("AutoModel")
    dilated = family.model("AutoModel", output_stride=output_stride, dilate_first_block=True)
    dilated.load_state_dict(plain.state_dict())
    for window, stride in output_strides(plain).items():
        if stride > output_stride:
            rate = stride // output_stride
            if isinstance(window, nn.MaxPool2d):
                window.forward = pooling_of_rate(window, rate)
                continue
            window.stride = (1, 1)
            window.dilation = (rate, rate)
            if window.padding != (0, 0):  # else it is 1x1, or padded before by what its stride and dilation say
                window.padding = (window.kernel_size[0] // 2 * rate, window.kernel_size[1] // 2 * rate)
    with torch.no_grad():
        torch.testing.assert_close(dilated(pixels).last_hidden_state, plain(pixels).last_hidden_state)


def pooling_of_rate(pool: Any, rate: int) -> Any:
    """With stride 1, and the map's size kept by hand, since torch pads a pooling by half its kernel at the most."""
    before = pool.kernel_size // 2 * rate if pool.stride == 1 else 0  # centred in a block, aligned where it halves
    after = (pool.kernel_size - 1) * rate - before
    margin = (before, after, before, after)
    return lambda x: F.max_pool2d(F.pad(x, margin, value=-torch.inf), pool.kernel_size, 1, dilation=rate)


def output_strides(model: nn.Module) -> dict[Any, int]:
    """The stride with respect to the pixels of what each convolution and max pooling gives.

    All are powers of two, and the closest one is it: some maps lack the windows that would reach past the end.
    """
    strides: dict[Any, int] = {}

    def note(window: nn.Module, inputs: Any, output: Tensor) -> None:
        strides[window] = 2 ** round(math.log2(128 / output.shape[2]))

    windows = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.MaxPool2d)]
    hooks = [window.register_forward_hook(note) for window in windows]
    with torch.no_grad():
        model(torch.zeros(1, 3, 128, 128))
    for hook in hooks:
        hook.remove()
    return strides


@each_dilatable
def test_an_impossible_output_stride_is_refused(family: TinyFamily) -> None:
    with pytest.raises(ValueError, match=r"output_stride is 12.*\(8, 16, 32\)"):
        family.config(output_stride=12)


# --- Training --------------------------------------------------------------------------------------------------------


class Pictures(Dataset):
    """The same few pictures and labels again and again."""

    def __init__(self, labels: Tensor, pixels: Tensor, length: int = 32):
        self.labels, self.pixels, self.length = labels, pixels, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        i = index % len(self.labels)
        return {"pixel_values": self.pixels[i], "labels": self.labels[i]}


def train(model: Any, dataset: Dataset, folder: Path, **arguments: Any) -> list[float]:
    """The losses that Trainer logs, a step each."""
    defaults = {
        "per_device_train_batch_size": 4,
        "num_train_epochs": 1,
        "learning_rate": 0.05,
        "lr_scheduler_type": "constant",
        "optim": "sgd",
        "max_grad_norm": 0.0,
        "train_sampling_strategy": "sequential",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
    }
    trainer = Trainer(model, TrainingArguments(str(folder), **(defaults | arguments)), train_dataset=dataset)
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


HARD_LABELS = torch.tensor([0, 1, 2, 3])
SOFT_LABELS = torch.eye(5)[:4] * 0.7 + 0.06


@each_classifier
@pytest.mark.parametrize(
    ("labels", "fields", "arguments"),
    [
        (HARD_LABELS, {}, {}),
        (SOFT_LABELS, {}, {}),
        (HARD_LABELS, {"label_smoothing": 0.1}, {}),
        (HARD_LABELS, {}, {"label_smoothing_factor": 0.1}),
        (HARD_LABELS, {}, {"bf16": True}),
        (HARD_LABELS, {}, {"activation_checkpointing": True}),
    ],
    ids=["hard", "soft", "smoothed", "smoothed by Trainer", "bf16", "checkpointed"],
)
def test_trainer_lowers_the_loss(
    family: TinyFamily, labels: Tensor, fields: dict[str, Any], arguments: dict[str, Any], tmp_path: Path
) -> None:
    arguments = {"optim": "adamw_torch", "learning_rate": 1e-2} | arguments
    losses = train(family.model(**fields), Pictures(labels, torch.randn(4, 3, 64, 64)), tmp_path, **arguments)
    assert len(losses) == 8
    assert losses[-1] < 0.9 * losses[0]


def gradients_of(model: nn.Module) -> dict[str, Tensor]:
    """Of all parameters; 0 where the loss doesn't depend on one, such as a head that only a teacher teaches."""
    return {
        name: torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        for name, parameter in model.named_parameters()
    }


@each_classifier
def test_gradient_accumulation_counts_the_loss_once(family: TinyFamily, tmp_path: Path) -> None:
    """Four micro-batches of 2 make the step and the logged loss of one batch of 8.

    All pictures are one picture: so every micro-batch has the statistics of the whole, which BatchNorm looks at.
    """
    model = family.model()
    start = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    pixels, label = torch.randn(1, 3, 64, 64), torch.tensor([2])
    loss = model.train()(pixels.expand(8, -1, -1, -1), labels=label.expand(8)).loss
    loss.backward()
    gradients = gradients_of(model)
    expected = {name: parameter - 0.05 * gradients[name] for name, parameter in model.named_parameters()}

    for batch, steps in ((8, 1), (2, 4)):
        model.load_state_dict(start, strict=False)
        arguments = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": steps}
        (logged,) = train(model, Pictures(label, pixels, length=8), tmp_path, **arguments)
        assert logged == pytest.approx(loss.item(), rel=1e-3)
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter, expected[name], rtol=1e-4, atol=1e-5)


@each_role
def test_gradient_checkpointing_changes_no_gradient_and_no_statistic(
    family: TinyFamily, auto: str, pixels: Tensor
) -> None:
    model = family.model(auto).train()
    start = copy.deepcopy(dict(model.named_buffers()))
    runs: Counter[str] = Counter()
    for name, module in model.named_modules():
        module.register_forward_hook(lambda module, inputs, output, name=name: runs.update([name]))
    learn(model, auto, pixels)
    once = runs.copy()
    expected = gradients_of(model)
    moved = copy.deepcopy(dict(model.named_buffers()))
    model.load_state_dict(start, strict=False)
    model.zero_grad()
    model.activation_checkpointing_enable()
    learn(model, auto, pixels)
    assert max(runs[name] // once[name] for name in once) == 3  # what isn't kept is computed again
    for name, buffer in model.named_buffers():
        torch.testing.assert_close(buffer, moved[name], msg=name)
    assert any(gradient.any() for gradient in expected.values())
    for name, gradient in gradients_of(model).items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def learn(model: Any, auto: str, pixels: Tensor) -> None:
    """Gradients of a classifier's loss, and of whatever another net answers."""
    torch.manual_seed(0)  # of dropout
    if auto == CLASSIFIER:
        model(pixels, labels=torch.tensor([1, 4])).loss.backward()
    else:
        answers, _ = tree_flatten(model(pixels).to_tuple())
        torch.stack([answer.square().mean() for answer in answers]).sum().backward()


# --- Compilers -------------------------------------------------------------------------------------------------------


@each_classifier
def test_export_keeps_batch_and_size_free(family: TinyFamily) -> None:
    """Or the batch alone, where a family's `FREE_IN_EXPORT` says so.

    Sizes that leave one pixel at the end are another program to torch.
    """
    model, axes = family.model(), family.listed("FREE_IN_EXPORT", (0, 2, 3))
    side = max(64, 2 * model.config.smallest_input)
    free = dict.fromkeys(axes, torch.export.Dim.AUTO)
    example = {"pixel_values": torch.randn(2, 3, side, side + 32)}
    exported = torch.export.export(model, (), example, dynamic_shapes={"pixel_values": free}).module()
    others = ((side + 13, side + 38), (side + 97, side + 1), (2 * side, side))
    for batch, size in zip((1, 3, 2), others if 2 in axes else ((side, side + 32),) * 3, strict=True):
        pixels = torch.randn(batch, 3, *size)
        torch.testing.assert_close(exported(pixel_values=pixels)["logits"], logits_of(model, pixels))


@each_classifier
def test_compile_takes_the_whole_net(family: TinyFamily, pixels: Tensor) -> None:
    """Without a break in the graph; Inductor's C++ wants a compiler, which not every machine has."""
    torch.compiler.reset()  # it counts how often code that families share is compiled anew
    model = family.model()
    backend = "inductor" if shutil.which("g++") else "aot_eager"
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    torch.testing.assert_close(logits_of(compiled, pixels), logits_of(model, pixels), rtol=1e-4, atol=1e-5)
