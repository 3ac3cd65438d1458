"""What strangers are refused: other visitors' files, runs and answers, the machine's own, and requests in its name."""

import contextlib
import hashlib
import http.server
import json
import logging
import re
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from cvhub.errors import CvhubError
from cvhub.hub.download import download
from cvhub.ui import app, protection
from cvhub.ui.distill.handlers import jobs
from cvhub.ui.protection import HEADERS, MAX_BODY
from tests.browser import NEEDS_CHROMIUM, SAMPLES, served
from tests.loopback_hub import LoopbackHub, hub_fixture  # noqa: F401 (a fixture)

MODEL = "eurosat_resnet"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """Of a page whose uploads are small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "MAX_UPLOAD", "200kb")
        with served() as address, httpx.Client(base_url=address, timeout=60) as client:
            yield client


def upload(client: httpx.Client, content: bytes, name: str = "mine.jpg") -> str:
    response = client.post("gradio_api/upload", files={"files": (name, content)})
    assert response.status_code == 200
    return response.json()[0]


def streamed(client: httpx.Client, path: str) -> str:
    """What comes until the connection ends or breaks."""
    text = ""
    with contextlib.suppress(httpx.RemoteProtocolError), client.stream("GET", path) as stream:
        for piece in stream.iter_text():
            text += piece
    return text


def file_data(path: str) -> dict[str, Any]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def ask(client: httpx.Client, api_name: str, data: list[Any], session: str) -> list[dict[str, Any]]:
    """The messages of an event of a session."""
    config = client.get("config").json()
    index = next(each["id"] for each in config["dependencies"] if each["api_name"] == api_name)
    body = {"data": data, "fn_index": index, "session_hash": session}
    assert client.post("gradio_api/queue/join", json=body).status_code == 200
    messages = []
    with client.stream("GET", "gradio_api/queue/data", params={"session_hash": session}) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                messages.append(json.loads(line[5:]))
                if messages[-1]["msg"] == "process_completed":
                    return messages
    raise AssertionError(messages)


# --- Headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "config", "gradio_api/info", "theme.css", "no-such-page", "gradio_api/file=/etc"])
def test_every_answer_says_how_it_may_be_used(path: str, client: httpx.Client) -> None:
    answered = client.get(path).headers
    assert {name: answered.get(name) for name in HEADERS} == HEADERS
    assert "frame-ancestors 'self' https://huggingface.co" in answered["Content-Security-Policy"]


@pytest.mark.browser
@NEEDS_CHROMIUM[1]
def test_the_page_needs_nothing_that_the_policy_forbids(server: str, browser: Any) -> None:
    """In each tab, with a picture and a heat map drawn."""
    page, said = browser.new_page(), []
    page.on("console", lambda message: said.append(message.text))
    page.on("requestfailed", lambda request: said.append(f"failed: {request.url}"))
    page.goto(server)
    page.locator("#losses table").wait_for(timeout=90_000)
    for tab in page.get_by_role("tab").all()[: len(app.TABS)]:
        tab.click()
        page.wait_for_timeout(500)
    page.close()
    assert not [
        text for text in said if re.search("Content.Security.Policy|violates|^failed: (?!.*/gradio_api/)", text)
    ]


# --- Other people's files --------------------------------------------------------------------------------------------


def test_an_upload_is_found_only_by_who_was_told_where_it_is(client: httpx.Client) -> None:
    content = (SAMPLES / "fish.jpg").read_bytes()
    path = Path(upload(client, content))
    assert client.get(f"gradio_api/file={path}").content == content
    guessed = path.parents[1] / hashlib.sha256(content).hexdigest() / path.name
    for other in (guessed, path.parent, path.parents[1], path.with_name("other.jpg")):
        assert client.get(f"gradio_api/file={other}").status_code == 403


@pytest.mark.parametrize("route", ["gradio_api/file=", "gradio_api/file/", "file=", "static/", "assets/"])
def test_no_route_gives_the_machines_files(route: str, client: httpx.Client, tmp_path: Path) -> None:
    """Among them what visits keep: uploaded checkpoints, runs, packed students of others."""
    secret = "the-secret-of-another-visitor"
    job = jobs().new_folder()
    checkpoint = Path(tempfile.mkdtemp(prefix="cvhub-checkpoint-"))
    files = [tmp_path / "secret.json", job / "job.json", checkpoint / "config.json"]
    for file in files:
        file.write_text(secret)
    inside = Path(upload(client, b"x", "mine.txt")).parent
    ups = [f"{inside}/../../../../../../../../..{file}" for file in files]
    for path in [*map(str, files), *ups, "/etc/passwd", *(path.replace("/", "%2f") for path in ups)]:
        answered = client.get(route + path)
        assert answered.status_code in (400, 403, 404), path
        assert secret not in answered.text
        assert "root:" not in answered.text


def test_an_event_can_not_be_given_the_machines_files(client: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "secret.jpg").write_bytes((SAMPLES / "fish.jpg").read_bytes())
    inside = Path(upload(client, b"x", "mine.txt")).parent
    for path in (tmp_path / "secret.jpg", f"{inside}/../../../../../../..{tmp_path}/secret.jpg"):
        said = ask(client, "classify", [file_data(str(path)), [MODEL], 1.0, 5], "thief")[-1]
        assert not said["success"]
        assert "predictions" not in json.dumps(said)


# --- Other people's answers and runs ---------------------------------------------------------------------------------


def test_answers_belong_to_their_session(client: httpx.Client) -> None:
    picture = file_data(upload(client, (SAMPLES / "tile.jpg").read_bytes()))
    choices = [1.0, "", "", 0.1, "en"]
    ask(client, "answer", [None, picture, [MODEL], "torch", "fp32", *choices, 0], "ann")
    ours, theirs = (ask(client, "export_json", [None, *choices], session)[-1] for session in ("ann", "bob"))
    assert MODEL in json.dumps(ours)
    assert MODEL not in json.dumps(theirs)


def test_events_of_others_are_not_streamed(client: httpx.Client) -> None:
    body = {"data": [file_data("x"), [MODEL], 1.0, 5]}
    event = client.post("gradio_api/call/classify", json=body).json()["event_id"]
    assert re.fullmatch(r"[0-9a-f]{32}", event)  # 122 bits of chance
    for other in ("0" * 32, event[:-1] + ("0" if event[-1] != "0" else "1"), "..", "an"):
        assert "complete" not in streamed(client, f"gradio_api/call/classify/{other}")
    for session in ("nobody", "an", "*", ""):
        assert "process_" not in streamed(client, f"gradio_api/queue/data?session_hash={session}")


def test_names_of_runs_are_not_to_be_guessed(client: httpx.Client) -> None:
    names = [jobs().new_folder().name for _ in range(20)]
    assert len(set(names)) == 20
    assert all(len(name) == 24 for name in names)  # 144 bits of chance
    for name in ("..", ".", "", names[0][:-1], "*", names[0].swapcase()):
        with pytest.raises(CvhubError, match="There is no such run any more"):
            jobs().status(name)


def test_what_the_page_does_is_nobody_elses_business(client: httpx.Client) -> None:
    for path in ("monitoring", "monitoring/summary", "gradio_api/run-history/records", "gradio_api/profiling/traces"):
        assert client.get(path).status_code in (401, 403, 404)


# --- Requests in the page's name -------------------------------------------------------------------------------------


@pytest.fixture
def intranet() -> Iterator[tuple[str, list[str]]]:
    """A server that only this machine reaches, and what it was asked for."""
    asked: list[str] = []

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write((SAMPLES / "fish.jpg").read_bytes())

        do_HEAD = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", asked
    server.shutdown()


def test_the_page_asks_no_private_address(client: httpx.Client, intranet: tuple[str, list[str]]) -> None:
    place, asked = intranet
    port = place.partition(":")[2]
    for host in (place, f"localhost:{port}", f"2130706433:{port}", f"[::1]:{port}", f"0.0.0.0:{port}"):
        for route in ("gradio_api/file=", "gradio_api/file/", "gradio_api/proxy="):
            answered = client.get(f"{route}http://{host}/secret.jpg")
            assert answered.status_code == 403
        picture = file_data(f"http://{host}/secret.jpg") | {"url": f"http://{host}/secret.jpg"}
        said = ask(client, "classify", [picture, [MODEL], 1.0, 5], "asker")[-1]
        assert "predictions" not in json.dumps(said)
    assert not asked


def test_the_page_is_nobodys_proxy(client: httpx.Client) -> None:
    for route in ("gradio_api/file=", "gradio_api/file/", "gradio_api/proxy="):
        answered = client.get(f"{route}https://huggingface.co/robots.txt")
        assert (answered.status_code, answered.text) == (403, "This page fetches no other addresses.")


# --- Requests in a visitor's name ------------------------------------------------------------------------------------

ELSEWHERE = [
    {"Origin": "https://elsewhere.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},  # another program of this machine
    {"Origin": "https://elsewhere.example", "X-Forwarded-Host": "elsewhere.example"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


def own_origin(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


@pytest.mark.parametrize("headers", ELSEWHERE)
def test_what_other_sites_send_is_refused(headers: dict[str, str], client: httpx.Client) -> None:
    files = {"files": ("mine.txt", b"x")}
    for answered in (
        client.post("gradio_api/upload", files=files, headers=headers),
        client.post("gradio_api/call/classify", json={"data": []}, headers=headers),
        client.request("DELETE", "gradio_api/mcp/", headers=headers),
    ):
        assert (answered.status_code, answered.text) == (403, "This page takes nothing that other sites send.")
    assert client.get("config", headers=headers).status_code == 200


def test_the_page_itself_and_programs_are_heard(client: httpx.Client) -> None:
    files = {"files": ("mine.txt", b"x")}
    own = own_origin(client)
    for headers in ({}, {"Origin": own}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}):
        assert client.post("gradio_api/upload", files=files, headers=headers).status_code == 200
    # A proxy that gives the page another name: the browser knows whose page has asked.
    proxied = {"Origin": "https://notebooks.example", "Sec-Fetch-Site": "same-origin"}
    assert client.post("gradio_api/upload", files=files, headers=proxied).status_code == 200


def test_a_local_page_answers_to_no_other_name(client: httpx.Client) -> None:
    port = client.base_url.port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", "LOCALHOST:8888", f"[::1]:{port}"):
        assert client.get("config", headers={"Host": host}).status_code == 200
    for host in (f"elsewhere.example:{port}", "localhost.elsewhere.example", "192.168.0.1", "[::1", "127.0.0.1@x"):
        answered = client.get("config", headers={"Host": host})
        assert (answered.status_code, "as localhost" in answered.text) == (403, True)


@pytest.mark.parametrize(("variable", "value"), [("SYSTEM", "spaces"), ("GRADIO_SERVER_NAME", "0.0.0.0")])
def test_a_page_for_others_answers_to_the_names_that_it_has(
    variable: str, value: str, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    space, files = {"Host": "ann-cvhub.hf.space"}, {"files": ("mine.txt", b"x")}
    assert client.get("config", headers=space).status_code == 200
    own = space | {"Origin": "https://ann-cvhub.hf.space"}
    assert client.post("gradio_api/upload", files=files, headers=own).status_code == 200
    other = space | {"Origin": "https://elsewhere.example"}
    assert client.post("gradio_api/upload", files=files, headers=other).status_code == 403
    forwarded = {"Origin": "https://ann-cvhub.hf.space", "X-Forwarded-Host": "ann-cvhub.hf.space"}
    answered = client.post("gradio_api/upload", files=files, headers=forwarded)
    assert answered.status_code == (200 if variable == "SYSTEM" else 403)


def test_a_page_that_is_shared_answers_to_its_link() -> None:
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Textbox()
    with served(lambda: demo) as address:
        link = {"Host": "0123.gradio.live"}
        assert httpx.get(f"{address}config", headers=link).status_code == 403
        demo.share = True
        assert httpx.get(f"{address}config", headers=link).status_code == 200
        demo.share = False


# --- Sizes -----------------------------------------------------------------------------------------------------------


def test_a_body_above_the_limit_is_not_read(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = client.post("gradio_api/queue/join", content=b" " * (MAX_BODY + 1))
    assert (answered.status_code, answered.text) == (413, "The limit is 32,000,000 bytes.")
    monkeypatch.setattr(protection, "MAX_BODY", 1000)

    def pieces() -> Iterator[bytes]:  # without a length that is told beforehand
        yield from [b" " * 100] * 100

    with pytest.raises(httpx.HTTPError):
        client.post("gradio_api/queue/join", content=pieces()).raise_for_status()
    assert client.get("config").status_code == 200


def test_a_file_above_the_limit_is_not_kept(client: httpx.Client) -> None:
    answered = client.post("gradio_api/upload", files={"files": ("a.jpg", b"x" * 300_000)})
    assert answered.status_code == 413
    assert "maximum allowed size" in answered.text


# --- Tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{}, {"status": 500}, {"status": 403}, {"web_page": True}, {"users": {}}])
def test_no_log_and_no_sentence_has_the_token(
    hub: LoopbackHub, fault: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", "token-of-ann")
    hub.add("ann/net", {"config.json": b"{}", "model.safetensors": b"x"}, private=True)
    for name, value in fault.items():
        setattr(hub, name, value)
    said = ""
    with caplog.at_level(logging.DEBUG):
        try:
            download("ann/net")
        except CvhubError as error:
            said = str(error)
    assert hub.requests
    assert bool(said) == bool(fault)
    assert "token-of-ann" not in caplog.text + said
