"""U-Nets that we trained to see what deep supervision, skip connections and a pretrained encoder do, on pictures of
cell nuclei."""

from typing import TYPE_CHECKING

from cvhub.ui import numerals
from cvhub.ui.charts import DASHES, Axis, Cell, Series, decades, from_zero, plot, table
from cvhub.ui.figures.curves import joined
from cvhub.ui.figures.figure import Choice, Drawing, Say
from cvhub.ui.figures.photos import note

if TYPE_CHECKING:
    from cvhub.explain.figures.dense_curves import DenseRun

NAME = "dense_curves"
PAPER = "https://arxiv.org/abs/1409.5185"
# Experiment → which sentence says what to see in it.
SEES = {"supervision": "supervision", "supervision_no_norm": "supervision", "skips": "skips", "encoder": "encoder"}
CONTROLS = (Choice("experiment", tuple(SEES), "supervision"),)
STRINGS = {
    "dense_curves_title": (
        "What deep supervision, skip connections and a pretrained encoder do",
        "深度监督、跳跃连接与预训练编码器的作用",
    ),
    "dense_curves_source": (
        "Lee et al. 2014, section 2; Ronneberger et al. 2015, figure 1",
        "Lee 等，2014，第 2 节；Ronneberger 等，2015，图 1",
    ),
    "dense_curves_experiment": ("Experiment", "实验"),
    "dense_curves_experiment_supervision": ("U-Net: with and without deep supervision", "U-Net：有无深度监督"),
    "dense_curves_experiment_supervision_no_norm": (
        "The same without BatchNorm",
        "同上，但无 BatchNorm",
    ),
    "dense_curves_experiment_skips": ("U-Net: with and without skip connections", "U-Net：有无跳跃连接"),
    "dense_curves_experiment_encoder": (
        "U-Net: from scratch and on a pretrained encoder",
        "U-Net：从零训练与使用预训练编码器",
    ),
    "dense_curves_none": (
        "{experiment}: these runs do not come with this version. `python -m docs.dense_curves` in the project's "
        "folder makes them in some minutes each.",
        "{experiment}：此版本未附带这些运行结果。在项目文件夹中运行 `python -m docs.dense_curves` 即可生成，每个"
        "数分钟。",
    ),
    "dense_curves_see_supervision": (
        "The claim: losses at the levels below carry gradient to the early layers, so that the net learns sooner and "
        "ends better. On what was held out at the end: IoU {ious}. With them the gradient at the start is {factor} "
        "times as large at the first level, and {deepest} times at the deepest.",
        "论断：在各级加上损失能把梯度送到浅层，网络学得更快，最终也更好。结束时在留出图片上的 IoU：{ious}。有了它们，"
        "开始时第一级的梯度是原来的 {factor} 倍，最深一级是 {deepest} 倍。",
    ),
    "dense_curves_see_skips": (
        "The claim: skip connections bring back where things are, which pooling loses. On what was held out at the "
        "end: boundary F {boundaries}; IoU {ious}.",
        "论断：跳跃连接补回池化丢失的位置信息。结束时在留出图片上的边界 F：{boundaries}；IoU：{ious}。",
    ),
    "dense_curves_see_encoder": (
        "Both nets have about as many parameters and are deeply supervised. One starts from nothing; the other's "
        "contracting path is the front of EfficientNet-Lite0, which has learned from ImageNet. After the first tenth: "
        "IoU {early}. At the end: IoU {ious}; boundary F {boundaries}.",
        "两个网络参数量相近，都用深度监督。一个从零开始；另一个的收缩路径取自在 ImageNet 上训练过的 EfficientNet-Lite0 "
        "的前段。第一个十分之一之后的 IoU：{early}。结束时的 IoU：{ious}；边界 F：{boundaries}。",
    ),
    "dense_curves_run_unet": ("plain", "普通"),
    "dense_curves_run_supervised": ("deeply supervised", "深度监督"),
    "dense_curves_run_no_norm": ("plain, no BatchNorm", "普通，无 BatchNorm"),
    "dense_curves_run_supervised_no_norm": ("deeply supervised, no BatchNorm", "深度监督，无 BatchNorm"),
    "dense_curves_run_no_skips": ("without skip connections", "无跳跃连接"),
    "dense_curves_run_pretrained": ("on EfficientNet-Lite0", "以 EfficientNet-Lite0 为编码器"),
    "dense_curves_progress": ("part of the budget, %", "训练预算，%"),
    "dense_curves_iou": ("held-out IoU", "留出集 IoU"),
    "dense_curves_boundary_f": ("held-out boundary F", "留出集边界 F"),
    "dense_curves_levels": ("{run}: loss of each level", "{run}：各级的损失"),
    "dense_curves_level": ("level {n}", "第 {n} 级"),
    "dense_curves_level_main": ("output", "输出"),
    "dense_curves_alt": ("{what} over the run. At the end: {numbers}.", "{what} 的变化。结束时：{numbers}。"),
    "dense_curves_depth": ("level of the contracting path, 1 the finest", "收缩路径的级，1 最细"),
    "dense_curves_gradient": ("‖∂L/∂W‖ at the {when}", "{when}的 ‖∂L/∂W‖"),
    "dense_curves_start": ("start", "开始时"),
    "dense_curves_end": ("end", "结束时"),
    "dense_curves_main_alone": ("{run}, of the output's loss alone", "{run}，仅输出的损失"),
    "dense_curves_gradient_alt": (
        "Gradient of each level at the {when}. First level: {numbers}.",
        "{when}各级的梯度。第一级：{numbers}。",
    ),
    "dense_curves_net": ("run", "运行"),
    "dense_curves_parameters": ("parameters", "参数"),
    "dense_curves_cost": ("pictures · steps · processor time", "图片 · 步数 · 处理器用时"),
    "dense_curves_caption": (
        "What each net is worth at the end, on what was held out",
        "结束时各网络在留出图片上的表现",
    ),
    "dense_curves_note": (
        "Microscope pictures of cell nuclei (Data Science Bowl 2018); a tenth of the images is never touched, a "
        "tenth of the rest held out, by image. One run of one seed each: small differences are within chance. Losses "
        "and gradients are of one batch, always the same. Recipes and curves are in cvhub/explain/dense_curves.",
        "细胞核显微图片（Data Science Bowl 2018）；按图像划分，十分之一从未使用，其余的十分之一留出。每种设置只用一个随"
        "机种子跑一次：小差别可能出于偶然。损失与梯度总是同一批图片上的。配方与曲线见 cvhub/explain/dense_curves。",
    ),
}


