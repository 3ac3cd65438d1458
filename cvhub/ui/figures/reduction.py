"""What Inception's 1×1 reductions save in each of GoogLeNet's nine blocks."""

from cvhub.ui import numerals
from cvhub.ui.charts import Bar, Cell, bars, table
from cvhub.ui.figures.figure import Choice, Drawing, Say
from cvhub.ui.figures.photos import note

NAME = "reduction"
PAPER = "https://arxiv.org/abs/1409.4842"
CONTROLS = (Choice("inputs", ("same", "piled"), "same"),)
STRINGS = {
    "reduction_title": ("GoogLeNet: what the 1×1 reductions save", "GoogLeNet：1×1 降维省下多少"),
    "reduction_source": ("Szegedy et al. 2015, section 4, figure 2, table 1", "Szegedy 等，2015，第 4 节、图 2、表 1"),
    "reduction_inputs": ("The naive block's input", "朴素模块的输入"),
    "reduction_inputs_same": ("as in the net", "与网络中相同"),
    "reduction_inputs_piled": ("if all blocks before were naive", "假如之前的模块都是朴素的"),
    "reduction_see_same": (
        "With reductions the nine blocks have {reduced} parameters in place of {naive}, {percent}, and {cost} of the "
        "multiply-adds. Block {least} keeps {least_percent} of its parameters, block {most} {most_percent}.",
        "有降维时九个模块共 {reduced} 个参数，而非 {naive}，即 {percent}；乘加次数占 {cost}。"
        "模块 {least} 只剩 {least_percent}，{most} 剩 {most_percent}。",
    ),
    "reduction_see_piled": (
        "A naive block's pooling hands on all channels, so they pile up: block {last} would get {piled} channels in "
        "place of {channels}. The nine blocks would have {naive} parameters; with reductions they have {reduced}, "
        "{percent} ({cost} of the multiply-adds).",
        "朴素模块的池化分支原样传递全部通道，通道因此越积越多：模块 {last} 的输入将有 {piled} 个通道，而非 {channels} "
        "个。九个模块共需 {naive} 个参数；有降维时只需 {reduced}，即 {percent}（乘加次数占 {cost}）。",
    ),
    "reduction_block": ("block", "模块"),
    "reduction_side": ("map", "特征图"),
    "reduction_channels": ("channels in", "输入通道"),
    "reduction_reduced": ("with reductions, figure 2(b)", "有降维，图 2(b)"),
    "reduction_naive": ("naive, figure 2(a)", "朴素，图 2(a)"),
    "reduction_share": ("left", "剩余"),
    "reduction_parameters": ("Parameters of all nine", "九个模块的参数"),
    "reduction_multiply_adds": ("Multiply-adds of all nine", "九个模块的乘加次数"),
    "reduction_caption": ("Parameters of each block", "各模块的参数"),
    "reduction_note": (
        "Counted on both modules at 224 × 224 pixels. In the table: parameters, and the channels that the naive block "
        "gets.",
        "在两种模块上统计，输入 224 × 224 像素。表中为参数量，以及朴素模块得到的通道数。",
    ),
}


def draw(say: Say, inputs: str) -> Drawing:
    from cvhub.explain.figures.reduction import compare

    blocks = compare()
    pairs = [(block.reduced, block.naive if inputs == "same" else block.piled) for block in blocks]
    channels = [block.in_channels if inputs == "same" else block.piled_channels for block in blocks]
    shares = [reduced.parameters / naive.parameters for reduced, naive in pairs]
    totals = {
        unit: [sum(getattr(cost, unit) for cost in costs) for costs in zip(*pairs, strict=True)]
        for unit in ("parameters", "multiply_adds")
    }
    least, most = (shares.index(choose(shares)) for choose in (min, max))
    see = say(
        f"reduction_see_{inputs}",
        reduced=numerals.count(totals["parameters"][0]),
        naive=numerals.count(totals["parameters"][1]),
        percent=numerals.percent(totals["parameters"][0] / totals["parameters"][1]),
        cost=numerals.percent(totals["multiply_adds"][0] / totals["multiply_adds"][1]),
        least=blocks[least].name,
        least_percent=numerals.percent(shares[least]),
        most=blocks[most].name,
        most_percent=numerals.percent(shares[most]),
        last=blocks[-1].name,
        piled=channels[-1],
        channels=blocks[-1].in_channels,
    )
    groups = "".join(
        bars(
            [
                Bar(say(f"reduction_{kind}"), value, numerals.count(value), colour)
                for kind, value, colour in zip(("reduced", "naive"), values, (0, 5), strict=True)
            ],
            say(f"reduction_{unit}"),
        )
        for unit, values in totals.items()
    )
    greatest = max(naive.parameters for _, naive in pairs)
    rows = [
        [
            Cell(block.name),
            Cell(f"{block.side} × {block.side}"),
            Cell(str(width)),
            Cell(numerals.count(reduced.parameters), reduced.parameters / greatest),
            Cell(numerals.count(naive.parameters), naive.parameters / greatest),
            Cell(numerals.percent(share)),
        ]
        for block, width, (reduced, naive), share in zip(blocks, channels, pairs, shares, strict=True)
    ]
    head = [say(f"reduction_{part}") for part in ("block", "side", "channels", "reduced", "naive", "share")]
    drawn = f'<div class="pair">{groups}</div>{table(head, rows, say("reduction_caption"))}'
    return Drawing(see, drawn + note(say("reduction_note")))
