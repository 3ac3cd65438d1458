"""From texts to the numbers a text tower takes, by the folder's tokenizer, without torch and transformers."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from cvhub.errors import CvhubError
from cvhub.inference.runtime import USUAL_TOKENS

FILE = "tokenizer.json"
SHOWN = 40  # letters of a text in a sentence about it
SURROGATE = re.compile(r"[\ud800-\udfff]")


class Tokens:
    """`tokenizer.json` of a folder, for its text tower's config (as JSON)."""

    def __init__(self, folder: Path, text_config: dict[str, Any]):
        if not (folder / FILE).is_file():
            raise CvhubError(f"the folder {folder.name} has no {FILE}, so that no text can be read.")
        self._tokenizer = Tokenizer.from_file(str(folder / FILE))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.most: int = text_config["max_position_embeddings"]
        filling = text_config.get("pad_token_id")
        self.filling: int = text_config["eos_token_id"] if filling is None else filling

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """(N, L): each text from its start to its end token, filled up with padding, or with the latter again.

        L is a multiple of USUAL_TOKENS, or the most there may be: so few lengths, for each of which a runtime has to
        prepare. Raises `CvhubError` for a text that is too long, or no valid Unicode.
        """
        check_unicode(texts)
        rows = [encoded.ids for encoded in self._tokenizer.encode_batch(list(texts))]
        for text, row in zip(texts, rows, strict=True):
            if len(row) > self.most:
                raise CvhubError(
                    f"the text “{_begin(text)}” has {len(row):,} tokens, this model reads {self.most} at most."
                )
        length = min(self.most, -(-max(map(len, rows)) // USUAL_TOKENS) * USUAL_TOKENS)
        return np.array([row + [self.filling] * (length - len(row)) for row in rows], np.int64)


def check_unicode(texts: Iterable[str]) -> None:
    """Raises `CvhubError` for a text that UTF-8 has no form for: tokenizers fail on it with a TypeError.

    Half an emoji ends in such a surrogate, and a byte of the command line that is no UTF-8 becomes one.
    """
    for text in texts:
        if found := SURROGATE.search(text):
            whole = SURROGATE.sub("\ufffd", text)  # so that the sentence can be shown
            raise CvhubError(
                f"the text “{_begin(whole)}” has the lone surrogate U+{ord(found[0]):X}, expected valid Unicode."
            )


def _begin(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
