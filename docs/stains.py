"""What a net for cell nuclei is worth on each kind of picture: `python -m docs.stains MODEL DATA`, DATA being the
nuclei, a folder or a Hub id. Prints a Markdown table over what the model's folder remembers as held out.

The data don't say how a picture was taken. Here one is stained if it has colour, fluorescence if it is grey and mostly
dark, and else grey (bright field).
"""

import argparse
import sys

import numpy as np

from cvhub.errors import CvhubError
from cvhub.evaluation.segmentation import evaluate_segmenter, open_truth
from cvhub.evaluation.truth import MaskedRows
from cvhub.inference.segment import Segmenter
from cvhub.training.dense import read_row

KINDS = ("fluorescence", "grey", "stained")
COLOUR = 8  # mean difference between a pixel's largest and least channel from which a picture has colour
DARK = 100  # median below which a grey picture is mostly dark


def kind_of(pixels: np.ndarray) -> str:
    """Of (H, W, 3) uint8."""
    if np.ptp(pixels.astype(np.int16), axis=2).mean() > COLOUR:
        return "stained"
    return "fluorescence" if np.median(pixels) < DARK else "grey"


def by_kind(rows: MaskedRows, indices: np.ndarray) -> dict[str, np.ndarray]:
    kinds = np.array([kind_of(read_row(rows, index, "RGB")[0]) for index in indices.tolist()])
    return {kind: indices[kinds == kind] for kind in KINDS if (kinds == kind).any()} | {"all": indices}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m docs.stains", description="A net for nuclei, by kind of picture.")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("data", metavar="DATA")
    options = parser.parse_args(arguments)
    try:
        segmenter = Segmenter(options.model)
        rows, indices = open_truth(segmenter, options.data, None)
        print("| kind | tiles | IoU, % | boundary F, % | AP50, % |\n| --- | --- | --- | --- | --- |")
        for kind, some in by_kind(rows, indices).items():
            metrics = evaluate_segmenter(segmenter, rows, some).metrics()
            values = (
                f"{100 * metrics[name]:.1f}" if name in metrics else "–" for name in ("iou", "boundary_f", "ap50")
            )
            print(f"| {kind} | {len(some)} | {' | '.join(values)} |", flush=True)
    except CvhubError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
