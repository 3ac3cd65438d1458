"""Whether a sentence fits a picture: the head of a net that reads the text with the picture before its eyes (BLIP)."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.inference.classify import softmax
from cvhub.inference.zero_shot import TASK, ZeroShot

HEAD = "ForImageTextRetrieval"  # ends the names of the classes that have one


def can_match(net: ZeroShot) -> bool:
    """Whether the net has such a head beside its contrastive one."""
    config = json.loads((net.folder / "config.json").read_text(encoding="utf-8"))
    return any(str(name).endswith(HEAD) for name in config.get("architectures") or ())


def picture_tokens(net: ZeroShot, image: Image.Image) -> np.ndarray:
    """What the head reads of a picture, (1, S, D). torch runs it."""
    import torch

    if not can_match(net):
        raise CvhubError(f"{net.name} has no head that judges whether a text fits.")
    with torch.inference_mode():
        pixels = torch.from_numpy(net.processor([image]))
        return _torch_model(net.folder).vision_model(pixels).last_hidden_state.numpy()


def match(net: ZeroShot, tokens: np.ndarray, text: str) -> float:
    """The probability that the text fits the picture of these tokens (Li et al. 2022, section 3.2)."""
    import torch

    ids = torch.from_numpy(net.tokens([text]))
    mask = (ids != net.tokens.filling).long()
    with torch.inference_mode():
        score = _torch_model(net.folder).match(torch.from_numpy(tokens), ids, mask)
    return float(softmax(score[0].numpy())[1])


@functools.lru_cache(maxsize=1)
def _torch_model(folder: Path) -> Any:
    """The whole net: the runtimes hold its two towers alone."""
    from cvhub.load import load_model

    return load_model(str(folder), TASK)
