"""Bodies that no browser sends, posted to the real page: each is answered or refused, and the page goes on."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.damage import altered, damaged, fuzzed, hostile
from tests.fuzz.page import MODEL, PICTURE, WatchedPage, first_values, following, handlers

MOST_MEGABYTES = 6000  # that the page takes after all of it

# Events that need no net, or one small one: what takes long by right would hide what hangs.
EVENTS = (
    "set_language",
    "take_sample",
    "show",
    "export_csv",
    "export_json",
    "compose_link",
    "add_checkpoint",
    "classify",
)
EVENTS += ("take_segment_sample", "show_task", "show_segments", "take_mask", "export_mask", "export_coco")
EVENTS += ("add_segmenter", "figure_stacked", "figure_depthwise", "figure_surface", "layers_csv", "architecture")
EVENTS += ("zero_shot", "search_pictures", "caption", "contrast", "describe_model", "list_models")
PATHS = ("queue/join", "call/classify", "run/compose_link", "api/architecture", "call/v2/classify", "component_server")
PATHS += ("cancel", "reset", "upload", "stream/x", "stream/x/close", "call/no_such_event", "process_recording")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedPage]:
    made = WatchedPage(tmp_path_factory.mktemp("page"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def events(page: WatchedPage) -> dict[str, list[Any]]:
    """Each event with data that a browser might send."""
    picture, known = page.upload(PICTURE), handlers(page.config)
    data = {name: first_values(page.config, known[name], picture) for name in EVENTS}
    data["classify"][1] = [MODEL]
    data |= {"describe_model": [MODEL], "list_models": ["all"]}  # which no control stands for
    return data


@pytest.mark.timeout(3600)
def test_an_event_with_hostile_data_ends(page: WatchedPage, events: dict[str, list[Any]]) -> None:
    known = handlers(page.config)
    assert page.ask(known["compose_link"], events["compose_link"])[-1] == "process_completed"

    @fuzzed(few=40, whole=700)
    @given(st.sampled_from(EVENTS).flatmap(lambda name: st.tuples(st.just(name), altered(events[name]))))
    def check(event: tuple[str, Any]) -> None:
        name, data = event
        said = page.ask(known[name], data)[-1]
        assert said in ("process_completed", "close_stream") or said.startswith("status "), said

    check()
    assert page.megabytes() < MOST_MEGABYTES


HUB_IDS = st.one_of(hostile(), st.from_regex(r"[A-Za-z0-9._-]{1,40}/[A-Za-z0-9._-]{1,40}", fullmatch=True))


@pytest.mark.timeout(3600)
def test_what_is_no_model_of_the_hub_is_a_sentence(page: WatchedPage) -> None:
    """The Hub tab: an id is typed, then looked at in the same visit. No network is there, nor reached for."""
    typed = handlers(page.config)["take_hub_id"]
    looked = following(page.config, typed)

    @fuzzed(few=15, whole=300)
    @given(HUB_IDS)
    def check(hub_id: Any) -> None:
        visit = page.visit()
        page.ask(typed, [hub_id, None, "en"], visit)
        page.ask(looked, [None, None, "all", "en"], visit)
        assert "model-title" in page.said or "summary" in page.said, page.said

    check()
    visit = page.visit()
    page.ask(typed, ["someone/net", None, "en"], visit)
    page.ask(looked, [None, None, "all", "en"], visit)
    assert "someone/net is not in the cache" in page.said


@pytest.mark.timeout(3600)
def test_a_hostile_body_is_answered(page: WatchedPage, events: dict[str, list[Any]]) -> None:
    body = {"data": events["classify"], "fn_index": 0, "session_hash": "x", "event_data": None, "trigger_id": None}
    bodies = st.one_of(
        altered(body).map(lambda value: json.dumps(value).encode()),
        hostile().map(lambda value: json.dumps(value).encode()),
        damaged([json.dumps(body).encode()]),
    )

    @fuzzed(few=40, whole=300)
    @given(st.sampled_from(PATHS), bodies)
    def check(path: str, content: bytes) -> None:
        assert page.post(path, content).status_code in range(200, 600)

    check()
    assert page.ask(handlers(page.config)["compose_link"], events["compose_link"])[-1] == "process_completed"
    assert page.megabytes() < MOST_MEGABYTES
