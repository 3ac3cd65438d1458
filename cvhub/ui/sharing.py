"""What tabs have for one another: a way in for a model that another has found, and the models that a visit made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gradio.blocks import Block

from cvhub.ui.strings import Say


class Offer(NamedTuple):
    """A model on its way into another tab: its name there, what it does, and its folder where it is the visit's own."""

    model: str
    tasks: tuple[str, ...]
    folder: Path | None = None


@dataclass(frozen=True)
class Door:
    """How a model comes into a tab.

    - `tasks`: what it must do, one of these; all models are welcome where there are none. `takes_own`: whether it may
      be a folder of the visit's own.
    - `take(offer, *values)`: new values of `outputs`, from those that `inputs` have.
    - `asking`: the event that comes next, where seeing the tab is not enough.
    """

    tasks: tuple[str, ...]
    take: Callable[..., tuple[Any, ...]]
    inputs: Sequence[Block]
    outputs: Sequence[Block]
    takes_own: bool = False
    asking: dict[str, Any] | None = None

    def fits(self, offer: Offer) -> bool:
        return (self.takes_own or offer.folder is None) and (
            not self.tasks or not set(self.tasks).isdisjoint(offer.tasks)
        )


def no_title(name: str, say: Say) -> str:
    return name


@dataclass(frozen=True)
class Shelf:
    """What a visit made in a tab: `models` reads name → folder from the value of `component`, `title` calls them."""

    component: Block
    models: Callable[[Any], dict[str, Path]]
    title: Callable[[str, Say], str] = no_title
