"""Swin Transformer: Hierarchical Vision Transformer using Shifted Windows, Liu et al. 2021,
https://arxiv.org/abs/2103.14030

Where every patch attends to every other, the cost grows with the square of the picture's area. Here it attends within a
window of M × M patches, so that the cost grows with the area itself (section 3.2, eq. 1 and 2). Every second block
moves the windows by half of one, and so connects those that were neighbours (figure 2, swin_windows.py). Between stages
2 × 2 neighbours are merged (section 3.1): maps of strides 4, 8, 16 and 32 come out, as a convolutional net gives, for
any task.

    pixels → patches → norm → stage 1 → merging → stage 2 → merging → stage 3 → merging → stage 4 → norm → mean → linear
             (N, H/4, W/4, C)           (N, H/8, W/8, 2C)   H/16, 4C              H/32, 8C                      → logits

    a block (figure 3b, eq. 3), its attention W-MSA and, in every second block, SW-MSA
    x ─┬─ norm ─ attention ─ (+) ─┬─ norm ─ MLP ─ (+) → (N, h, w, C)
       └──────────────────────┘   └───────────────┘

N batch, H height and W width of the picture, h and w of a map, C channels, M window size, d channels of a head.
"""

from itertools import islice
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils.generic import can_return_tuple

from .attention import CvTransformerClassifierMixin, CvTransformerPreTrainedModel, EncoderBlock, PatchEmbedding
from .backbone import CvBackboneConfig, CvBackboneMixin
from .layers import drop_path_rates
from .swin_windows import WindowAttention, fill

# Section 3.3; the windows of table 1; stochastic depth as in appendix A2.1 and, of Swin-L, in the authors' code.
# name: (C of stage 1, blocks of each stage, M, rate of stochastic depth)
VARIANTS = {
    "swin_tiny": (96, (2, 2, 6, 2), 7, 0.2),
    "swin_small": (96, (2, 2, 18, 2), 7, 0.3),
    "swin_base": (128, (2, 2, 18, 2), 7, 0.5),
    "swin_base_384": (128, (2, 2, 18, 2), 12, 0.5),
    "swin_large": (192, (2, 2, 18, 2), 7, 0.2),
    "swin_large_384": (192, (2, 2, 18, 2), 12, 0.2),
}
HEAD_WIDTH = 32  # d of all of them


