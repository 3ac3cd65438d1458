"""What ViT and Swin cost as the picture grows."""

from cvhub.ui import numerals
from cvhub.ui.charts import DASHES, Axis, Cell, Series, from_zero, plot, table
from cvhub.ui.figures.figure import Choice, Drawing, Say
from cvhub.ui.figures.photos import note

NAME = "growth"
PAPER = "https://arxiv.org/abs/2103.14030"
CONTROLS = (Choice("pair", ("twins", "published"), "twins"), Choice("latency", ("off", "on"), "off"))
STRINGS = {
    "growth_title": ("Swin: the cost of attention as the picture grows", "Swin：图片变大时注意力的代价"),
    "growth_source": ("Liu et al. 2021, section 3.2, equations 1 and 2", "Liu 等，2021，第 3.2 节，式 1、2"),
    "growth_pair": ("Nets", "网络"),
    "growth_pair_twins": ("twins: they differ in attention alone", "孪生网络：仅注意力不同"),
    "growth_pair_published": ("ViT-S/16 and Swin-T", "ViT-S/16 与 Swin-T"),
    "growth_latency": ("Latency of the twins, measured now", "现场测量孪生网络的延迟"),
    "growth_latency_off": ("no", "否"),
    "growth_latency_on": ("yes", "是"),
    "growth_see": (
        "From {first} to {last} pixels a side the area grows {area} times. Attention of all patches to all costs {vit}"
        " times as much, attention within windows {swin} times: equations 1 and 2, to the last multiply-add. As whole "
        "nets at {last} pixels: {vit_all} against {swin_all}.",
        "边长从 {first} 到 {last} 像素，面积增至 {area} 倍。全部图块互相关注的代价增至 {vit} 倍，窗口内注意力增至 "
        "{swin} 倍：与式 1、式 2 分毫不差。整个网络在 {last} 像素时为 {vit_all} 对 {swin_all}。",
    ),
    "growth_vit_twins": ("every patch to all", "全部图块互相关注"),
    "growth_swin_twins": ("within windows of 7 × 7", "7 × 7 窗口内"),
    "growth_vit_published": ("ViT-S/16", "ViT-S/16"),
    "growth_swin_published": ("Swin-T", "Swin-T"),
    "growth_promised": ("{name}: equation {number}", "{name}：式 {number}"),
    "growth_across": ("pixels a side", "边长（像素）"),
    "growth_up": ("multiply-adds of attention, billions", "注意力的乘加次数，十亿"),
    "growth_alt": (
        "Multiply-adds of attention over the side of the picture. At {last} pixels {vit} for every patch to all, "
        "{swin} within windows.",
        "注意力的乘加次数随边长的变化。{last} 像素时，全部互相关注为 {vit}，窗口内为 {swin}。",
    ),
    "growth_whole": ("{name}, whole net", "{name}，整个网络"),
    "growth_caption": ("Multiply-adds of the whole nets", "整个网络的乘加次数"),
    "growth_milliseconds": ("milliseconds a picture", "每张图片的毫秒数"),
    "growth_latency_alt": (
        "Latency over the side of the picture: at {last} pixels {vit} for every patch to all, {swin} within windows.",
        "延迟随边长的变化：{last} 像素时，全部互相关注为 {vit}，窗口内为 {swin}。",
    ),
    "growth_note_twins": (
        "Twins: two layers of 96 channels on patches of 4 pixels, once as a ViT and once as a Swin.",
        "孪生网络：两层、96 通道、4 像素图块，一个是 ViT，一个是 Swin。",
    ),
    "growth_note_published": (
        "Published nets, patches of 16 and of 4 pixels; both have about 4.5 billion multiply-adds at 224 pixels.",
        "已发表的网络，图块分别为 16 和 4 像素；在 224 像素时两者都约为 45 亿次乘加。",
    ),
    "growth_timed": (
        "Latency: PyTorch, float32, one picture, the least of {n} passes of the twins. PyTorch's fused attention "
        "makes all to all cheaper than its count; cutting and rolling windows costs time and no multiply-adds.",
        "延迟：PyTorch、float32、单张图片，孪生网络 {n} 次中的最短时间。PyTorch 的融合注意力使全部互相关注快于其计数；"
        "切分和滚动窗口耗时，却不计乘加。",
    ),
}


def draw(say: Say, pair: str, latency: str) -> Drawing:
    from cvhub.explain.figures.growth import REPETITIONS, SIDES, points

    sides = SIDES[pair]
    found = {side: points(pair, side) for side in sides}
    names = [say(f"growth_{kind}_{pair}") for kind in ("vit", "swin")]
    (vit_first, swin_first), (vit, swin) = found[sides[0]], found[sides[-1]]
    see = say(
        "growth_see",
        first=sides[0],
        last=sides[-1],
        area=numerals.ratio((sides[-1] / sides[0]) ** 2),
        vit=numerals.ratio(vit.attention / vit_first.attention),
        swin=numerals.ratio(swin.attention / swin_first.attention),
        vit_all=numerals.count(vit.multiply_adds),
        swin_all=numerals.count(swin.multiply_adds),
    )
    series = []
    for i, name in enumerate(names):
        counted = [(side, both[i].attention / 1e9) for side, both in found.items()]
        series.append(Series(name, counted, i, DASHES[i]))
    for i, name in enumerate(names):
        promised = [(side, both[i].promised / 1e9) for side, both in found.items()]
        series.append(Series(say("growth_promised", name=name, number=i + 1), promised, i, dots=True, line=False))
    most = max(vit.attention, swin.attention)
    alt = say("growth_alt", last=sides[-1], vit=numerals.count(vit.attention), swin=numerals.count(swin.attention))
    drawn = plot(series, Axis(say("growth_across"), (0, *sides)), from_zero(say("growth_up"), most / 1e9), alt)
    rows = [
        [Cell(str(side)), *(Cell(numerals.count(p.multiply_adds), p.multiply_adds / vit.multiply_adds) for p in both)]
        for side, both in found.items()
    ]
    head = [say("growth_across"), *(say("growth_whole", name=name) for name in names)]
    drawn += table(head, rows, say("growth_caption"))
    notes = say(f"growth_note_{pair}")
    if latency == "on":
        drawn += timed(say)
        notes += " " + say("growth_timed", n=REPETITIONS)
    return Drawing(see, drawn + note(notes))


def timed(say: Say) -> str:
    from cvhub.explain.figures.growth import TIMED_SIDES, latencies

    found = {side: latencies(side) for side in TIMED_SIDES}
    series = [
        Series(say(f"growth_{kind}_twins"), [(side, both[i]) for side, both in found.items()], i, DASHES[i], dots=True)
        for i, kind in enumerate(("vit", "swin"))
    ]
    vit, swin = (numerals.milliseconds(value) for value in found[TIMED_SIDES[-1]])
    alt = say("growth_latency_alt", last=TIMED_SIDES[-1], vit=vit, swin=swin)
    most = max(max(both) for both in found.values())
    return plot(series, Axis(say("growth_across"), (0, *TIMED_SIDES)), from_zero(say("growth_milliseconds"), most), alt)
