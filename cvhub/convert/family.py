"""What a family's file in this folder states: how each library lays out its checkpoints."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from cvhub.convert.renaming import Part
from cvhub.errors import CvhubError

Fields = dict[str, Any]
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layout:
    """One library's way to write a family, read in both directions.

    - `library`: "timm", "torchvision", "transformers", "smp" (segmentation_models_pytorch), "open_clip", "openai" (bare
      state dicts), or the project that made a package's file.
    - `architectures`: the library's names of its nets → fields of our config. In transformers that is the `model_type`
      or, of a net that is no classifier, its class.
    - `names`: our config → pairs (our module or tensor, theirs), the first convolution's first; what follows a module
      in a tensor's name is the same. A tuple on one side is what the other holds in one piece, and `Reshaped` tells
      the shapes of a tensor that differ (see renaming.py).
    - `suffixes`: architecture → the end of our class's name, where it isn't the family's.
    - `lacking`: our config → tensors of ours that their files have no place for.
    - `constants`: our config → tensors that their files hold though they follow from the config; `leftovers`: the last
      parts of the names of such tensors that only older files hold, which are passed over; `unused`: what the names of
      those begin with that their net holds and computes nothing with.
    - `read`: their config.json → further fields of our config, which tensors' shapes can't tell.
    - `write`: our config → the fields of their config.json; raises `NoForeignForm` where they have none.
    - `processor`: the architecture's name → preprocessing where a source says nothing: assumed, or exact where the
      weights of a name are known to have been trained with it.
    """

    library: str
    architectures: Mapping[str, Fields]
    names: Callable[[Any], Iterable[tuple[Part, Part]]]
    write: Callable[[Any], Fields]
    processor: Callable[[str], Fields]
    read: Callable[[Fields], Fields] = lambda config: {}
    processor_is_exact: bool = False
    suffixes: Mapping[str, str] = field(default_factory=dict)
    lacking: Callable[[Any], dict[str, Tensor]] = lambda config: {}
    constants: Callable[[Any], dict[str, Tensor]] = lambda config: {}
    leftovers: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()


@dataclass(frozen=True)
class Family:
    """A file of models/, called `name`, whose classes' names begin with `prefix`; the whole net's ends in `suffix`.

    `sizes`: a config of the right structure and the shapes of our tensors → the fields that shapes tell, but for the
    number of classes, which the classifier tells in all families. `tokenizer`: a config → the tokenizer of a net that
    reads words and comes without one; such nets have no classifier that might be missing or new.
    """

    name: str
    prefix: str
    layouts: tuple[Layout, ...]
    sizes: Callable[[Any, Shapes], Fields]
    suffix: str = "ForImageClassification"
    tokenizer: Callable[[Any], Any] | None = None


class NoForeignForm(CvhubError):
    """Our config has a value that the other library can't express."""

    def __init__(self, library: str, field: str, value: Any):
        super().__init__(f"{library} has no form for {field}={value!r}.")


def require(config: Any, library: str, **expected: Any) -> None:
    """Raises `NoForeignForm` for the first field of `config` that hasn't its expected value."""
    for name in differing(config, expected):
        raise NoForeignForm(library, name, getattr(config, name))


def differing(config: Any, fields: Fields) -> list[str]:
    """The names of those `fields` that `config` has other values for; tuples and lists are alike, as JSON is."""
    return [name for name, value in fields.items() if _listed(getattr(config, name)) != _listed(value)]


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, (list, tuple)) else value


def block_names(config: Any) -> list[str]:
    """Our name of each block, from the first to the last, of a net whose config lists them in `stages`."""
    net = config.model_type.removeprefix("cvhub_")
    return [f"{net}.stages.{i}.{j}" for i, stage in enumerate(config.stages) for j in range(len(stage))]


def write_architecture(config: Any, library: str, architectures: Mapping[str, Fields]) -> Fields:
    """The library's name of a net; where it has none, the field in which the most similar one differs is named."""
    closest = min(architectures, key=lambda name: len(differing(config, architectures[name])))
    require(config, library, **architectures[closest])
    return {"architecture": closest}


IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
HALF = {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}


def resize_then_crop(short: int, crop: int, resample: int, **rest: Any) -> Fields:
    """Preprocessing fields: shorter side to `short` pixels by Pillow's filter `resample`, centre crop of `crop`."""
    return {
        "size": {"shortest_edge": short},
        "crop_size": {"height": crop, "width": crop},
        "resample": resample,
        **rest,
    }


def imagenet_224(resample: int, **rest: Any) -> Callable[[str], Fields]:
    """What most ImageNet classifiers were evaluated with: 256, then 224 pixels."""
    return lambda architecture: resize_then_crop(256, 224, resample, **rest)
