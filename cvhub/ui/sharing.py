"""What tabs have for one another: a way in for a model that another has found, and the models that a visit made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from gradio.blocks import Block

from cvhub.ui.strings import Say


class Offer(NamedTuple):
    """A model on its way into another tab: a name of the catalogue or a Hub id, and what it does."""

    model: str
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Door:
    """How a model comes into a tab.

    - `tasks`: what it must do, one of these; all models are welcome where there are none.
    - `take(offer, *values)`: new values of `outputs`, from those that `inputs` have.
    - `asking`: the event that comes next, where seeing the tab is not enough.
    """

    tasks: tuple[str, ...]
    take: Callable[..., tuple[Any, ...]]
    inputs: Sequence[Block]
    outputs: Sequence[Block]
    asking: dict[str, Any] | None = None

    def fits(self, offer: Offer) -> bool:
        return not self.tasks or not set(self.tasks).isdisjoint(offer.tasks)


def no_title(name: str, say: Say) -> str:
    return name


@dataclass(frozen=True)
class Shelf:
    """What a visit made in a tab: `models` reads name → folder from the value of `component`, `title` calls them."""

    component: Block
    models: Callable[[Any], dict[str, Path]]
    title: Callable[[str, Say], str] = no_title