def draw(say: Say, experiment: str) -> Drawing:
    from cvhub.explain.figures.dense_curves import runs

    made = runs(experiment)
    if len(made) < 2:  # one alone tells nothing
        return Drawing(say("dense_curves_none", experiment=say(f"dense_curves_experiment_{experiment}")), "")
    names = {run.name: say(f"dense_curves_run_{run.name}") for run in made}
    start = made[-1].tenths[0]
    numbers = {
        "early": joined(names, {run.name: f"{run.tenths[1].iou:.3f}" for run in made}),
        "ious": joined(names, {run.name: f"{run.last.iou:.3f}" for run in made}),
        "boundaries": joined(names, {run.name: f"{run.last.boundary_f:.3f}" for run in made}),
        "factor": f"{start.supervised_gradient[0] / start.gradient[0]:.2g}",
        "deepest": f"{start.supervised_gradient[-1] / start.gradient[-1]:.2g}",
    }
    drawn = progress(say, made, names) + gradients(say, made, names) + levels(say, made, names)
    see = say(f"dense_curves_see_{SEES[experiment]}", **numbers)
    return Drawing(see, drawn + verdicts(say, made, names) + note(say("dense_curves_note")))


def over_time(say: Say, series: list[Series], title: str, most: float) -> str:
    """Lines over the tenths of the budget."""
    ends = joined({one.label: one.label for one in series}, {one.label: f"{one.points[-1][1]:.3g}" for one in series})
    across = Axis(say("dense_curves_progress"), (0, 20, 40, 60, 80, 100))
    return plot(series, across, from_zero(title, most), say("dense_curves_alt", what=title, numbers=ends))


