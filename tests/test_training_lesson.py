"""Lessons: what both students are judged by is new to their teachers, too."""

from pathlib import Path

import pytest

from cvhub.training.data import load_pictures
from cvhub.training.digits import TRAIN
from cvhub.training.jobs import TrainingTask
from cvhub.training.lesson import Lesson, plan
from cvhub.training.recipe_file import load_recipe


def test_digits_are_judged_by_other_writers(tmp_path: Path) -> None:
    (students,) = plan(Lesson(), tmp_path)
    for task in students:
        assert isinstance(task, TrainingTask)
        pictures = load_pictures(task.recipe.data, "L")
        assert pictures.held_out is not None
        assert pictures.held_out.split.name == "test"
        assert len(pictures.train) == TRAIN


@pytest.mark.parametrize("teacher", ["digits_resnet", "digits_vit", "digits_deit"])
def test_teachers_of_digits_have_not_seen_the_test(teacher: str) -> None:
    data = load_recipe(teacher).data
    assert data.split == "train"
    assert data.validation_split == ""
