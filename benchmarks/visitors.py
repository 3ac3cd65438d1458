"""Who visits the page in the load test: a locustfile, which `benchmarks.load` runs in a process of its own.

Each visitor has a photo of their own, uploads it with every question, as `gradio_client` does, and asks the next thing
as soon as the answer is there. What they met is written to the file in LOAD_REPORT when all leave.
"""

import io
import json
import os
import random
import time
from itertools import count
from pathlib import Path
from typing import Any

import requests
from locust import User, constant, events, task
from PIL import Image

from benchmarks.load import CLASSIFIER, CONTRASTIVE, SEGMENTER
from benchmarks.photos import sample

LABELS = "apple\nfish\nhouse\nsun\ntree\ncar"
GIVE_UP_SECONDS = 120

numbers = count()
met: list[dict[str, Any]] = []  # an answer each: visitor, kind, when it came, seconds that it took, error


class Visitor(User):
    wait_time = constant(0)

    def on_start(self) -> None:
        self.number = next(numbers)
        self.session = requests.Session()
        self.photo = photo_of(self.number)
        random.seed(self.number)  # locust shares it: the mix is the same in every run

    @task
    def classify(self) -> None:
        self.ask("classify", "classify", lambda photo: [photo, [CLASSIFIER], 1.0, 5])

    @task
    def heat_map(self) -> None:
        """What the page itself asks for: the answer as it shows it, with the heat map of the likeliest class."""
        view = [1.0, "", "", 0.0, "en", 0]
        self.ask("heat map", "answer", lambda photo: [photo, [CLASSIFIER], "auto", "auto", *view])

    @task
    def segment(self) -> None:
        self.ask("segment", "segment", lambda photo: [photo, SEGMENTER, "semantic", None])

    @task
    def zero_shot(self) -> None:
        self.ask("zero-shot", "zero_shot", lambda photo: [photo, CONTRASTIVE, LABELS, "a drawing of {}", 1.0])

    def ask(self, kind: str, endpoint: str, data: Any) -> None:
        start, error = time.perf_counter(), None
        try:
            self.answer(endpoint, data)
        except (requests.RequestException, RuntimeError) as failed:
            error = str(failed) or type(failed).__name__
        end = time.perf_counter()
        met.append({"visitor": self.number, "kind": kind, "at": end, "seconds": end - start, "error": error})

    def answer(self, endpoint: str, data: Any) -> None:
        """Upload, ask, and read the events until the answer is complete. Raises RuntimeError for one that failed."""
        api = f"{self.host}/gradio_api"
        files = {"files": ("photo.jpg", self.photo, "image/jpeg")}
        (path,) = self.session.post(f"{api}/upload", files=files, timeout=GIVE_UP_SECONDS).json()
        photo = {"path": path, "orig_name": "photo.jpg", "meta": {"_type": "gradio.FileData"}}
        asked = self.session.post(f"{api}/call/{endpoint}", json={"data": data(photo)}, timeout=GIVE_UP_SECONDS).json()
        if "event_id" not in asked:
            raise RuntimeError(f"{endpoint}: {asked}")
        url = f"{api}/call/{endpoint}/{asked['event_id']}"
        with self.session.get(url, stream=True, timeout=GIVE_UP_SECONDS) as stream:
            event = ""
            for line in map(bytes.decode, stream.iter_lines()):
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event == "error":
                    raise RuntimeError(f"{endpoint}: {line[:200]}")
        if event != "complete":
            raise RuntimeError(f"{endpoint}: the answer ended with {event or 'nothing'}")


def photo_of(number: int) -> bytes:
    """A photo that no other visitor has, about 640 pixels wide."""
    image = sample().resize((640 + number, 480), Image.Resampling.BILINEAR)
    written = io.BytesIO()
    image.save(written, "JPEG", quality=90)
    return written.getvalue()


@events.quitting.add_listener
def report(**_: Any) -> None:
    found = {"cpu_seconds": time.process_time(), "answers": met}
    Path(os.environ["LOAD_REPORT"]).write_text(json.dumps(found), encoding="utf-8")
