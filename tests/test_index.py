"""An index of pictures: made, kept up to date, searched, refused where it doesn't fit; `cvhub index` and `search`."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from safetensors.numpy import load_file, save_file

from cvhub import telling
from cvhub.catalog import find_entry
from cvhub.cli import main
from cvhub.commands import index as index_command
from cvhub.errors import CvhubError
from cvhub.evaluation.dataset import Rows
from cvhub.evaluation.picture_rows import DatasetPictures, open_source
from cvhub.inference import indexing, picture_index
from cvhub.inference.indexing import Failure, FolderPictures, IndexReport, build_index
from cvhub.inference.picture_index import (
    HIDDEN,
    MANIFEST,
    PictureIndex,
    best_rows,
    embed_words,
    find_index,
    place_of,
    spell_emoji,
)
from cvhub.inference.zero_shot import ZeroShot
from tests.test_zero_shot import save

NAMES = ("a.png", "b.png", "deep/c.png", "deep/er/d.png", "图 1.png")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def net(clip: Path) -> ZeroShot:
    return ZeroShot(str(clip), "torch", "fp32")


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8))


def encoded(seed: int) -> bytes:
    file = BytesIO()
    picture(seed).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five pictures at three depths, beside what is no picture or hidden."""
    folder = tmp_path / "photos"
    for seed, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden").mkdir()
    picture(9).save(folder / ".hidden" / "h.png")
    return folder


