"""Small pictures of a visit, each made once, as the browser is given them."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference.picture_index import Entry
from cvhub.ui.pictures import data_uri, preview

SIDE = 256  # pixels of the longer side


class Thumbnails:
    """Data URIs in the files of a folder, by what an index knows of a picture."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def keep(self, entry: Entry, image: Image.Image) -> str:
        small = preview(image)
        small.thumbnail((SIDE, SIDE))
        uri = data_uri(small)
        self._file(entry).write_text(uri, encoding="ascii")
        return uri

    def find(self, entry: Entry, open_picture: Callable[[], AbstractContextManager[Image.Image]]) -> str:
        """The picture's data URI; "" where there is none and the picture can't be opened."""
        file = self._file(entry)
        if file.is_file():
            return file.read_text(encoding="ascii")
        try:
            with open_picture() as image:
                return self.keep(entry, image)
        except CvhubError:
            return ""

    def _file(self, entry: Entry) -> Path:
        return self.folder / hashlib.blake2b(ascii(entry).encode(), digest_size=16).hexdigest()
