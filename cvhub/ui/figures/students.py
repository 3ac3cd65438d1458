"""What many runs came to: students alone and with teachers, each beside what it costs."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from cvhub.catalog import find_entry
from cvhub.evaluation.metrics import wilson_interval
from cvhub.ui import numerals
from cvhub.ui.charts import DASHES, Cell, Series, around, canvas, from_zero, legend, table
from cvhub.ui.figures.figure import Choice, Drawing, Say
from cvhub.ui.figures.photos import note

if TYPE_CHECKING:
    from cvhub.explain.figures.students import Student

NAME = "students"
PAPER = "https://arxiv.org/abs/2012.12877"
CONTROLS = (Choice("cost", ("minutes", "parameters"), "minutes"),)
# Which row a student started from: an arrow leads from the one to the other.
STARTS = {
    "recipe": "plain",
    "hard_conv": "recipe",
    "soft_conv": "recipe",
    "hard_transformer": "recipe",
    "dual_fixed": "recipe",
    "dual_confidence": "recipe",
    "dual_agreement": "recipe",
    "mobilenet_v2_taught": "mobilenet_v2",
    "few_labels_taught": "few_labels",
}
STRINGS = {
    "students_title": ("What a teacher adds", "教师带来了什么"),
    "students_source": ("Touvron et al. 2021, sections 4 and 5", "Touvron 等，2021，第 4、5 节"),
    "students_cost": ("Against", "横轴"),
    "students_cost_minutes": ("training time", "训练时间"),
    "students_cost_parameters": ("size", "大小"),
    "students_none": (
        "These runs do not come with this version. `python -m docs.students` in the project's folder makes them.",
        "此版本未附带这些运行结果。在项目文件夹中运行 `python -m docs.students` 即可生成。",
    ),
    "students_see": (
        "The claim: a student that also learns from a convolutional teacher ends above one that has the labels alone. "
        "On {n} test tiles: {best} {best_value}, {base} {base_value}.",
        "论断：还向卷积教师学习的学生，最终优于只有标签的学生。在 {n} 张测试图块上：{best} {best_value}，{base} "
        "{base_value}。",
    ),
    "students_row_plain": ("ViT, plain", "ViT，朴素"),
    "students_row_recipe": ("ViT, DeiT's recipe", "ViT，DeiT 的配方"),
    "students_row_hard_conv": ("DeiT, hard, VGG", "DeiT，硬，VGG"),
    "students_row_soft_conv": ("DeiT, soft, VGG", "DeiT，软，VGG"),
    "students_row_hard_transformer": ("DeiT, hard, Swin", "DeiT，硬，Swin"),
    "students_row_dual_fixed": ("DeiT, both, equal", "DeiT，两者，等权"),
    "students_row_dual_confidence": ("DeiT, both, by confidence", "DeiT，两者，按置信度"),
    "students_row_dual_agreement": ("DeiT, both, gated", "DeiT，两者，门控"),
    "students_row_mobilenet_v2": ("MobileNetV2", "MobileNetV2"),
    "students_row_mobilenet_v2_taught": ("MobileNetV2, soft, VGG", "MobileNetV2，软，VGG"),
    "students_row_few_labels": ("ViT, a tenth of the labels", "ViT，十分之一的标签"),
    "students_row_few_labels_taught": ("DeiT, a tenth, VGG on all tiles", "DeiT，十分之一，VGG 看全部图块"),
    "students_row_without_muon": ("recipe, AdamW for Muon", "配方，Muon 换成 AdamW"),
    "students_row_without_schedule": ("recipe, constant rate", "配方，恒定学习率"),
    "students_row_without_policy": ("recipe, no RandAugment", "配方，无 RandAugment"),
    "students_row_without_mixing": ("recipe, no mixing", "配方，无混合"),
    "students_row_without_erasing": ("recipe, no erasing", "配方，无擦除"),
    "students_row_without_smoothing": ("recipe, no smoothing", "配方，无平滑"),
    "students_row_without_drop_path": ("recipe, no stochastic depth", "配方，无随机深度"),
    "students_row_without_repeats": ("recipe, no repeats", "配方，无重复增强"),
    "students_row_without_ema": ("recipe, no average", "配方，无权重平均"),
    "students_teacher": ("teacher {title}", "教师 {title}"),
    "students_minutes": ("processor minutes of training", "训练的处理器分钟数"),
    "students_parameters": ("million parameters", "百万参数"),
    "students_accuracy": ("test accuracy, %", "测试准确率，%"),
    "students_alt": (
        "Test accuracy of {n} students and their teachers against {cost}.",
        "{n} 种学生及其教师的测试准确率，横轴为{cost}。",
    ),
    "students_row": ("student", "学生"),
    "students_mean": ("accuracy", "准确率"),
    "students_heads": ("class head · distillation head", "类别头 · 蒸馏头"),
    "students_agreement": ("agrees with VGG · Swin", "与 VGG · Swin 一致"),
    "students_calibration": ("calibration error", "校准误差"),
    "students_caption": ("Each student on the test tiles", "各学生在测试图块上的表现"),
    "students_span": ("{percent} ({low} to {high})", "{percent}（{low} 至 {high}）"),
    "students_seeds": (
        "{percent} ({low} to {high}; {n} seeds)",
        "{percent}（{low} 至 {high}；{n} 个种子）",
    ),
    "students_note": (
        "EuroSAT, {n} test tiles; 95 % intervals (Wilson 1927) by the tiles, of several seeds by those of all runs. "
        "Differences within them say nothing. A line leads from a student to the same with a teacher.",
        "EuroSAT，{n} 张测试图块；95 % 区间（Wilson 1927）按图块计算，多个种子时合并各次运行。区间内的差别不说明问题。"
        "连线从一个学生指向有教师的同一学生。",
    ),
}


def draw(say: Say, cost: str) -> Drawing:
    from cvhub.explain.figures.students import made

    rows = made()
    if "plain" not in rows or len(rows) < 2:
        return Drawing(say("students_none"), "")
    accuracies = {row: fmean(run.accuracy for run in runs) for row, runs in rows.items()}
    taught = [row for row in rows if row in STARTS and row != "recipe"]
    best = max(taught or rows, key=accuracies.__getitem__)
    base = "recipe" if "recipe" in rows else "plain"
    see = say(
        "students_see",
        n=f"{rows['plain'][0].tested:,}",
        best=say(f"students_row_{best}"),
        best_value=numerals.percent(accuracies[best]),
        base=say(f"students_row_{base}"),
        base_value=numerals.percent(accuracies[base]),
    )
    tested = note(say("students_note", n=f"{rows['plain'][0].tested:,}"))
    return Drawing(see, points(say, rows, accuracies, cost) + verdicts(say, rows) + tested)


def points(say: Say, rows: "Mapping[str, Sequence[Student]]", accuracies: dict[str, float], cost: str) -> str:
    """Accuracy against a cost, a dot a row, and lines from students to the same with teachers."""
    from cvhub.explain.figures.students import TEACHERS

    at = {row: (cost_of(runs, cost), 100 * accuracies[row]) for row, runs in rows.items()}
    shown = [row for row in at if not row.startswith("without")]
    lines = [Series("", [at[STARTS[row]], at[row]], 5, DASHES[1]) for row in shown if STARTS.get(row) in at]
    dots = [
        Series(say(f"students_row_{row}"), [at[row]], place % 9, dots=True, line=False)
        for place, row in enumerate(shown)
    ]
    for place, teacher in enumerate(TEACHERS):
        entry = find_entry(teacher)
        assert entry is not None
        value = entry.training_minutes if cost == "minutes" else entry.parameters / 1e6
        title = say("students_teacher", title=entry.title)
        dots.append(Series(title, [(value, 100 * entry.metrics["accuracy"])], (7, 8)[place], dots=True, line=False))
    values = [point for one in dots for point in one.points]
    across = from_zero(say(f"students_{cost}"), max(x for x, _ in values))
    up = around(say("students_accuracy"), min(y for _, y in values), max(y for _, y in values))
    alt = say("students_alt", n=len(shown), cost=across.title)
    return f'<div class="plot">{legend(dots)}{canvas([*lines, *dots], across, up, alt)}</div>'


def cost_of(runs: "Sequence[Student]", cost: str) -> float:
    return fmean(run.cpu_seconds / 60 if cost == "minutes" else run.parameters / 1e6 for run in runs)


def verdicts(say: Say, rows: "Mapping[str, Sequence[Student]]") -> str:
    head = [say(f"students_{part}") for part in ("row", "mean", "heads", "agreement", "calibration", "minutes")]
    return table(head, [cells(say, row, runs) for row, runs in rows.items()], say("students_caption"))


def cells(say: Say, row: str, runs: "Sequence[Student]") -> list[Cell]:
    from cvhub.explain.figures.students import TEACHERS

    accuracy = fmean(run.accuracy for run in runs)
    right, tested = sum(round(run.accuracy * run.tested) for run in runs), sum(run.tested for run in runs)
    low, high = (f"{100 * end:.1f}" for end in wilson_interval(right, tested))
    key = "students_seeds" if len(runs) > 1 else "students_span"
    written = say(key, percent=numerals.percent(accuracy), low=low, high=high, n=len(runs))
    heads = [name for name in ("class", "distillation") if len(runs[0].accuracies) > 1]
    return [
        Cell(say(f"students_row_{row}")),
        Cell(written, accuracy),
        Cell(" · ".join(numerals.percent(fmean(run.accuracies[head] for run in runs)) for head in heads) or "–"),
        Cell(" · ".join(numerals.percent(fmean(run.agreements[one] for run in runs)) for one in TEACHERS)),
        Cell(f"{fmean(run.calibration_error for run in runs):.3f}"),
        Cell(f"{cost_of(runs, 'minutes'):.1f}"),
    ]