@pytest.fixture
def embedded(net: ZeroShot, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each forward pass of the image tower was given."""
    counts: list[int] = []
    run = net.image_runtime.run

    def counting(inputs: np.ndarray) -> dict[str, np.ndarray]:
        counts.append(len(inputs))
        return run(inputs)

    monkeypatch.setattr(net.image_runtime, "run", counting)
    return counts


def index_of(photos: Path, net: ZeroShot) -> tuple[PictureIndex, IndexReport]:
    report = build_index(net, FolderPictures(photos), photos / HIDDEN, batch_size=2)
    return PictureIndex.load(photos / HIDDEN), report


def counts_of(report: IndexReport) -> tuple[int, int, int, int]:
    return report.kept, report.added, report.changed, report.removed


def state_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {file.name: (file.stat().st_mtime_ns, file.read_bytes()) for file in folder.iterdir()}


# --- Search ----------------------------------------------------------------------------------------------------------


def test_hits_are_those_of_the_nets_own_embeddings(photos: Path, net: ZeroShot) -> None:
    index, report = index_of(photos, net)
    assert counts_of(report) == (0, 5, 0, 0)
    assert [entry[0] for entry in index.entries] == sorted(NAMES)
    assert {file.stat().st_mode & 0o777 for file in (photos / HIDDEN).glob("[!.]*")} == {0o644}
    images = net.embed_images([Image.open(photos / name) for name in NAMES])
    for wanted in (embed_words(net, "a cat"), images[2]):
        cosines = dict(zip(NAMES, images @ wanted, strict=True))
        hits = index.search(wanted, k=3)
        assert [hit.place for hit in hits] == sorted(NAMES, key=lambda name: -cosines[name])[:3]
        assert [hit.score for hit in hits] == pytest.approx([cosines[hit.place] for hit in hits], abs=1e-5)
        assert {hit.state for hit in hits} == {"same"}
    assert index.search(images[2], k=1)[0].place == NAMES[2]
    assert len(index.search(images[0], k=100)) == 5
    with pytest.raises(CvhubError, match="top k is 0, expected at least 1"):
        index.search(images[0], k=0)


@pytest.mark.parametrize("k", [1, 2, 7, 50, 99, 100, 500])
def test_the_best_rows_are_those_of_a_full_sort(k: int) -> None:
    """Other scores than at random too: equal ones, where the earlier stands first."""
    scores = np.random.default_rng(k).permutation(np.arange(100)).astype(np.float32)
    assert best_rows(scores, k) == np.argsort(-scores, kind="stable")[:k].tolist()
    assert best_rows(np.zeros(100, np.float32), k) == sorted(best_rows(np.zeros(100, np.float32), k))
    assert best_rows(scores[:0], k) == []


def test_a_picture_that_vanished_or_changed_says_so(photos: Path, net: ZeroShot) -> None:
    index, _ = index_of(photos, net)
    (photos / "a.png").unlink()
    picture(20).resize((40, 40)).save(photos / "b.png")
    states = {hit.place: hit.state for hit in index.search(embed_words(net, "cat"))}
    assert states == dict.fromkeys(NAMES, "same") | {"a.png": "missing", "b.png": "changed"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("🚀", "rocket"),
        (" 🍎🚀 at night ", "red apple rocket at night"),
        ("👩‍🚀", "woman astronaut"),
        ("❤️", "red heart"),
        ("🇩🇪", "Germany"),
        ("苹果 #1 :rocket:", "苹果 #1 :rocket:"),
    ],
)
def test_emoji_are_looked_for_by_their_names(text: str, words: str, net: ZeroShot) -> None:
    assert spell_emoji(text) == words
    assert embed_words(net, text) == pytest.approx(net.embed_texts([words])[0])


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_refused(text: str, net: ZeroShot) -> None:
    with pytest.raises(CvhubError, match="The text to look for is empty"):
        embed_words(net, text)


def test_a_text_of_ten_thousand_words_is_refused(net: ZeroShot) -> None:
    with pytest.raises(CvhubError, match=r"the text “cat cat .*…” has 10,002 tokens, this model reads 20 at most"):
        embed_words(net, "cat " * 10_000)


# --- Up to date ------------------------------------------------------------------------------------------------------


def test_only_what_is_new_or_changed_is_embedded(photos: Path, net: ZeroShot, embedded: list[int]) -> None:
    before, _ = index_of(photos, net)
    embedded.clear()
    picture(10).save(photos / "new.png")
    picture(11).resize((48, 40)).save(photos / "b.png")
    (photos / "deep" / "c.png").unlink()
    after, report = index_of(photos, net)
    assert counts_of(report) == (3, 1, 1, 1)
    assert report.pictures == len(after.entries) == 5
    assert sum(embedded) == 2
    rows = {entry: row for row, entry in enumerate(before.entries)}
    kept = [(after.embeddings[row], rows[entry]) for row, entry in enumerate(after.entries) if entry in rows]
    assert len(kept) == 3
    assert all(np.array_equal(embedding, before.embeddings[row]) for embedding, row in kept)
    shutil.rmtree(photos / HIDDEN)
    anew, _ = index_of(photos, net)
    assert after.entries == anew.entries
    assert np.allclose(after.embeddings, anew.embeddings, atol=1e-6)


def test_nothing_is_written_where_nothing_changed(photos: Path, net: ZeroShot, embedded: list[int]) -> None:
    index_of(photos, net)
    before = state_of(photos / HIDDEN)
    embedded.clear()
    _, report = index_of(photos, net)
    assert counts_of(report) == (5, 0, 0, 0)
    assert embedded == []
    assert state_of(photos / HIDDEN) == before


def test_the_folder_may_move_with_its_index(photos: Path, net: ZeroShot) -> None:
    index_of(photos, net)
    moved = photos.rename(photos.with_name("elsewhere"))
    index, report = index_of(moved, net)
    assert counts_of(report) == (5, 0, 0, 0)
    assert index.origin == str(moved)
    assert {hit.state for hit in index.search(embed_words(net, "cat"))} == {"same"}


def test_an_index_elsewhere_finds_its_pictures_from_any_folder(
    photos: Path, net: ZeroShot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    build_index(net, FolderPictures(Path("photos")), Path("index"))
    monkeypatch.chdir("/")
    index = PictureIndex.load(tmp_path / "index")
    assert index.origin == str(photos)
    assert {hit.state for hit in index.search(embed_words(net, "cat"))} == {"same"}


def test_a_damaged_picture_is_reported_and_taken_in_when_repaired(photos: Path, net: ZeroShot) -> None:
    (photos / "b.png").write_bytes(encoded(1)[:100])
    (photos / "empty.jpg").touch()
    index, report = index_of(photos, net)
    assert counts_of(report) == (0, 4, 0, 0)
    assert [failure.place for failure in report.failed] == ["b.png", "empty.jpg"]
    assert report.failed[1] == Failure("empty.jpg", "empty.jpg is empty.")
    assert "b.png" not in [entry[0] for entry in index.entries]
    (photos / "b.png").write_bytes(encoded(1))
    _, report = index_of(photos, net)
    assert (counts_of(report), len(report.failed)) == ((4, 1, 0, 0), 1)


def test_an_index_of_damaged_pictures_only_finds_nothing(tmp_path: Path, net: ZeroShot) -> None:
    (tmp_path / "a.png").touch()
    index, report = index_of(tmp_path, net)
    assert (report.pictures, len(report.failed)) == (0, 1)
    assert index.search(embed_words(net, "cat")) == []


def test_a_folder_that_lost_its_pictures_keeps_its_index(photos: Path, net: ZeroShot) -> None:
    """A drive that is not mounted looks so."""
    index_of(photos, net)
    for name in NAMES:
        (photos / name).unlink()
    with pytest.raises(CvhubError, match=r"photos has no pictures\."):
        index_of(photos, net)
    assert len(PictureIndex.load(photos / HIDDEN).entries) == 5


# --- Interrupted -----------------------------------------------------------------------------------------------------


def stop_after(pictures: int) -> Any:
    def progress(done: int, total: int | None) -> None:
        if done > pictures:
            raise KeyboardInterrupt

    return progress


@pytest.fixture
def saving_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexing, "SAVE_SECONDS", 0)


@pytest.mark.fault
@pytest.mark.usefixtures("saving_always")
def test_an_interrupted_build_goes_on(photos: Path, net: ZeroShot, embedded: list[int]) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_index(net, FolderPictures(photos), photos / HIDDEN, 1, stop_after(3))
    index = PictureIndex.load(photos / HIDDEN)
    assert (index.complete, len(index.entries)) == (False, 3)
    embedded.clear()
    index, report = index_of(photos, net)
    assert (index.complete, counts_of(report)) == (True, (3, 2, 0, 0))
    assert sum(embedded) == 2


@pytest.mark.fault
@pytest.mark.usefixtures("saving_always")
def test_an_interrupted_update_keeps_what_it_has_not_come_to(photos: Path, net: ZeroShot) -> None:
    index_of(photos, net)
    for number in range(6):
        picture(30 + number).save(photos / f"a{number}.png")
    with pytest.raises(KeyboardInterrupt):
        build_index(net, FolderPictures(photos), photos / HIDDEN, 1, stop_after(4))
    index = PictureIndex.load(photos / HIDDEN)
    assert not index.complete
    assert set(NAMES) < {entry[0] for entry in index.entries}
    index, report = index_of(photos, net)
    assert (len(index.entries), report.added + report.kept) == (11, 11)


KILLED = """
import os, sys
from dataclasses import replace
from pathlib import Path
from cvhub.inference.picture_index import PictureIndex

def dies(self, target):
    os._exit(9)

index = PictureIndex.load(Path(sys.argv[1]))
if sys.argv[2] == "embeddings":
    Path.replace = dies
else:
    move = Path.replace
    Path.replace = lambda self, target: dies(self, target) if target.name == "manifest.json" else move(self, target)
replace(index, entries=index.entries[:2], embeddings=index.embeddings[:2]).save()
"""


@pytest.mark.fault
@pytest.mark.parametrize("file", ["embeddings", "manifest"])
def test_a_killed_write_leaves_the_index_as_it_was(file: str, photos: Path, net: ZeroShot) -> None:
    before, _ = index_of(photos, net)
    command = [sys.executable, "-c", KILLED, str(photos / HIDDEN), file]
    assert subprocess.run(command, env=os.environ | {"PYTHONPATH": os.getcwd()}, check=False).returncode == 9
    after = PictureIndex.load(photos / HIDDEN)
    assert after.entries == before.entries
    assert np.array_equal(after.embeddings, before.embeddings)
    picture(12).save(photos / "new.png")
    index_of(photos, net)
    left = {file.name for file in (photos / HIDDEN).iterdir()} - {".lock", MANIFEST}
    assert len(left) == 1  # the killed write's leftovers are gone


@pytest.mark.fault
def test_a_full_disk_leaves_the_index_as_it_was(photos: Path, net: ZeroShot, monkeypatch: pytest.MonkeyPatch) -> None:
    before, _ = index_of(photos, net)

    def full(tensors: dict[str, np.ndarray], file: Path) -> None:
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(picture_index, "save_file", full)
    picture(12).save(photos / "new.png")
    with pytest.raises(CvhubError, match=r"can't be written into .*: No space left on device"):
        index_of(photos, net)
    assert PictureIndex.load(photos / HIDDEN).entries == before.entries
    assert len(list((photos / HIDDEN).iterdir())) == 3


@pytest.mark.fault
def test_two_processes_do_not_write_into_one_index(photos: Path, net: ZeroShot) -> None:
    (photos / HIDDEN).mkdir()
    with FileLock(photos / HIDDEN / ".lock"), pytest.raises(CvhubError, match="Another process is indexing into"):
        index_of(photos, net)


# --- Refused ---------------------------------------------------------------------------------------------------------


def test_an_index_of_another_model_is_refused(photos: Path, net: ZeroShot, tmp_path: Path) -> None:
    other = ZeroShot(str(save(tmp_path / "other", projection_dim=8)), "torch", "fp32")
    index, _ = index_of(photos, net)
    for use in (lambda: index_of(photos, other), lambda: index.require_made_by(other)):
        with pytest.raises(CvhubError) as refused:
            use()
        assert net.name in str(refused.value)
        assert other.name in str(refused.value)


def test_an_index_of_changed_weights_is_refused(photos: Path, clip: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(clip, copy)
    net = ZeroShot(str(copy), "torch", "fp32")
    index, _ = index_of(photos, net)
    tensors = load_file(copy / "model.safetensors")
    save_file(tensors | {"logit_scale": np.array(1, np.float32)}, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(CvhubError, match=f"The weights of .*copy have changed .*{index.fingerprint}, now "):
        index.require_made_by(net)


def test_the_same_weights_elsewhere_are_the_same_model(photos: Path, net: ZeroShot, clip: Path, tmp_path: Path) -> None:
    index_of(photos, net)
    shutil.copytree(clip, tmp_path / "copy")
    _, report = index_of(photos, ZeroShot(str(tmp_path / "copy"), "torch", "fp32"))
    assert counts_of(report) == (5, 0, 0, 0)


def test_another_precision_is_refused(photos: Path, net: ZeroShot) -> None:
    index, _ = index_of(photos, net)
    replace(index, precision="bf16").save()
    with pytest.raises(CvhubError, match="was computed in bf16, not in fp32"):
        index_of(photos, net)


def test_the_index_of_another_folder_is_refused(photos: Path, net: ZeroShot, tmp_path: Path) -> None:
    build_index(net, FolderPictures(photos), tmp_path / "index")
    with pytest.raises(CvhubError, match=rf"is of {photos}, not of {photos / 'deep'}"):
        build_index(net, FolderPictures(photos / "deep"), tmp_path / "index")


def test_places_that_can_hold_no_index_are_refused(photos: Path, net: ZeroShot, tmp_path: Path) -> None:
    with pytest.raises(CvhubError, match="deep exists and is not an empty folder"):
        build_index(net, FolderPictures(photos), photos / "deep")
    assert not (photos / "deep" / ".lock").exists()
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CvhubError, match="The index can't be written into"):
            build_index(net, FolderPictures(photos), place)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CvhubError, match=r"empty has no pictures\."):
        build_index(net, FolderPictures(tmp_path / "empty"), tmp_path / "index")
    assert not (tmp_path / "index").exists()
    with pytest.raises(CvhubError, match=r"There is no folder .*nowhere"):
        FolderPictures(tmp_path / "nowhere")


def damage(folder: Path, kind: str) -> None:
    manifest = folder / MANIFEST
    told = json.loads(manifest.read_text())
    embeddings = folder / told["embeddings"]
    actions = {
        "cut embeddings": lambda: embeddings.write_bytes(embeddings.read_bytes()[:-10]),
        "no embeddings": embeddings.unlink,
        "fewer embeddings": lambda: save_file({"embeddings": np.zeros((2, 16), np.float32)}, embeddings),
        "cut manifest": lambda: manifest.write_text(manifest.read_text()[:-10]),
        "empty manifest": lambda: manifest.write_text(json.dumps({"format": told["format"], "version": 1})),
        "source": lambda: manifest.write_text(json.dumps(told | {"source": None})),
        "columns": lambda: manifest.write_text(json.dumps(told | {"pictures": {"path": []}})),
        "outside": lambda: manifest.write_text(manifest.read_text().replace('"b.png"', '"../b.png"')),
    }
    actions[kind]()


@pytest.mark.parametrize(
    "kind",
    [
        "cut embeddings",
        "no embeddings",
        "fewer embeddings",
        "cut manifest",
        "empty manifest",
        "source",
        "columns",
        "outside",
    ],
)
def test_a_damaged_index_is_one_sentence(kind: str, photos: Path, net: ZeroShot) -> None:
    index_of(photos, net)
    damage(photos / HIDDEN, kind)
    for use in (PictureIndex.load, lambda folder: build_index(net, FolderPictures(photos), folder)):
        with pytest.raises(
            CvhubError, match=r"The index in .* is damaged \(.+\): delete that folder and index again\."
        ):
            use(photos / HIDDEN)


def test_what_is_no_index_or_a_later_one_is_refused(photos: Path, net: ZeroShot) -> None:
    with pytest.raises(CvhubError, match="photos holds no index of pictures, which `cvhub index` would make"):
        PictureIndex.load(find_index(photos))
    index_of(photos, net)
    assert find_index(photos) == find_index(photos / HIDDEN) == photos / HIDDEN
    manifest = photos / HIDDEN / MANIFEST
    told = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(told | {"version": 2}))
    with pytest.raises(CvhubError, match="is of version 2, expected 1"):
        PictureIndex.load(photos / HIDDEN)
    manifest.write_text(json.dumps({"name": "an app"}))
    with pytest.raises(CvhubError, match="holds no index of pictures"):
        PictureIndex.load(photos / HIDDEN)


# --- Data sets -------------------------------------------------------------------------------------------------------


def write_rows(folder: Path, rows: list[bytes | None]) -> Path:
    """A data set with a split `train`; the number of its pictures is nowhere told."""
    contents = [row and {"bytes": row, "path": None} for row in rows]
    features = datasets.Features({"picture": datasets.Image(), "number": datasets.Value("int64")})
    made = datasets.Dataset.from_dict({"picture": contents, "number": list(range(len(rows)))}, features)
    (folder / "data").mkdir(parents=True, exist_ok=True)
    made.to_parquet(folder / "data" / "train-00000-of-00001.parquet")
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows", [encoded(seed) for seed in range(4)])


def index_of_rows(rows: Path, net: ZeroShot) -> tuple[PictureIndex, IndexReport]:
    report = build_index(net, open_source(str(rows)), rows / HIDDEN, batch_size=2)
    return PictureIndex.load(rows / HIDDEN), report


def test_rows_of_a_data_set_are_found(rows: Path, net: ZeroShot) -> None:
    index, report = index_of_rows(rows, net)
    assert counts_of(report) == (0, 4, 0, 0)
    assert index.source == {"dataset": "..", "split": "train"}
    assert index.origin == str(rows)
    (hit,) = index.search(net.embed_images([picture(2)])[0], k=1)
    assert (hit.place, hit.state) == (2, "same")
    assert hit.score == pytest.approx(1, abs=1e-5)
    source = DatasetPictures(index.origin, index.source["split"])
    with source.open(2) as image:
        assert np.array_equal(image, picture(2))
    with pytest.raises(CvhubError, match=r"split train of .* has no row 4 any more"):
        source.open(4)


def test_rows_that_moved_are_kept(rows: Path, net: ZeroShot, embedded: list[int]) -> None:
    index_of_rows(rows, net)
    embedded.clear()
    write_rows(rows, [encoded(7), encoded(0), encoded(3), encoded(0), encoded(2), encoded(8)])
    index, report = index_of_rows(rows, net)
    assert counts_of(report) == (4, 1, 1, 0)  # rows 1 to 4 have moved or are doubled
    assert sum(embedded) == 2
    for row, seed in enumerate([7, 0, 3, 0, 2, 8]):
        assert np.allclose(index.embeddings[row], net.embed_images([picture(seed)])[0], atol=1e-5)


def test_an_unchanged_data_set_is_not_read(rows: Path, net: ZeroShot, monkeypatch: pytest.MonkeyPatch) -> None:
    index_of_rows(rows, net)
    monkeypatch.setattr(Rows, "contents", lambda self: pytest.fail("the rows are read"))
    _, report = index_of_rows(rows, net)
    assert counts_of(report) == (4, 0, 0, 0)


def test_damaged_rows_are_reported_each_time(rows: Path, net: ZeroShot) -> None:
    write_rows(rows, [encoded(0), b"no picture", None, encoded(1)])
    for expected in ((0, 2, 0, 0), (2, 0, 0, 0)):
        _, report = index_of_rows(rows, net)
        assert counts_of(report) == expected
        assert [failure.place for failure in report.failed] == [1, 2]
        assert report.failed[1].error == "there is no picture in this row."


def test_what_a_source_is_taken_for(photos: Path, rows: Path, tmp_path: Path) -> None:
    assert isinstance(open_source(str(photos)), FolderPictures)
    (photos / "deep" / "er").rename(tmp_path / "class")
    shutil.move(tmp_path / "class", tmp_path / "classes" / "class")
    assert isinstance(open_source(str(tmp_path / "classes")), FolderPictures)
    assert [picture.entry[0] for picture in open_source(str(tmp_path / "classes"), "train")] == [0]
    picture(0).save(rows / "cover.png")
    assert isinstance(open_source(str(rows)), DatasetPictures)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CvhubError, match=r"empty holds no pictures, and .*empty can't be read as a data set"):
        open_source(str(tmp_path / "empty"))
    with pytest.raises(CvhubError, match="is neither a folder nor a Hub id"):
        open_source(str(tmp_path / "nowhere"))


# --- The command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: Any) -> tuple[int, list[Any]]:
        """Exit code and the JSON objects of stdout."""
        code = main([*map(str, arguments), "--json"])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.fixture
def indexed(photos: Path, clip: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["index", str(photos), "--model", str(clip), "--runtime", "torch", "--precision", "fp32"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{photos / HIDDEN}: 5 pictures (5 added)\n"
    assert "5 of 5 pictures" in captured.err
    return photos


def test_a_new_index_says_what_its_model_knows(
    photos: Path, clip: Path, said: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody chose the model, and not again when the index is brought up to date."""
    monkeypatch.setattr(index_command, "SEARCH_MODEL", str(clip))
    expected = f"{clip} is taken, which knows drawings and no photos; --model clip_vit_b32 knows photos."
    assert main(["index", str(photos), "--json"]) == 0
    captured = capsys.readouterr()
    assert expected in captured.err.splitlines()
    assert [json.loads(line)["added"] for line in captured.out.splitlines()] == [5]
    assert main(["index", str(photos)]) == 0
    assert main(["index", str(photos), "--model", str(clip), "--out", f"{photos}-index"]) == 0
    assert "no photos" not in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["index", "--help"])
    assert "knows drawings and no photos; clip_vit_b32 knows photos" in " ".join(capsys.readouterr().out.split())
    monkeypatch.undo()
    assert find_entry(index_command.PHOTO_MODEL).location == "openai/clip-vit-base-patch32"  # pyright: ignore


