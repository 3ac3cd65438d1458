"""How the page is served: what Gradio does for each question is kept small, and visitors wait in one line."""

import platform
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client

from cvhub.inference import passes
from cvhub.ui import app, memory, sessions


def count(known: int, step: float) -> tuple[int, str]:
    return known + int(step), f"{known + int(step)} now"


def echo(number: int) -> int:
    return number


@pytest.fixture
def counter() -> gr.Blocks:
    """A page that remembers a number of each visit."""
    with gr.Blocks(analytics_enabled=False) as page:
        known, step, said = gr.State(0), gr.Number(), gr.Textbox()
        gr.Button().click(count, [known, step], [known, said], api_name="count")
    return page


@contextmanager
def served(page: gr.Blocks, **settings: Any) -> Iterator[str]:
    page.launch(prevent_thread_lock=True, quiet=True, **settings)
    try:
        sessions.keep_light(page)
        yield str(page.local_url)
    finally:
        page.close()


def test_a_new_state_describes_nothing_and_what_changes_is_described(counter: gr.Blocks):
    state = sessions.LightState(counter)
    assert list(state.components) == []
    textbox = next(key for key, block in counter.blocks.items() if isinstance(block, gr.Textbox))
    state._update_value_in_config(textbox, "7 now")
    (described,) = state.components
    assert (described["id"], described["props"]["value"]) == (textbox, "7 now")


def test_visits_remember_what_is_theirs(counter: gr.Blocks):
    with served(counter) as url:
        one, other = Client(url, verbose=False), Client(url, verbose=False)
        assert [one.predict(2, api_name="/count"), one.predict(3, api_name="/count")] == ["2 now", "5 now"]
        assert other.predict(1, api_name="/count") == "1 now"


def test_the_oldest_visit_leaves_when_there_are_too_many(counter: gr.Blocks):
    counter.state_session_capacity = 2
    states = sessions.LightStates()
    states.set_blocks(counter)
    first, _, _ = (states[name] for name in ("a", "b", "c"))
    assert list(states.session_data) == ["b", "c"]
    assert states["a"] is not first


@pytest.fixture
def forgotten() -> list[int]:
    return []


@pytest.fixture
def forgetful(forgotten: list[int]) -> gr.Blocks:
    """A page of two visits whose numbers are told when they leave, and an endpoint that keeps nothing."""
    with gr.Blocks(analytics_enabled=False) as page:
        known, step, said = gr.State(0, delete_callback=forgotten.append), gr.Number(), gr.Textbox()
        gr.Button().click(count, [known, step], [known, said], api_name="count")
        gr.api(echo, api_name="echo")
    return page


def test_a_visit_outlasts_questions_that_keep_nothing(forgetful: gr.Blocks, forgotten: list[int]):
    with served(forgetful, state_session_capacity=2) as url:
        visit = Client(url, verbose=False)
        assert visit.predict(2, api_name="/count") == "2 now"
        for number in range(5):
            assert Client(url, verbose=False).predict(number, api_name="/echo") == number
        assert visit.predict(3, api_name="/count") == "5 now"
        assert forgotten == []
        for number in (7, 8):
            Client(url, verbose=False).predict(number, api_name="/count")
        assert forgotten == [5]
        assert visit.predict(1, api_name="/count") == "1 now"


def test_what_can_not_be_forgotten_disturbs_nobody(counter: gr.Blocks, caplog: pytest.LogCaptureFixture):
    counter.state_session_capacity = 1
    states = sessions.LightStates()
    states.set_blocks(counter)
    key, block = next((key, block) for key, block in counter.blocks.items() if isinstance(block, gr.State))
    block.delete_callback = lambda value: 1 / value
    states["a"][key] = 0
    assert states["b"][key] == 0
    assert list(states.session_data) == ["b"]
    assert "ZeroDivisionError" in caplog.text


def test_a_visit_that_left_leaves_no_questions_behind(counter: gr.Blocks):
    with served(counter, state_session_capacity=2) as url:
        for _ in range(5):
            assert Client(url, verbose=False).predict(1, api_name="/count") == "1 now"
        queue = counter._queue
        assert len(queue.pending_event_ids_session) == len(queue.pending_messages_per_session) <= 3


def test_no_table_of_past_questions_is_kept():
    queue = app.build()._queue
    assert queue.ANALYTICS_MAX_EVENTS == 1
    queue.events_recorded = 10**6
    assert queue.compute_analytics_summary([{"function": "a", "status": "success", "process_time": 1}]) == {
        "functions": {}
    }


def test_questions_about_one_picture_wait_in_one_line():
    functions = {fn.api_name: fn for fn in app.build().fns.values()}
    asked = [functions[name] for name in ("classify", "answer", "segment", "zero_shot")]
    assert {fn.concurrency_id for fn in asked} == {"answers"}
    assert functions["caption"].concurrency_id != "answers"


def test_what_nobody_asked_for_is_made_ready_when_nobody_asks(monkeypatch: pytest.MonkeyPatch):
    done: list[str] = []
    idle = iter([0.0, 0.1, 0.7, 0.7, 0.2, 0.9])  # seconds since a question, each time it is looked at
    monkeypatch.setattr(app, "DEFAULT_MODELS", ())
    for tab in (app.explore, app.segment, app.distill, app.words):
        monkeypatch.setattr(tab, "to_warm_up", lambda: [])
    pieces = [lambda: done.append("first"), lambda: done.append("second"), lambda: done.append("third")]
    monkeypatch.setattr(app.explore, "to_warm_up", lambda: pieces)
    monkeypatch.setattr(app.time, "sleep", lambda seconds: done.append("wait"))
    monkeypatch.setattr(passes, "seconds_idle", lambda: next(idle))
    app.warm_up()
    assert done == ["wait", "wait", "first", "second", "wait", "third"]


def test_seconds_idle_count_from_the_last_question(monkeypatch: pytest.MonkeyPatch):
    class Echo:
        def run(self, inputs):
            return {"logits": inputs}

    clock = 100.0
    monkeypatch.setattr(passes, "now", lambda: clock)
    passes.Passes(cast(Any, Echo())).run(np.zeros((1, 2), np.float32))
    clock = 103.5
    assert passes.seconds_idle() == 3.5


def heaps(first: str) -> int:
    """How many glibc makes for eight threads of a process that runs `first`."""
    code = f"""
import ctypes, threading
from cvhub.ui import memory
{first}
libc = ctypes.CDLL(None)
libc.fdopen.restype = libc.malloc.restype = ctypes.c_void_p
meeting = threading.Barrier(8)
def work():
    meeting.wait()
    libc.malloc(1000)
    meeting.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
stdout = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stdout)
libc.fflush(stdout)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc makes a heap a thread")
def test_threads_share_heaps() -> None:
    assert heaps("memory.share_heaps()") <= memory.ARENAS < heaps("")


@pytest.mark.parametrize(("name", "port"), [("127.0.0.1", 0), ("nowhere.invalid", 7860)])
def test_where_nothing_can_listen_is_one_sentence(name: str, port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        problem = app.problem_of(name, port or taken.getsockname()[1])
    assert problem.startswith(f"cvhub: the page can't listen on {name}:")
    assert problem.endswith("GRADIO_SERVER_NAME and GRADIO_SERVER_PORT name another place.")
    assert app.problem_of("127.0.0.1", 0) == ""
