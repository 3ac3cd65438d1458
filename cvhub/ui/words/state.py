"""What a view of the Words tab remembers of one visit: pictures as the net sees them, so that words alone are new."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cvhub.ui import answering
from cvhub.ui.state import Heat
from cvhub.ui.words.matrix import thumbnails

if TYPE_CHECKING:
    from cvhub.inference.zero_shot import ZeroShot

MOST_KEPT = 64  # pictures, and as many heat maps


@dataclass(frozen=True)
class Embedded:
    """A picture's embedding (E,) of length 1, and how long the net took for it."""

    embedding: np.ndarray
    milliseconds: float


@dataclass
class WordsSession:
    """One visit of one view. Lives in a `gr.State`.

    - `pictures`: by net and file. `heats`: by net, file and sentences.
    - `styled`: the files of the pictures that the browser has; `offered`: the labels that it offers, and in which
      language. `model`: the net that answered last.
    - `turn` counts the questions, so that a newer one silences those before it.
    """

    pictures: dict[tuple[str, str], Embedded] = field(default_factory=dict)
    heats: dict[tuple[str, ...], Heat] = field(default_factory=dict)
    styled: list[str] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    model: str = ""
    turn: int = 0

    def embed(self, net: "ZeroShot", files: Sequence[str]) -> list[Embedded]:
        """Each picture as the net sees it, which is computed once."""
        found = []
        for file in files:
            key = (net.name, file)
            if key not in self.pictures:
                keep(self.pictures, key, embed_picture(net, file))
            found.append(self.pictures[key])
        return found

    def style(self, view: str, files: list[str]) -> str:
        """The pictures for the matrices of the element `view` to draw; "" where the browser has them."""
        if self.styled == files:
            return ""
        self.styled = files
        return thumbnails(view, [answering.open_picture(file) for file in files])


def embed_picture(net: "ZeroShot", file: str) -> Embedded:
    image = answering.open_picture(file)
    return Embedded(*net.embed_image(image))


def keep(kept: dict, key: tuple[str, ...], value: object) -> None:
    """Remember a value; the oldest makes room."""
    while len(kept) >= MOST_KEPT:
        kept.pop(next(iter(kept)), None)
    kept[key] = value
