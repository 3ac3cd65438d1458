"""The page: the frame, the tabs in the order people learn, and how it is served."""

import logging
import os
from threading import Thread
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from cvhub.ui import answering, samples
from cvhub.ui.classify import tab as classify
from cvhub.ui.classify.link import DEFAULT_MODELS
from cvhub.ui.distill import tab as distill
from cvhub.ui.explore import tab as explore
from cvhub.ui.frame import Frame
from cvhub.ui.protection import Protection
from cvhub.ui.public import in_space
from cvhub.ui.segment import tab as segment
from cvhub.ui.theme import css, script, theme
from cvhub.ui.words import tab as words

# A tab is a module with NAME and build(frame); its label is the string `tab_NAME`.
TABS = (classify, explore, distill, segment, words)

MAX_UPLOAD = "300mb"  # a ResNet-152 in float32 is 240 MB
MAX_WAITING = 32  # visitors in the queue; the next one is told that it is full
AT_ONCE = 8  # handlers of a kind at a time; most of them wait for a download, and forward passes take turns
HOUR = 3600  # seconds; uploads older than this are deleted
MAX_VISITS = 200  # whose state is kept in memory


def build() -> gr.Blocks:
    """The page, not yet served. Building it imports gradio and nothing heavier."""
    gr.set_static_paths([samples.FOLDER])
    with gr.Blocks(title="cvhub", fill_width=True, delete_cache=(HOUR, HOUR), analytics_enabled=False) as demo:
        frame = Frame()
        with gr.Tabs(elem_id="tabs"):
            tabs = []
            for tab in TABS:
                with frame.add_tab(tab.NAME):
                    tabs.append(tab.build(frame))
        opened = frame.connect(demo)
        for tab in tabs:
            tab.connect(opened)
    return demo.queue(max_size=MAX_WAITING, default_concurrency_limit=AT_ONCE)


def launch(demo: gr.Blocks, **arguments: Any) -> None:
    """Serve the page. GRADIO_SERVER_NAME and GRADIO_SERVER_PORT are honoured; a Space listens on all addresses."""
    settings: dict[str, Any] = {
        "server_name": os.environ.get("GRADIO_SERVER_NAME", "0.0.0.0" if in_space() else "127.0.0.1"),
        "server_port": int(os.environ.get("GRADIO_SERVER_PORT", "7860")),
        "theme": theme(),
        "css": css(),
        "js": script(),
        "footer_links": ["api"],
        "max_file_size": MAX_UPLOAD,
        "enable_monitoring": False,
        "run_history": False,
        "state_session_capacity": MAX_VISITS,
        "ssr_mode": False,
        "app_kwargs": {"middleware": [Middleware(Protection)]},
    }
    demo.launch(**(settings | arguments))


def warm_up() -> None:
    """Load the models that the first visitor will ask, and draw the figures, while the browser still opens."""
    for model in DEFAULT_MODELS:
        try:
            answering.load(model)
        except Exception:
            logging.getLogger(__name__).exception("could not warm up %s", model)
    explore.warm_up()
    segment.warm_up()
    distill.warm_up()
    words.warm_up()


def main() -> None:
    demo = build()
    launch(demo, prevent_thread_lock=True)
    Thread(target=warm_up, daemon=True).start()
    demo.block_thread()
