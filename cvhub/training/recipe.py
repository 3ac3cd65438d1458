"""Recipes: what a training run is made of, as a small TOML file. README.md shows one run, `recipes/` holds them.

Here stands what a recipe may say; `recipe_file.py` reads it. Nothing here needs torch.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Range = tuple[float, float]  # the least and the greatest value
Names = tuple[str, ...]

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
LISTS = (Range, tuple[float, ...])
PARTS = ("all", "head")
PRECISIONS = ("auto", "fp32", "bf16")
DTYPES = ("float16", "float32")
LOSSES = ("hard", "soft")  # of distillation
COMBINATIONS = ("fixed", "confidence", "agreement")  # of two teachers


@dataclass(frozen=True)
class Data:
    """`[data]`: the pictures. Whatever `datasets.load_dataset` reads, such as a folder with a folder for each class."""

    source: str = ""  # a Hub id or a folder
    name: str = ""  # what the card calls it, the last part of `source` unless given
    split: str = "train"
    validation: float = 0.1  # share of each class in `split` that is held out, to validate on
    validation_split: str = ""  # a split to validate on instead
    holdout_seed: int = 0  # draws what is held out, and the share; the run's own seed doesn't
    share: float = 1.0  # of each class in what is left, that is trained on
    labelled: float = 1.0  # of each class in that, whose label is known: teachers alone teach the rest
    label_column: str = ""  # what holds the classes, the only column of classes unless given
    target: str = ""  # of a segmenter: the column of masks, or "CLASSES+INSTANCES"
    map: dict[str, Any] = field(default_factory=dict)  # a mask's value → its class, as `cvhub evaluate --map` has it
    holdout: str = ""  # COLUMN:SHARE:SEED, what `cvhub evaluate` will measure on: never trained on
    border_weight: float = 0.0  # w0 of U-Net's equation 2: what gaps between things count besides 1, 10 in the paper
    border_sigma: float = 5.0  # its σ, pixels
    shorter_side: int = 0  # larger pictures are shrunk to this once, when they are read; 0 keeps them
    memory_mb: int = 2000  # pictures that fit into this, decoded, are decoded once
    workers: int = 0  # processes that prepare batches; 0 prepares them between the steps


@dataclass(frozen=True)
class Words:
    """`[words]`: of a net that reads texts too: what is said of the pictures. Such a recipe has no classes."""

    columns: Names = ()  # texts, or lists of keywords; a picture comes with one of those that its data set has
    sources: Names = ()  # further data sets beside `data.source`, of other columns perhaps
    templates: Names = ("{}",)  # a text stands in one of these, for {}
    vocabulary: int = 4000  # tokens of the tokenizer, which is made of the texts
    texts: str = ""  # the column that `cvhub evaluate` asks for, "label|title" for several data sets
    one_per: str = ""  # the column of whose values each is measured once
    twin_momentum: float = 0.0  # of BLIP's slow twin, what is left of it in a step, 0.995 in the paper; 0 has none
    queue: int = 0  # so many pairs before are remembered by the twin, and chosen among


@dataclass(frozen=True)
class Picture:
    """`[picture]`: what the net sees of a picture. Fine-tuning takes over from the old model what isn't given."""

    size: int = 0  # pixels a side
    crop: float = 0.0  # at inference: share of the shorter side that is seen, 0 means all
    mean: tuple[float, ...] = ()  # a value a channel, 0 to 1; ImageNet's unless given
    std: tuple[float, ...] = ()
    resample: str = ""  # bicubic unless given


@dataclass(frozen=True)
class Model:
    """`[model]`: a net to train from scratch, or one that was trained before."""

    family: str = ""  # a file of cvhub/models
    variant: str = ""  # a row of that file's VARIANTS
    backbone_from: str = ""  # the MODEL whose config and weights a segmenter's backbone, or an image tower, starts from
    from_: str = ""  # any MODEL, whose body goes on being trained under a new head
    train: str = "all"  # "head" leaves the body as it is
    config: dict[str, Any] = field(default_factory=dict)  # fields of the family's config


@dataclass(frozen=True)
class Augmentation:
    """`[augmentation]`: how a picture differs from one epoch to the next, as timm does it. Nothing unless given."""

    crop_scale: Range = (1.0, 1.0)  # least and greatest share of the picture's area that is seen
    crop_ratio: Range = (0.75, 1.3333333333333333)  # of that part's sides
    flip_horizontal: float = 0.0  # probabilities
    flip_vertical: float = 0.0
    quarter_turns: bool = False  # by 0, 90, 180 or 270 degrees, for pictures without an upside
    policy: str = ""  # in timm's words: "rand-m7-n2-mstd0.5", "3a", "augmix-m3-w3"
    colour_jitter: float = 0.0  # of brightness, contrast, saturation
    hue: float = 0.0  # of a segmenter's pictures, as the two below: up to 0.5
    grey: float = 0.0  # probabilities
    invert: float = 0.0
    erasing: float = 0.0  # probability
    mixup: float = 0.0  # α of the Beta distribution
    cutmix: float = 0.0
    mix_probability: float = 1.0  # that a batch is mixed at all
    repeats: int = 1  # how often a batch sees a picture, each time otherwise (repeated augmentation)


