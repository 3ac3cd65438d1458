"""GoogLeNet: Going Deeper with Convolutions, Szegedy et al. 2015, https://arxiv.org/abs/1409.4842

What matters in a picture is small here and large there, so an Inception block (inception.py) looks at several sizes at
once and puts the answers side by side. Large kernels on many channels would cost too much: a 1×1 convolution reduces
the channels first, and projects what was pooled (section 4). So 22 layers take fewer parameters than AlexNet's 8. In
training two small classifiers halfway up add their losses, to bring gradients to the lower layers (section 5).

    pixels → conv 7×7/2 → pool, 1×1, 3×3 → pool, 3a 3b → pool, 4a 4b 4c 4d 4e → pool, 5a 5b → mean → linear → logits
             stem, H/2    stage1, H/4      stage2, H/8         │        │       stage4, H/32
                                                               └────────┴─ auxiliary classifiers, in training only
                                                           stage3, H/16
N batch, C channels, H height, W width, K classes; every convolution ends in a ReLU, every pool is a maximum over 3×3/2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from transformers.modeling_outputs import ImageClassifierOutputWithNoAttention
from transformers.utils.generic import can_return_tuple

from .backbone import CvBackboneMixin, CvConvNetConfig, CvConvNetMixin
from .base import CvImageClassifierMixin, CvPreTrainedModel
from .inception import TABLE_1, Inception, Row, convolution
from .layers import LocalResponseNorm, MaxPool, dilate_strides

# name: the fields in which a net differs from the paper's
VARIANTS: dict[str, dict[str, Any]] = {
    "googlenet": {},
    # torchvision's, of later years
    "googlenet_bn": dict(normalization="batch", third_kernel=3, pools=((3, 2), (3, 2), (3, 2), (2, 2)), dropout=0.2),
    # for pictures of 64 pixels, of which 4 are left at the end
    "googlenet_64px": dict(normalization="batch", stem_kernel=3, stem_stride=1),
}


class CvGoogLeNetConfig(CvConvNetConfig):
    """The defaults are the paper's net; `variant` gives the others of `VARIANTS`.

    - `rows`: of table 1; those whose names begin with the same number make a stage. `stem_channels`: of the first
      convolution (`stem_kernel`, `stem_stride`), and of the 1×1 and 3×3 after the first pooling.
    - `pools`: kernel and stride of the pooling before that 1×1 and before each stage of rows; (1, 1) is none.
    - `third_kernel`: of a block's third branch. `dropout`: before the classifier.
    - `normalization`: "lrn", local response normalisation before and after the second convolution and nowhere else
      (figure 3), or "batch", after each convolution, with `batch_norm_eps`.
    - `transform_input`: pixels come with ImageNet's mean and deviation, and the net wants 0.5 and 0.5.
    - `auxiliary_after`: names of the rows that feed an auxiliary classifier in training, () for none; each has
      `auxiliary_channels`, `auxiliary_features`, `auxiliary_dropout`, and its loss counts `auxiliary_weight` times.
    - `output_stride`, `dilate_first_block` (of poolings), `label_smoothing`, `num_channels`: see `CvConvNetConfig`.
    """

    model_type = "cvhub_googlenet"
    counts: ClassVar[tuple[str, ...]] = (
        *("stem_channels", "stem_kernel", "stem_stride", "auxiliary_channels", "auxiliary_features"),
    )

    rows: list[Any] | tuple[Any, ...] = TABLE_1
    stem_channels: list[int] | tuple[int, ...] = (64, 64, 192)
    stem_kernel: int = 7
    stem_stride: int = 2
    pools: list[Any] | tuple[Any, ...] = ((3, 2), (3, 2), (3, 2), (3, 2))
    third_kernel: int = 5
    normalization: str = "lrn"
    batch_norm_eps: float = 1e-3
    transform_input: bool = False
    dropout: float = 0.4
    auxiliary_after: list[str] | tuple[str, ...] = ("4a", "4d")
    auxiliary_channels: int = 128
    auxiliary_features: int = 1024
    auxiliary_dropout: float = 0.7
    auxiliary_weight: float = 0.3

    def __post_init__(self, **kwargs: Any) -> None:
        try:
            self.rows = [list(Row(*row)) for row in self.rows]
        except TypeError:
            raise ValueError(f"rows are {self.rows!r}, expected lines of a name and six widths.") from None
        for problem in self._problems():
            raise ValueError(problem)
        super().__post_init__(**kwargs)

    def _problems(self) -> Iterator[str]:
        count, names = len(self.stages) + 1, [row[0] for row in self.rows]
        if len(self.pools) != count or any(kernel < stride for kernel, stride in self.pools):
            yield f"pools are {self.pools}, expected {count} pairs of a kernel and a stride no larger."
        if len(self.stem_channels) != 3:
            yield f"stem_channels are {self.stem_channels}, expected three widths."
        if self.third_kernel % 2 == 0:
            yield f"third_kernel is {self.third_kernel}, expected an odd number."
        if self.normalization not in ("lrn", "batch"):
            yield f"normalization is {self.normalization!r}, expected 'lrn' or 'batch'."
        if self.transform_input and self.num_channels != 3:
            yield f"num_channels is {self.num_channels}, expected 3 with transform_input."
        if list(self.auxiliary_after) != [name for name in names if name in self.auxiliary_after]:
            yield f"auxiliary_after is {self.auxiliary_after}, expected some of {names}, in their order."

    @classmethod
    def variant(cls, name: str, **fields: Any) -> "CvGoogLeNetConfig":
        """A row of `VARIANTS` by name; `fields` override it."""
        return cls(**(VARIANTS[name] | fields))

    @property
    def stages(self) -> list[list[Row]]:
        """The rows between one pooling and the next."""
        rows = (Row(*row) for row in self.rows)
        return [list(group) for _, group in groupby(rows, key=lambda row: row.name[:-1])]

    @property
    def stage_names(self) -> list[str]:
        return ["stem", *(f"stage{i}" for i in range(1, len(self.pools) + 1))]

    @property
    def stage_strides(self) -> list[int]:
        return [self.stem_stride, *(stride for _, stride in self.pools)]

    @property
    def stage_channels(self) -> list[int]:
        return [self.stem_channels[0], self.stem_channels[2], *(rows[-1].out_channels for rows in self.stages)]

    def map_sizes(self, size: int) -> list[int]:
        """Positions along a side of each map: a pooling's last window begins within its map."""
        sizes = [-(-size // self.stem_stride)]
        for (kernel, _), (before, after) in zip(self.pools, pairwise(self.map_strides), strict=True):
            stride = after // before
            sizes.append(sizes[-1] if stride == 1 else 1 - (kernel - sizes[-1]) // stride)
        return sizes

    @property
    def smallest_input(self) -> int:
        """One pixel of the last map, were no stage dilated; a pooling of kernel k, stride s takes s(n − 2) + k + 1."""
        smallest = 1
        for kernel, stride in reversed(self.pools):
            if stride > 1:
                smallest = stride * (smallest - 2) + kernel + 1
        return self.stem_stride * (smallest - 1) + 1


@dataclass
class CvGoogLeNetClassifierOutput(ImageClassifierOutputWithNoAttention):
    """`aux_logits`: in training, the logits (N, K) of each auxiliary classifier, whose losses `loss` then contains."""

    aux_logits: tuple[Tensor, ...] | None = None


def response_norm(config: CvGoogLeNetConfig, channels: int) -> nn.Module:
    """As torch's is unless told otherwise; nothing where each convolution has BatchNorm."""
    return LocalResponseNorm(channels, k=1.0, alpha=2e-5) if config.normalization == "lrn" else nn.Identity()


class AuxiliaryClassifier(nn.Module):
    """Section 5: mean over 4×4 windows, 1×1, two linear layers: (N, C, H, W) → logits (N, K).

    The paper's windows, 5×5 every 3 pixels, make 4×4 values of its 14×14 map; these make as many of any map.
    """

    def __init__(self, config: CvGoogLeNetConfig, in_channels: int, num_labels: int):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.conv = convolution(config)(in_channels, config.auxiliary_channels, 1)
        self.hidden = nn.Linear(config.auxiliary_channels * 4 * 4, config.auxiliary_features)
        self.dropout = nn.Dropout(config.auxiliary_dropout)
        self.classifier = nn.Linear(config.auxiliary_features, num_labels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.pool(x)).flatten(1)  # (N, c·4·4)
        return self.classifier(self.dropout(F.relu(self.hidden(x))))


class CvGoogLeNetPreTrainedModel(CvPreTrainedModel):
    config_class = CvGoogLeNetConfig
    config: CvGoogLeNetConfig
    base_model_prefix = "googlenet"
    _no_split_modules: ClassVar[list[str]] = ["Inception"]
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"^classifier\.", r"^auxiliary\."]
    # By fan out, reductions and branches would enlarge values: each branch as if it were the whole output.
    initial_fan = "fan_in"


class CvGoogLeNetModel(CvConvNetMixin, CvGoogLeNetPreTrainedModel):
    """The net without its classifiers."""

    auto_classes = ("AutoModel",)

    def __init__(self, config: CvGoogLeNetConfig):
        super().__init__(config)
        conv = convolution(config)
        first, reduced, channels = config.stem_channels
        _, *samplings = dilate_strides(config.stage_strides, config.output_stride, config.dilate_first_block)
        self.stem = conv(config.num_channels, first, config.stem_kernel, config.stem_stride)
        self.pools = nn.ModuleList()
        for (kernel, _), sampling in zip(config.pools, samplings, strict=True):
            self.pools.append(MaxPool(kernel, sampling, last_reaches_out=True))
        self.conv2 = nn.Sequential(conv(first, reduced, 1), conv(reduced, channels, 3, dilation=samplings[0].dilation))
        self.norm1, self.norm2 = (response_norm(config, width) for width in (first, channels))
        self.inception = nn.ModuleDict()
        for rows, sampling in zip(config.stages, samplings[1:], strict=True):
            for row in rows:
                self.inception[row.name] = Inception(config, channels, row, sampling.dilation)
                channels = row.out_channels
        self.post_init()

    def feature_maps(self, pixel_values: Tensor) -> list[Tensor]:
        """`pixel_values` (N, C, H, W) → the maps of the stem (N, 64, H/2, W/2) and of each stage, the last at H/32."""
        return self.stage_maps(self.layer_maps(pixel_values))

    def stage_maps(self, maps: dict[str, Tensor]) -> list[Tensor]:
        """Of `layer_maps`, the last before each pooling, and the last of all."""
        return [maps["conv1"], maps["conv2"], *(maps[rows[-1].name] for rows in self.config.stages)]

    def layer_maps(self, pixel_values: Tensor) -> dict[str, Tensor]:
        """`pixel_values` (N, C, H, W) → the map (N, C_i, H_i, W_i) after each convolution and block of table 1."""
        x = from_imagenets_mean(pixel_values) if self.config.transform_input else pixel_values
        maps = {"conv1": self.stem(x)}
        x = self.norm1(self.pools[0](maps["conv1"]))
        x = maps["conv2"] = self.norm2(self.conv2(x))
        for pool, rows in zip(self.pools[1:], self.config.stages, strict=True):
            x = pool(x)
            for row in rows:
                x = maps[row.name] = self.inception[row.name](x)
        return maps


def from_imagenets_mean(pixel_values: Tensor) -> Tensor:
    """(N, 3, H, W) of ImageNet's mean and deviation → of mean and deviation 0.5."""
    mean = pixel_values.new_tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = pixel_values.new_tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    return (pixel_values * std + mean - 0.5) / 0.5


class CvGoogLeNetForImageClassification(CvImageClassifierMixin, CvGoogLeNetPreTrainedModel):
    """Global average pooling, dropout and a linear classifier on `CvGoogLeNetModel`; two more in training."""

    auto_classes = ("AutoModelForImageClassification",)

    def __init__(self, config: CvGoogLeNetConfig):
        super().__init__(config)
        self.num_labels: int = config.num_labels  # pyright: ignore[reportAttributeAccessIssue, reportAssignmentType]
        self.googlenet = CvGoogLeNetModel(config)
        self.auxiliary = nn.ModuleDict()
        for row in (row for rows in config.stages for row in rows if row.name in config.auxiliary_after):
            self.auxiliary[row.name] = AuxiliaryClassifier(config, row.out_channels, self.num_labels)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.stage_channels[-1], self.num_labels)
        self.post_init()

    @can_return_tuple
    def forward(
        self: Any,
        pixel_values: Tensor,
        labels: Tensor | None = None,
        output_hidden_states: bool | None = None,
        **kwargs: Any,
    ) -> CvGoogLeNetClassifierOutput:
        """As `CvImageClassifierMixin.forward`; in training the loss is main + 0.3 · Σ auxiliary (section 5)."""
        base = self.googlenet
        base.check_pixel_values(pixel_values)
        maps = base.layer_maps(pixel_values)
        stages = tuple(base.stage_maps(maps))
        logits = self.classify(base.pool(stages[-1]))
        aux_logits = tuple(head(maps[name]) for name, head in self.auxiliary.items()) if self.training else ()
        loss = self.loss(logits, labels)
        if loss is not None:
            loss = loss + self.config.auxiliary_weight * sum(self.loss(side, labels) for side in aux_logits)
        keep = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return CvGoogLeNetClassifierOutput(
            loss=loss, logits=logits, hidden_states=stages if keep else None, aux_logits=aux_logits or None
        )

    def classify(self, pooled: Tensor) -> Tensor:
        """(N, C') → logits (N, K)."""
        return self.classifier(self.dropout(pooled))


class CvGoogLeNetBackbone(CvBackboneMixin, CvGoogLeNetModel):
    """The feature maps that `config.out_features` names: "stem" (stride 2), "stage1" (4) to "stage4" (32)."""

    auto_classes = ("AutoBackbone",)
