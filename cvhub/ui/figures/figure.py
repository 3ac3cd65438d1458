"""What a figure of the Explore tab is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

Say = Callable[..., str]  # strings.py, which collects the figures' strings, gives one for each language


@dataclass(frozen=True)
class Choice:
    """One of a few values. A value that is a word is shown as the string `FIGURE_name_value`."""

    name: str
    values: tuple[int | str, ...]
    value: int | str


@dataclass(frozen=True)
class Range:
    """A whole number between two, both included."""

    name: str
    low: int
    high: int
    step: int
    value: int


@dataclass(frozen=True)
class Drawing:
    """HTML: what to see, in a sentence, and the charts."""

    see: str
    charts: str


class Figure(Protocol):
    """A module of this package: a claim of a paper, drawn from numbers that `cvhub/explain/figures/` computes.

    - `NAME`: the module's; its strings begin with it: `NAME_title`, `NAME_source` (which section of the paper), and
      `NAME_control` for each control.
    - `PAPER`: its address.
    - `draw(say, **controls)`: the drawing in the language of `say`. It imports what computes when it is called, so that
      building the page doesn't wait for torch.
    """

    @property
    def NAME(self) -> str: ...

    @property
    def PAPER(self) -> str: ...

    @property
    def CONTROLS(self) -> tuple[Choice | Range, ...]: ...

    @property
    def STRINGS(self) -> dict[str, tuple[str, str]]:
        """English and Chinese."""
        ...

    @property
    def draw(self) -> Callable[..., Drawing]: ...
