"""Pictures of a DATASET to calibrate a network on: of what it was trained on, as far as that is known."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from PIL import Image

from cvhub.evaluation.dataset import SPLITS, open_rows, opened_content
from cvhub.evaluation.truth import TRAINED_ON, MaskedRows, read_truth
from cvhub.inference.quantisation import spread


def calibration_pictures(dataset: str, folder: Path) -> list[Callable[[], AbstractContextManager[Image.Image]]]:
    """Some pictures, evenly from first to last, of the split `train`, else of the only one.

    Those that the model in `folder` remembers to be held out, for it to be measured on, are not among them.
    """
    rows = open_rows(dataset, streaming=False, preferred=(TRAINED_ON, *SPLITS[::-1]))
    truth = read_truth(folder)
    needed = {*truth.columns, truth.holdout.partition(":")[0]} - {""} if truth else set()
    known = truth if needed <= set(rows.features) else None
    kept = MaskedRows(rows, known).kept.tolist() if known else range(len(rows.rows))
    pictures = rows.undecoded(()).rows
    return [partial(opened_content, pictures[number][rows.picture_column]) for number in spread(kept)]
