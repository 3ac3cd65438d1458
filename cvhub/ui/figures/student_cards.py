"""A card for each student and teacher of the figure `students`: how it was made, what came of it, and its recipe."""

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from cvhub.catalog import CHECKPOINTS, find_entry
from cvhub.ui import numerals
from cvhub.ui.charts import definitions
from cvhub.ui.figures.figure import Say

if TYPE_CHECKING:
    from cvhub.training.recipe import Recipe

STRINGS = {
    "students_cards": ("Their cards", "各自的卡片"),
    "students_card_accuracy": ("Test accuracy", "测试准确率"),
    "students_card_teachers": ("Taught by", "教师"),
    "students_card_nobody": ("nobody: labels alone", "无：只有标签"),
    "students_card_loss": ("Loss", "损失"),
    "students_card_labels": ("cross entropy with the labels", "与标签的交叉熵"),
    "students_card_taught": ("{weight} teacher, {rest} labels; {loss}", "教师 {weight}，标签 {rest}；{loss}"),
    "students_card_size": ("Parameters", "参数"),
    "students_card_data": ("Learnt from", "训练数据"),
    "students_card_tiles": ("EuroSAT's training tiles", "EuroSAT 的训练图块"),
    "students_card_share": ("{share} of EuroSAT's training tiles", "EuroSAT 训练图块的 {share}"),
    "students_card_labelled": (
        "EuroSAT's training tiles, labels of {share} of them",
        "EuroSAT 的训练图块，其中 {share} 有标签",
    ),
    "students_card_optimiser": ("Optimiser", "优化器"),
    "students_card_numbers": (
        "{name}, rate {lr}, decay {decay}, batches of {batch}, {epochs} epochs",
        "{name}，学习率 {lr}，衰减 {decay}，批大小 {batch}，{epochs} 轮",
    ),
    "students_card_time": ("Took", "用时"),
    "students_card_minutes": ("{minutes} processor minutes", "{minutes} 处理器分钟"),
    "students_card_command": ("Command", "命令"),
    "students_card_made": (
        "cvhub train {recipe} data=EUROSAT --out RUN",
        "cvhub train {recipe} data=EUROSAT --out RUN",
    ),
    "students_card_licence": ("Licence", "许可证"),
    "students_card_recipe": ("Recipe", "配方"),
}
# Rows whose first seed comes along: the best transformer and the best convolutional student on tiles held out.
BUNDLED = {"dual_fixed": "eurosat_deit_distilled", "mobilenet_v2_taught": "eurosat_mobilenet_v2_distilled"}


def cards(say: Say, titles: Mapping[str, str], costs: Mapping[str, tuple[str, int, float]]) -> str:
    """Of all rows and teachers, `titles` by name, folded up; `costs`: accuracy as the table has it, parameters and
    processor minutes."""
    made = "".join(_card(say, name, titles[name], *costs[name]) for name in titles)
    return f'<section class="cards-of-runs"><h2>{escape(say("students_cards"))}</h2>{made}</section>'


def place(name: str) -> str:
    """Of its card in the page."""
    return f"student-{name}"


def known_as(name: str) -> str:
    """A teacher's name in the catalogue, or the recipe that trains a student."""
    return name if find_entry(name) else f"students/{name}"


def _card(say: Say, name: str, title: str, accuracy: str, parameters: int, minutes: float) -> str:
    from cvhub.training.recipe_file import load_recipe, recipe_text

    told = {
        "accuracy": accuracy,
        **_training(say, load_recipe(known_as(name))),
        "size": numerals.count(parameters),
        "time": say("students_card_minutes", minutes=f"{minutes:.1f}"),
        "command": _command(name),
    }
    facts = definitions({say(f"students_card_{key}"): escape(value) for key, value in told.items()})
    label = escape(f"{say('students_card_recipe')}: {known_as(name)}")
    recipe = escape(recipe_text(known_as(name)))
    return (
        f'<details id="{place(name)}"><summary>{escape(title)}</summary>{facts}<h3>{label}</h3>'
        f'<pre tabindex="0" role="region" aria-label="{label}">{recipe}</pre></details>'
    )


def _training(say: Say, recipe: "Recipe") -> dict[str, str]:
    """What a recipe says of teachers, loss, data, optimiser and licence."""
    taught, optimiser = recipe.distillation, recipe.optimiser
    numbers = say(
        "students_card_numbers",
        name=optimiser.name,
        lr=f"{optimiser.lr:g}",
        decay=f"{optimiser.weight_decay:g}",
        batch=optimiser.batch,
        epochs=f"{recipe.budget.epochs:g}",
    )
    return {
        "teachers": ", ".join(map(_title, taught.teachers)) or say("students_card_nobody"),
        "loss": _loss(say, recipe) if taught.teachers else say("students_card_labels"),
        "data": _data(say, recipe.data.share, recipe.data.labelled),
        "optimiser": numbers,
        "licence": recipe.result.licence,
    }


def _data(say: Say, share: float, labelled: float) -> str:
    """How much of the tiles, and of their labels."""
    if share < 1:
        return say("students_card_share", share=numerals.percent(share))
    if labelled < 1:
        return say("students_card_labelled", share=numerals.percent(labelled))
    return say("students_card_tiles")


def _loss(say: Say, recipe: "Recipe") -> str:
    taught = recipe.distillation
    parts = [say(f"lesson_loss_{taught.loss}")]
    if taught.loss == "soft":
        parts.append(f"τ = {taught.temperature:g}")
    if len(taught.teachers) > 1:
        parts.append(say(f"lesson_combination_{taught.combination}"))
    weight, rest = f"{taught.weight:g}", f"{1 - taught.weight:g}"
    return say("students_card_taught", weight=weight, rest=rest, loss=", ".join(parts))


def _title(teacher: str) -> str:
    entry = find_entry(teacher)
    return entry.title if entry else teacher


def _command(name: str) -> str:
    """That uses its weights where they come along, and else makes them."""
    bundled = BUNDLED.get(name, name)
    if (CHECKPOINTS / bundled).is_dir():
        return f"cvhub predict {bundled} PICTURE"
    return f"cvhub train {known_as(name)} data=EUROSAT --out RUN"
