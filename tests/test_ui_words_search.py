"""The Words tab's view "Search": its handlers on a tiny net, its limits, and in Chromium what a visitor chooses."""

import re
import threading
from collections.abc import Callable, Generator, Iterator
from html import unescape
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from cvhub import catalog
from cvhub.catalog import Entry
from cvhub.evaluation.picture_rows import without_local_file
from cvhub.inference.picture_index import HIDDEN, MANIFEST, PictureIndex
from cvhub.inference.pool import default_pool
from cvhub.ui import numerals, public
from cvhub.ui.samples import DRAWINGS, sample_file
from cvhub.ui.strings import speaker, text
from cvhub.ui.words import nets, prompts, search_job, search_sources
from cvhub.ui.words import search_handlers as handlers
from cvhub.ui.words.search import source_choices
from cvhub.ui.words.search_state import SearchSession
from cvhub.ui.words.thumbnails import Thumbnails
from tests.browser import FIRST_ANSWER, NEEDS_CHROMIUM, served
from tests.test_ui_segment_page import NO_MODEL, PHONE, fits, no_violation
from tests.test_zero_shot import WORDS, save

APPLE, FISH = sample_file("apple"), sample_file("fish")
NAMES = ("a.png", "deep/b.png", "图 1.png")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Two tiny nets, which the catalogue lists as bundled while this file is tested."""
    place = tmp_path_factory.mktemp("search")
    folders = {
        "tiny_clip": save(place / "clip", text_config=WORDS | {"max_position_embeddings": 40}),
        "tiny_siglip": save(place / "siglip", loss="sigmoid", logit_bias_init_value=-3),
    }
    before = catalog.CATALOG
    rows = (
        Entry(name, name, "any", nets.CONTRASTIVE, "bundled", str(folder), "emoji", 0, 1, "apache-2.0")
        for name, folder in folders.items()
    )
    catalog.CATALOG = (*before, *rows)
    yield folders
    catalog.CATALOG = before
    for name in folders:
        default_pool().drop(name)


@pytest.fixture
def session() -> Iterator[SearchSession]:
    session = SearchSession()
    yield session
    session.forget()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three pictures, beside a damaged one and what is no picture."""
    folder = tmp_path / "photos"
    for seed, name in enumerate(NAMES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        noise(seed).save(folder / name)
    (folder / "torn.png").write_bytes((folder / "a.png").read_bytes()[:500])
    (folder / "notes.txt").write_text("no picture")
    return folder


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (32, 32, 3), np.uint8))


