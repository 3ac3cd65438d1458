"""`cvhub info`: a model's layers and what they cost."""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cvhub.commands.command import MODEL, add_command, print_json


def add(commands: Any) -> None:
    info = add_command(commands, "info", run, "a model's layers, shapes, parameters, multiply-adds, receptive field")
    info.add_argument("model", metavar="MODEL", help=MODEL)
    info.add_argument("--size", type=size, metavar="HxW", help="size of the input (the model's own, or 256x256)")


def size(text: str) -> tuple[int, int]:
    height, cross, width = text.partition("x")
    if not (cross and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 224x224")
    return int(height), int(width)


def own_size(folder: Path) -> tuple[int, int]:
    """Height and width of what the model is given; of one that takes pictures as they are, of a 256x256 one."""
    from cvhub.inference.runtime import usual_size
    from cvhub.load import load_processor

    processor = load_processor(str(folder))
    if processor.do_center_crop:
        return processor.crop_size["height"], processor.crop_size["width"]
    return usual_size(folder)


def run(options: argparse.Namespace) -> int:
    from cvhub.explain.cost import measure_config
    from cvhub.load import resolve

    folder = resolve(options.model)
    height, width = options.size or own_size(folder)
    cost = measure_config(folder, height, width)
    if options.json:
        layers = [asdict(layer) for layer in cost.layers]
        print_json(
            {
                "model": options.model,
                "size": [height, width],
                "parameters": cost.parameters,
                "multiply_adds": cost.multiply_adds,
                "receptive_field": cost.receptive_field,
                "layers": layers,
            }
        )
        return 0
    print(f"{'layer':<52}{'kind':<18}{'output':>16}{'parameters':>12}{'multiply-adds':>15}")
    for layer in cost.layers:
        # A map's height and width, or how many tokens there are and how wide.
        sides = layer.output_shape if len(layer.output_shape) == 2 else layer.output_shape[1:]
        shape = "×".join(map(str, sides))
        print(f"{layer.name:<52}{layer.kind:<18}{shape:>16}{layer.parameters:>12,}{layer.multiply_adds:>15,}")
    field = f"{cost.receptive_field} pixels a side" if cost.receptive_field else "the whole picture"
    print(f"{cost.parameters:,} parameters, {cost.multiply_adds:,} multiply-adds at {height}x{width}")
    print(f"receptive field of the last map: {field}")
    return 0
