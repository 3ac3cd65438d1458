"""Training curves that we ran: what became of the papers' claims on small nets and satellite tiles."""

from typing import TYPE_CHECKING

from cvhub.ui import numerals
from cvhub.ui.charts import DASHES, Axis, Cell, Series, from_zero, plot, table
from cvhub.ui.figures.figure import Choice, Drawing, Say
from cvhub.ui.figures.photos import note

if TYPE_CHECKING:
    from cvhub.explain.figures.curves import Run

NAME = "curves"
PAPER = "https://arxiv.org/abs/1512.03385"
CONTROLS = (
    Choice("experiment", ("degradation", "auxiliary", "dropout", "activation", "pooling", "bias"), "degradation"),
)
STRINGS = {
    "curves_title": ("Training curves that we ran", "我们自己跑的训练曲线"),
    "curves_source": (
        "He et al. 2015, figure 6; the papers of the other nets",
        "He 等，2015，图 6；其他网络见各自论文",
    ),
    "curves_experiment": ("Experiment", "实验"),
    "curves_experiment_degradation": (
        "ResNet: plain and residual, 20 and 56 layers",
        "ResNet：普通与残差，20 与 56 层",
    ),
    "curves_experiment_auxiliary": ("GoogLeNet: with and without auxiliary classifiers", "GoogLeNet：有无辅助分类器"),
    "curves_experiment_dropout": ("AlexNet: with and without dropout", "AlexNet：有无 dropout"),
    "curves_experiment_activation": ("AlexNet: ReLU and tanh", "AlexNet：ReLU 与 tanh"),
    "curves_experiment_pooling": ("AlexNet: overlapping, plain and no pooling", "AlexNet：重叠池化、普通池化与无池化"),
    "curves_experiment_bias": (
        "ViT and ResNet on 10, 30 and 100 % of the tiles",
        "ViT 与 ResNet：10 %、30 %、100 % 的数据",
    ),
    "curves_none": (
        "{experiment}: these runs do not come with this version. `python -m docs.curves` in the project's folder makes "
        "them in some minutes each.",
        "{experiment}：此版本未附带这些运行结果。在项目文件夹中运行 `python -m docs.curves` 即可生成，每个数分钟。",
    ),
    "curves_see_degradation": (
        "The claim: a deeper plain net has the higher training error, a deeper residual net has not. On its training "
        "tiles at the end: {numbers} right.",
        "论断：更深的普通网络训练误差更高，更深的残差网络则不然。结束时在训练集上的正确率：{numbers}。",
    ),
    "curves_see_auxiliary": (
        "The hope: auxiliary classifiers carry gradient down and regularise. On held-out tiles at the end: {numbers} "
        "right; by how much less than on training tiles is in the table.",
        "设想：辅助分类器把梯度带到低层，并起正则化作用。结束时在留出图片上的正确率：{numbers}；与训练集的差距见表。",
    ),
    "curves_see_dropout": (
        "The claim: dropout keeps a net from overfitting. The gap between training and held-out tiles at the end: "
        "{gaps}.",
        "论断：dropout 防止过拟合。结束时训练集与留出图片的正确率之差：{gaps}。",
    ),
    "curves_see_activation": (
        "The claim: a net with ReLU learns several times faster than one with tanh. On held-out tiles at the end: "
        "{numbers} right; how soon is in the curves.",
        "论断：用 ReLU 的网络比用 tanh 的学得快数倍。结束时在留出图片上的正确率：{numbers}；快慢见曲线。",
    ),
    "curves_see_pooling": (
        "The claim: overlapping pooling is a little better than plain pooling and overfits less. On held-out tiles at "
        "the end: {numbers} right.",
        "论断：重叠池化略优于普通池化，也更不易过拟合。结束时在留出图片上的正确率：{numbers}。",
    ),
    "curves_see_bias": (
        "The claim: a ViT, which must learn what convolutions assume, falls behind on few data. On held-out tiles at "
        "the end: {numbers} right.",
        "论断：卷积所假设的东西 ViT 必须自己学会，因此数据少时落后。结束时在留出图片上的正确率：{numbers}。",
    ),
    "curves_run_plain_20": ("plain, 20 layers", "普通，20 层"),
    "curves_run_plain_56": ("plain, 56 layers", "普通，56 层"),
    "curves_run_residual_20": ("residual, 20 layers", "残差，20 层"),
    "curves_run_residual_56": ("residual, 56 layers", "残差，56 层"),
    "curves_run_auxiliary_with": ("with, no BatchNorm", "有，无 BatchNorm"),
    "curves_run_auxiliary_without": ("without, no BatchNorm", "无，无 BatchNorm"),
    "curves_run_auxiliary_with_norm": ("with, BatchNorm", "有，BatchNorm"),
    "curves_run_auxiliary_without_norm": ("without, BatchNorm", "无，BatchNorm"),
    "curves_run_alexnet": ("ReLU, overlapping pooling, dropout", "ReLU、重叠池化、dropout"),
    "curves_run_alexnet_no_dropout": ("no dropout", "无 dropout"),
    "curves_run_alexnet_tanh": ("tanh", "tanh"),
    "curves_run_alexnet_plain_pooling": ("plain pooling", "普通池化"),
    "curves_run_alexnet_no_pooling": ("no pooling", "无池化"),
    "curves_run_vit_10": ("ViT, 10 %", "ViT，10 %"),
    "curves_run_vit_30": ("ViT, 30 %", "ViT，30 %"),
    "curves_run_vit_100": ("ViT, 100 %", "ViT，100 %"),
    "curves_run_resnet_10": ("ResNet, 10 %", "ResNet，10 %"),
    "curves_run_resnet_30": ("ResNet, 30 %", "ResNet，30 %"),
    "curves_run_resnet_100": ("ResNet, 100 %", "ResNet，100 %"),
    "curves_progress": ("part of the run, %", "训练进度，%"),
    "curves_loss": ("training loss, nats", "训练损失，nat"),
    "curves_accuracy": ("held-out accuracy, %", "留出集正确率，%"),
    "curves_loss_alt": ("Training loss over the run. At the end: {numbers}.", "训练损失的变化。结束时：{numbers}。"),
    "curves_accuracy_alt": (
        "Held-out accuracy over the run. At the end: {numbers}.",
        "留出集正确率的变化。结束时：{numbers}。",
    ),
    "curves_net": ("run", "运行"),
    "curves_train": ("training tiles", "训练集"),
    "curves_validation": ("held-out tiles", "留出集"),
    "curves_gap": ("gap", "差距"),
    "curves_parameters": ("parameters", "参数"),
    "curves_cost": ("pictures · steps · processor time", "图片 · 步数 · 处理器用时"),
    "curves_caption": ("Accuracy at the end, in float32, without dropout", "结束时的正确率，float32，无 dropout"),
    "curves_note": (
        "EuroSAT tiles; a tenth of the training split is held out. The training loss is what training minimises, with "
        "dropout and auxiliary losses in it; the table is without. One run of one seed each: differences of less than "
        "about 3 points are within chance. Recipes and curves are in cvhub/explain/curves.",
        "EuroSAT 图块；训练部分的十分之一留出。训练损失是训练所最小化的量，含 dropout 与辅助损失；表中则不含。每种设"
        "置只用一个随机种子跑一次：约 3 个百分点以内的差别可能出于偶然。配方与曲线见 cvhub/explain/curves。",
    ),
}
SMOOTHED = 10  # training losses that a point of the curve averages