def test_a_search_for_no_unicode_is_refused(indexed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(indexed), "\udcff"]) == 1
    assert "the text “\ufffd” has the lone surrogate U+DCFF, expected valid Unicode." in capsys.readouterr().err


def test_index_and_search(indexed: Path, said: Any, net: ZeroShot, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time the index's own model and precision are taken."""
    picture(10).save(indexed / "new.png")
    (indexed / "b.png").write_bytes(b"no picture")
    code, (failure, told) = said("index", indexed, "--runtime", "torch", "--batch-size", 2)
    assert code == 1
    assert failure["path"] == str(indexed / "b.png")
    assert failure["error"].startswith("b.png is no picture")
    assert told == {
        "index": str(indexed / HIDDEN), "model": net.name,
        "pictures": 5, "kept": 4, "added": 1, "changed": 0, "removed": 0, "failed": 1,
    }  # fmt: skip
    monkeypatch.chdir(indexed.parent)
    for index in ("photos", f"photos/{HIDDEN}"):
        code, hits = said("search", index, "a", "cat", "--top-k", 3)
        assert (code, len(hits)) == (0, 3)
        assert all(hit.keys() == {"path", "score"} for hit in hits)
        assert all(Path(hit["path"]).is_file() for hit in hits)
        assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
    _, (hit,) = said("search", "photos", "--image", "photos/a.png", "--top-k", 1)
    assert hit == {"path": str(Path("photos/a.png")), "score": pytest.approx(1, abs=0.01)}


def test_progress_without_a_known_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "OTHER_SECONDS", 0)
    stream = StringIO()
    with telling.Bar("owner/name", "pictures", stream) as bar:
        bar(1234, None)
    assert stream.getvalue() == "owner/name · 1,234 pictures · 0 s\n"


