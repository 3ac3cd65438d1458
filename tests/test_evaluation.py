"""Metrics against numbers from elsewhere, and `cvhub evaluate` from a folder of pictures to what it prints."""

import json
import os
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import fsspec
import numpy as np
import pytest
from huggingface_hub import ModelCard
from PIL import Image
from sklearn import metrics as sklearn

from cvhub.cli import main
from cvhub.convert.labels import imagenet_labels
from cvhub.errors import CvhubError
from cvhub.evaluation.classes import match_classes
from cvhub.evaluation.classification import Evaluation, evaluate
from cvhub.evaluation.confusion import FULL, LARGEST_CELL, WHITE, draw_confusion
from cvhub.evaluation.dataset import LabelledPicture, open_split, opened
from cvhub.evaluation.metrics import Tally, wilson_interval
from cvhub.hub.card import write_card
from cvhub.inference.classify import Classifier, softmax
from cvhub.models.image_processing import CvImageProcessor
from tests.tiny import TinyFamily

LABELS = ["red", "Dark Green", "blue", "grey_ish", "white", "black"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny net of ours with six named classes."""
    folder = tmp_path_factory.mktemp("tiny") / "net"
    names = {"num_labels": len(LABELS), "id2label": dict(enumerate(LABELS))}
    TinyFamily("mobilenet_v1").model(**names).save_pretrained(folder)
    CvImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def classifier(model: Path) -> Classifier:
    return Classifier(str(model), "torch", "fp32")


def photo(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (50, 60, 3), dtype=np.uint8))


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder a class, named as one might; some files as if they were splits."""
    for number, (name, count) in enumerate({"Red": 4, "dark_green": 3, "Grey Ish": 5}.items()):
        folder = tmp_path / "pictures" / name
        folder.mkdir(parents=True)
        for i in range(count):
            photo(10 * number + i).save(folder / ("test_1.png" if i == 1 else f"{i}.png"))
    return tmp_path / "pictures"


def run(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, Any, str]:
    """Exit code, the JSON object of stdout or None, stderr."""
    code = main(["evaluate", *map(str, arguments), "--runtime", "torch", "--precision", "fp32", "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out) if captured.out else None, captured.err


# --- Metrics ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray]:
    """Logits of 300 pictures and 9 classes, and the classes, of which the last never occurs."""
    generator = np.random.default_rng(1)
    labels = generator.integers(0, 8, 300)
    logits = generator.normal(size=(300, 9)) * 2
    logits[np.arange(300), labels] += 2
    return logits, labels


def tally_of(logits: np.ndarray, labels: np.ndarray, columns: list[int] | None = None) -> Tally:
    tally = Tally(range(logits.shape[1]) if columns is None else columns, logits.shape[1])
    for z, label in zip(logits, labels, strict=True):
        tally.add(z, int(label))
    return tally


def test_metrics_are_scikit_learns(answers: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = answers
    classes = list(range(9))
    tally, predictions, scores = tally_of(logits, labels), logits.argmax(axis=1), softmax(logits)
    assert tally.n == 300
    assert tally.accuracy == pytest.approx(sklearn.accuracy_score(labels, predictions))
    assert tally.top5 == pytest.approx(sklearn.top_k_accuracy_score(labels, scores, k=5, labels=classes))
    assert tally.negative_log_likelihood == pytest.approx(sklearn.log_loss(labels, scores, labels=classes))
    assert np.array_equal(tally.confusion, sklearn.confusion_matrix(labels, predictions, labels=classes))
    per_class = {"labels": classes, "average": None, "zero_division": np.nan}
    np.testing.assert_allclose(tally.recall, sklearn.recall_score(labels, predictions, **per_class))
    np.testing.assert_allclose(tally.precision, sklearn.precision_score(labels, predictions, **per_class))
    assert np.isnan(tally.recall[8])


def test_classes_may_have_other_numbers_and_be_fewer_than_the_classifiers(
    answers: tuple[np.ndarray, np.ndarray],
) -> None:
    """The data set's classes 0 to 7 are the classifier's 7 to 0, which has another one besides."""
    logits, labels = answers
    plain, turned = tally_of(logits, labels), tally_of(logits, 7 - labels, columns=[7, 6, 5, 4, 3, 2, 1, 0])
    for metric in ("accuracy", "top5", "negative_log_likelihood", "expected_calibration_error"):
        assert getattr(turned, metric) == pytest.approx(getattr(plain, metric))
    np.testing.assert_allclose(turned.recall, plain.recall[7::-1])
    np.testing.assert_allclose(turned.precision, plain.precision[7::-1])


def test_of_equal_logits_the_first_wins() -> None:
    """As `Classification.top` orders them."""
    tally = tally_of(np.zeros((7, 7)), np.arange(7))
    assert tally.accuracy == pytest.approx(1 / 7)
    assert tally.top5 == pytest.approx(5 / 7)


def test_logits_of_any_size_have_a_likelihood() -> None:
    tally = tally_of(np.array([[1e4, 0], [1e4, 0]], np.float32), np.array([0, 1]))
    assert tally.negative_log_likelihood == pytest.approx(5000)


def confident(confidence: float) -> list[float]:
    """Logits of two classes, the first of that probability."""
    return [np.log(confidence), np.log1p(-confidence)]


def test_calibration_error_is_equation_3() -> None:
    """Ten pictures at 0.8 of which six are right, thirty at 0.55 of which twenty-one are: two bins of fifteen."""
    logits = [confident(0.8)] * 10 + [confident(0.55)] * 30
    labels = [0] * 6 + [1] * 4 + [0] * 21 + [1] * 9
    tally = tally_of(np.array(logits), np.array(labels))
    expected = 10 / 40 * abs(0.6 - 0.8) + 30 / 40 * abs(0.7 - 0.55)
    assert tally.expected_calibration_error == pytest.approx(expected)


def test_within_a_bin_confidences_are_averaged() -> None:
    """0.74 and 0.79 are both in (11/15, 12/15]; half of them right is 0.27 too few. 0.81 is in the next bin."""
    tally = tally_of(np.array([confident(0.74), confident(0.79)]), np.array([0, 1]))
    assert tally.expected_calibration_error == pytest.approx(abs(0.5 - 0.765))
    apart = tally_of(np.array([confident(0.74), confident(0.81)]), np.array([0, 1]))
    assert apart.expected_calibration_error == pytest.approx((0.26 + 0.81) / 2)


def test_a_classifier_that_is_as_sure_as_it_is_right_has_no_calibration_error() -> None:
    """Also where it is certain: a confidence of 1 is in the last bin."""
    tally = tally_of(np.array([confident(0.75)] * 4 + [[1000.0, 0.0]] * 2), np.array([0, 0, 0, 1, 0, 0]))
    assert tally.expected_calibration_error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(8, 10, 0.4901625, 0.9433178), (0, 10, 0, 0.2775328), (10, 10, 0.7224672, 1), (1, 2, 0.0945312, 0.9054688)],
)
def test_wilson_interval(successes: int, n: int, low: float, high: float) -> None:
    """By hand, with z² = 3.8414588."""
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-6)


# --- Which class is which ---------------------------------------------------------------------------------------------


def test_classes_match_by_name_not_by_number() -> None:
    assert match_classes(["Sea_Lake", "annual crop", "RIVER"], ["river", "x", "AnnualCrop", "Sea Lake"]) == [3, 2, 0]


def test_hyphens_do_not_count() -> None:
    assert match_classes(["sea-lake", "t-shirt"], ["T shirt", "Sea_Lake"]) == [1, 0]


def test_equal_names_match_in_order() -> None:
    assert match_classes(["crane", "cat", "crane"], ["background", "crane", "crane", "cat"]) == [1, 3, 2]
    with pytest.raises(CvhubError, match="1 classes named 'crane' and the model 2"):
        match_classes(["crane"], ["crane", "Crane"])


def test_imagenets_folders_are_named_by_wordnet() -> None:
    labels = imagenet_labels()
    synsets = ["n02123045", "n02012849", "n03126707"]  # a tabby, and two cranes
    assert match_classes(synsets, labels) == [281, 134, 517]
    assert match_classes(synsets, ["background", *labels]) == [282, 135, 518]


def test_classes_without_a_label_are_named() -> None:
    with pytest.raises(CvhubError, match="2 of the data set's 3 classes are none of the model's 2: fish, bird") as told:
        match_classes(["fish", "Cat", "bird"], ["cat", "dog"])
    assert "The model's are cat, dog; --map CLASS=LABEL" in str(told.value)
    with pytest.raises(CvhubError, match="class-0, class-1, class-2, class-3 and 996 more") as told:
        match_classes([f"class-{i}" for i in range(1000)], [f"label {i} " + "x" * 80 for i in range(1000)])
    assert len(str(told.value)) <= 300


def test_a_class_that_is_called_otherwise_can_be_told() -> None:
    assert match_classes(["kitten", "dog"], ["dog", "cat"], {"kitten": "Cat"}) == [1, 0]
    with pytest.raises(CvhubError, match="'puppy' is no class of the data set, which has kitten, dog"):
        match_classes(["kitten", "dog"], ["dog", "cat"], {"puppy": "dog"})


# --- Data sets --------------------------------------------------------------------------------------------------------


def encoded(seed: int) -> dict[str, Any]:
    """A picture as parquet files have it."""
    buffer = BytesIO()
    photo(seed).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": f"{seed}.png"}


def write_parquet(folder: Path, split: str, labels: list[Any], kind: Any, **columns: Any) -> Path:
    """Rows with a picture and a label each, as repos of the Hub hold them."""
    rows = {"img": [encoded(i) for i in range(len(labels))], "class": labels} | columns
    features = {"img": datasets.Image(), "class": kind}
    features |= dict.fromkeys(columns, kind)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    table.to_parquet(str(folder / "data" / f"{split}-00000-of-00001.parquet"))
    return folder


NAMES = datasets.ClassLabel(names=["blue", "red"])


@pytest.mark.parametrize(
    ("splits", "chosen"),
    [(("train", "validation", "test"), "test"), (("train", "validation"), "validation"), (("train",), "train")],
)
def test_the_split_is_test_else_validation_else_the_only_one(
    splits: tuple[str, ...], chosen: str, tmp_path: Path
) -> None:
    for number, name in enumerate(splits):
        write_parquet(tmp_path, name, [number % 2], NAMES)
    split = open_split(str(tmp_path))
    assert (split.name, split.classes) == (chosen, ["blue", "red"])
    (row,) = split
    assert row.label == splits.index(chosen) % 2
    assert open_split(str(tmp_path), "train").name == "train"
    with pytest.raises(CvhubError, match="has no split 'dev', only train"):
        open_split(str(tmp_path), "dev")


def test_several_other_splits_leave_the_choice(tmp_path: Path) -> None:
    for name in ("small", "large"):
        write_parquet(tmp_path, name, [0], NAMES)
    with pytest.raises(CvhubError, match=r"has the splits .*: choose one with --split"):
        open_split(str(tmp_path))
    assert open_split(str(tmp_path), "large").name == "large"


def test_pictures_are_those_of_the_rows(tmp_path: Path) -> None:
    split = open_split(str(write_parquet(tmp_path, "test", [1, 0, 1], NAMES)))
    for _ in range(2):  # a split can be read again
        rows = list(split)
        assert [(row.number, row.label) for row in rows] == [(0, 1), (1, 0), (2, 1)]
        for row in rows:
            with opened(row) as image:
                assert np.array_equal(np.asarray(image), np.asarray(photo(row.number)))


def test_a_column_of_text_names_classes(tmp_path: Path) -> None:
    write_parquet(tmp_path, "test", ["red", "blue", "red"], datasets.Value("string"))
    with pytest.raises(CvhubError, match="no column of class numbers with names: --target says"):
        open_split(str(tmp_path))
    split = open_split(str(tmp_path), target="class")
    assert split.classes == ["blue", "red"]
    assert [row.label for row in split] == [1, 0, 1]


def test_several_class_columns_leave_the_choice(tmp_path: Path) -> None:
    write_parquet(tmp_path, "test", [0, 1], NAMES, other=[1, 1])
    with pytest.raises(CvhubError, match="has the class columns class, other: --target says"):
        open_split(str(tmp_path))
    assert [row.label for row in open_split(str(tmp_path), target="other")] == [1, 1]
    with pytest.raises(CvhubError, match="has no column 'third', only img, class, other"):
        open_split(str(tmp_path), target="third")


def test_columns_that_do_not_do(tmp_path: Path) -> None:
    numbers = write_parquet(tmp_path / "numbers", "test", [3, 4], datasets.Value("int64"))
    with pytest.raises(CvhubError, match=r"column class of .* holds neither names of classes nor numbers"):
        open_split(str(numbers), target="class")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(CvhubError, match="has no column of pictures"):
        open_split(str(tmp_path / "text"))


def test_rows_without_a_class_are_refused(tmp_path: Path) -> None:
    """As in test splits on the Hub, whose truth is kept secret."""
    split = open_split(str(write_parquet(tmp_path, "test", [0, -1], NAMES)))
    with pytest.raises(CvhubError, match=r"row 1 of test of .* has no class; --split names another split"):
        list(split)


def test_a_remote_picture_is_fetched() -> None:
    with fsspec.open("memory://far/away.png", "wb") as file:
        photo(5).save(file, "PNG")
    with opened(LabelledPicture(0, {"bytes": None, "path": "memory://far/away.png"}, 0)) as image:
        assert np.array_equal(np.asarray(image), np.asarray(photo(5)))
    with (
        pytest.raises(CvhubError, match=r"gone\.png can't be fetched"),
        opened(LabelledPicture(0, {"bytes": None, "path": "memory://far/gone.png"}, 0)),
    ):
        pass


@pytest.mark.parametrize("content", [None, {"bytes": None, "path": None}])
def test_a_row_without_a_picture(content: dict[str, Any] | None) -> None:
    with pytest.raises(CvhubError, match="no picture in this row"), opened(LabelledPicture(0, content, 0)):
        pass


def test_what_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(CvhubError, match=r"'\./nowhere' is neither a folder nor a Hub id"):
        open_split("./nowhere")
    with pytest.raises(CvhubError, match=r"nobody/nothing can't be read as a data set"):
        open_split("nobody/nothing")
    with pytest.raises(CvhubError, match="can't be read as a data set"):
        open_split(str(tmp_path))


def test_a_damaged_file_of_rows(tmp_path: Path) -> None:
    file = write_parquet(tmp_path, "test", [0] * 50, NAMES) / "data" / "test-00000-of-00001.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + bytes(400) + whole[404:])  # the first page of a column; the table of pages is last
    with pytest.raises(CvhubError, match="can't be read to its end"):
        list(open_split(str(tmp_path)))


# --- The command -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_a_folder_of_folders(
    batch_size: int, model: Path, classifier: Classifier, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed is what the classifier says of each file."""
    code, report, errors = run(capsys, model, pictures, "--batch-size", batch_size)
    assert (code, errors) == (0, "")
    columns = {"Red": 0, "dark_green": 1, "Grey Ish": 3}
    tally = Tally(list(columns.values()), len(LABELS))
    for row, name in enumerate(columns):
        for file in sorted((pictures / name).iterdir()):
            (answer,) = classifier.predict([Image.open(file)])
            tally.add(answer.logits, row)
    keys = ["model", "dataset", "split", "n", "failed", "accuracy", "top5", "ece", "nll", "accuracy_interval"]
    assert list(report) == [*keys, "per_class"]
    assert [report[key] for key in keys[:5]] == [str(model), str(pictures), "train", 12, 0]
    assert report["accuracy"] == tally.accuracy
    assert report["accuracy_interval"] == list(wilson_interval(tally.correct.sum(), 12))
    assert report["top5"] == tally.top5
    assert report["ece"] == pytest.approx(tally.expected_calibration_error, abs=1e-6)
    assert report["nll"] == pytest.approx(tally.negative_log_likelihood, abs=1e-6)
    assert {name: of_class["n"] for name, of_class in report["per_class"].items()} == {
        "Grey Ish": 5,
        "Red": 4,
        "dark_green": 3,
    }
    for row, name in enumerate(columns):
        of_class = report["per_class"][name]
        assert of_class["recall"] == tally.recall[row]
        assert of_class["precision"] in (None, tally.precision[row])


def test_a_folder_with_splits(model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set" / "train").mkdir(parents=True)
    pictures.rename(tmp_path / "set" / "test")
    for name in ("Red", "dark_green", "Grey Ish"):
        (tmp_path / "set" / "train" / name).mkdir()
        photo(0).save(tmp_path / "set" / "train" / name / "one.png")
    code, report, _ = run(capsys, model, tmp_path / "set")
    assert (code, report["split"], report["n"]) == (0, "test", 12)
    _, report, _ = run(capsys, model, tmp_path / "set", "--split", "train")
    assert (report["split"], report["n"]) == ("train", 3)


def counts(folder: Path, split: str | None = None) -> dict[str, int]:
    """Pictures by class."""
    found = open_split(str(folder), split)
    labels = [row.label for row in found]
    return {name: labels.count(number) for number, name in enumerate(found.classes)}


def test_what_lies_beside_the_pictures_does_not_matter(pictures: Path) -> None:
    """`datasets` alone would read test_1.png of each class, as the split `test`, or guess other classes."""
    (pictures / "Empty").mkdir()
    (pictures / ".cache").mkdir()
    photo(0).save(pictures / ".cache" / "thumb.png")
    (pictures / "Red" / "deeper" / "still").mkdir(parents=True)
    photo(1).save(pictures / "Red" / "deeper" / "still" / "train_7.JPG", "JPEG")
    for name in ("metadata.txt", "README.md", "labels.csv", "Red/notes.txt"):
        (pictures / name).write_text("x,y\n1,2\n")
    assert counts(pictures) == {"Grey Ish": 5, "Red": 5, "dark_green": 3}
    assert open_split(str(pictures)).name == "train"


def test_splits_have_class_folders_too(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    shutil.copytree(pictures, tmp_path / "set" / "val")
    shutil.copytree(pictures, tmp_path / "set" / "train_images")
    (tmp_path / "set" / "val" / "Red" / "0.png").unlink()
    (tmp_path / "set" / "val" / "Red" / "deeper").mkdir()
    photo(0).save(tmp_path / "set" / "val" / "Red" / "deeper" / "train.png")
    (tmp_path / "set" / "train_images" / "Red" / "0.png").unlink()
    assert open_split(str(tmp_path / "set")).name == "validation"
    assert counts(tmp_path / "set") == {"Grey Ish": 5, "Red": 4, "dark_green": 3}
    assert counts(tmp_path / "set", "train") == {"Grey Ish": 5, "Red": 3, "dark_green": 3}


def test_a_class_may_be_called_as_a_split(pictures: Path) -> None:
    (pictures / "Red").rename(pictures / "train")
    assert counts(pictures) == {"Grey Ish": 5, "dark_green": 3, "train": 4}


def test_pictures_without_a_class_are_not_left_out(pictures: Path, tmp_path: Path) -> None:
    photo(0).save(pictures / "loose.png")
    with pytest.raises(CvhubError, match=r"holds pictures beside its folders of classes: loose\.png"):
        open_split(str(pictures))
    (pictures / "loose.png").unlink()
    (tmp_path / "set" / "extra").mkdir(parents=True)
    pictures.rename(tmp_path / "set" / "test")
    photo(0).save(tmp_path / "set" / "extra" / "0.png")
    with pytest.raises(CvhubError, match=r"holds splits \(test\) beside other folders \(extra\)"):
        open_split(str(tmp_path / "set"))
    for name in ("train", "test"):
        (tmp_path / "flat" / name).mkdir(parents=True)
        photo(0).save(tmp_path / "flat" / name / "0.png")
    with pytest.raises(CvhubError, match=r"holds splits \(test, train\) of pictures without folders of classes"):
        open_split(str(tmp_path / "flat"))


def test_a_table_beside_the_pictures_is_read(pictures: Path) -> None:
    lines = [f"{file.relative_to(pictures)},{file.stem}" for file in sorted(pictures.glob("*/*.png"))]
    (pictures / "metadata.csv").write_text("\n".join(["file_name,kind", *lines]))
    split = open_split(str(pictures), target="kind")
    assert split.classes == ["0", "2", "3", "4", "test_1"]
    assert len(list(split)) == 12  # and not the three that are called test_1.png


def test_damaged_pictures_are_reported_and_counted(
    model: Path, pictures: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    os.truncate(pictures / "Red" / "0.png", 50)
    (pictures / "dark_green" / "2.png").write_bytes(b"no picture")
    code, report, _ = run(capsys, model, pictures)
    assert code == 1
    assert (report["n"], report["failed"]) == (10, 2)
    assert report["per_class"]["Red"]["n"] == 3
    first, second = caplog.messages
    assert first.startswith("row 5 of train: 0.png is damaged")
    assert second.startswith("row 10 of train: 2.png is no picture")


def test_pictures_of_parquet_files(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_parquet(tmp_path, "test", [0, 1, 1, 0, 1], NAMES)
    code, report, _ = run(capsys, model, tmp_path, "--batch-size", 2)
    assert (code, report["n"]) == (0, 5)
    assert {name: of_class["n"] for name, of_class in report["per_class"].items()} == {"blue": 2, "red": 3}


def test_nothing_that_can_be_read(classifier: Classifier, pictures: Path) -> None:
    for file in pictures.glob("*/*.png"):
        file.write_bytes(b"no picture")
    with pytest.raises(CvhubError, match="none of the 12 pictures of train can be read"):
        evaluate(classifier, open_split(str(pictures)))


def test_classes_that_the_model_lacks(model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pictures / "Red").rename(pictures / "scarlet")
    code, report, errors = run(capsys, model, pictures)
    assert (code, report) == (1, None)
    assert errors.startswith("cvhub: 1 of the data set's 3 classes are none of the model's 6: scarlet.")
    assert len(errors.splitlines()) == 1
    code, report, _ = run(capsys, model, pictures, "--map", "scarlet=red")
    assert (code, report["per_class"]["scarlet"]["n"]) == (0, 4)


def test_for_people(model: Path, pictures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.truncate(pictures / "Red" / "0.png", 50)
    assert main(["evaluate", str(model), str(pictures), "--runtime", "torch"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["class", "pictures", "recall", "precision"]
    assert {line.rsplit(maxsplit=3)[0] for line in lines[1:4]} == {"Red", "dark_green", "Grey Ish"}
    assert "11 pictures, 1 more can't be read" in lines[5]
    assert lines[6].startswith("accuracy")
    assert "95 % interval" in lines[6]


@pytest.mark.parametrize(
    "arguments",
    [["--map", "scarlet"], ["--confusion", "matrix.jpg"], ["--confusion", "nowhere/matrix.png"], ["--batch-size", "0"]],
)
def test_bad_usage_is_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", "model", "dataset", *arguments])
    assert stopped.value.code == 2
    assert "usage: cvhub evaluate" in capsys.readouterr().err


def test_the_card_is_told_what_was_measured(
    pictures: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    folder = tmp_path / "net"
    shutil.copytree(model, folder)
    assert main(["evaluate", str(folder), str(pictures), "--map", "Red=red", "--card"]) == 1
    assert "has no README.md" in capsys.readouterr().err
    write_card(
        folder, title="A net", task="image-classification", licence=None, dataset="shades", metrics={}, source=None
    )
    plain = (folder / "README.md").read_text(encoding="utf-8")
    for _ in range(2):  # the second replaces the first
        assert main(["evaluate", str(folder), str(pictures), "--json", "--card"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    card = ModelCard.load(folder / "README.md")
    assert card.data.model_name == "A net"
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["accuracy"].metric_value == report["accuracy"]
    assert (results["nll"].dataset_name, results["nll"].dataset_split) == ("shades", "train")
    assert card.text.count("## Measured") == 1
    assert "on the 12 pictures of shades, split train" in card.text
    assert card.text.startswith(ModelCard(plain).text.rstrip())


# --- The confusion matrix ---------------------------------------------------------------------------------------------


def evaluation_of(confusion: list[list[int]], columns: list[int], classes: list[str]) -> Evaluation:
    tally = Tally(columns, len(confusion[0]))
    tally.confusion += np.array(confusion)
    return Evaluation("net", "set", "test", classes, tally, failed=0)


def cells(image: Image.Image, rows: int, columns: int) -> list[list[tuple[int, int, int]]]:
    """The colour of each cell, near its corner, where no count is written; the matrix is found by its darkest cell."""
    pixels = np.asarray(image)
    top, left = np.argwhere((pixels == FULL).all(axis=2))[0]  # of the first cell
    step = LARGEST_CELL
    corners = pixels[top + 4 :: step, left + 4 :: step][:rows, :columns]
    return [[tuple(colour) for colour in row] for row in corners.tolist()]


def test_confusion_is_drawn_by_shares_of_the_rows() -> None:
    """Columns in the data set's order; what else was answered comes last, under a name of its own."""
    evaluation = evaluation_of([[0, 0, 8, 0], [2, 4, 2, 0]], columns=[2, 0], classes=["a", "b"])
    image = draw_confusion(evaluation)
    mixed = tuple(round(w + (f - w) / 4) for w, f in zip(WHITE, FULL, strict=True))
    half = tuple(round(w + (f - w) / 2) for w, f in zip(WHITE, FULL, strict=True))
    found = cells(image, 2, 3)
    assert found[0] == [FULL, WHITE, WHITE]
    for colour, expected in zip(found[1], (mixed, mixed, half), strict=True):
        assert colour == pytest.approx(expected, abs=1)
    only = draw_confusion(evaluation_of([[8, 0], [2, 6]], [0, 1], ["a", "b"]))
    assert image.height > only.height  # a longer name under the columns


@pytest.mark.parametrize("classes", [1, 3, 40, 400])
def test_any_number_of_classes_can_be_drawn(classes: int) -> None:
    names = [f"a class with the number {i}" for i in range(classes)]
    image = draw_confusion(evaluation_of(np.eye(classes, dtype=int).tolist(), list(range(classes)), names))
    assert max(image.size) < 1500
    assert (np.asarray(image) == FULL).all(axis=2).sum() >= 4 * classes


def test_the_command_draws_it(model: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = run(capsys, model, pictures, "--confusion", tmp_path / "matrix.png")
    assert code == 0
    with Image.open(tmp_path / "matrix.png") as image:
        assert image.format == "PNG"