class CvSwinConfig(CvBackboneConfig):
    """The defaults are the paper's Swin-T; `variant` gives the other rows.

    - `embed_dim`: C of stage 1; each later stage doubles it. `depths`: blocks a stage; `num_heads`: heads a stage.
    - `window_size`: M; `patch_size`: pixels a side of a patch; `mlp_ratio`: α, by how much an MLP widens.
    - The paper's maps are made of whole windows, several along both axes or one. Of others, libraries shift the windows
      in ways of their own. `fill_before_shift`: filled up and then rolled, as torchvision and transformers do, or first
      rolled, as timm does. `shift_axes_apart`: an axis that one window covers isn't shifted, the other is, as in
      torchvision and timm, or neither is, as in transformers.
    - `drop_path_rate`: of the last block's branches, less before. `dropout`: on patches, behind every linear layer but
      the projection to queries, keys and values; `attention_dropout`: on attention's weights. The paper has neither.
    - `initializer_range`: σ of the weights' start; `num_channels`, `label_smoothing`: see `CvClassifierConfig`.
    """

    model_type = "cvhub_swin"
    counts: ClassVar[tuple[str, ...]] = ("embed_dim", "depths")

    embed_dim: int = 96
    depths: list[int] | tuple[int, ...] = (2, 2, 6, 2)
    num_heads: list[int] | tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7
    patch_size: int = 4
    mlp_ratio: float | int = 4.0
    fill_before_shift: bool = True
    shift_axes_apart: bool = True
    drop_path_rate: float | int = 0.2
    dropout: float | int = 0.0
    attention_dropout: float | int = 0.0
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        if len(self.depths) != len(self.num_heads):
            raise ValueError(
                f"depths {self.depths} and num_heads {self.num_heads} must name the same number of stages."
            )
        for field in ("window_size", "patch_size"):
            if getattr(self, field) < 1:
                raise ValueError(f"{field} is {getattr(self, field)}, expected at least 1.")
        for stage, (channels, heads) in enumerate(zip(self.stage_channels, self.num_heads, strict=True), start=1):
            if heads < 1 or channels % heads:
                raise ValueError(f"num_heads of stage {stage} is {heads}, expected a divisor of {channels} channels.")
        super().__post_init__(**kwargs)

    @classmethod
    def variant(cls, name: str, **fields: Any) -> "CvSwinConfig":
        """A row of `VARIANTS` by name; `fields` override it."""
        embed_dim, depths, window_size, drop_path_rate = VARIANTS[name]
        num_heads = tuple(embed_dim * 2**stage // HEAD_WIDTH for stage in range(len(depths)))
        row: dict[str, Any] = dict(embed_dim=embed_dim, depths=depths, num_heads=num_heads)
        row |= dict(window_size=window_size, drop_path_rate=drop_path_rate)
        return cls(**(row | fields))

    @property
    def stage_names(self) -> list[str]:
        return [f"stage{i}" for i in range(1, len(self.depths) + 1)]

    @property
    def stage_strides(self) -> list[int]:
        return [self.patch_size, *([2] * (len(self.depths) - 1))]

    @property
    def stage_channels(self) -> list[int]:
        return [self.embed_dim * 2**stage for stage in range(len(self.depths))]


class PatchMerging(nn.Module):
    """2 × 2 neighbours side by side, then a linear layer (section 3.1): (N, h, w, C) → (N, ⌈h/2⌉, ⌈w/2⌉, 2C)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = fill(x, 2)
        # Column by column: the order that the authors' weights, and so all libraries', were trained in.
        x = torch.cat([x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)], dim=-1)
        return self.reduction(self.norm(x))


def make_block(config: CvSwinConfig, channels: int, heads: int, shifted: bool, drop_path: float) -> EncoderBlock:
    """Half of figure 3(b), equation 3: (N, h, w, C) → (N, h, w, C), and attention's weights where they are kept."""
    attention, hidden_width = WindowAttention(config, channels, heads, shifted), int(channels * config.mlp_ratio)
    return EncoderBlock(attention, channels, hidden_width, dropout=config.dropout, drop_path=drop_path)


class Stage(nn.Module):
    """Merging, but not in stage 1, and blocks, of which every second one is shifted: a block for each of `rates`."""

    def __init__(self, config: CvSwinConfig, stage: int, rates: list[float]):
        super().__init__()
        channels, heads = config.stage_channels[stage], config.num_heads[stage]
        self.merging = nn.Identity() if stage == 0 else PatchMerging(channels // 2)
        blocks = (make_block(config, channels, heads, i % 2 == 1, rate) for i, rate in enumerate(rates))
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor, keep_weights: bool = False) -> tuple[Tensor, list[Tensor]]:
        x, kept = self.merging(x), []
        for block in self.blocks:
            x, weights = block(x, keep_weights)
            kept.append(weights)
        return x, kept


class MapNorm(nn.LayerNorm):
    """Normalises the channels of a map and puts them first: (N, h, w, C) → (N, C, h, w)."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input).permute(0, 3, 1, 2)


class CvSwinPreTrainedModel(CvTransformerPreTrainedModel):
    config_class = CvSwinConfig
    config: CvSwinConfig
    base_model_prefix = "swin"
    _no_split_modules: ClassVar[list[str]] = ["EncoderBlock"]

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, WindowAttention):
            init.trunc_normal_(module.relative_position_bias, std=self.config.initializer_range)


class CvSwinModel(CvSwinPreTrainedModel):
    """The net without its classifier."""

    auto_classes = ("AutoModel",)

    def __init__(self, config: CvSwinConfig):
        super().__init__(config)
        self.patch_embedding = PatchEmbedding(config.num_channels, config.embed_dim, config.patch_size)
        self.patch_norm = nn.LayerNorm(config.embed_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.stages = nn.ModuleList()
        rates = iter(drop_path_rates(config.drop_path_rate, sum(config.depths)))
        for stage, depth in enumerate(config.depths):
            self.stages.append(Stage(config, stage, list(islice(rates, depth))))
        self.norm = MapNorm(config.stage_channels[-1])
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """`pixel_values` (N, c, H, W) → the last map (N, 8C, ⌈H/32⌉, ⌈W/32⌉), normalised, and its mean (N, 8C).

        On request each stage's map (N, C', h, w), the last as above, and each block's weights of attention
        (N, windows, heads, M², M²).
        """
        self.check_pixel_values(pixel_values)
        keep_weights = self.config.output_attentions if output_attentions is None else output_attentions
        keep_maps = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        x = self.dropout(self.patch_norm(self.patch_embedding(pixel_values).permute(0, 2, 3, 1)))
        maps, attentions = [], []
        for stage in self.stages:
            x, weights = stage(x, keep_weights)
            maps.append(x.permute(0, 3, 1, 2))
            attentions += weights
        maps[-1] = self.norm(x)
        return BaseModelOutputWithPooling(
            last_hidden_state=maps[-1],
            pooler_output=maps[-1].mean((2, 3)),
            hidden_states=tuple(maps) if keep_maps else None,
            attentions=tuple(attentions) if keep_weights else None,
        )


class CvSwinForImageClassification(CvTransformerClassifierMixin, CvSwinPreTrainedModel):
    """Global average pooling and a linear classifier on `CvSwinModel` (appendix A2.1 of the paper)."""

    auto_classes = ("AutoModelForImageClassification",)

    def __init__(self, config: CvSwinConfig):
        super().__init__(config)
        self.num_labels: int = config.num_labels  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self.swin = CvSwinModel(config)
        self.classifier = nn.Linear(config.stage_channels[-1], self.num_labels)
        self.post_init()


class CvSwinBackbone(CvBackboneMixin, CvSwinModel):
    """The feature maps that `config.out_features` names: "stage1" (stride 4) …, the last of them normalised."""

    auto_classes = ("AutoBackbone",)