def progress(say: Say, made: "tuple[DenseRun, ...]", names: dict[str, str]) -> str:
    """IoU and boundary F of what is held out."""
    drawn = []
    for measure in ("iou", "boundary_f"):
        series = [
            Series(names[run.name], [(10 * row.tenth, getattr(row, measure)) for row in run.tenths], i, DASHES[i])
            for i, run in enumerate(made)
        ]
        drawn.append(over_time(say, series, say(f"dense_curves_{measure}"), 1))
    return "".join(drawn)


def gradients(say: Say, made: "tuple[DenseRun, ...]", names: dict[str, str]) -> str:
    """What reaches each level at the start and at the end; of a supervised net also what its output alone sends."""
    drawn = []
    for when, place in (("start", 0), ("end", -1)):
        series = []
        for i, run in enumerate(made):
            row = run.tenths[place]
            series.append(Series(names[run.name], by_level(row.supervised_gradient), i, DASHES[i], dots=True))
            if run.weights:
                alone = say("dense_curves_main_alone", run=names[run.name])
                series.append(Series(alone, by_level(row.gradient), i, DASHES[2], dots=True))
        values = [value for one in series for _, value in one.points if value > 0]
        firsts = joined(
            {one.label: one.label for one in series}, {one.label: f"{one.points[0][1]:.2g}" for one in series}
        )
        told = say(f"dense_curves_{when}")
        deepest = max(level for one in series for level, _ in one.points)
        across = Axis(say("dense_curves_depth"), tuple(range(1, int(deepest) + 1)))
        up = decades(say("dense_curves_gradient", when=told), values)
        drawn.append(plot(series, across, up, say("dense_curves_gradient_alt", when=told, numbers=firsts)))
    return "".join(drawn)


def by_level(values: tuple[float, ...]) -> list[tuple[float, float]]:
    """A logarithmic axis has no place for a level that nothing reaches."""
    return [(level, value) for level, value in enumerate(values, 1) if value > 0]


def levels(say: Say, made: "tuple[DenseRun, ...]", names: dict[str, str]) -> str:
    """The loss of each level of those that are supervised, unweighted."""
    drawn = []
    for run in made:
        if not run.weights:
            continue
        series = [
            Series(
                say("dense_curves_level", n=level + 1) if level else say("dense_curves_level_main"),
                [(10 * row.tenth, row.losses[level]) for row in run.tenths],
                level,
                DASHES[level % len(DASHES)],
            )
            for level in range(len(run.weights) + 1)
        ]
        most = max(value for one in series for _, value in one.points)
        drawn.append(over_time(say, series, say("dense_curves_levels", run=names[run.name]), most))
    return "".join(drawn)


def verdicts(say: Say, made: "tuple[DenseRun, ...]", names: dict[str, str]) -> str:
    rows = [
        [
            Cell(names[run.name]),
            Cell(f"{run.last.iou:.3f}", run.last.iou),
            Cell(f"{run.last.boundary_f:.3f}", run.last.boundary_f),
            Cell(numerals.count(run.parameters)),
            Cell(f"{run.pictures:,} · {run.steps:,} · {run.cpu_seconds / 60:.1f} min"),
        ]
        for run in made
    ]
    head = [say(f"dense_curves_{part}") for part in ("net", "iou", "boundary_f", "parameters", "cost")]
    return table(head, rows, say("dense_curves_caption"))