def draw(say: Say, experiment: str) -> Drawing:
    from cvhub.explain.figures.curves import runs

    made = runs(experiment)
    if not made:
        return Drawing(say("curves_none", experiment=say(f"curves_experiment_{experiment}")), "")
    names = {run.name: say(f"curves_run_{run.name}") for run in made}
    judged = "train" if experiment == "degradation" else "validation"
    numbers = joined(names, {run.name: numerals.percent(getattr(run, judged).accuracy) for run in made})
    gaps = joined(names, {run.name: numerals.percent(run.gap) for run in made})
    see = say(f"curves_see_{experiment}", numbers=numbers, gaps=gaps)
    drawn = plots(say, made, names) + verdicts(say, made, names)
    return Drawing(see, drawn + note(say("curves_note")))


def joined(names: dict[str, str], values: dict[str, str]) -> str:
    return "; ".join(f"{names[name]} {value}" for name, value in values.items())


def plots(say: Say, made: "tuple[Run, ...]", names: dict[str, str]) -> str:
    """Training loss and held-out accuracy over the run: epochs of a part of the tiles are shorter than of all."""
    drawn = []
    for column, scale, kind in (("loss", 1, "loss"), ("validation_accuracy", 100, "accuracy")):
        series = []
        for i, run in enumerate(made):
            points = run.curve(column)
            if column == "loss":
                points = smooth(points)
            last = run.epochs
            series.append(
                Series(
                    names[run.name],
                    [(100 * epoch / last, scale * value) for epoch, value in points],
                    i % 6,
                    DASHES[i % len(DASHES)],
                )
            )
        ends = joined(names, {run.name: f"{one.points[-1][1]:.3g}" for run, one in zip(made, series, strict=True)})
        most = 100 if scale == 100 else max(value for one in series for _, value in one.points)
        across = Axis(say("curves_progress"), (0, 20, 40, 60, 80, 100))
        drawn.append(
            plot(series, across, from_zero(say(f"curves_{kind}"), most), say(f"curves_{kind}_alt", numbers=ends))
        )
    return "".join(drawn)


def smooth(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each point the mean of those before it, at most SMOOTHED: single batches are noise."""
    values = [value for _, value in points]
    windows = (values[max(0, end - SMOOTHED) : end] for end in range(1, len(values) + 1))
    return [(epoch, sum(window) / len(window)) for (epoch, _), window in zip(points, windows, strict=True)]


def verdicts(say: Say, made: "tuple[Run, ...]", names: dict[str, str]) -> str:
    rows = [
        [
            Cell(names[run.name]),
            Cell(numerals.percent(run.train.accuracy), run.train.accuracy),
            Cell(numerals.percent(run.validation.accuracy), run.validation.accuracy),
            Cell(numerals.percent(run.gap)),
            Cell(numerals.count(run.parameters)),
            Cell(f"{run.pictures:,} · {run.steps:,} · {run.cpu_seconds / 60:.1f} min"),
        ]
        for run in made
    ]
    head = [say(f"curves_{part}") for part in ("net", "train", "validation", "gap", "parameters", "cost")]
    return table(head, rows, say("curves_caption"))
