"""CLIP's convolutional image tower (Radford et al. 2021, https://arxiv.org/abs/2103.00020, section 2.4).

A ResNet-D (He et al. 2019, https://arxiv.org/abs/1812.01187) whose strides are means over 2×2 pixels (blur pooling),
and whose last mean is attention: the mean of the map asks, all cells and the mean itself answer, once.

    pixels → 3×3/2 → 3×3 → 3×3 → mean 2×2 → stage 1 … stage 4 → [mean; cells] + positions → attention → embedding
    (N, C, H, W)                 (N, w, H/4, W/4)    (N, 32w, h, w')   (N, 1 + h·w', 32w)                 (N, E)

    block
    x ─ 1×1 ─ 3×3 ─ mean s×s ─ 1×1 ─ (+) ─ relu
    └──── mean s×s ─ 1×1 ─────────────┘

N batch, C channels, H height, W width, w the stem's width, s a block's stride, E the embedding's dimensions.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils.generic import can_return_tuple

from .attention import CvTransformerPreTrainedModel, attend, resize_positions
from .base import CvImageConfig
from .layers import ConvNormAct

STRIDE = 32  # pixels a side that a cell of the last map stands for
EXPANSION = 4


class CvClipResNetConfig(CvImageConfig):
    """The defaults are the paper's RN50 (table 19).

    - `depths`: blocks a stage, the first of them `width` channels wide (times 4 at its end), the next twice as much …
    - `image_size`: pixels a side for which the attention's positions were learned; others get interpolated ones.
    - `num_attention_heads`: of the attention that pools; `projection_dim`: E, what it gives out.
    """

    model_type = "cvhub_clip_resnet"
    auto_classes: ClassVar[tuple[str, ...]] = ()
    base_config_key = "vision_config"
    counts: ClassVar[tuple[str, ...]] = ("depths", "width", "num_attention_heads", "projection_dim")

    depths: list[int] | tuple[int, ...] = (3, 4, 6, 3)
    width: int = 64
    image_size: int = 224
    num_attention_heads: int = 32
    projection_dim: int = 1024
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.image_size % STRIDE or not self.image_size:
            raise ValueError(f"image_size is {self.image_size}, expected a multiple of {STRIDE}.")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(f"{self.hidden_size} channels can't be shared by {self.num_attention_heads} heads.")

    @property
    def hidden_size(self) -> int:
        """Channels of the last map."""
        return self.width * 2 ** (len(self.depths) - 1) * EXPANSION

    @property
    def smallest_input(self) -> int:
        """Fewest pixels a side may have: two cells, for runtimes disagree on how to interpolate to one position."""
        return 2 * STRIDE


class Bottleneck(GradientCheckpointingLayer):
    """1×1 to w channels, 3×3, a mean over s×s, 1×1 to 4w: (N, C, H, W) → (N, 4w, H/s, W/s)."""

    def __init__(self, in_channels: int, width: int, stride: int):
        super().__init__()
        out_channels = width * EXPANSION
        self.conv1 = ConvNormAct(in_channels, width, 1)
        self.conv2 = ConvNormAct(width, width, 3)
        self.pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = ConvNormAct(width, out_channels, 1, activation=None)
        same = stride == 1 and in_channels == out_channels
        self.shortcut = nn.Identity() if same else ConvNormAct(in_channels, out_channels, 1, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.conv3(self.pool(self.conv2(self.conv1(x))))
        return F.relu(residual + self.shortcut(x if isinstance(self.shortcut, nn.Identity) else self.pool(x)))


class AttentionPooling(nn.Module):
    """One query, the map's mean, over all its cells and itself: (N, D, h, w) → (N, E)."""

    def __init__(self, config: CvClipResNetConfig):
        super().__init__()
        self.config = config
        width, side = config.hidden_size, config.image_size // STRIDE
        self.grid = (side, side)
        self.positions = nn.Parameter(torch.zeros(1 + side * side, width))
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.projection = nn.Linear(width, config.projection_dim)

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = x.shape[2:]
        cells = x.flatten(2).transpose(1, 2)  # (N, h·w, D)
        learned = self.positions.unsqueeze(0)
        places = resize_positions(learned[:, 1:], self.grid, (rows, columns), antialias=False)
        tokens = torch.cat([cells.mean(1, keepdim=True), cells], dim=1) + torch.cat([learned[:, :1], places], dim=1)
        query, key, value = (
            project(part).unflatten(2, (self.config.num_attention_heads, -1)).transpose(1, 2)  # (N, heads, L, D/heads)
            for project, part in ((self.query, tokens[:, :1]), (self.key, tokens), (self.value, tokens))
        )
        mixed, _ = attend(self, query, key, value)
        return self.projection(mixed[:, 0])


class CvClipResNetModel(CvTransformerPreTrainedModel):
    """The tower; `pooler_output` is the embedding, not normalised yet."""

    config_class = CvClipResNetConfig
    config: CvClipResNetConfig
    base_model_prefix = "resnet"
    _no_split_modules: ClassVar[list[str]] = ["Bottleneck"]

    def __init__(self, config: CvClipResNetConfig):
        super().__init__(config)
        half = config.width // 2
        self.stem = nn.Sequential(
            ConvNormAct(config.num_channels, half, 3, 2),
            ConvNormAct(half, half, 3),
            ConvNormAct(half, config.width, 3),
            nn.AvgPool2d(2),
        )
        self.stages = nn.ModuleList()
        channels = config.width
        for i, depth in enumerate(config.depths):
            width = config.width * 2**i
            strides = [1 if i == 0 else 2, *([1] * (depth - 1))]
            inputs = [channels, *([width * EXPANSION] * (depth - 1))]
            blocks = (Bottleneck(given, width, stride) for given, stride in zip(inputs, strides, strict=True))
            self.stages.append(nn.Sequential(*blocks))
            channels = width * EXPANSION
        self.pooling = AttentionPooling(config)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Convolutions before a ReLU as in `CvPreTrainedModel`, attention as the released code does."""
        super(CvTransformerPreTrainedModel, self)._init_weights(module)
        if isinstance(module, AttentionPooling):
            std = self.config.hidden_size**-0.5
            init.normal_(module.positions, std=std)
            for linear in (module.query, module.key, module.value, module.projection):
                init.normal_(linear.weight, std=std)

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPooling:
        """`pixel_values` (N, C, H, W) → the last map (N, 32w, H/32, W/32) and the embedding (N, E).

        Where asked for, also the maps of the stem and of each stage.
        """
        self.check_pixel_values(pixel_values)
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        maps = [self.stem(pixel_values)]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return BaseModelOutputWithPooling(
            last_hidden_state=maps[-1],
            pooler_output=self.pooling(maps[-1]),
            hidden_states=tuple(maps) if keep else None,
        )
