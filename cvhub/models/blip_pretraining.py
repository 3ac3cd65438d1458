"""How BLIP learns (Li et al. 2022, https://arxiv.org/abs/2201.12086, section 3.2): one net, three losses at once.

    pixels → picture encoder ─┬─ contrast: which of the texts is the picture's?      softened by a slow twin
    ids → text encoder ───────┤
                              ├─ matching: is this text its own, or one that is hard to tell from it?
                              └─ writing: what is the next word?

The text encoder and the decoder share everything but their self-attention: looking both ways and looking back are the
two tasks that differ (section 3.1). A `SlowTwin` (section 3.2, after ALBEF, https://arxiv.org/abs/2107.07651) follows
the net at a distance; what it says of a pair softens the contrast's targets, and what it said of earlier pairs, kept in
a queue, makes more texts and pictures to choose from.

N pairs, T tokens, S tokens of a picture, E dimensions, Q pairs in the queue.
"""

import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple

from .blip import CvBlipConfig, CvBlipForImageTextRetrieval
from .blip_text import IGNORED, CvBlipTextDecoder

# What the text encoder has and the decoder uses too, of itself and of each block.
SHARED_PARTS = ("embedding", "positions", "norm")
SHARED_BLOCK_PARTS = ("cross_attention", "cross_norm", "mlp", "mlp_norm")


@dataclass
class CvBlipPreTrainingOutput(ModelOutput):
    """The sum of the three losses, and each of them: scalars in float32 nats."""

    loss: Tensor | None = None
    contrastive_loss: Tensor | None = None
    matching_loss: Tensor | None = None
    writing_loss: Tensor | None = None


class Softened(NamedTuple):
    """What a slow twin says: pictures and texts (N + Q, E) to choose from, this batch's first, and how much of each the
    targets (N, N + Q) give them, for pictures that choose texts and for texts that choose pictures."""

    images: Tensor
    texts: Tensor
    of_images: Tensor
    of_texts: Tensor


