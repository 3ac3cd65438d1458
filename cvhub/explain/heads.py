"""The two heads of a distilled DeiT on one picture: what each answers, and where its token looked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvhub.errors import CvhubError
from cvhub.explain.attention import attention

if TYPE_CHECKING:
    from torch import Tensor

CLASS_TOKEN, DISTILLATION_TOKEN = 0, 1


@dataclass(frozen=True)
class Heads:
    """Logits (K,) of the class head and of the distillation head, and attention rollout (rows, columns) of the token
    that each reads."""

    class_logits: np.ndarray
    distillation_logits: np.ndarray
    class_attention: np.ndarray
    distillation_attention: np.ndarray


def heads(model: Any, pixel_values: "Tensor") -> Heads:
    """Of one picture (1, C, H, W). Raises `CvhubError` for a net that has no second head."""
    import torch

    with torch.no_grad():
        output = model(pixel_values)
    if output.get("distillation_logits") is None:
        raise CvhubError(f"{type(model).__name__} has no distillation head.")
    seen = attention(model, pixel_values)
    return Heads(
        output.cls_logits[0].float().cpu().numpy(),
        output.distillation_logits[0].float().cpu().numpy(),
        seen.rollout(CLASS_TOKEN),
        seen.rollout(DISTILLATION_TOKEN),
    )
