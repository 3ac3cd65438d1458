"""The page: the frame, the tabs in the order people learn, and how it is served."""

import logging
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from threading import Thread
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from cvhub.ui import answering, memory, samples, sessions, tools, uploads
from cvhub.ui.classify import tab as classify
from cvhub.ui.classify.link import DEFAULT_MODELS
from cvhub.ui.distill import tab as distill
from cvhub.ui.explore import tab as explore
from cvhub.ui.frame import Frame
from cvhub.ui.hub import tab as hub
from cvhub.ui.protection import Protection
from cvhub.ui.public import LOOPBACK, in_space, is_public
from cvhub.ui.segment import tab as segment
from cvhub.ui.theme import css, script, theme
from cvhub.ui.words import tab as words

# A tab is a module with NAME and build(frame); its label is the string `tab_NAME`.
TABS = (classify, explore, distill, segment, words, hub)

MAX_UPLOAD = "300mb"  # a ResNet-152 in float32 is 240 MB
MAX_WAITING = 256  # questions in the queue; the next one is told that it is full
AT_ONCE = 8  # handlers of a kind at a time; most of them wait for a download, and forward passes take turns
HOUR = 3600  # seconds; uploads older than this are deleted
# Gradio would make a table of the last 10,000 questions after each one, for a monitor that this page doesn't have.
WITHOUT_MONITOR = {"GRADIO_ANALYTICS_MAX_EVENTS": "1", "GRADIO_ANALYTICS_CACHE_FREQUENCY": "1000000000"}
IDLE_SECONDS = 0.5  # without a question, after which things are made ready that nobody has asked for
UPKEEP_SECONDS = 30
MAX_VISITS = 200  # whose state is kept in memory, each endpoint's call being one


def build() -> gr.Blocks:
    """The page, not yet served. Building it imports gradio and nothing heavier."""
    for name, value in WITHOUT_MONITOR.items():
        os.environ.setdefault(name, value)
    gr.set_static_paths([samples.FOLDER])
    with gr.Blocks(title="cvhub", fill_width=True, delete_cache=(HOUR, HOUR), analytics_enabled=False) as demo:
        frame = Frame()
        with frame.bar:
            tabs = []
            for tab in TABS:
                with frame.add_tab(tab.NAME):
                    tabs.append(tab.build(frame))
        opened = frame.connect(demo)
        for tab in tabs:
            tab.connect(opened)
    return demo.queue(max_size=MAX_WAITING, default_concurrency_limit=AT_ONCE)


def address() -> tuple[str, int]:
    """Name and port to listen on."""
    name = os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if in_space() else "127.0.0.1")
    return name, int(os.environ.get("GRADIO_SERVER_PORT", "7860"))


def problem_of(name: str, port: int) -> str:
    """Why nothing can listen there, as a sentence; asked before the page is built, which takes seconds."""
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    try:
        socket.create_server((name.strip("[]"), port), family=family).close()
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (")[0]  # then the address follows again
        another = "GRADIO_SERVER_NAME and GRADIO_SERVER_PORT name another place"
        return f"cvhub: the page can't listen on {name}:{port}: {reason}; {another}."
    return ""


def launch(demo: gr.Blocks, **arguments: Any) -> None:
    """Serve the page, and return. GRADIO_SERVER_NAME and GRADIO_SERVER_PORT are honoured; a Space listens everywhere.

    Where `gradio[mcp]` is installed, its endpoints for programs are tools too, at /gradio_api/mcp/.
    """
    tools.join_lines(demo)
    if tools.has_protocol():
        tools.leave_only_tools(demo)
    name, port = address()
    settings: dict[str, Any] = {
        "server_name": name,
        "server_port": port,
        "theme": theme(),
        "css": css(),
        "js": script(),
        "footer_links": ["api"],
        "max_file_size": MAX_UPLOAD,
        "enable_monitoring": False,
        "run_history": False,
        "state_session_capacity": MAX_VISITS,
        "ssr_mode": False,
        "mcp_server": tools.has_protocol(),
        "prevent_thread_lock": True,
    }
    settings |= arguments

    def is_local() -> bool:
        return settings["server_name"] in LOOPBACK and not is_public() and not demo.share

    demo.launch(app_kwargs={"middleware": [Middleware(Protection, is_local=is_local)]}, **settings)
    if demo.mcp_server_obj:
        tools.ask_for_what_is_needed(demo, demo.mcp_server_obj.api_info["named_endpoints"])
    sessions.keep_light(demo)


def warm_up() -> None:
    """Load the models that the first visitor will ask while the browser still opens, and then, whenever nobody asks
    for anything, draw the figures and load what the other tabs ask first."""
    from cvhub.inference.passes import seconds_idle

    for model in DEFAULT_MODELS:
        try:
            answering.load(model)
        except Exception:
            logging.getLogger(__name__).exception("could not warm up %s", model)
    for tab in (explore, segment, distill, words):
        for prepare in tab.to_warm_up():
            while seconds_idle() < IDLE_SECONDS:
                time.sleep(IDLE_SECONDS / 5)
            prepare()


def look_after(demo: gr.Blocks) -> None:
    """Keeps what visitors leave behind, on disk and in memory, within limits."""
    while True:
        time.sleep(UPKEEP_SECONDS)
        uploads.tidy(demo, time.time() - uploads.SAFE_SECONDS)
        memory.give_back()


def main() -> None:
    """Serve the page until Ctrl-C or SIGTERM, which is how Docker and systemd ask; then it tidies up behind itself."""
    if problem := problem_of(*address()):
        sys.exit(problem)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    memory.share_heaps()
    with suppress(SystemExit), uploads.folder_of_its_own():
        demo = build()
        launch(demo, quiet=True)  # what Gradio says is for who writes an app: to publish the page by `share=True`
        print(f"cvhub answers on {demo.local_url} until Ctrl-C.", flush=True)
        Thread(target=look_after, args=[demo], name="upkeep", daemon=True).start()
        Thread(target=warm_up, name="warm up", daemon=True).start()
        demo.block_thread()
    sys.stdout.flush()
    os._exit(0)  # an orderly end would take torch from under the threads that still compute
