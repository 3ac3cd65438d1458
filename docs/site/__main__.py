"""Builds the documentation site: `python -m docs.site [FOLDER]`, or `make docs`. Needs the extra `docs`, no network.

Pages are first gathered and made (pages.py) and then turned into HTML by Zensical, in either language, with its
warnings as errors. FOLDER is build/docs unless given; the site is in FOLDER/site.
"""

import subprocess
import sys
from pathlib import Path

from docs.site import pages

ROOT = Path(__file__).parents[2]


def build(folder: Path) -> Path:
    """Writes the site and returns its folder. Raises `CalledProcessError` where a page has an error."""
    for config in pages.write(ROOT, folder):  # the English one first: the Chinese one lies within it
        command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "--config-file", str(config)]
        subprocess.run(command, check=True)
    return folder / "site"


if __name__ == "__main__":
    print(build(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "docs"))
