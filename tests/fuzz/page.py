"""The page in a watched process of its own, and a client that posts whatever it likes to it and waits for the end."""

import json
import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.fuzz.guard import LONGEST, megabytes, place_environment
from tests.fuzz.stopwatch import Stopwatch
from tests.fuzz.watch import watch

PATIENCE = 120.0  # seconds by the clock: others may keep the machine busy
JOB = "cvhub.training.job_task"  # the one program that the page may start
MODEL, WORDS, WRITER = "eurosat_resnet", "drawings_clip", "drawings_blip"  # small, and bundled
PICTURE = Path(__file__).parents[2] / "cvhub" / "ui" / "samples" / "tile.jpg"


class WatchedPage:
    """`config` is what browsers are told; `post` asks; `said` is what the last event ended with, JSON as a text.

    Fails where the page dies, hangs or does what it may not.
    """

    def __init__(self, place: Path):
        self._pipe, theirs = multiprocessing.get_context("spawn").Pipe()
        with place_environment(place):
            self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, place))
            self._process.start()
        assert self._pipe.poll(300), "the page did not start"
        self._client = _client(self._pipe.recv())
        self.config: dict[str, Any] = self._client.get("config").json()
        self._visits = 0
        self.said = ""

    def close(self) -> None:
        self._client.close()
        self._process.kill()
        self._process.join()

    def upload(self, file: Path) -> dict[str, Any]:
        """The file as a component's value."""
        with file.open("rb") as opened:
            (path,) = self._client.post("gradio_api/upload", files={"files": (file.name, opened)}).json()
        return {"path": path, "meta": {"_type": "gradio.FileData"}}

    def post(self, path: str, body: bytes) -> httpx.Response:
        """Any body to any address; the page answers in time, and not with what its own code looks like."""
        with self._watched():
            kind = {"Content-Type": "application/json"}
            response = self._client.post(f"gradio_api/{path}", content=body, headers=kind)
        assert "Traceback" not in response.text, response.text
        return response

    def visit(self) -> str:
        """A visit that remembers nothing yet."""
        self._visits += 1
        return f"visit{self._visits}"

    def ask(self, index: int, data: Any, visit: str = "") -> list[str]:
        """What becomes of an event with this data: the messages until its end, or the status that refuses it."""
        session = visit or self.visit()
        body = {"data": data, "fn_index": index, "session_hash": session}
        response = self.post("queue/join", json.dumps(body).encode())
        if response.status_code != 200:
            return [f"status {response.status_code}"]
        with self._watched():
            return self._events(session)

    def _events(self, session: str) -> list[str]:
        messages: list[str] = []
        deadline = threading.Timer(PATIENCE, self._client.close)  # a heartbeat would keep a read from timing out
        deadline.start()
        try:
            with self._client.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as stream:
                for line in stream.iter_lines():
                    if line.startswith("data:"):
                        self.said = line[5:]
                        messages.append(json.loads(self.said)["msg"])
                    if messages and messages[-1] in ("process_completed", "close_stream"):
                        return messages
        except (httpx.HTTPError, RuntimeError) as error:
            raise AssertionError(f"the event did not end within {PATIENCE:g} seconds: {messages}") from error
        finally:
            deadline.cancel()
            if self._client.is_closed:
                self._client = _client(str(self._client.base_url))
        raise AssertionError(f"the stream broke off: {messages}")

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Fails where the page dies, works too long, or does what it may not."""
        assert self._process.pid
        stopwatch = Stopwatch(self._process.pid)
        yield
        assert self._process.is_alive(), f"the page died, exit code {self._process.exitcode}"
        worked, held = stopwatch.worked(), stopwatch.held()
        assert worked <= LONGEST, f"the page worked for {worked:.0f} seconds"
        assert held <= LONGEST, f"the page let wait for {held:.0f} seconds"
        self._pipe.send("seen")
        seen = [what for what in self._pipe.recv() if JOB not in what]
        assert not seen, f"the page did what it may not: {seen}"

    def megabytes(self) -> int:
        """The most memory that the page has taken."""
        self._pipe.send("memory")
        return self._pipe.recv()


def _client(address: str) -> httpx.Client:
    """Each request has a connection of its own: the page closes those on which an answer failed."""
    return httpx.Client(base_url=address, timeout=PATIENCE, headers={"Connection": "close"})


def _serve(pipe: Any, place: Path) -> None:
    os.chdir(place)
    os.environ["GRADIO_TEMP_DIR"] = str(place / "gradio")
    from tests.browser import served

    with served() as address:
        from cvhub.ui import answering
        from cvhub.ui.strings import speaker
        from cvhub.ui.words import nets

        # What is asked first takes long by right, and imports what may start programs, such as the linker's list of
        # libraries.
        answering.load(MODEL)
        nets.contrastive(WORDS, speaker("en"))
        nets.captioner(WRITER, speaker("en"))
        seen = watch(place)
        pipe.send(address)
        while True:
            if pipe.recv() == "memory":
                pipe.send(megabytes("VmHWM"))
            else:
                pipe.send(list(seen))
                seen.clear()


def first_values(config: dict[str, Any], index: int, picture: dict[str, Any]) -> list[Any]:
    """What a browser would send with an event before anything was changed, and a picture where one goes."""
    components = {component["id"]: component for component in config["components"]}
    values = []
    for number in next(each for each in config["dependencies"] if each["id"] == index)["inputs"]:
        component = components[number]
        is_picture = component["type"] in ("image", "pictureinput")
        values.append(picture if is_picture else component["props"].get("value"))
    return values


def following(config: dict[str, Any], index: int) -> int:
    """The event that a browser sends when another has ended."""
    return next(each["id"] for each in config["dependencies"] if each["trigger_after"] == index)


def handlers(config: dict[str, Any]) -> dict[str, int]:
    """The events that Python answers, by name."""
    return {each["api_name"]: each["id"] for each in config["dependencies"] if each["backend_fn"]}
