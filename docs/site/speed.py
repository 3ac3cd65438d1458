"""Tables of benchmarks/RESULTS.md that are about one family."""

import re
from collections.abc import Sequence
from pathlib import Path

from cvhub.errors import CvhubError

RESULTS = "benchmarks/RESULTS.md"
OTHER_MACHINE = "\n# On a machine without bf16"
# A paragraph of lines that begin with a bar, whose first cell is the table's name.
TABLE = re.compile(r"^\| (?P<name>[^|]+?) +\|.*\n(?:\|.*\n?)+", re.MULTILINE)


def tables(root: Path, names: Sequence[str]) -> str:
    """The tables that are headed by `names`, of the machine with bf16, each with what its section says of it.

    Raises `CvhubError` where one of them is not there.
    """
    if not names:
        return "Not measured yet."
    text = (root / RESULTS).read_text(encoding="utf-8").partition(OTHER_MACHINE)[0]
    sections = text.split("\n## ")[1:]
    found: set[str] = set()
    parts = []
    for section in sections:
        title, _, body = section.partition("\n")
        chosen = [match for match in TABLE.finditer(body) if match["name"] in names]
        if chosen:
            about = body.strip().partition("\n")[0]
            parts += [f"### {title}", about, *(match[0].strip() for match in chosen)]
        found |= {match["name"] for match in chosen}
    if missing := [name for name in names if name not in found]:
        raise CvhubError(f"{RESULTS} has no table headed {', '.join(missing)}.")
    return "\n\n".join([*parts, "[All measurements, the machine, and the commands that print them](../speed.md)"])
