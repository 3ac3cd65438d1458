"""What many runs came to: students alone and with teachers, each beside what it costs."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from cvhub.catalog import Entry, find_entry
from cvhub.evaluation.metrics import wilson_interval
from cvhub.ui import numerals
from cvhub.ui.charts import DASHES, Cell, Mark, Series, around, canvas, from_zero, legend, table
from cvhub.ui.figures import student_cards
from cvhub.ui.figures.figure import Choice, Drawing, Say
from cvhub.ui.figures.photos import note
from cvhub.ui.figures.student_cards import cards, known_as, place

if TYPE_CHECKING:
    from cvhub.explain.figures.students import Student

NAME = "students"
PAPER = "https://arxiv.org/abs/2012.12877"
CONTROLS = (Choice("cost", ("minutes", "parameters", "latency"), "minutes"),)
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
# Who taught a row, which is a dot's colour.
TAUGHT_BY = {
    "hard_conv": "conv",
    "soft_conv": "conv",
    "hard_transformer": "transformer",
    "dual_fixed": "both",
    "dual_confidence": "both",
    "dual_agreement": "both",
    "mobilenet_v2_taught": "conv",
    "few_labels_taught": "conv",
}
COLOURS = {"nobody": 0, "conv": 1, "transformer": 2, "both": 3, "teacher": 4}
STRINGS = student_cards.STRINGS | {
    "students_title": ("What a teacher adds", "教师带来了什么"),
    "students_source": ("Touvron et al. 2021, sections 4 and 5", "Touvron 等，2021，第 4、5 节"),
    "students_cost": ("Against", "横轴"),
    "students_cost_minutes": ("training time", "训练时间"),
    "students_cost_parameters": ("size", "大小"),
    "students_cost_latency": ("latency, measured now", "延迟（现场测量）"),
    "students_none": (
        "These runs do not come with this version. `python -m docs.students` in the project's folder makes them.",
        "此版本未附带这些运行结果。在项目文件夹中运行 `python -m docs.students` 即可生成。",
    ),
    "students_see": (
        "The claim: a student that also learns from a convolutional teacher ends above one that has the labels alone. "
        "On {n} test tiles: {best} {best_value}, {base} {base_value}, {gain} points.",
        "论断：还向卷积教师学习的学生，最终优于只有标签的学生。在 {n} 张测试图块上：{best} {best_value}，{base} "
        "{base_value}，相差 {gain} 个百分点。",
    ),
    "students_see_recipe": (
        "The recipe alone is worth {gain} points over the plain ViT.",
        "仅配方一项比朴素 ViT 高 {gain} 个百分点。",
    ),
    "students_see_few": (
        "With a tenth of the labels, a teacher that speaks about all tiles is worth {gain}: {taught} in place of "
        "{alone}; it learnt from all of their labels itself.",
        "只有十分之一的标签时，为所有图块作答的教师带来 {gain} 个百分点：从 {alone} 到 {taught}；它自己学过全部标签。",
    ),
    "students_row_plain": ("ViT, plain", "ViT，朴素"),
    "students_row_recipe": ("ViT, recipe after DeiT's", "ViT，仿 DeiT 的配方"),
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
    "students_row_with_policy": ("recipe and RandAugment", "配方加 RandAugment"),
    "students_row_without_mixing": ("recipe, no mixing", "配方，无混合"),
    "students_row_with_erasing": ("recipe and erasing", "配方加擦除"),
    "students_row_without_smoothing": ("recipe, no smoothing", "配方，无平滑"),
    "students_row_without_drop_path": ("recipe, no stochastic depth", "配方，无随机深度"),
    "students_row_with_repeats": ("recipe and repeats", "配方加重复增强"),
    "students_row_without_ema": ("recipe, no average", "配方，无权重平均"),
    "students_teacher": ("teacher {title}", "教师 {title}"),
    "students_minutes": ("processor minutes of training", "训练的处理器分钟数"),
    "students_parameters": ("million parameters", "百万参数"),
    "students_latency": ("milliseconds a tile, PyTorch on this machine", "每张图块的毫秒数（本机 PyTorch）"),
    "students_of_nobody": ("labels alone", "只有标签"),
    "students_of_conv": ("and a convolutional teacher", "加卷积教师"),
    "students_of_transformer": ("and a transformer", "加 Transformer 教师"),
    "students_of_both": ("and both", "加两位教师"),
    "students_of_teacher": ("the teachers", "教师"),
    "students_mark": ("{row}: {percent}, {x} {unit}", "{row}：{percent}，{x} {unit}"),
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
        "{percent} ({low} to {high}; {n} seeds {least} to {most})",
        "{percent}（{low} 至 {high}；{n} 个种子 {least} 至 {most}）",
    ),
    "students_note": (
        "EuroSAT, {n} test tiles; 95 % intervals (Wilson 1927) by how few these are; beside them the least and the "
        "best of several seeds. Differences within them say nothing. An arrow leads from a student to the same with a "
        "teacher, a number to its card; numbers that would hide each other stand aside, with a line to their place.",
        "EuroSAT，{n} 张测试图块；95 % 区间（Wilson 1927）来自图块数量有限，旁边是多个种子的最低与最高。区间内的差别"
        "不说明问题。箭头从一个学生指向有教师的同一学生，数字指向它的卡片；会互相遮挡的数字移到旁边，以细线指向原位。",
    ),
}


def draw(say: Say, cost: str) -> Drawing:
    from cvhub.explain.figures.students import made

    rows = made()
    if not rows.keys() & {"plain", "recipe"} or len(rows) < 2:
        return Drawing(say("students_none"), "")
    accuracies = {row: fmean(run.accuracy for run in runs) for row, runs in rows.items()}
    taught = [row for row in rows if row in STARTS and row != "recipe"]
    # The claim's own pair, which no choice by the test split was made of.
    best = "hard_conv" if "hard_conv" in rows else (taught or list(rows))[0]
    base = "recipe" if "recipe" in rows else "plain"
    tested = rows[best][0].tested
    see = say(
        "students_see",
        n=f"{tested:,}",
        best=say(f"students_row_{best}"),
        best_value=numerals.percent(accuracies[best]),
        base=say(f"students_row_{base}"),
        base_value=numerals.percent(accuracies[base]),
        gain=gain(accuracies[base], accuracies[best]),
    )
    if {"plain", "recipe"} <= rows.keys():
        see += " " + say("students_see_recipe", gain=gain(accuracies["plain"], accuracies["recipe"]))
    if {"few_labels", "few_labels_taught"} <= rows.keys():
        alone, with_teacher = accuracies["few_labels"], accuracies["few_labels_taught"]
        written = {"taught": numerals.percent(with_teacher), "alone": numerals.percent(alone)}
        see += " " + say("students_see_few", gain=gain(alone, with_teacher), **written)
    below = note(say("students_note", n=f"{tested:,}"))
    return Drawing(see, points(say, rows, cost) + verdicts(say, rows) + below + told_in_full(say, rows))


def gain(before: float, after: float) -> str:
    """Of accuracies in [0, 1], in points."""
    return numerals.signed(100 * (after - before), 1)


def points(say: Say, rows: "Mapping[str, Sequence[Student]]", cost: str) -> str:
    """Accuracy against a cost: a numbered dot a row that leads to it, and lines from students to the taught."""
    costs = costs_of(rows, cost)
    accuracies = {row: 100 * fmean(run.accuracy for run in runs) for row, runs in rows.items()}
    accuracies |= {entry.name: 100 * entry.metrics["accuracy"] for entry in teachers()}
    shown = [name for name in accuracies if not name.startswith(("with_", "without_"))]
    numbers = {name: number for number, name in enumerate(accuracies, 1)}
    marks = [
        Mark(
            costs[name], accuracies[name], numbers[name], told(say, name, accuracies, costs, cost), place(name), colour
        )
        for name in shown
        for colour in (COLOURS[taught_by(name)],)
    ]
    lines = [
        Series("", [(costs[one], accuracies[one]) for one in (STARTS[name], name)], 5, DASHES[1], arrow=True)
        for name in shown
        if STARTS.get(name) in rows
    ]
    kinds = dict.fromkeys(map(taught_by, shown))
    key = [Series(say(f"students_of_{kind}"), [], COLOURS[kind], dots=True, line=False) for kind in kinds]
    across = from_zero(say(f"students_{cost}"), max(costs[name] for name in shown))
    values = [accuracies[name] for name in shown]
    up = around(say("students_accuracy"), min(values), max(values))
    alt = say("students_alt", n=len(shown), cost=across.title)
    return f'<div class="plot">{legend(key)}{canvas(lines, across, up, alt, marks)}</div>'


def costs_of(rows: "Mapping[str, Sequence[Student]]", cost: str) -> dict[str, float]:
    """Row or teacher → what it costs."""
    if cost == "latency":
        from cvhub.explain.figures.students import latencies

        return latencies()
    if cost == "parameters":
        size = {row: runs[0].parameters / 1e6 for row, runs in rows.items()}
        return size | {entry.name: entry.parameters / 1e6 for entry in teachers()}
    time = {row: minutes(runs) for row, runs in rows.items()}
    return time | {entry.name: entry.training_minutes for entry in teachers()}


def minutes(runs: "Sequence[Student]") -> float:
    return fmean(run.cpu_seconds for run in runs) / 60


def teachers() -> list[Entry]:
    from cvhub.explain.figures.students import TEACHERS

    return [entry for entry in map(find_entry, TEACHERS) if entry]


def taught_by(name: str) -> str:
    return "teacher" if find_entry(name) else TAUGHT_BY.get(name, "nobody")


def title(say: Say, name: str) -> str:
    entry = find_entry(name)
    return say("students_teacher", title=entry.title) if entry else say(f"students_row_{name}")


def told(say: Say, name: str, accuracies: "Mapping[str, float]", costs: "Mapping[str, float]", cost: str) -> str:
    percent, x = numerals.percent(accuracies[name] / 100), numerals.three_digits(costs[name])
    return say("students_mark", row=title(say, name), percent=percent, x=x, unit=say(f"students_{cost}"))


def verdicts(say: Say, rows: "Mapping[str, Sequence[Student]]") -> str:
    """A numbered row for each student, then the teachers."""
    lines = lines_of(say, rows)
    named = [
        [Cell(f"{number}  {title(say, name)}", aside=known_as(name), to=place(name)), *line]
        for number, (name, line) in enumerate(lines.items(), 1)
    ]
    return table(heads_of(say), named, say("students_caption"))


def told_in_full(say: Say, rows: "Mapping[str, Sequence[Student]]") -> str:
    """The cards, by the numbers of the plot."""
    lines = lines_of(say, rows)
    costs = {row: (runs[0].parameters, minutes(runs)) for row, runs in rows.items()}
    costs |= {one.name: (one.parameters, one.training_minutes) for one in teachers()}
    titles = {name: f"{number}  {title(say, name)}" for number, name in enumerate(lines, 1)}
    return cards(say, titles, {name: (line[0].written, *costs[name]) for name, line in lines.items()})


def heads_of(say: Say) -> list[str]:
    """Of the table's columns."""
    return [say(f"students_{part}") for part in ("row", "mean", "heads", "agreement", "calibration", "minutes")]


