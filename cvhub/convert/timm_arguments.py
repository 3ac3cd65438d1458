"""What timm was asked for, as `model_args` of a config.json: read, known to change no answer, or refused."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from cvhub.convert.family import Fields, NoForeignForm

# An argument's value → fields of our config; raises KeyError or TypeError for one that ours can't express.
Reader = Callable[[Any], Fields]

# Arguments that matter to training alone, or that tensors' shapes tell of any net.
WITHOUT_EFFECT = {
    *("num_classes", "in_chans", "bn_momentum", "zero_init_last", "weight_init", "fix_init"),
    *("drop_rate", "drop_path_rate", "drop_block_rate"),
    *("pos_drop_rate", "patch_drop_rate", "proj_drop_rate", "attn_drop_rate"),
}


def into(name: str) -> Reader:
    """The value as it is, a square's (side, side) as a number."""
    return lambda value: {name: one_side(value)}


def each(name: str) -> Reader:
    """A value for each stage, as it is."""
    return lambda value: {name: list(value)}


def choice(name: str, values: Mapping[Any, Any]) -> Reader:
    """The field `name` by a table of timm's values and ours."""
    return lambda value: {name: values[value]}


def must_be(*values: Any) -> Reader:
    """Nothing to read: ours has no other values."""

    def read(value: Any) -> Fields:
        if value not in values:
            raise KeyError(value)
        return {}

    return read


OUTPUT_STRIDE = choice("output_stride", {stride: stride for stride in (8, 16, 32)})
PADDING = choice("padding", {"": "symmetric", "same": "same"})
AVERAGE = must_be("avg", "")  # "" where there is no classifier


def timm_reader(net: str, readers: Mapping[str, Reader], told: Collection[str] = ()) -> Callable[[Fields], Fields]:
    """A layout's `read` for `net`, as a sentence calls it; the shapes of its tensors tell the arguments `told`, too.

    None is what timm takes where nothing is said. What has no reader is refused, for it may change any answer.
    """

    def read(config: Fields) -> Fields:
        pooled = {"global_pool": config["global_pool"]} if config.get("global_pool") else {}
        fields: Fields = {}
        for name, value in (pooled | (config.get("model_args") or {})).items():
            if name in WITHOUT_EFFECT or name in told or value is None:
                continue
            try:
                fields |= readers[name](value)
            except (KeyError, TypeError):
                raise NoForeignForm(f"cvhub's {net}", name, value) from None
        return fields

    return read


def one_side(value: Any) -> Any:
    """A square's (side, side) as a number."""
    if isinstance(value, (list, tuple)) and len(set(value)) == 1:
        return value[0]
    return list(value) if isinstance(value, tuple) else value
