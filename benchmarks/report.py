"""What a topic found: tables, and what it could not measure."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks import machine


@dataclass
class Table:
    """Rows of text; the first column is a name, the others are numbers."""

    columns: list[str]
    rows: list[Sequence[str]] = field(default_factory=list)

    def markdown(self) -> str:
        cells = [self.columns, *self.rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(self.columns))]
        ruler = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
        return "\n".join(_line(row, widths) for row in [self.columns, ruler, *self.rows])


@dataclass
class Report:
    """One topic. `method` says in a sentence or two what was timed; `missing` what was not, and why."""

    title: str
    method: str
    tables: list[Table] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        not_measured = "\n".join(f"- Not measured: {reason}" for reason in self.missing)
        parts = [f"## {self.title}", self.method, *(table.markdown() for table in self.tables), not_measured]
        return "\n\n".join(part for part in parts if part)


def heading(command: str) -> str:
    """Where, when, with what and how the numbers below it were measured."""
    lines = [f"- {name}: {value}" for name, value in machine.describe().items()]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            f"Printed by `{command}` on {datetime.date.today()}. Times are medians; contenders take turns.",
            "",
            *lines,
        ]
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "| " + " | ".join([first, *others]) + " |"