def lines_of(say: Say, rows: "Mapping[str, Sequence[Student]]") -> dict[str, list[Cell]]:
    """Row or teacher → what the table says of it."""
    return {row: cells(say, runs) for row, runs in rows.items()} | {one.name: teacher_cells(one) for one in teachers()}


def cells(say: Say, runs: "Sequence[Student]") -> list[Cell]:
    from cvhub.explain.figures.students import TEACHERS

    accuracy = fmean(run.accuracy for run in runs)
    low, high = wilson_interval(round(accuracy * runs[0].tested), runs[0].tested)
    ends = {
        "low": low,
        "high": high,
        "least": min(run.accuracy for run in runs),
        "most": max(run.accuracy for run in runs),
    }
    written = say(
        "students_seeds" if len(runs) > 1 else "students_span",
        percent=numerals.percent(accuracy),
        n=len(runs),
        **{name: f"{100 * end:.1f}" for name, end in ends.items()},
    )
    heads = [name for name in ("class", "distillation") if len(runs[0].accuracies) > 1]
    return [
        Cell(written, accuracy),
        Cell(" · ".join(numerals.percent(fmean(run.accuracies[head] for run in runs)) for head in heads) or "–"),
        Cell(" · ".join(numerals.percent(fmean(run.agreements[one] for run in runs)) for one in TEACHERS)),
        Cell(f"{fmean(run.calibration_error for run in runs):.3f}"),
        Cell(f"{minutes(runs):.1f}"),
    ]


def teacher_cells(entry: Entry) -> list[Cell]:
    """As its card has them."""
    accuracy = entry.metrics["accuracy"]
    calibration, time = f"{entry.metrics['ece']:.3f}", f"{entry.training_minutes:.1f}"
    return [Cell(numerals.percent(accuracy), accuracy), Cell("–"), Cell("–"), Cell(calibration), Cell(time)]
