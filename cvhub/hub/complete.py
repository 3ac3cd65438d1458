"""What a folder of ours becomes where others get it, in a repo or an archive: its files, their code, and a card."""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cvhub.hub.card import complete_card
from cvhub.hub.folder import add_code, check_folder, travels


@contextmanager
def complete(folder: Path, name: str) -> Iterator[dict[str, Path]]:
    """Name → file of all that the model is in a place called `name`, as long as the block lasts.

    The folder itself is not changed. Raises `CvhubError` where it isn't a whole model of cvhub.
    """
    family = check_folder(folder)
    with tempfile.TemporaryDirectory() as made:
        files = {file.name: file for file in folder.iterdir() if travels(file)} | add_code(folder, Path(made), family)
        if (folder / "README.md").is_file():
            shutil.copy(folder / "README.md", made)
        complete_card(Path(made), name)
        yield files | {"README.md": Path(made) / "README.md"}


def write_archive(folder: Path, archive: Path) -> None:
    """A zip that unpacks to a folder with the archive's own name. (Weights don't compress.)"""
    with complete(folder, archive.stem) as files, zipfile.ZipFile(archive, "w") as packed:
        for name, file in sorted(files.items()):
            packed.write(file, f"{archive.stem}/{name}")
