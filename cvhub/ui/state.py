"""What the page remembers of one visit: the picture, and what each model answered about it."""

import itertools
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Facts:
    """What a model costs at the size it is shown pictures."""

    parameters: int
    multiply_adds: int
    memory_bytes: int


@dataclass(eq=False)
class Answer:
    """What one model said about the picture, or why it could not; neither while `asking` runs, which ends in a copy."""

    model: str  # as chosen: a catalogue name, a Hub id, or a checkpoint of this visit
    title: str
    colour: int  # the model's place in the palette
    labels: list[str] = field(default_factory=list)
    logits: np.ndarray | None = None  # (K,)
    features: np.ndarray | None = None  # (C, h, w), what the class activation map is made of
    milliseconds: float = 0.0  # of the forward pass
    runtime: str = ""
    precision: str = ""
    reason: str = ""  # why this runtime and precision
    facts: Facts | None = None
    error: str | None = None  # one sentence
    heats: dict[int, "Heat"] = field(default_factory=dict)  # by class index
    asking: "Future[Answer] | None" = None

    @property
    def answered(self) -> bool:
        return self.logits is not None


@dataclass(frozen=True)
class Heat:
    """A heat map ready to lie over the picture."""

    layer: str  # data URI of the coloured, partly transparent map
    box: Box  # the part of the picture that it covers: left, top, width, height as shares of the whole
    exact: bool  # the exact class activation map; else Grad-CAM


@dataclass(frozen=True)
class View:
    """How the visitor wants the answers shown. None of it needs a new forward pass."""

    temperature: float = 1.0
    heat_class: str = ""  # a label; empty: each model's first class
    true_class: str = ""  # a label; empty: the first class of the models' mean
    epsilon: float = 0.1
    language: str = "en"
    asked: float = 0.0  # when it was wished for, in milliseconds of the page


@dataclass
class Session:
    """One visit. Lives in a `gr.State`; nothing of it is shared with other visitors."""

    picture: str | None = None
    answers: dict[str, Answer] = field(default_factory=dict)  # by model, in the order of choice
    runtime: str = "auto"
    precision: str = "auto"
    checkpoints: dict[str, Path] = field(default_factory=dict)  # this visit's own: name → folder
    colours: dict[str, int] = field(default_factory=dict)  # each model's place in the palette
    turn: int = 0  # counts the questions, so that a newer one silences those before it
    view: View = View()  # the newest that was wished for, perhaps while a model was still answering

    def look(self, view: View) -> None:
        """A view was wished for, and counts from now on, unless it waited in line and a later one came before it."""
        if view.asked >= self.view.asked:
            self.view = view

    def answered(self) -> list[Answer]:
        return [answer for answer in self.answers.values() if answer.answered]

    def new_name(self, name: str) -> str:
        """A name for a checkpoint, numbered where this visit has others of that name."""
        numbered = (name if n == 1 else f"{name} {n}" for n in itertools.count(1))
        return next(name for name in numbered if name not in self.checkpoints)