def uploaded(folder: Path, seeds: range) -> list[str]:
    """As Gradio keeps uploads: each in a folder of its own."""
    files = [folder / f"{seed:02}" / "photo.png" for seed in seeds]
    for seed, file in zip(seeds, files, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        noise(seed).save(file)
    return list(map(str, files))


def find(session: SearchSession, **choices: Any) -> str:
    """The last thing that the view shows."""
    asked = {
        "picture": APPLE, "source": "drawings", "by": "words", "words": "a red apple",
        "model": "tiny_clip", "top_k": 12, "language": "en",
    }  # fmt: skip
    return str(list(handlers.find_pictures(session, *(asked | choices).values()))[-1][1])


def find_in(session: SearchSession, place: Path | str, split: str = "", **choices: Any) -> str:
    """The same, in a folder or data set, once what has changed is taken up."""
    handlers.take_place(session, str(place), split)
    return find(session, source="place", **choices)


def shown(html: str) -> dict[str, str]:
    """Name → cosine of the results, in their order."""
    found = re.findall(r'<(?:img src="[^"]*" alt="([^"]*)"|span class="gone">([^<]*)<).*?cos ([−\d.]+)', html)
    return {unescape(alt or gone): cosine for alt, gone, cosine in found}


def plain(html: str) -> str:
    return unescape(re.sub(r"<[^>]*>", " ", html))


# --- Results ---------------------------------------------------------------------------------------------------------


def test_the_drawings_are_ranked_by_their_cosine(tiny: dict[str, Path], session: SearchSession) -> None:
    html = find(session)
    net = nets.contrastive("tiny_clip", speaker("en"))
    images = net.embed_images([Image.open(sample_file(sample)) for sample in DRAWINGS])
    cosines = images @ net.embed_texts(["a red apple"])[0]
    names = [text(f"words_sample_{sample}", "en") for sample in DRAWINGS]
    assert list(shown(html)) == [names[i] for i in np.argsort(-cosines)]
    assert [float(cosine.replace("−", "-")) for cosine in shown(html).values()] == pytest.approx(
        sorted(cosines, reverse=True), abs=2e-3
    )
    assert "Pictures compared: 6" in html
    assert "Pictures in it: 6 (6 added)" in html
    assert "for this visit only" in html


def test_an_emoji_is_looked_for_by_its_name(tiny: dict[str, Path], session: SearchSession) -> None:
    asked, named = find(session, words="🍎"), find(session, words="red apple")
    assert shown(asked) == shown(named)
    assert "An emoji is looked for by its name: “red apple”." in asked
    assert "by its name" not in named


def test_by_a_picture_that_picture_itself_is_nearest(tiny: dict[str, Path], session: SearchSession) -> None:
    html = find(session, by="picture", picture=FISH)
    assert next(iter(shown(html).items())) == ("Fish, a drawing", "1.000")
    assert "Nearest to your picture is Fish, a drawing" in html


def test_so_many_results_are_shown_as_wanted(tiny: dict[str, Path], session: SearchSession) -> None:
    assert len(shown(find(session, top_k=2))) == 2
    assert len(shown(find(session, top_k=10_000))) == 6
    assert "top k is -1, expected at least 1." in find(session, top_k=-1)


def test_a_clicked_result_gives_more_like_it_until_something_else_is_asked(
    tiny: dict[str, Path], session: SearchSession
) -> None:
    before = find(session)
    first, second = list(shown(before))[:2]
    handlers.pick(session, gr.EventData(None, {"label": "1"}))
    html = find(session)
    assert f"Nearest to {second} is" in html
    assert second not in shown(html)
    assert len(shown(html)) == 5
    told = find(session, language="zh", words=prompts.caption("apple", "zh"))  # nobody has typed that
    assert told.count(text("search_back", "zh")) == 1
    handlers.pick(session, gr.EventData(None, {"label": "back"}))
    assert next(iter(shown(find(session)))) == first
    handlers.pick(session, gr.EventData(None, {"label": "1"}))
    assert "“other words” is nearest" in find(session, words="other words")
    handlers.pick(session, gr.EventData(None, {"label": "999"}))
    assert "“other words” is nearest" in find(session, words="other words")


def test_markup_is_none(tiny: dict[str, Path], session: SearchSession) -> None:
    assert "<img src=x" not in find(session, words='<img src=x onerror="alert(1)">')


# --- What is searched ------------------------------------------------------------------------------------------------


def test_an_upload_is_kept_up_to_date(tiny: dict[str, Path], session: SearchSession, tmp_path: Path) -> None:
    files = uploaded(tmp_path, range(4))
    handlers.take_files(session, files[:3])
    assert "Pictures in it: 3 (3 added)" in find(session, source="upload")
    handlers.take_files(session, files[1:])
    assert "Pictures in it: 3 (2 kept, 1 added, 1 removed)" in find(session, source="upload")
    handlers.take_files(session, None)
    assert "Choose pictures on the left." in find(session, source="upload")


def test_a_vanished_and_a_changed_picture_are_told(
    tiny: dict[str, Path], session: SearchSession, tmp_path: Path
) -> None:
    files = uploaded(tmp_path, range(3))
    handlers.take_files(session, files)
    find(session, source="upload")
    Path(files[0]).unlink()
    noise(7).resize((40, 40)).save(files[1])
    html = find(session, source="upload", words="something else")
    assert html.count("no longer there") == 1
    assert html.count("changed since") == 1
    assert html.count("<img ") == 3  # as they were


def test_of_an_uploaded_folder_the_pictures_are_taken(session: SearchSession, tmp_path: Path) -> None:
    files = [*uploaded(tmp_path, range(2)), str(tmp_path / "notes.txt")]
    _, taken = handlers.take_folder(session, files)
    assert taken == session.files == files[:2]


def test_damaged_pictures_are_told_by_name(tiny: dict[str, Path], session: SearchSession, photos: Path) -> None:
    html = find_in(session, photos)
    assert set(shown(html)) == set(NAMES)
    assert "Pictures in it: 3 (3 added, 1 failed)" in html
    assert "torn.png" in plain(html)
    assert f"It stays in {photos / HIDDEN}." in html


def test_only_damaged_pictures_are_one_sentence(tiny: dict[str, Path], session: SearchSession, tmp_path: Path) -> None:
    file = tmp_path / "00" / "torn.png"
    file.parent.mkdir()
    file.write_bytes(b"\x89PNG")
    handlers.take_files(session, [str(file)])
    assert "None of the pictures could be read." in find(session, source="upload")


def test_a_folder_is_reloaded_and_brought_up_to_date(
    tiny: dict[str, Path], session: SearchSession, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_in(SearchSession(), photos)
    assert (photos / HIDDEN / MANIFEST).is_file()
    net = nets.contrastive("tiny_clip", speaker("en"))
    with monkeypatch.context() as patch:
        patch.setattr(net.image_runtime, "run", lambda inputs: pytest.fail("the pictures are known"))
        (photos / "torn.png").unlink()
        assert "Pictures in it: 3 (3 kept)" in find_in(session, photos)
    noise(5).save(photos / "new.png")
    (photos / "a.png").unlink()
    assert "a.png" in shown(find(session, source="place"))  # nothing is read again while one types
    html = find_in(session, photos)
    assert "Pictures in it: 3 (2 kept, 1 added, 1 removed)" in html


def test_an_index_of_another_net_is_left_alone(tiny: dict[str, Path], session: SearchSession, photos: Path) -> None:
    find_in(SearchSession(), photos)
    html = find_in(session, photos, model="tiny_siglip")
    assert "was made by tiny_clip, not by tiny_siglip" in plain(html)
    assert "for this visit only" in html
    assert set(shown(html)) == set(NAMES)
    assert PictureIndex.load(photos / HIDDEN).model == "tiny_clip"


def test_a_damaged_index_is_told_and_not_needed(tiny: dict[str, Path], session: SearchSession, photos: Path) -> None:
    (photos / HIDDEN).mkdir()
    (photos / HIDDEN / MANIFEST).write_text("{")
    html = find_in(session, photos, language="zh")
    assert "索引已损坏" in html
    assert set(shown(html)) == set(NAMES)


def test_where_nothing_can_be_written_the_visit_has_an_index(
    tiny: dict[str, Path], session: SearchSession, photos: Path
) -> None:
    (photos / HIDDEN).touch()  # in the way of the folder
    html = find_in(session, photos)
    assert "The index can't be written into" in unescape(html)
    assert set(shown(html)) == set(NAMES)


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """A data set of three pictures."""
    import datasets

    contents = []
    for seed in range(3):
        file = BytesIO()
        noise(seed).save(file, "PNG")
        contents.append({"bytes": file.getvalue(), "path": None})
    features = datasets.Features({"image": datasets.Image()})
    table = datasets.Dataset.from_dict({"image": contents}, features=features)
    (tmp_path / "pets").mkdir()
    table.to_parquet(tmp_path / "pets" / "test.parquet")
    return tmp_path / "pets"


def test_rows_of_a_data_set_are_found(tiny: dict[str, Path], session: SearchSession, pets: Path) -> None:
    html = find_in(session, pets)
    assert set(shown(html)) == {"row 0", "row 1", "row 2"}
    assert html.count("<img ") == 3
    html = find_in(session, pets, split="train")
    assert "has no split 'train', only test." in unescape(html)


def test_thumbnails_of_the_hubs_rows_are_kept_in_passing(pets: Path, tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path / "small")
    for picture in search_sources.RememberedRows(str(pets), None, thumbnails):
        with picture.open():
            assert thumbnails.find(picture.entry, lambda: pytest.fail("it is known")).startswith("data:image/jpeg")


def test_a_row_of_the_hub_reads_no_file_of_this_machine() -> None:
    assert without_local_file({"bytes": None, "path": "/etc/passwd"}) is None
    assert without_local_file({"bytes": b"x", "path": "a.png"}) is not None
    assert without_local_file({"bytes": None, "path": "hf://datasets/owner/name/a.png"}) is not None


@pytest.mark.parametrize(
    ("seconds", "told"), [(0.0421, "42.1 ms"), (3.52, "3.5 s"), (59.96, "1 min 0 s"), (125, "2 min 5 s")]
)
def test_durations_have_a_sensible_unit(seconds: float, told: str) -> None:
    assert numerals.duration(seconds) == told


def test_a_thumbnail_is_made_once_and_a_lost_picture_has_none(tmp_path: Path) -> None:
    thumbnails = Thumbnails(tmp_path / "small")
    uri = thumbnails.keep(("a", 1), noise(0))
    assert thumbnails.find(("a", 1), lambda: pytest.fail("it is known")) == uri
    assert thumbnails.find(("b", 1), lambda: search_job.decoded(tmp_path / "b.png")) == ""


# --- What strangers may not ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value"), [("SYSTEM", "spaces"), ("GRADIO_SERVER_NAME", "0.0.0.0"), ("GRADIO_SHARE", "True")]
)
def test_a_public_page_reads_no_folder(
    variable: str, value: str, tiny: dict[str, Path], session: SearchSession, photos: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    assert not public.is_public()
    monkeypatch.setenv(variable, value)
    monkeypatch.chdir(photos.parent)
    (photos / "sub").mkdir()
    for place in (str(photos), "photos", "~", "/etc", "photos/sub", "../etc"):
        assert "it reads no folder of its machine" in find_in(session, place)
    assert not (photos / HIDDEN).exists()
    with pytest.raises(gr.Error, match="reads no folder"):
        handlers.search_pictures(None, "place", str(photos), "", "words", "a", None, "tiny_clip", 3)


def test_a_public_page_offers_data_sets_of_no_more_than_so_many(
    tiny: dict[str, Path], session: SearchSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [title for title, _ in source_choices(speaker("en"))][-1] == "a folder or data set"
    monkeypatch.setenv("SYSTEM", "spaces")
    assert [title for title, _ in source_choices(speaker("en"))][-1] == "a data set"
    monkeypatch.setattr(search_job, "MOST_PICTURES", 2)
    assert "more than 2 pictures" in find(session)  # the drawings stand for rows here


def test_an_upload_has_limits(
    tiny: dict[str, Path], session: SearchSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers.take_files(session, uploaded(tmp_path, range(3)))
    monkeypatch.setattr(search_sources, "MOST_MEGAPIXELS", 0.003)
    assert "megapixels together, the limit here is 0.003" in find(session, source="upload")
    monkeypatch.setattr(search_sources, "MOST_PICTURES", 2)
    assert "more than 2 pictures" in find(session, source="upload")


# --- What can't be answered ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"words": " "}, "The text to look for is empty."),
        ({"words": "word " * 10_000}, "has 10,002 tokens, this model reads 40 at most"),
        ({"by": "picture", "picture": None}, "No picture yet."),
        ({"by": "smell"}, "by is 'smell', expected one of words, picture."),
        ({"source": "attic"}, "source is 'attic', expected one of drawings, upload, place."),
        ({"place": ""}, "Type a folder of this machine or a data set of the Hub"),
        ({"place": "/no/such/folder"}, "neither a folder of this machine nor a Hub id"),
        ({"place": "x" * 100_000}, "neither a folder of this machine nor a Hub id"),
        ({"place": "owner/name"}, "can't be read as a data set"),
        ({"model": None}, "No net for this comes with this version"),
        ({"model": "/etc"}, "neither a model of the list nor a Hub id"),
        ({"model": "clip_vit_b32"}, "HF_HUB_OFFLINE"),
    ],
)
def test_what_can_not_be_answered_is_one_sentence(
    choices: dict[str, Any], sentence: str, tiny: dict[str, Path], session: SearchSession, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    html = find_in(session, **choices) if "place" in choices else find(session, **choices)
    assert sentence in unescape(html)
    assert html.count('role="status"') == 1
    assert len(plain(html)) < 400


def test_an_empty_folder_is_one_sentence(tiny: dict[str, Path], session: SearchSession, tmp_path: Path) -> None:
    assert "holds no pictures" in find_in(session, tmp_path)


def test_errors_are_told_in_chinese(tiny: dict[str, Path], session: SearchSession) -> None:
    assert "要查找的文本为空。" in find(session, words="", language="zh")
    assert "不在缓存中" in find(session, model="clip_vit_b32", language="zh")


# --- While it is indexed ---------------------------------------------------------------------------------------------


@pytest.fixture
def gate(tiny: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Opens what the image tower waits for."""
    gate = threading.Event()
    net = nets.contrastive("tiny_clip", speaker("en"))
    run = net.image_runtime.run
    monkeypatch.setattr(net.image_runtime, "run", lambda inputs: run(inputs) if gate.wait(20) else None)
    return gate


ASKED = (APPLE, "drawings", "words", "a red apple", "tiny_clip", 12, "en")


def test_it_is_told_how_far_the_index_is(gate: threading.Event, session: SearchSession) -> None:
    session.model = "tiny_clip"
    views = handlers.find_pictures(session, *ASKED)
    assert "Opening the pictures" in next(views)[1]
    assert session.job is not None
    session.job.done, session.job.total = 2, 6
    assert "Indexing: 2 of 6 pictures." in next(views)[1]
    session.job.total = None
    assert "Indexing: 2 pictures so far." in next(views)[1]
    gate.set()
    assert "Pictures compared: 6" in list(views)[-1][1]


def test_a_newer_question_goes_on_with_the_same_index(gate: threading.Event, session: SearchSession) -> None:
    session.model = "tiny_clip"
    older = handlers.find_pictures(session, *ASKED)
    next(older)
    job = session.job
    newer = handlers.find_pictures(session, *ASKED)
    next(newer)
    assert list(older) == []
    assert session.job is job
    gate.set()
    assert "Pictures compared: 6" in list(newer)[-1][1]


def test_another_source_and_a_visitor_who_leaves_end_an_index(
    gate: threading.Event, session: SearchSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cvhub.ui.words.search_state.STOPPING", 0.1)
    session.model = "tiny_clip"
    older = handlers.find_pictures(session, *ASKED)
    next(older)
    first = session.job
    session.files = [APPLE, FISH]
    newer = handlers.find_pictures(session, APPLE, "upload", *ASKED[2:])
    next(newer)
    assert first is not None
    assert first.stopped
    assert isinstance(newer, Generator)
    newer.close()
    assert session.job is not first
    assert session.job is not None
    assert session.job.stopped
    gate.set()
    assert list(older) == []
    assert "Pictures compared: 2" in find(session, source="upload")


def test_the_visits_folder_goes_with_it(tiny: dict[str, Path]) -> None:
    session = SearchSession()
    find(session)
    folder = session.folder
    assert folder is not None
    assert list(folder.glob(f"*/{MANIFEST}"))
    session.forget()
    assert not folder.exists()


def test_programs_get_names_scores_and_failures(tiny: dict[str, Path], photos: Path) -> None:
    said = handlers.search_pictures(None, "place", str(photos), "", "words", "a thing", None, "tiny_clip", 2)
    assert said["pictures"] == 3
    assert [failed["name"] for failed in said["failed"]] == ["torn.png"]
    assert len(said["results"]) == 2
    assert said["results"][0]["score"] >= said["results"][1]["score"]
    with pytest.raises(gr.Error, match="is empty"):
        handlers.search_pictures(None, "drawings", "", "", "words", "", None, "tiny_clip", 2)


# --- In Chromium -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tiny: dict[str, Path]) -> Iterator[str]:
    for name in tiny:
        default_pool().get(name)  # converted before a page waits for it
    with served() as address:
        yield address


@pytest.fixture
def search_view(open_page: Callable[..., Any]) -> Callable[..., Any]:
    """Opens the view, answered."""

    def search_view(language: str = "en", **options: Any) -> Any:
        page = open_page(f"{NO_MODEL}&lang={language}", wait=False, **options)
        page.get_by_role("tab", name=text("tab_words", language), exact=True).click()
        page.get_by_role("tab", name=text("part_search", language), exact=True).click()
        page.locator("#search-view .hit").first.wait_for(timeout=FIRST_ANSWER)
        return page

    return search_view


@pytest.mark.browser
class TestInChromium:
    pytestmark = NEEDS_CHROMIUM

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_axe_finds_no_violation(self, scheme: str, search_view, photos: Path) -> None:
        page = search_view(color_scheme=scheme)
        page.wait_for_timeout(500)
        no_violation(page)
        page.locator("#search-source label").last.click()
        page.locator("#search-place textarea, #search-place input").fill(str(photos))
        page.get_by_role("button", name=text("search_update", "en")).click()
        expect(page.locator("#search-view .failed b")).to_have_text("torn.png", timeout=FIRST_ANSWER)
        page.wait_for_timeout(500)
        no_violation(page)

    def test_words_a_picture_and_a_result_are_looked_for(self, search_view) -> None:
        page = search_view()
        expect(page.locator("#search-view .hit")).to_have_count(6)
        page.locator("#search-words textarea").fill("something blue")
        expect(page.locator("#search-view .summary")).to_contain_text("“something blue” is nearest to")
        page.locator("#search-view .hit").nth(1).focus()
        name = page.locator("#search-view .hit img").nth(1).get_attribute("alt")
        page.keyboard.press("Enter")
        expect(page.locator("#search-view .summary")).to_contain_text(f"Nearest to {name} is")
        expect(page.locator("#search-view .hit")).to_have_count(5)
        page.locator("#search-view .back").click()
        expect(page.locator("#search-view .summary")).to_contain_text("“something blue” is nearest to")
        page.locator("#search-by label").last.click()
        expect(page.locator("#search-words")).to_be_hidden()
        page.locator("#search-samples label").nth(3).click()
        expect(page.locator("#search-view .summary")).to_contain_text("Nearest to your picture is Sun, a drawing")
        page.locator("#search-by label").first.click()
        page.locator("#search-words textarea").fill("")
        expect(page.locator("#search-view .summary")).to_have_text("The text to look for is empty.")

    def test_uploads_are_searched(self, search_view, photos: Path) -> None:
        page = search_view()
        page.locator("#search-source label").nth(1).click()
        expect(page.locator("#search-view .summary")).to_have_text("Choose pictures on the left.")
        files = [str(photos / name) for name in ("a.png", "torn.png", "图 1.png")]
        page.locator("#search-files input[type=file]").set_input_files(files)
        expect(page.locator("#search-view .hit")).to_have_count(2, timeout=FIRST_ANSWER)
        expect(page.locator("#search-view .failed b")).to_have_text("torn.png")
        page.locator("#search-files").get_by_role("button", name="Remove this file").first.click()
        expect(page.locator("#search-view .losses")).to_contain_text("Pictures in it: 1 (1 kept, 1 removed, 1 failed)")

    def test_a_whole_folder_is_uploaded(self, search_view, photos: Path) -> None:
        page = search_view()
        page.locator("#search-source label").nth(1).click()
        page.locator("input[webkitdirectory]").set_input_files(str(photos))
        expect(page.locator("#search-view .hit")).to_have_count(3, timeout=FIRST_ANSWER)
        expect(page.locator("#search-files")).not_to_contain_text("notes")

    def test_it_fits_a_phone_in_chinese(self, search_view) -> None:
        page = search_view("zh", **PHONE)
        expect(page.locator("#search-words textarea")).to_have_value(prompts.caption("apple", "zh"))
        expect(page.locator("#search-view .summary")).to_contain_text("最接近的是")
        fits(page)
        for source in (1, 2):
            page.locator("#search-source label").nth(source).click()
            expect(page.locator("#search-view .summary")).to_contain_text("请在左侧", timeout=FIRST_ANSWER)
            fits(page)
