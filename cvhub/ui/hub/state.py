"""What the Hub tab remembers of one visit: the model that is looked at, and what it has made into folders of ours."""

import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cvhub.look import Look


@dataclass
class HubSession:
    """One visit. Lives in a `gr.State`.

    - `seen`: what was looked at last. `converted`: name → folder of ours, in the cache, of what may be pushed.
    - `archives`: this visit's folder of zip files, deleted with it. `suggested`: the repo that was last suggested.
    - `turn` counts the looks, so that a newer one silences those before it. `packed`: whether what was looked at last
      has been made an archive, which is then offered until the next look.
    """

    seen: Look | None = None
    converted: dict[str, Path] = field(default_factory=dict)
    archives: Path | None = None
    suggested: str = ""
    turn: int = 0
    packed: bool = False

    def archive(self, name: str) -> Path:
        """Where the zip file of a model is written."""
        if self.archives is None:
            self.archives = Path(tempfile.mkdtemp(prefix="cvhub-archives-"))
        return self.archives / f"{name}.zip"

    def forget(self) -> None:
        """The visit has ended."""
        if self.archives is not None:
            shutil.rmtree(self.archives, ignore_errors=True)
