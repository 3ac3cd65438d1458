"""What a model costs: parameters, multiply-adds, memory and receptive field, in all and layer by layer.

Found by running the model without values (see `watching.py`), so nothing is computed, no weights are read, and the
numbers are those of the code that answers. torch is imported only when something has to be measured: costs of folders
are remembered in the cache, and a warm start reads them from there.
"""

import hashlib
import importlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvhub.cache import build_once, cache_dir
from cvhub.errors import CvhubError
from cvhub.models import FAMILIES

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cvhub.explain.watching import Visit, Watch

BYTES = 4  # of a float32


@dataclass(frozen=True)
class Layer:
    """One call of a layer. `parameters` are its own, counted once where a layer is called again.

    - `kind`: the module's class; `kernel`: rows and columns of the window, None where nothing slides.
    - `output_shape`: without the batch, such as (64, 112, 112).
    - `multiply_adds`: of convolutions, linear layers, matrix products and attention, at batch 1; biases, norms,
      activations and pooling count as nothing, as in the papers' tables.
    - `receptive_field`: pixels a side that one value of the output depends on, also beyond the picture's border;
      None for the whole picture.
    """

    name: str
    kind: str
    kernel: tuple[int, int] | None
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    receptive_field: int | None


@dataclass(frozen=True)
class Cost:
    """The layers' sums at batch 1.

    - `memory_bytes`: what a plain run in float32 holds at the least: every weight and statistic, and the inputs and
      output of the layer where these are largest together.
    - `receptive_field`: of the last feature map, before it is pooled or flattened; None for the whole picture.
    """

    parameters: int
    multiply_adds: int
    memory_bytes: int
    receptive_field: int | None
    layers: tuple[Layer, ...]


def measure(model: "nn.Module", height: int, width: int) -> Cost:
    """The cost of `model` for one picture of height x width pixels. The model itself is neither run nor changed.

    Raises `CvhubError` where the model can't take such a picture.
    """
    from cvhub.explain.watching import skeleton

    return _measure_skeleton(skeleton(model), height, width)


def measure_config(folder: Path, height: int, width: int) -> Cost:
    """The cost of the model whose folder (in our layout) this is, from its `config.json` alone.

    Measured once: the cache remembers it until the config or the code changes.
    """
    config_text = (folder / "config.json").read_bytes()
    key = hashlib.sha256(config_text + f"{height}x{width}".encode() + _code()).hexdigest()[:32]

    def build(target: Path) -> None:
        cost = _measure_skeleton(_model_without_weights(folder, json.loads(config_text)), height, width)
        (target / "cost.json").write_text(json.dumps(asdict(cost)), encoding="utf-8")

    remembered = build_once(cache_dir() / "costs" / key, build) / "cost.json"
    return _from_json(json.loads(remembered.read_text(encoding="utf-8")))


def _code() -> bytes:
    """The source that decides a cost: the models' and ours."""
    package = Path(__file__).parent.parent
    sources = sorted((*package.glob("models/*.py"), *package.glob("explain/*.py")))
    return b"".join(source.read_bytes() for source in sources)


def _from_json(fields: dict[str, Any]) -> Cost:
    """JSON has lists where `Cost` has tuples."""
    layers = []
    for layer in fields["layers"]:
        kernel, output_shape = layer["kernel"], layer["output_shape"]
        sizes = {"kernel": tuple(kernel) if kernel else None, "output_shape": tuple(output_shape)}
        layers.append(Layer(**(layer | sizes)))
    return Cost(**dict(fields, layers=tuple(layers)))


