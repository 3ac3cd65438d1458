"""Damaged and hostile checkpoints: each is loaded, converted or refused in a sentence, and nothing of it ever runs."""

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.browser import SAMPLES
from tests.fuzz.checkpoints import Files, cards, checkpoints, folders, lay_out, repacked, split, weight_files
from tests.fuzz.damage import WHOLE, damaged, fuzzed
from tests.fuzz.guard import SECRET, Guard


def answer(case: tuple[str, Any] | None, place: Path) -> str:
    """What each way in makes of a case."""
    if case is None:
        from cvhub.convert.importing import families
        from cvhub.ui import answering

        list(families())
        answering.load("eurosat_resnet", "torch", "fp32")
        return "ready"
    way, content = case
    source, made = place / "source", place / "made"
    for folder in (source, made, place / "tmp", place / "cvhub"):
        shutil.rmtree(folder, ignore_errors=True)
    (place / "tmp").mkdir()
    return WAYS[way](content, source, made)


def ask(files: Files, source: Path, made: Path) -> str:
    """A local folder as MODEL, which answers about a picture."""
    from PIL import Image

    from cvhub.inference.pool import build_predictor
    from cvhub.inference.segment import Segmenter

    lay_out(files, source)
    predictor: Any = build_predictor(str(source), "torch", "fp32")
    picture = Image.open(SAMPLES / "tile.jpg")
    predictor.segment(picture) if isinstance(predictor, Segmenter) else predictor.predict([picture])
    return "answered"


def convert(files: Files, source: Path, made: Path) -> str:
    from cvhub.convert import convert_checkpoint

    lay_out(files, source)
    convert_checkpoint(source, made)
    return "converted"


def upload(files: Files, source: Path, made: Path) -> str:
    """As the page takes it: the weights and their configs, and what becomes of them."""
    from cvhub.ui import answering
    from cvhub.ui.checkpoint import take_checkpoint
    from cvhub.ui.state import Session
    from cvhub.ui.strings import speaker

    lay_out({name: content for name, content in files.items() if isinstance(content, bytes)}, source)
    session = Session()
    names = [str(file) for file in source.iterdir() if file.suffix in (".json", ".safetensors")]
    name = take_checkpoint(session, "", names, speaker("en"))
    try:
        answering.load(str(session.checkpoints[name]), "torch", "fp32")
    finally:
        answering.forget(str(session.checkpoints[name]))
    return "taken"


def file(named: tuple[str, bytes], source: Path, made: Path) -> str:
    """A bare file of weights."""
    from cvhub.convert import convert_checkpoint

    name, content = named
    lay_out({name: content}, source)
    convert_checkpoint(source / name, made, arch="mobilenet_v2")
    return "converted"


def archive(content: bytes, source: Path, made: Path) -> str:
    """A zip of pictures to train on."""
    from cvhub.training.archive import MOST_MEGABYTES, unpack

    lay_out({"pictures.zip": content}, source)
    counts = unpack(source / "pictures.zip", made)
    assert all(not path.is_symlink() for path in made.rglob("*"))
    assert sum(path.stat().st_size for path in made.rglob("*")) <= MOST_MEGABYTES * 1e6
    return f"unpacked {counts}"


def look(files: Files, source: Path, made: Path) -> str:
    """As the Hub tab shows a repo, whose small files are fetched."""
    from cvhub.look import look_into
    from cvhub.ui.hub import browse_readout as readout
    from cvhub.ui.strings import speaker

    lay_out(files, source)
    seen, say = look_into(source, "someone/net"), speaker("en")
    return readout.model_head(seen, "en", say) + readout.model_parts(seen, say) + readout.card_text(seen.card)


WAYS = {"look": look, "ask": ask, "convert": convert, "upload": upload, "file": file, "archive": archive}


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guard]:
    place = tmp_path_factory.mktemp("outer") / "place"
    (place.parent / "secret").write_text(SECRET)
    made = Guard(answer, place)
    yield made
    made.close()


@pytest.fixture(scope="module")
def whole() -> dict[str, Files]:
    return folders()


@pytest.mark.parametrize("way", ["ask", "convert", "upload"])
def test_a_damaged_checkpoint_answers_or_is_refused(way: str, guard: Guard, whole: dict[str, Files]) -> None:
    @fuzzed(few=40, whole=250)
    @given(checkpoints(whole))
    def check(files: Files) -> None:
        guard.ask((way, files))

    check()


