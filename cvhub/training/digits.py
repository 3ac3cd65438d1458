"""A small real data set that needs no download: the handwritten digits that come with scikit-learn, as a folder.

    python -m cvhub.training.digits DIR

1,797 grey pictures of 8×8 pixels, of the digits 0 to 9 (Alpaydin and Kaynak 1998, the test set of the UCI repository's
"Optical Recognition of Handwritten Digits", CC BY 4.0). They stand in order of their writers, so the last fifth, which
is the test split here, was written by people whom the rest does not know.
"""

import argparse
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cvhub.cache import write_folder
from cvhub.errors import CvhubError

TRAIN = 1437  # the others test
CARD = """---
license: cc-by-4.0
task_categories: [image-classification]
pretty_name: Handwritten digits of scikit-learn
---
# Handwritten digits

The 1,797 grey pictures of `sklearn.datasets.load_digits`, 8×8 pixels: {train} to train on and {test}, by other writers,
to test on. Made by `python -m cvhub.training.digits`. Alpaydin, E. and Kaynak, C. (1998), Optical Recognition of
Handwritten Digits, UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, CC BY 4.0.
"""


def write_digits(folder: Path) -> None:
    """Writes the data set as a folder that `datasets.load_dataset` reads, with the columns `image` and `label`.

    Raises `CvhubError` where the folder holds something already.
    """
    import datasets
    from sklearn.datasets import load_digits

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CvhubError(f"{folder} holds something already, expected a new or an empty folder.")
    digits: Any = load_digits()
    pictures = [_encode(values) for values in digits.images]
    classes = [str(name) for name in digits.target_names]
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=classes)})

    def build(made: Path) -> None:
        (made / "data").mkdir()
        for split, rows in (("train", slice(None, TRAIN)), ("test", slice(TRAIN, None))):
            columns = {"image": pictures[rows], "label": digits.target[rows].tolist()}
            table = datasets.Dataset.from_dict(columns, features=features)
            table.to_parquet(made / "data" / f"{split}-00000-of-00001.parquet")
        (made / "README.md").write_text(CARD.format(train=TRAIN, test=len(pictures) - TRAIN), encoding="utf-8")

    write_folder(folder, build)


def _encode(values: np.ndarray) -> dict[str, bytes]:
    """(8, 8), 0 to 16 → a PNG of 0 to 255."""
    file = io.BytesIO()
    Image.fromarray(np.rint(values * (255 / 16)).astype(np.uint8)).save(file, "PNG")
    return {"bytes": file.getvalue()}


def main(arguments: list[str] | None = None) -> int:
    """`python -m cvhub.training.digits`: exit code 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser("python -m cvhub.training.digits", description="Writes scikit-learn's digits.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new or an empty folder")
    options = parser.parse_args(arguments)
    try:
        write_digits(options.folder)
    except CvhubError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"wrote {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
