"""VGG: Very Deep Convolutional Networks for Large-Scale Image Recognition, Simonyan & Zisserman 2015, https://arxiv.org/abs/1409.1556

How much is depth worth? Everything else is kept as plain as can be: 3×3 convolutions, the smallest that know left from
right, whose map keeps its size, and pooling that halves it while the channels double. Two of them in a row see 5×5
pixels and three see 7×7, with fewer weights than one large kernel and a nonlinearity after each (section 2.3). From 11
to 19 layers the error falls (section 4.1). Batch normalisation came a year later, and lets the deepest train by itself.

    pixels → stage 1 → pool → stage 2 → pool → stage 3 → pool → stage 4 → pool → stage 5 → pool5
    (N, 3, H, W)  64, H          128, H/2         256, H/4         512, H/8        512, H/16  (N, 512, H/32, W/32)

    pool5 → mean over 7×7 cells → fc6 4096 → dropout → fc7 4096 → dropout → linear → logits

    a stage                                          layers of the stages (table 1)
    x ─ 3×3, w ─ relu ─ 3×3, w ─ relu ─ … ─ y        A 1 1 2 2 2    B 2 2 2 2 2    D 2 2 3 3 3    E 2 2 4 4 4

N batch, C channels, H height, W width, w a stage's width, K classes; every pool is a maximum over 2×2 pixels, stride 2.
"""

from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_layers import GradientCheckpointingLayer

from .backbone import CvBackboneMixin, CvConvNetConfig, CvConvNetMixin
from .base import CvImageClassifierMixin, CvPreTrainedModel
from .layers import LinearAct, MaxPool, dilate_strides

# The columns of table 1: the kernels of each stage's convolutions.
TABLE_1 = {
    "vgg11": ((3,), (3,), (3, 3), (3, 3), (3, 3)),  # A
    "vgg13": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),  # B
    "vgg16_1x1": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),  # C
    "vgg16": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),  # D
    "vgg19": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),  # E
}
# name: (kernels, whether with batch normalisation)
VARIANTS = {
    f"{name}{suffix}": (kernel_sizes, suffix == "_bn")
    for suffix in ("", "_bn")
    for name, kernel_sizes in TABLE_1.items()
}


class CvVggConfig(CvConvNetConfig):
    """The defaults are the paper's configuration D, known as VGG-16; `variant` gives the other rows.

    - `kernel_sizes`: of each stage's convolutions; `widths`: w of each stage. `batch_norm`: after each convolution.
    - `pooled_size`: cells a side that fc6 sees, 7 of 224 pixels. `dense` says what becomes of more: True lets fc6 slide
      over them and averages what fc7 answers, which gives the averaged scores of section 3.2 (timm); False averages the
      map to `pooled_size` cells (torchvision). Fewer are spread over as many either way.
    - `hidden_sizes`: of fc6 and fc7. Tiles of 64 pixels leave 2×2 cells, and ask for `pooled_size` 2 and smaller
      `hidden_sizes`.
    - `dropout`: of the outputs of fc6 and fc7 (section 3.1).
    - `output_stride`, `dilate_first_block` (of poolings), `label_smoothing`, `num_channels`: see `CvConvNetConfig`.
    """

    model_type = "cvhub_vgg"
    counts: ClassVar[tuple[str, ...]] = ("widths", "hidden_sizes", "pooled_size")

    kernel_sizes: list[Any] | tuple[Any, ...] = TABLE_1["vgg16"]
    widths: list[int] | tuple[int, ...] = (64, 128, 256, 512, 512)
    batch_norm: bool = False
    pooled_size: int = 7
    dense: bool = False
    hidden_sizes: list[int] | tuple[int, ...] = (4096, 4096)
    dropout: float = 0.5

    def __post_init__(self, **kwargs: Any) -> None:
        stages = [list(kernels) if isinstance(kernels, (list, tuple)) else [] for kernels in self.kernel_sizes]
        if not all(stages) or any(kernel not in (1, 3, 5, 7) for kernels in stages for kernel in kernels):
            raise ValueError(f"kernel_sizes are {self.kernel_sizes}, expected lists of odd sizes up to 7, one a stage.")
        if len(stages) != len(self.widths):
            raise ValueError(f"kernel_sizes {self.kernel_sizes} and widths {self.widths} must name as many stages.")
        if len(self.hidden_sizes) != 2:
            raise ValueError(f"hidden_sizes are {self.hidden_sizes}, expected two, of fc6 and fc7.")
        self.kernel_sizes = stages
        super().__post_init__(**kwargs)

    @classmethod
    def variant(cls, name: str, **fields: Any) -> "CvVggConfig":
        """A row of `VARIANTS` by name; `fields` override it."""
        kernel_sizes, batch_norm = VARIANTS[name]
        row: dict[str, Any] = dict(kernel_sizes=kernel_sizes, batch_norm=batch_norm)
        return cls(**(row | fields))

    @property
    def stage_names(self) -> list[str]:
        count = len(self.widths)
        return [*(f"stage{i}" for i in range(1, count + 1)), f"pool{count}"]

    @property
    def stage_strides(self) -> list[int]:
        return [1, *[2] * len(self.widths)]

    @property
    def stage_channels(self) -> list[int]:
        return [*self.widths, self.widths[-1]]

    def map_sizes(self, size: int) -> list[int]:
        """A pooling leaves out the last row of an odd number."""
        return [size // stride for stride in self.map_strides]


class ConvLayer(nn.Module):
    """A convolution of stride 1 that keeps the map's size, and ReLU: (N, C, H, W) → (N, C', H, W)."""

    def __init__(self, config: CvVggConfig, in_channels: int, out_channels: int, kernel_size: int, dilation: int):
        super().__init__()
        padding = kernel_size // 2 * dilation
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation)
        self.norm = nn.BatchNorm2d(out_channels) if config.batch_norm else nn.Identity()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


