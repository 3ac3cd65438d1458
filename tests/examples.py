"""Examples in Markdown, as programs: what stands in fenced blocks of Python and of console commands."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


FENCED = re.compile(r"^```(\w+)\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block and the output that it promises, where a block of text follows at once."""

    language: str
    code: str
    output: str | None = None


def read_blocks(text: str) -> list[Block]:
    """The fenced blocks of Markdown, but for text that is nobody's output."""
    blocks = (Block(language, code, output or None) for language, code, output in FENCED.findall(text))
    return [block for block in blocks if block.language != "text"]


def run(code: str, folder: Path, environment: Mapping[str, str]) -> str:
    """What the Python `code` prints in a process of its own; cvhub comes from this repository, not from `folder`."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", **environment}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def as_python(console: str) -> str:
    """The commands of a console block for one process, since each would import torch anew."""
    commands = [line.split()[2:] for line in console.splitlines() if line.startswith("$ cvhub ")]
    return f"from cvhub.cli import main\nfor command in {commands}:\n    assert main(command) == 0, command\n"
