"""Training on pairs of pictures and texts: CLIP's contrast, and BLIP's three losses."""

import math
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cvhub.models.blip_pretraining import SlowTwin
from cvhub.models.losses_contrastive import LOSSES
from cvhub.training.trainer import RecipeTrainer

TWIN = "twin.pt"

# Logits are at most so many times a cosine (Radford et al. 2021, section 2.5).
MOST_SCALE = 100


class PairTrainer(RecipeTrainer):
    """Each picture of a batch has to find its text, and each text its picture, or one of those that it is said of."""

    def loss_and_terms(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        scale = self.bounded_scale()
        logits = model(**inputs).logits_per_image
        return LOSSES[self.model.config.loss](logits, same_texts(inputs["input_ids"])), {"scale": scale}

    def bounded_scale(self) -> Tensor:
        """The factor of a cosine, which doesn't grow beyond its limit."""
        logarithm: Any = self.model.logit_scale
        with torch.no_grad():
            return logarithm.clamp_(max=math.log(MOST_SCALE)).exp()


def same_texts(input_ids: Tensor) -> Tensor:
    """Which of the texts (N, L) are the same, (N, N)."""
    return (input_ids[:, None] == input_ids[None]).all(-1)


class BlipTrainer(PairTrainer):
    """Contrast, matching and writing at once, beside a slow twin where the recipe wants one."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        words = self.recipe.words
        self.twin = SlowTwin(self.model, words.twin_momentum, words.queue) if words.twin_momentum else None

    def loss_and_terms(self, model: nn.Module, inputs: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        scale = self.bounded_scale()
        if self.twin is not None:
            self.twin.follow(self.model)
        output: Any = model(**inputs, twin=self.twin)
        names = ("contrastive_loss", "matching_loss", "writing_loss")
        return output.loss, {name: output[name].detach() for name in names} | {"scale": scale}

    def seconds_a_step(self) -> float:
        twin, self.twin = self.twin, deepcopy(self.twin)
        try:
            return super().seconds_a_step()
        finally:
            self.twin = twin

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        super()._save(output_dir, state_dict)
        if self.twin is not None and self.args.should_save and output_dir is not None:
            torch.save(self.twin.state_dict(), Path(output_dir) / TWIN)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        if self.twin is not None:
            self.twin.restore(torch.load(Path(resume_from_checkpoint) / TWIN, weights_only=True))