@dataclass(frozen=True)
class Distillation:
    """`[distillation]`: who teaches, and how. Without teachers labels do."""

    teachers: Names = ()  # one or two MODELs that classify the same classes
    loss: str = "hard"  # against the teacher's decision, or "soft", against its softened distribution
    temperature: float = 3.0  # τ of the soft loss
    weight: float = 0.5  # λ: the teachers' part of the loss, the labels' is 1 - λ
    combination: str = "fixed"  # whom a sample hears: as given, by "confidence" or by "agreement" with its label
    teacher_weights: tuple[float, ...] = ()  # equal unless given
    views: int = 0  # after so many epochs the same augmented pictures come again; 0 means never
    answers: str = ""  # a folder that keeps what teachers said of these views


@dataclass(frozen=True)
class Optimiser:
    """`[optimiser]`: timm's name of it, and its numbers."""

    name: str = "adamw"
    lr: float = 1e-3
    batch: int = 128  # over all processes
    weight_decay: float = 0.05  # not of biases and norms
    momentum: float = 0.9
    clip: float = 0.0  # greatest norm of the gradient, 0 means any
    warmup_epochs: float = 1.0
    lr_end: float = 0.0  # the cosine's last value, as a share of `lr`
    ema: float = 0.0  # decay of the weights' moving average, which is then validated and saved


@dataclass(frozen=True)
class Budget:
    """`[budget]`: how long. Of two limits the first that is reached counts; 0 means none."""

    epochs: float = 0.0
    minutes: float = 0.0  # turned into steps at the start, by the measured time of a step
    validate_every: float = 1.0  # epochs
    save_minutes: float = 2.0  # at most so much is lost when the run is killed


@dataclass(frozen=True)
class Compute:
    """`[compute]`: how, as far as the results may tell."""

    precision: str = "auto"  # bf16 where the processor computes it natively
    channels_last: bool = True
    compile: bool = False  # by torch.compile, which takes a minute at the start and pays on a GPU


@dataclass(frozen=True)
class Result:
    """`[result]`: the folder that is left at the end."""

    title: str = ""
    licence: str = ""  # of the weights
    knows: str = ""  # what kinds of picture, for the card: "drawings (emoji, clip art), no photos"
    dtype: str = "float16"
    processor: dict[str, Any] = field(default_factory=dict)  # further fields of the processor


@dataclass(frozen=True)
class Recipe:
    """The tables, and the seed that everything random follows from."""

    about: str = ""  # one line, for `cvhub train --list`
    seed: int = 0
    data: Data = Data()
    words: Words = Words()
    picture: Picture = Picture()
    model: Model = Model()
    augmentation: Augmentation = Augmentation()
    distillation: Distillation = Distillation()
    optimiser: Optimiser = Optimiser()
    budget: Budget = Budget()
    compute: Compute = Compute()
    result: Result = Result()

    def as_dict(self) -> dict[str, Any]:
        """As a TOML file has it."""
        return _as_dict(self)

    def as_toml(self) -> str:
        """The whole recipe, defaults included, as a file that makes the same run."""
        tables = self.as_dict()
        lines = [_line(key, value) for key, value in tables.items() if not isinstance(value, dict)]
        for name, table in tables.items():
            if isinstance(table, dict):
                lines += ["", f"[{name}]", *_table(name, table)]
        return "\n".join(lines) + "\n"


def key_of(name: str) -> str:
    """`from_` in Python is `from` in a recipe."""
    return name.rstrip("_")


def _as_dict(made: Any) -> dict[str, Any]:
    values = {key_of(f.name): getattr(made, f.name) for f in dataclasses.fields(made)}
    return {
        key: _as_dict(value) if dataclasses.is_dataclass(value) else list(value) if isinstance(value, tuple) else value
        for key, value in values.items()
    }


def _table(path: str, table: Mapping[str, Any]) -> list[str]:
    lines = [_line(key, value) for key, value in table.items() if not isinstance(value, dict)]
    for key, value in table.items():
        if isinstance(value, dict) and value:
            lines += ["", f"[{path}.{key}]", *_table(f"{path}.{key}", value)]
    return lines


def _line(key: str, value: Any) -> str:
    """JSON writes texts, numbers, booleans and lists of them as TOML does; a key such as * stands in quotes."""
    name = key if BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{name} = {json.dumps(value, ensure_ascii=False)}"