def test_a_hostile_card_is_shown_or_left_out(guard: Guard, whole: dict[str, Files]) -> None:
    files = whole["ours resnet"]
    assert "<dd>mit</dd>" in guard.ask(("look", files | {"README.md": b"---\nlicense: mit\n---\n# Net\n"}))

    @fuzzed(few=60, whole=700)
    @given(cards())
    def check(card: bytes) -> None:
        assert "someone/net" in guard.ask(("look", files | {"README.md": card}))

    check()


HUGE = (10**4, 10**6, 10**9, 10**12)


@pytest.mark.parametrize("family", ["resnet", "vit", "swin", "mobilenet_v2", "unet"])
def test_a_config_that_asks_for_terabytes_is_refused(family: str, guard: Guard, whole: dict[str, Files]) -> None:
    """Each of its numbers, and of the numbers in its lists, is enormous."""
    files = whole[f"ours {family}"]
    for name in ("config.json", "preprocessor_config.json"):
        content = files[name]
        assert isinstance(content, bytes)
        fields = json.loads(content)
        for field, value in fields.items():
            for number in HUGE if WHOLE else HUGE[1:3]:
                larger = [number] * len(value) if isinstance(value, list) else number
                if isinstance(value, int | list) and not isinstance(value, bool):
                    guard.ask(("ask", files | {name: json.dumps(fields | {field: larger}).encode()}))


def test_whole_checkpoints_answer(guard: Guard, whole: dict[str, Files]) -> None:
    for name, files in whole.items():
        assert guard.ask(("ask", files)) == "answered", name
        assert guard.ask(("convert", files)) == "converted", name


def test_a_damaged_file_of_weights_is_converted_or_refused(guard: Guard) -> None:
    files = weight_files()
    assert guard.ask(("file", ("a.pth", files["a.pth"]))) == "converted"
    assert "could run code: refused" in guard.ask(("file", ("c.pth", files["c.pth"])))
    assert "could run code: refused" in guard.ask(("file", ("d.pth", files["d.pth"])))

    @fuzzed(few=30, whole=150)
    @given(st.sampled_from(sorted(files)).flatmap(lambda name: st.tuples(st.just(name), damaged([files[name]]))))
    def check(named: tuple[str, bytes]) -> None:
        guard.ask(("file", named))

    check()


@pytest.mark.parametrize(
    "claim",
    [
        {"dtype": "F32", "shape": [1 << 20, 1 << 20], "data_offsets": [0, 1 << 42]},
        {"dtype": "F32", "shape": [-1, 4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]},
        {"dtype": "F32", "shape": [1 << 63, 2], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [1] * 5000, "data_offsets": [0, 4]},
        {"dtype": "F4096", "shape": [4], "data_offsets": [0, 16]},
    ],
)
def test_a_tensor_that_claims_what_is_not_there_is_refused(claim: Any, guard: Guard) -> None:
    header, content = split(weight_files()["a.safetensors"])
    first = min((name for name in header if name != "__metadata__"), key=lambda n: header[n]["data_offsets"][0])
    said = guard.ask(("file", ("a.safetensors", repacked(header | {first: claim}, content))))
    assert said.endswith(".")
    assert said != "converted"


NAMES = ["a/1.png", "../../1.png", "/etc/1.png", "a/../../b/1.png", "C:\\b\\1.png", "a/\0/1.png", "a/.ssh/1.png", "a"]
NAMES += ["y" * 300 + "/1.png", "a/" + "x" * 300 + ".png", "./a/1.png", "a//1.png", "a/猫/1.png", "~/1.png", "a/1.zip"]


@st.composite
def zips(draw: st.DrawFn) -> bytes:
    """An archive with odd names, links and archives within it, damaged or not."""
    made = io.BytesIO()
    picture = (SAMPLES / "thumbnails" / "fish.jpg").read_bytes()
    with zipfile.ZipFile(made, "w", draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))) as archive:
        for number in range(draw(st.integers(0, 12))):
            archive.writestr(f"{'ab'[number % 2]}/{number}.jpg", picture)
        for name in draw(st.lists(st.sampled_from(NAMES), max_size=5)):
            info = zipfile.ZipInfo(name)
            if draw(st.booleans()):
                info.external_attr = 0o120777 << 16  # a symbolic link, to what its content says
            archive.writestr(info, draw(st.sampled_from((picture, b"../../secret", b"\0" * 10**6))))
    content = made.getvalue()
    return draw(st.one_of(st.just(content), damaged([content])))


def test_an_archive_of_pictures_is_unpacked_or_refused(guard: Guard) -> None:
    @fuzzed(few=60, whole=200)
    @given(zips())
    def check(content: bytes) -> None:
        guard.ask(("archive", content))

    check()