def test_search_says_how_it_reads_emoji(indexed: Path, said: Any, caplog: pytest.LogCaptureFixture) -> None:
    found = said("search", indexed, "🐈")
    assert "An emoji is looked for by its name: cat." in caplog.text
    assert said("search", indexed, "cat") == found


def test_search_for_people(indexed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (indexed / "a.png").unlink()
    assert main(["search", str(indexed), "--top-k", "9", "cat"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    (gone,) = [line for line in lines if "a.png" in line]
    assert gone.endswith(f"  {indexed / 'a.png'}  (no longer there)")


def test_search_says_what_is_missing(indexed: Path, said: Any) -> None:
    (indexed / "a.png").unlink()
    _, hits = said("search", indexed, "cat")
    assert [hit["path"] for hit in hits if hit.get("missing")] == [str(indexed / "a.png")]


def test_search_goes_where_the_model_went(indexed: Path, clip: Path, said: Any, tmp_path: Path) -> None:
    manifest = indexed / HIDDEN / MANIFEST
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"model": str(tmp_path / "gone")}))
    assert said("search", indexed, "cat")[0] == 1
    assert said("search", indexed, "cat", "--model", clip)[0] == 0


def test_a_data_set_on_the_command_line(rows: Path, clip: Path, said: Any, tmp_path: Path) -> None:
    write_rows(rows, [encoded(0), None, encoded(1)])
    place = tmp_path / "index"
    code, (failure, told) = said("index", rows, "--model", clip, "--out", place, "--split", "train")
    assert code == 1
    assert failure == {"path": str(rows), "row": 1, "error": "there is no picture in this row."}
    assert (told["index"], told["pictures"]) == (str(place), 2)
    picture(1).save(tmp_path / "like.png")
    _, (hit,) = said("search", place, "--image", tmp_path / "like.png", "--top-k", 1)
    assert hit == {"path": str(rows), "row": 2, "score": pytest.approx(1, abs=0.01)}
    assert place_of("owner/pets") == Path("pets-index")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "{}"], "either TEXT or --image FILE says what to look for"),
        (["search", "{}", "cat", "--image", "a.png"], "either TEXT or --image FILE says what to look for"),
        (["search", "{}", "cat", "--top-k", "0"], "'0' is not a number from 1 on"),
        (["search", "{}", "cat", "--colour", "red"], "unrecognized arguments: --colour"),
        (["index"], "the following arguments are required: SOURCE"),
    ],
)
def test_bad_usage_is_code_2(
    arguments: list[str], sentence: str, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([argument.format(photos) for argument in arguments])
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["search", "{}", ""], "The text to look for is empty."),
        (["search", "{}", *["word"] * 10_000], "has 10,002 tokens, this model reads 20 at most."),
        (["search", "{}", "--image", "nowhere.png"], "nowhere.png does not exist."),
        (["search", "{}/deep", "cat"], "deep holds no index of pictures"),
        (["search", "nowhere", "cat"], "nowhere holds no index of pictures"),
        (["index", "{}", "--model", "eurosat_vgg"], "expected a model for zero-shot-image-classification"),
        (["index", "nowhere"], "'nowhere' is neither a folder nor a Hub id"),
    ],
)
def test_a_failure_is_one_sentence_and_code_1(
    arguments: list[str], sentence: str, indexed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(indexed) for argument in arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("cvhub: ")
    assert sentence in captured.err
    assert len(captured.err.splitlines()) == 1
