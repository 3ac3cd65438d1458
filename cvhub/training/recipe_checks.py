"""What a recipe says that its types allow and that can't be: numbers out of range, and things that don't go together.

Nothing here needs torch.
"""

import math
from collections.abc import Iterator
from typing import Any

from cvhub.errors import CvhubError
from cvhub.training.recipe import COMBINATIONS, DTYPES, LOSSES, PARTS, PRECISIONS, Recipe


def check(recipe: Recipe) -> None:
    """What types alone don't tell: of single values, then of several together."""
    _check_values(recipe)
    model, budget = recipe.model, recipe.budget
    if bool(model.family) == bool(model.from_):
        raise CvhubError("A recipe names either model.family, to start from scratch, or model.from, to fine-tune.")
    if model.train == "head" and not model.from_:
        raise CvhubError("model.train is 'head', which needs model.from: a body that was trained before.")
    _check_masks(recipe)
    _check_words(recipe)
    _check_distillation(recipe)
    if recipe.data.validation == 1:
        raise CvhubError("data.validation is 1, which leaves nothing to train on.")
    if budget.epochs <= 0 and budget.minutes <= 0:
        raise CvhubError("A recipe needs budget.epochs or budget.minutes.")


def _check_masks(recipe: Recipe) -> None:
    """Data of masks and of classes are augmented by other means."""
    data, augmentation = recipe.data, recipe.augmentation
    names = ("policy", "erasing", "mixup", "cutmix") if data.target else ("hue", "grey", "invert")
    for name in names:
        if value := getattr(augmentation, name):
            kind = "masks" if data.target else "classes"
            raise CvhubError(f"augmentation.{name} is {value!r}, which data of {kind} can't be given.")
    if data.border_weight < 0 or (data.border_weight and not data.target):
        raise CvhubError(f"data.border_weight is {data.border_weight:g}, expected 0 or more, and masks to weigh.")
    if bool(data.target) != bool(data.map):
        raise CvhubError("data.target and data.map belong together: the column of masks, and what its values mean.")


def _check_words(recipe: Recipe) -> None:
    """Pictures with texts have no classes, which mixing and teachers are about."""
    words, augmentation = recipe.words, recipe.augmentation
    if not words.columns:
        for name in ("sources", "texts", "one_per"):
            if value := getattr(words, name):
                raise CvhubError(f"words.{name} is {value!r}, which needs words.columns: where the texts are.")
        return
    if words.twin_momentum and recipe.model.family != "blip":
        raise CvhubError(f"words.twin_momentum is {words.twin_momentum}, which is of model.family blip alone.")
    if words.queue and not words.twin_momentum:
        raise CvhubError(f"words.queue is {words.queue}, which needs words.twin_momentum: the twin fills it.")
    others = (
        ("data.target", recipe.data.target),
        ("data.validation_split", recipe.data.validation_split),
        ("augmentation.mixup", augmentation.mixup),
        ("augmentation.cutmix", augmentation.cutmix),
        ("distillation.teachers", ", ".join(recipe.distillation.teachers)),
    )
    for path, value in others:
        if value:
            raise CvhubError(f"{path} is {value!r}, which words.columns can't be given: pairs have no classes.")
    for template in words.templates or ("",):
        if "{}" not in template:
            raise CvhubError(f"words.templates has {template!r}, expected texts with {{}}, where what is said goes.")


def _check_distillation(recipe: Recipe) -> None:
    taught = recipe.distillation
    if len(taught.teachers) > 2:
        raise CvhubError(f"distillation.teachers are {', '.join(taught.teachers)}, expected one or two.")
    if taught.teachers and recipe.data.target:
        raise CvhubError("distillation.teachers teach classes, and data.target names masks.")
    if recipe.data.labelled < 1 and not taught.teachers:
        raise CvhubError(
            "data.labelled is less than 1, which needs distillation.teachers: who else would teach the rest?"
        )
    if recipe.model.train == "head" and taught.teachers:
        raise CvhubError("distillation.teachers teach a whole net, and model.train is 'head'.")
    if taught.answers and not taught.views:
        raise CvhubError("distillation.answers needs distillation.views, as many as are to be kept.")
    if taught.teacher_weights and len(taught.teacher_weights) != len(taught.teachers):
        weights, count = list(taught.teacher_weights), len(taught.teachers)
        raise CvhubError(f"distillation.teacher_weights are {weights}, expected {count} numbers, one a teacher.")
    if taught.teacher_weights and not 0 < sum(taught.teacher_weights) < math.inf:
        raise CvhubError(f"distillation.teacher_weights are {list(taught.teacher_weights)}, expected a sum above 0.")


