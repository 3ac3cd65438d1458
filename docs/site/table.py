"""A table in Markdown."""

from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    """`head` and `rows` as Markdown; the last `numbers` columns hold numbers, and are set flush right."""
    rules = [":---"] * (len(head) - numbers) + ["---:"] * numbers
    lines = (f"| {' | '.join(cells)} |" for cells in (head, rules, *rows))
    return "\n".join(lines)
