"""What the Segment tab remembers of one visit: the picture, what a net said of it, and what is known to be true."""

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cvhub.ui.state import Session

if TYPE_CHECKING:
    from cvhub.evaluation.truth import Masks
    from cvhub.inference.segment import Segmentation, Segmenter

TRUTHS = ("example", "upload", "paint")


@dataclass(frozen=True)
class Question:
    """What needs a forward pass: other answers are to other questions. `tile` and `overlap` in pixels."""

    picture: str | None
    model: str
    runtime: str = "auto"
    precision: str = "auto"
    tile: int = 512
    overlap: int = 64


@dataclass(frozen=True)
class View:
    """How the answer is read and compared. None of it needs a new forward pass.

    - `threshold`: see `reading.threshold_of`. `smallest`: pixels below which a segment is left out.
    - `truth`: one of `TRUTHS`.
    """

    task: str = "semantic"
    threshold: float = 0.5
    smallest: int = 0
    truth: str = "example"
    language: str = "en"


@dataclass(eq=False)
class Seen:
    """What a net said of a picture, and the picture, both at the size at which masks are shown here.

    - `image` (H, W), RGB: the picture, or of a very large one a reduced copy, `reduced` pixels to one; `own`: height
      and width of the picture itself.
    - `answer`: the maps, read as classes; `segmenter` reads them for other tasks and thresholds, as often as wanted.
      `tiles`: how many made them, 1 of a single pass.
    - `levels`: logits (K, h, w) of each auxiliary head, the deepest last, which count `level_weights`.
    - `limit`: what the threshold that is shown means, the key of a `reading.Threshold`.
    """

    title: str
    segmenter: "Segmenter"
    image: Image.Image
    own: tuple[int, int]
    answer: "Segmentation"
    reduced: int = 1
    tiles: int = 1
    levels: list[np.ndarray] = field(default_factory=list)
    limit: str = ""
    key: str = field(default_factory=lambda: uuid.uuid4().hex)  # for the browser, to know one answer from the next

    @property
    def size(self) -> tuple[int, int]:
        return self.image.height, self.image.width

    @property
    def labels(self) -> list[str]:
        return self.segmenter.labels

    @property
    def things(self) -> list[int]:
        """The classes that can be counted: those of things, or where the net knows none all but the background."""
        own: list[int] = sorted(getattr(self.segmenter.config, "thing_ids", ()))
        return own or list(range(int(self.segmenter.has_background), len(self.labels)))

    @property
    def level_weights(self) -> list[float]:
        return list(self.segmenter.config.auxiliary_weights)[: len(self.levels)]


@dataclass
class SegmentSession:
    """One visit of the tab. Lives in a `gr.State`; `visit` keeps what was uploaded as a checkpoint, as in Classify."""

    visit: Session = field(default_factory=Session)
    question: Question | None = None
    seen: Seen | None = None
    view: View = View()  # the newest that was wished for, perhaps while a net was still answering
    uploaded: str | None = None  # the file of a mask
    painted: np.ndarray | None = None  # (h, w) uint8: class + 1, 0 where nothing was painted
    turn: int = 0  # counts the questions, so that a newer one, or a stop, silences those before it
    views: int = 0  # counts how often the answer was shown, so that a slow view doesn't cover a newer one
    truths: "dict[str, Masks]" = field(default_factory=dict)  # as read for the net that answered