class Stage(GradientCheckpointingLayer):
    """The layers from one pooling to the next: (N, C, H, W) → (N, w, H, W)."""

    def __init__(self, config: CvVggConfig, in_channels: int, width: int, kernel_sizes: list[int], dilation: int):
        super().__init__()
        inputs = [in_channels, *[width] * (len(kernel_sizes) - 1)]
        self.layers = nn.Sequential(
            *(ConvLayer(config, c, width, k, dilation) for c, k in zip(inputs, kernel_sizes, strict=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class CvVggPreTrainedModel(CvPreTrainedModel):
    config_class = CvVggConfig
    config: CvVggConfig
    base_model_prefix = "vgg"
    _no_split_modules: ClassVar[list[str]] = ["Stage"]
    # All layers of the paper start with N(0, 0.01²), and deep nets with those of the trained shallow one (section 3.1).
    initial_fan = "fan_in"


class CvVggConvolutions(CvConvNetMixin, CvVggPreTrainedModel):
    """The net up to the last pooling: all that a backbone needs, with 15 of VGG-16's 138 million parameters."""

    def __init__(self, config: CvVggConfig):
        super().__init__(config)
        samplings = list(dilate_strides(config.stage_strides, config.output_stride, config.dilate_first_block))
        self.stages = nn.ModuleList()
        self.pools = nn.ModuleList(MaxPool(2, sampling) for sampling in samplings[1:])
        in_channels = config.num_channels
        for width, kernel_sizes, sampling in zip(config.widths, config.kernel_sizes, samplings[:-1], strict=True):
            self.stages.append(Stage(config, in_channels, width, kernel_sizes, sampling.dilation))
            in_channels = width

    def feature_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """`pixel_values` (N, C, H, W) → the maps of the stages, the first (N, w, H, W), and the last one pooled."""
        maps, x = [], pixel_values
        for stage, pool in zip(self.stages, self.pools, strict=True):
            maps.append(stage(x))
            x = pool(maps[-1])
        return [*maps, x]


def at_least(size: Any, smallest: int) -> Any:
    """The larger of the two, written without max(), so that tracers record it for every size."""
    return (size + smallest + abs(size - smallest)) // 2


class CvVggModel(CvVggConvolutions):
    """The net without its last layer: `pooler_output` (N, 4096) is what fc7 gives, the features that others took up."""

    auto_classes = ("AutoModel",)

    def __init__(self, config: CvVggConfig):
        super().__init__(config)
        fc6, fc7 = config.hidden_sizes
        self.fc6 = LinearAct(config.widths[-1] * config.pooled_size**2, fc6, nn.ReLU(inplace=True))
        self.dropout = nn.Dropout(config.dropout)
        self.fc7 = LinearAct(fc6, fc7, nn.ReLU(inplace=True))
        self.post_init()

    def pool(self, last_map: Tensor) -> Tensor:
        """The last map (N, C', h, w) through fc6 and fc7, as `config.dense` says: (N, 4096)."""
        size = self.config.pooled_size
        if not self.config.dense:
            return self.hidden(F.adaptive_avg_pool2d(last_map, size).flatten(1))  # (N, C'·7·7)
        height, width = last_map.shape[2:]
        cells = F.adaptive_avg_pool2d(last_map, (at_least(height, size), at_least(width, size)))
        windows = F.unfold(cells, size).transpose(1, 2)  # (N, places of 7×7 cells, C'·7·7)
        return self.hidden(windows).mean(1)

    def hidden(self, cells: Tensor) -> Tensor:
        """(…, C'·7·7) → (…, 4096)."""
        return self.fc7(self.dropout(self.fc6(cells)))


class CvVggForImageClassification(CvImageClassifierMixin, CvVggPreTrainedModel):
    """Dropout and a linear classifier on `CvVggModel`."""

    auto_classes = ("AutoModelForImageClassification",)

    def __init__(self, config: CvVggConfig):
        super().__init__(config)
        self.num_labels: int = config.num_labels  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self.vgg = CvVggModel(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden_sizes[-1], self.num_labels)
        self.post_init()

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, 4096) → logits (N, K)."""
        return self.classifier(self.dropout(pooled))


class CvVggBackbone(CvBackboneMixin, CvVggConvolutions):
    """The feature maps that `config.out_features` names: "stage1" (stride 1) … "stage5" and "pool5" (stride 32)."""

    auto_classes = ("AutoBackbone",)
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^classifier\.", r"(^|\.)fc[67]\."]

    def __init__(self, config: CvVggConfig):
        super().__init__(config)
        self.post_init()