def _check_values(recipe: Recipe) -> None:
    for path, value, allowed in (
        ("model.train", recipe.model.train, PARTS),
        ("distillation.loss", recipe.distillation.loss, LOSSES),
        ("distillation.combination", recipe.distillation.combination, COMBINATIONS),
        ("compute.precision", recipe.compute.precision, PRECISIONS),
        ("result.dtype", recipe.result.dtype, DTYPES),
    ):
        if value not in allowed:
            raise CvhubError(f"{path} is {value!r}, expected one of {', '.join(allowed)}.")
    for path, value, fits, expected in _numbers(recipe):
        if not fits:
            raise CvhubError(f"{path} is {value}, expected {expected}.")
    augmentation = recipe.augmentation
    for name, pair in (("crop_scale", augmentation.crop_scale), ("crop_ratio", augmentation.crop_ratio)):
        if not 0 < pair[0] <= pair[1]:
            raise CvhubError(f"augmentation.{name} is {list(pair)}, expected the least and the greatest value.")


def _numbers(recipe: Recipe) -> Iterator[tuple[str, Any, bool, str]]:
    """Of each number its path, its value, whether that may be (not of NaN), and what may."""
    for path, value in _shares(recipe):
        yield path, value, 0 <= value <= 1, "0 to 1"
    for path, value in _positive(recipe):
        yield path, value, value > 0, "more than 0"
    for path, value, least in _bounded_below(recipe):
        yield path, value, value >= least, f"at least {least}"
    decays = (
        ("optimiser.momentum", recipe.optimiser.momentum),
        ("optimiser.ema", recipe.optimiser.ema),
        ("words.twin_momentum", recipe.words.twin_momentum),
    )
    for path, value in decays:
        yield path, value, 0 <= value < 1, "0 or more and less than 1"
    hue, std = recipe.augmentation.hue, recipe.picture.std
    yield "augmentation.hue", hue, 0 <= hue <= 0.5, "0 to 0.5"
    yield "picture.std", list(std), all(value > 0 for value in std), "values of more than 0"


def _shares(recipe: Recipe) -> list[tuple[str, float]]:
    a = recipe.augmentation
    return [
        ("data.validation", recipe.data.validation),
        ("data.share", recipe.data.share),
        ("data.labelled", recipe.data.labelled),
        ("distillation.weight", recipe.distillation.weight),
        ("picture.crop", recipe.picture.crop),
        ("augmentation.flip_horizontal", a.flip_horizontal),
        ("augmentation.flip_vertical", a.flip_vertical),
        ("augmentation.grey", a.grey),
        ("augmentation.invert", a.invert),
        ("augmentation.erasing", a.erasing),
        ("augmentation.mix_probability", a.mix_probability),
        ("optimiser.lr_end", recipe.optimiser.lr_end),
        ("augmentation.crop_scale", a.crop_scale[1]),
    ]


def _positive(recipe: Recipe) -> list[tuple[str, float]]:
    return [
        ("data.share", recipe.data.share),
        ("data.labelled", recipe.data.labelled),
        ("distillation.temperature", recipe.distillation.temperature),
        ("data.border_sigma", recipe.data.border_sigma),
        ("optimiser.lr", recipe.optimiser.lr),
        ("budget.validate_every", recipe.budget.validate_every),
        ("budget.save_minutes", recipe.budget.save_minutes),
    ]


def _bounded_below(recipe: Recipe) -> list[tuple[str, float, int]]:
    """A batch is dealt out in pairs."""
    data, augmentation, optimiser, budget = recipe.data, recipe.augmentation, recipe.optimiser, recipe.budget
    weights = recipe.distillation.teacher_weights
    return [
        ("seed", recipe.seed, 0),
        ("data.holdout_seed", data.holdout_seed, 0),
        ("data.shorter_side", data.shorter_side, 0),
        ("data.memory_mb", data.memory_mb, 0),
        ("data.workers", data.workers, 0),
        ("words.vocabulary", recipe.words.vocabulary, 1),
        ("words.queue", recipe.words.queue, 0),
        ("picture.size", recipe.picture.size, 0),
        ("augmentation.colour_jitter", augmentation.colour_jitter, 0),
        ("augmentation.mixup", augmentation.mixup, 0),
        ("augmentation.cutmix", augmentation.cutmix, 0),
        ("augmentation.repeats", augmentation.repeats, 1),
        ("distillation.views", recipe.distillation.views, 0),
        ("distillation.teacher_weights", min(weights, default=0), 0),
        ("optimiser.batch", optimiser.batch, 2),
        ("optimiser.weight_decay", optimiser.weight_decay, 0),
        ("optimiser.clip", optimiser.clip, 0),
        ("optimiser.warmup_epochs", optimiser.warmup_epochs, 0),
        ("budget.epochs", budget.epochs, 0),
        ("budget.minutes", budget.minutes, 0),
    ]
