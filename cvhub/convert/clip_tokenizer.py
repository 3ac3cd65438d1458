"""The byte-pair encoding that all of OpenAI's and open_clip's CLIP nets were trained with.

`clip_merges.txt.gz` holds its merges (openai/CLIP, bpe_simple_vocab_16e6.txt.gz, MIT licence), cut to those in use.
"""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cvhub.errors import CvhubError

MERGES = Path(__file__).with_name("clip_merges.txt.gz")
START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"


def make_tokenizer(config: Any) -> Any:
    """transformers' tokenizer of it, for a text tower's config; raises `CvhubError` for one with another vocabulary."""
    lines = gzip.decompress(MERGES.read_bytes()).decode("utf-8").splitlines()
    text = config.text_config
    tokenizer = tokenizer_of([(left, right) for left, right in map(str.split, lines)], text.max_position_embeddings)
    if len(tokenizer) != text.vocab_size:
        raise CvhubError(
            f"The source has no tokenizer, and its vocabulary of {text.vocab_size:,} tokens is not CLIP's own."
        )
    return tokenizer


def tokenizer_of(merges: Sequence[tuple[str, str]], most: int) -> Any:
    """Of byte pairs in the order they were found; `most` tokens a text. Whatever the pairs, each byte has a token."""
    from transformers import CLIPTokenizer

    letters = byte_letters()
    tokens = [*letters, *(letter + WORD_END for letter in letters), *map("".join, merges), START, END]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    pairs: Any = list(merges)  # its annotation knows lines alone
    return CLIPTokenizer(vocab=vocabulary, merges=pairs, model_max_length=most)


def byte_letters() -> list[str]:
    """A visible letter for each byte, in the vocabulary's order: printable ones are themselves and come first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = 256 - len(printable)
    return [*map(chr, printable), *(chr(256 + number) for number in range(others))]
