"""What a net for nuclei is worth by kind of picture: pictures are sorted as they look, and each is measured once."""

from pathlib import Path

import numpy as np
import pytest

from cvhub.evaluation.segmentation import evaluate_segmenter, open_truth
from cvhub.evaluation.truth import Truth, write_truth
from cvhub.inference.segment import Segmenter
from docs import stains
from tests.test_bad_masks import mask, picture, png, write
from tests.test_segment import save

DARK, BRIGHT = (np.full((48, 40, 3), value, np.uint8) for value in (9, 220))


def test_a_picture_is_sorted_by_its_colour_and_then_by_how_dark_it_is() -> None:
    assert stains.kind_of(DARK) == "fluorescence"
    assert stains.kind_of(BRIGHT) == "grey"
    assert stains.kind_of(picture()) == "stained"


def test_each_kind_is_measured_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {0: "background", 1: "nucleus"}
    folder = save(tmp_path / "net", "unet", num_labels=2, id2label=names)
    write_truth(Truth("mask", {"0": "background", "*": "nucleus"}, ""), folder)
    pictures = [DARK, picture(), DARK, picture()]
    data = write(tmp_path / "data", [(png(pixels), png(mask())) for pixels in pictures])
    assert stains.main([str(folder), str(data)]) == 0
    lines = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [(kind.strip("| "), int(count)) for kind, count, *_ in lines] == [
        ("fluorescence", 2),
        ("stained", 2),
        ("all", 4),
    ]
    segmenter = Segmenter(str(folder))
    rows, _ = open_truth(segmenter, str(data), None)
    for line, indices in zip(lines, ([0, 2], [1, 3], [0, 1, 2, 3]), strict=True):
        assert line[2] == f"{100 * evaluate_segmenter(segmenter, rows, np.array(indices)).metrics()['iou']:.1f}"
    assert stains.main([str(folder), str(tmp_path / "nothing")]) == 1
    assert "nothing" in capsys.readouterr().err
