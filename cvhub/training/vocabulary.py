"""A tokenizer for texts of one's own: the family's kind of it, with a vocabulary that is made of the texts."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from tokenizers import Tokenizer
from tokenizers.models import BPE, WordPiece
from tokenizers.trainers import BpeTrainer, WordPieceTrainer
from transformers import BertTokenizer

from cvhub.convert.blip_tokenizer import with_starts
from cvhub.convert.clip_tokenizer import WORD_END, byte_letters, tokenizer_of
from cvhub.errors import CvhubError

BLIP_STARTS = 2  # tokens that BLIP adds to BERT's
CONTINUED = "##"  # begins a token that doesn't begin a word


def make_tokenizer(kind: str, texts: Sequence[str], size: int, most: int) -> Any:
    """Of at most `size` tokens, for texts of at most `most`; `kind` is what the net's config calls its `words`.

    Raises `CvhubError` where the letters alone need more.
    """
    tokenizer = MAKERS[kind](texts, size, most)
    if len(tokenizer) > size:
        raise CvhubError(f"words.vocabulary is {size}, but letters alone need {len(tokenizer)} tokens.")
    return tokenizer


def _byte_pairs(texts: Sequence[str], size: int, most: int) -> Any:
    """CLIP's: the commonest pair of neighbours in the texts becomes a token, until there are enough."""
    plain = tokenizer_of([], most)
    letters = byte_letters()
    starts = [*letters, *(letter + WORD_END for letter in letters)]
    trainer = BpeTrainer(vocab_size=size, end_of_word_suffix=WORD_END, special_tokens=starts, show_progress=False)
    learnt = _learnt(BPE(end_of_word_suffix=WORD_END), plain, trainer, texts)
    merges = [(left, right) for left, right in learnt["merges"]]
    return tokenizer_of(merges[: max(0, size - len(plain))], most)


def _word_pieces(texts: Sequence[str], size: int, most: int) -> Any:
    """BERT's, with BLIP's starts."""
    plain = BertTokenizer()
    normalised = plain.backend_tokenizer.normalizer
    letters = sorted(set("".join(map(normalised.normalize_str, texts))) - {" "})
    known = plain.get_vocab()
    starts = [*sorted(known, key=known.__getitem__), *letters, *(CONTINUED + letter for letter in letters)]
    trainer = WordPieceTrainer(vocab_size=size - BLIP_STARTS, special_tokens=starts, show_progress=False)
    learnt = _learnt(WordPiece(unk_token=plain.unk_token), plain, trainer, texts)
    return with_starts(BertTokenizer(vocab=learnt["vocab"], model_max_length=most))


def _learnt(model: Any, plain: Any, trainer: Any, texts: Sequence[str]) -> dict[str, Any]:
    """What a trainer of `tokenizers` makes of texts that are read as `plain` reads them: vocabulary and merges.

    It numbers letters as they come out of a hash table, and of two pairs that are as common takes that of the lower
    numbers. Those that have a number before, as its "special tokens" do, keep it, so that all runs find the same.
    """
    learner = Tokenizer(model)
    learner.normalizer = plain.backend_tokenizer.normalizer
    learner.pre_tokenizer = plain.backend_tokenizer.pre_tokenizer
    learner.train_from_iterator(texts, trainer)
    return json.loads(learner.to_str())["model"]


MAKERS: dict[str, Callable[[Sequence[str], int, int], Any]] = {
    "CLIPProcessor": _byte_pairs,
    "BlipProcessor": _word_pieces,
}


def token_fields(tokenizer: Any) -> dict[str, Any]:
    """What a text tower's config says of its tokenizer, of the fields that it has."""
    return {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id if tokenizer.sep_token_id is None else tokenizer.sep_token_id,
        "sep_token_id": tokenizer.sep_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
