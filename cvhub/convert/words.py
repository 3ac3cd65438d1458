"""What reads words in a folder: its tokenizer, carried along as transformers has it, and a processor of both kinds."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cvhub.errors import CvhubError

log = logging.getLogger("cvhub")

# One of them is in every folder that has a tokenizer.
TOKENIZERS = ("tokenizer.json", "vocab.json", "vocab.txt")


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TOKENIZERS)


def load_tokenizer(folder: Path, kind: str = "") -> Any:
    """The tokenizer of a folder, of transformers' class for `kind`, a model_type, where the folder doesn't say."""
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, **({"tokenizer_type": kind} if kind else {}))
    except Exception as error:  # of many kinds, for what is damaged or of an unknown class
        raise CvhubError(f"The tokenizer of {folder.name} can't be read: {str(error).splitlines()[0]}"[:300]) from error


def save_words(folder: Path, source: Path | None, config: Any, default: Callable[[Any], Any]) -> None:
    """Into `folder`: the tokenizer of `source`, or the family's `default` for `config`, and the processor's name."""
    if source is not None and has_tokenizer(source):
        named = (source / "tokenizer_config.json").is_file()
        tokenizer = load_tokenizer(source, "" if named else config.words.removesuffix("Processor").lower())
    else:
        tokenizer = default(config)
        log.warning("The source has no tokenizer: the default for this family is used.")
    save_tokenizer(tokenizer, folder, config)


def save_tokenizer(tokenizer: Any, folder: Path, config: Any) -> None:
    """Into a folder of a net with this `config`, with the processor's name."""
    check_vocabulary(tokenizer, config)
    tokenizer.save_pretrained(folder)
    name_processor(folder, config)


def name_processor(folder: Path, config: Any) -> None:
    """`AutoProcessor` makes one of the folder's two parts, of transformers' class."""
    file = folder / "processor_config.json"
    file.write_text(json.dumps({"processor_class": config.words}, indent=2) + "\n", encoding="utf-8")


def check_vocabulary(tokenizer: Any, config: Any) -> None:
    """Raises `CvhubError` where the tokenizer knows tokens that the net has no place for."""
    known = config.text_config.vocab_size
    if len(tokenizer) > known:
        raise CvhubError(f"The tokenizer has {len(tokenizer):,} tokens, but the net has {known:,} embeddings.")
