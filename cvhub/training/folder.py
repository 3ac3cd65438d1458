"""What a run leaves beside the weights: the names of its files, and the recipe as anybody may read it."""

from dataclasses import replace
from pathlib import Path

from cvhub.training.recipe import Recipe

RECIPE = "recipe.toml"
CURVES = "curves.csv"
WORK = ".training"  # of a run that goes on: the recipe as it was given, the plan, the last checkpoint


def public(recipe: Recipe) -> Recipe:
    """The recipe without the places where folders of data and models lay, which are nobody's business."""
    data, model, taught = recipe.data, recipe.model, recipe.distillation
    sources = tuple(map(_folder_name, recipe.words.sources))
    teachers = tuple(_folder_name(teacher) for teacher in taught.teachers)
    return replace(
        recipe,
        data=replace(data, source=_folder_name(data.source)),
        words=replace(recipe.words, sources=sources),
        distillation=replace(taught, teachers=teachers, answers=Path(taught.answers).name),
        model=replace(model, from_=_folder_name(model.from_), backbone_from=_folder_name(model.backbone_from)),
    )


def _folder_name(place: str) -> str:
    return Path(place).resolve().name if place and Path(place).is_dir() else place