class CvBlipForPreTraining(CvBlipForImageTextRetrieval):
    """All heads of a BLIP, learning together. What is saved of it are the heads' own classes."""

    auto_classes = ()

    def __init__(self, config: CvBlipConfig):
        super().__init__(config)
        self.text_decoder = CvBlipTextDecoder(config.text_config)
        self.share()

    def share(self) -> None:
        """Makes the decoder's parts those of the encoder, all but its self-attention and the head."""
        encoder: Any = self.text_encoder
        decoder: Any = self.text_decoder.text
        for name in SHARED_PARTS:
            setattr(decoder, name, getattr(encoder, name))
        for theirs, ours in zip(encoder.blocks, decoder.blocks, strict=True):
            for name in SHARED_BLOCK_PARTS:
                setattr(ours, name, getattr(theirs, name))
        self.text_decoder.head.words.weight = encoder.embedding.weight

    @can_return_tuple
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor,
        twin: "SlowTwin | None" = None,
        **kwargs: Any,
    ) -> CvBlipPreTrainingOutput:
        """`pixel_values` (N, C, H, W), `input_ids` and `attention_mask` (N, T) of pairs → the losses."""
        image = self.vision_model(pixel_values)
        text = self.text_encoder(input_ids, attention_mask)
        images = F.normalize(self.visual_projection(image.pooler_output), dim=-1)
        texts = F.normalize(self.text_projection(text.pooler_output), dim=-1)
        scale = self.logit_scale.exp()
        softened = plain(images, texts) if twin is None else twin.soften(pixel_values, input_ids, attention_mask, scale)
        contrast = self.contrast(images, texts, scale, softened)
        tokens = image.last_hidden_state
        matching = self.judge(tokens, input_ids, attention_mask, (scale * images @ texts.t()).detach())
        writing = self.write(tokens, input_ids, attention_mask)
        return CvBlipPreTrainingOutput(contrast + matching + writing, contrast, matching, writing)

    def contrast(self, images: Tensor, texts: Tensor, scale: Tensor, softened: Softened) -> Tensor:
        """Each picture chooses among the texts, and each text among the pictures, as the targets would."""
        to_text = -(softened.of_images * F.log_softmax((scale * images @ softened.texts.t()).float(), -1)).sum(-1)
        to_image = -(softened.of_texts * F.log_softmax((scale * texts @ softened.images.t()).float(), -1)).sum(-1)
        return (to_text.mean() + to_image.mean()) / 2

    def judge(self, tokens: Tensor, input_ids: Tensor, attention_mask: Tensor, logits: Tensor) -> Tensor:
        """Pairs, and pictures and texts with one that is nearly theirs: which fit? `logits` (N, N) say how near.

        A stranger is drawn the likelier the nearer it is; the same text under another picture is none.
        """
        pairs = len(input_ids)
        same = (input_ids[:, None] == input_ids[None]).all(-1)
        other_text = draw_strangers(logits, same)
        other_image = draw_strangers(logits.t(), same)
        pictures = torch.cat([tokens, tokens, tokens[other_image]])
        ids = torch.cat([input_ids, input_ids[other_text], input_ids])
        mask = torch.cat([attention_mask, attention_mask[other_text], attention_mask])
        fits = torch.zeros(3 * pairs, dtype=torch.long, device=tokens.device)
        fits[:pairs] = 1
        read = self.text_encoder(ids, mask, pictures).pooler_output
        return F.cross_entropy(self.matching(read).float(), fits)

    def write(self, tokens: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """The decoder's loss for the texts, begun with its own start token."""
        begun = input_ids.clone()
        begun[:, 0] = self.config.text_config.bos_token_id
        labels = begun.masked_fill(attention_mask == 0, IGNORED)
        return self.text_decoder(begun, attention_mask, tokens, labels=labels, use_cache=False).loss


def plain(images: Tensor, texts: Tensor) -> Softened:
    """Without a slow twin: the batch itself, each picture's text its own alone."""
    own = torch.eye(len(images), device=images.device)
    return Softened(images, texts, own, own)


def draw_strangers(logits: Tensor, same: Tensor) -> Tensor:
    """For each row of `logits` (N, N) a column (N,), by its softmax, but none that is the `same` where others are."""
    weights = logits.float().softmax(-1).masked_fill(same, 0) + 1e-6 * ~same
    alone = same.all(dim=1, keepdim=True)
    return torch.multinomial(weights + alone, 1)[:, 0]


class SlowTwin(nn.Module):
    """Copies of both encoders that follow them slowly, and a queue of what they said of the last Q pairs.

    - `momentum`: what is left of the copies in a step, 0.995 in the paper; `queue`: Q, 57,600 there.
    - `softness`: the part of the targets that is the twin's opinion, 0.4 there.
    """

    FOLLOWED = ("vision_model", "text_encoder", "visual_projection", "text_projection")

    def __init__(self, net: CvBlipForImageTextRetrieval, momentum: float, queue: int, softness: float = 0.4):
        super().__init__()
        self.momentum, self.softness = momentum, softness
        self.parts = nn.ModuleDict({name: copy.deepcopy(getattr(net, name)) for name in self.FOLLOWED})
        self.parts.requires_grad_(False)
        self.register_buffer("images", torch.zeros(0, net.config.projection_dim))
        self.register_buffer("texts", torch.zeros(0, net.config.projection_dim))
        self.queue = queue

    def restore(self, state: dict[str, Tensor]) -> None:
        """As it was when `state_dict` gave this, however long the queue was."""
        self.images, self.texts = state["images"], state["texts"]
        self.load_state_dict(state)

    @torch.no_grad()
    def follow(self, net: CvBlipForImageTextRetrieval) -> None:
        """A step after the net."""
        for name in self.FOLLOWED:
            for slow, fast in zip(self.parts[name].parameters(), getattr(net, name).parameters(), strict=True):
                slow.lerp_(fast, 1 - self.momentum)
            for slow, fast in zip(self.parts[name].buffers(), getattr(net, name).buffers(), strict=True):
                slow.copy_(fast)

    @torch.no_grad()
    def soften(self, pixel_values: Tensor, input_ids: Tensor, attention_mask: Tensor, scale: Tensor) -> Softened:
        """The targets for a batch, which joins the queue."""
        parts: Any = self.parts
        image = parts["vision_model"](pixel_values).pooler_output
        text = parts["text_encoder"](input_ids, attention_mask).pooler_output
        own = F.normalize(parts["visual_projection"](image), dim=-1).float()
        said = F.normalize(parts["text_projection"](text), dim=-1).float()
        images, texts = torch.cat([own, self.images]), torch.cat([said, self.texts])
        pairs = torch.eye(len(own), len(images), device=own.device)
        opinions = ((scale * one @ others.t()).softmax(-1) for one, others in ((own, texts), (said, images)))
        of_images, of_texts = (self.softness * opinion + (1 - self.softness) * pairs for opinion in opinions)
        self.images, self.texts = images[: self.queue], texts[: self.queue]
        return Softened(images, texts, of_images, of_texts)
