"""The plainest page that answers what the load test asks: our predictors' forwards one by one, and nothing around them.

Run by `benchmarks.load` as a process of its own; its endpoints have the names and arguments of the page's.
"""

from threading import Lock
from typing import Any

import gradio as gr
from PIL import Image

from benchmarks.load import CLASSIFIER, CONTRASTIVE, SEGMENTER
from cvhub.inference.classify import Classifier
from cvhub.inference.segment import Segmenter
from cvhub.inference.zero_shot import ZeroShot

classifier, segmenter, contrastive = Classifier(CLASSIFIER), Segmenter(SEGMENTER), ZeroShot(CONTRASTIVE)
one_by_one = Lock()


def classify(image: str, models: list[str], temperature: float, top_k: float) -> list[list[Any]]:
    with one_by_one:
        (said,) = classifier.predict([Image.open(image)])
    return [[prediction.label, prediction.score] for prediction in said.top(classifier.labels, int(top_k))]


def answer(image: str, models: list[str], runtime: str, precision: str, *view: Any) -> list[list[Any]]:
    return classify(image, models, 1.0, 5)


def segment(image: str, model: str, task: str, threshold: float | None) -> list[str]:
    with one_by_one:
        return [part.label for part in segmenter.segment(Image.open(image), task).segments]


def zero_shot(image: str, model: str, labels: str, templates: str, temperature: float) -> list[float]:
    with one_by_one:
        embedded = contrastive.embed_images([Image.open(image)])
        logits = contrastive.logits(embedded, contrastive.embed_labels(labels.split("\n"), [templates]))
    return contrastive.scores(logits[0], temperature).tolist()


def build() -> gr.Blocks:
    with gr.Blocks() as demo:
        photo, said = gr.Image(type="filepath"), gr.JSON()
        choices, text, number = gr.Dropdown(multiselect=True, allow_custom_value=True), gr.Textbox(), gr.Number()
        for handler, inputs in (
            (classify, [photo, choices, number, number]),
            (answer, [photo, choices, text, text, number, text, text, number, text]),
            (segment, [photo, text, text, number]),
            (zero_shot, [photo, text, text, text, number]),
        ):
            gr.Button().click(handler, inputs, said, api_name=handler.__name__)
    return demo.queue(default_concurrency_limit=8)


if __name__ == "__main__":
    build().launch(quiet=True)
