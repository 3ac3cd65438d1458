"""A round trip through the page's API, beside a handler that does nothing."""

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import servers
from benchmarks.photos import sample
from benchmarks.report import Report, Table
from benchmarks.settings import Settings
from benchmarks.timing import take_turns

if TYPE_CHECKING:
    from gradio_client import Client

MODEL = "efficientnet_lite0"
BARE, OURS = "bare handler", "cvhub /classify"
# Takes the same picture, gives an answer of the same shape, and does nothing.
BARE_PAGE = """
import gradio as gr

ANSWER = {"models": [{"model": "none", "predictions": [{"label": str(i), "score": 0.2} for i in range(5)]}]}


def classify(image: str, models: list[str], temperature: float, top_k: float) -> dict:
    return ANSWER


with gr.Blocks() as demo:
    inputs = [gr.Image(type="filepath"), gr.Dropdown(["none"], multiselect=True), gr.Slider(0, 5), gr.Number(5)]
    gr.Button().click(classify, inputs, gr.JSON(), api_name="classify")
demo.queue().launch(quiet=True)
"""


def run(settings: Settings) -> Report:
    from gradio_client import Client

    photo = settings.work / "photo.jpg"
    sample().save(photo)
    forwards: list[float] = []
    with servers.serve(("-c", BARE_PAGE)) as bare, servers.serve(servers.APP) as ours:
        bare_client, our_client = (Client(server.url, verbose=False) for server in (bare, ours))
        calls: dict[str, Callable[[], Any]] = {
            BARE: lambda: _ask(bare_client, photo, "none"),
            OURS: lambda: forwards.append(_milliseconds(_ask(our_client, photo, MODEL))),
        }
        times = {name: 1e3 * taken for name, taken in take_turns(calls, settings.rounds).items()}
    return _report(times, statistics.median(forwards))


def _ask(client: "Client", photo: Path, model: str) -> dict[str, Any]:
    from gradio_client import handle_file

    return client.predict(handle_file(str(photo)), [model], 1.0, 5, api_name="/classify")


def _milliseconds(answer: dict[str, Any]) -> float:
    """Of the forward pass, as the answer says."""
    return answer["models"][0]["milliseconds"]


def _report(times: dict[str, float], forward: float) -> Report:
    report = Report(
        "API",
        f"Milliseconds of a call through `gradio_client`, upload of the photo included. `{OURS}` asks {MODEL}.",
    )
    table = Table(["", "ms", f"× {BARE}"])
    rows = times | {"of which forward pass": forward, f"{OURS} without it": times[OURS] - forward}
    table.rows += [[name, f"{taken:.1f}", f"{taken / times[BARE]:.2f}"] for name, taken in rows.items()]
    report.tables.append(table)
    return report
