"""What the view "Compare" remembers of a visit."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cvhub.ui.state import Session

if TYPE_CHECKING:
    from cvhub.explain.heads import Heads


@dataclass
class Comparison:
    """What was asked of one visit's picture: teachers, then the student that had none, then the one that had."""

    session: Session = field(default_factory=Session)
    teachers: tuple[str, ...] = ()
    alone: str = ""
    taught: str = ""
    heads: "Heads | None" = None

    @property
    def labels(self) -> list[str]:
        """The first teacher's classes, by which all are compared."""
        return self.session.answers[self.teachers[0]].labels