def _model_without_weights(folder: Path, config: dict[str, Any]) -> "nn.Module":
    """The model that `config.json` names, on the meta device."""
    family = str(config.get("model_type")).partition("cvhub_")[2]
    names = config.get("architectures") or []
    if family in FAMILIES:
        import torch

        module = importlib.import_module(f"cvhub.models.{family}")
        for cls in importlib.import_module("cvhub.models.base").family_classes(module.__name__):
            if cls.__name__ in names:
                with torch.device("meta"):
                    return cls(cls.config_class.from_pretrained(folder))
    raise CvhubError(
        f"config.json names model_type {config.get('model_type')!r} and architectures {names!r}, "
        f"expected those of a cvhub model, as `cvhub convert` writes them."
    )


def _measure_skeleton(model: "nn.Module", height: int, width: int) -> Cost:
    from cvhub.explain.receptive_field import field_size

    watch, output = watch_forward(model, height, width)
    last = watch.last_map if watch.last_map and not _is_map(output) else watch.field_of(output)
    return Cost(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        multiply_adds=sum(visit.multiply_adds for visit in watch.visits),
        memory_bytes=BYTES * (_stored_values(model) + _most_activations(watch.visits)),
        receptive_field=field_size(last),
        layers=_layers(watch.visits),
    )


def watch_forward(model: "nn.Module", height: int, width: int) -> "tuple[Watch, Any]":
    """What a watch saw of one picture's way through `model`, and the model's output.

    `model` is on the meta device and nobody else's: it keeps the hooks that this puts on it.
    """
    import torch

    from cvhub.explain.watching import Watch

    if height < 1 or width < 1:
        raise CvhubError(f"a picture of {height}x{width} pixels can't be measured, expected at least 1x1.")
    pixel_values, text = _blank_picture(model, height, width), _longest_text(model)
    watch = Watch(pixel_values)
    watch.attach(model.eval())
    try:
        with torch.no_grad(), watch:
            return watch, model(pixel_values=pixel_values, **text) if text else model(pixel_values)
    # Ours, or torch's where a map would shrink to nothing; or a typed config's field of a kind that only this finds.
    except (ValueError, RuntimeError, TypeError, LookupError, ArithmeticError) as error:
        raise CvhubError(f"The model can't take {height}x{width} pixels: {error}"[:300]) from error


def _blank_picture(model: "nn.Module", height: int, width: int) -> "Tensor":
    """(1, C, H, W) without values, of the channels and the type that the first convolution takes."""
    import torch

    conv = next(module for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    return torch.empty(1, conv.in_channels, height, width, dtype=conv.weight.dtype, device="meta")


def _longest_text(model: "nn.Module") -> "dict[str, Tensor]":
    """Beside a picture, one text (1, L) without values, for a net that reads both."""
    import torch

    text = getattr(getattr(model, "config", None), "text_config", None)
    if text is None:
        return {}
    return {"input_ids": torch.empty(1, text.max_position_embeddings, dtype=torch.long, device="meta")}


def _is_map(output: Any) -> bool:
    """Whether a model answers with a map (N, K, h, w), as segmenters do, and not with a vector."""
    from cvhub.explain.watching import tensors_in

    return next(tensors_in(output)).ndim == 4


def _stored_values(model: "nn.Module") -> int:
    return sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))


def _most_activations(visits: "list[Visit]") -> int:
    """Values of a layer's inputs and output, of the layer with most; a module made of modules is no layer."""
    return max(visit.elements for visit in visits if visit.multiply_adds or next(visit.module.children(), None) is None)


def _layers(visits: "list[Visit]") -> tuple[Layer, ...]:
    """The visits that a table should show: those with parameters, multiply-adds or a window."""
    layers, counted = [], set()
    for visit in visits:
        own = [p for p in visit.module.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, own))
        layer = Layer(
            name=visit.name,
            kind=type(visit.module).__name__,
            kernel=visit.kernel,
            output_shape=visit.output_shape,
            parameters=sum(parameter.numel() for parameter in own),
            multiply_adds=visit.multiply_adds,
            receptive_field=visit.receptive_field,
        )
        if layer.parameters or layer.multiply_adds or layer.kernel:
            layers.append(layer)
    return tuple(layers)
