"""BERT's words and BLIP's two more, for files that come without a tokenizer."""

from typing import Any

from cvhub.errors import CvhubError
from cvhub.hub.failures import PATIENCE, explained

REPO = "google-bert/bert-base-uncased"  # whose vocabulary the original's code fetches, too
START, ENCODE = "[DEC]", "[ENC]"


def make_tokenizer(config: Any) -> Any:
    """BERT's tokenizer, whose vocabulary comes from the Hub, with the tokens that start decoding and encoding.

    Raises `CvhubError` where it can't be fetched, or is not the one that the net was trained with.
    """
    from huggingface_hub import hf_hub_download
    from transformers import BertTokenizer

    with explained(REPO):
        file = hf_hub_download(REPO, "vocab.txt", etag_timeout=PATIENCE)
    tokenizer = with_starts(BertTokenizer(vocab=file))
    text = config.text_config
    if len(tokenizer) != text.vocab_size or tokenizer.bos_token_id != text.bos_token_id:
        raise CvhubError(
            f"The source has no tokenizer, and its vocabulary of {text.vocab_size:,} tokens is not BLIP's own."
        )
    return tokenizer


def with_starts(tokenizer: Any) -> Any:
    """BERT's tokenizer with BLIP's two more tokens, the last."""
    tokenizer.add_special_tokens({"bos_token": START})
    tokenizer.add_tokens([ENCODE], special_tokens=True)
    return tokenizer
