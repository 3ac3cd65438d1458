"""A config without a checkpoint: of a row of the catalogue, of an architecture's name, or of JSON that is typed in."""

import importlib
import json
from collections.abc import Sequence
from typing import Any

from cvhub.catalog import CHECKPOINTS, TASKS, Entry, find_entry
from cvhub.convert.family import Family, Fields, Layout
from cvhub.convert.importing import check_fields, families, find_layouts, make_config
from cvhub.errors import CvhubError
from cvhub.json_file import read_json
from cvhub.limits import bounded, check_numbers
from cvhub.models import FAMILIES

LIBRARIES = ("timm", "torchvision", "transformers")

# Whose named classifiers are ImageNet's; of transformers' a config.json tells.
IMAGENET_LIBRARIES = ("timm", "torchvision")

# What transformers writes beside a net's own fields.
DERIVED = (
    *("architectures", "auto_map", "dtype", "id2label", "label2id"),
    *("out_features", "out_indices", "transformers_version"),
)

# Anybody may type a config, and changes it at every key: no net that takes long to build comes of it.
MAX_NUMBER = 100_000


def read_config(text: str) -> Any:
    """Our config that `text` means: a name of the catalogue or of a library's net, or JSON with a `model_type` of ours.

    Raises `CvhubError` with what is wrong.
    """
    text = text.strip()
    if text.startswith("{"):
        return _json_config(text)
    entry = find_entry(text)
    if entry is not None:
        return entry_config(entry)
    family, layout = next(find_layouts(text))
    classes = {"num_labels": 1000} if layout.library in IMAGENET_LIBRARIES and _classifies(family) else {}
    return make_config(config_class(family.name), classes | dict(layout.architectures[text]))


def _classifies(family: Family) -> bool:
    return family.suffix == "ForImageClassification"


def write_config(config: Any) -> str:
    """The config as JSON that `read_config` reads, a field a line, without labels and what follows from the rest."""
    fields = _own_fields(config) | {"num_labels": config.num_labels}
    if config.architectures:
        fields["architectures"] = config.architectures
    lines = (f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in fields.items())
    return "{\n" + ",\n".join(lines) + "\n}"


def _own_fields(config: Any) -> Fields:
    """What differs from the defaults, in configs within this one too."""
    fields = {"model_type": config.model_type, **config.to_diff_dict()}
    for name in fields:
        if hasattr(within := getattr(config, name, None), "to_diff_dict"):
            fields[name] = _own_fields(within)
    return _without_derived(fields)


def _without_derived(fields: Fields) -> Fields:
    """`fields` of a config and of those within it, without what `DERIVED` names."""
    own = {name: value for name, value in fields.items() if name not in DERIVED}
    return {name: _without_derived(value) if isinstance(value, dict) else value for name, value in own.items()}


def entry_config(entry: Entry) -> Any:
    """The config of a row's weights, which stay where they are: the row and the family's tables tell it.

    Of weights that come with cvhub the folder itself does. Where a family has several heads, `architectures` names the
    one that the task tells.
    """
    config = _config_of(entry)
    head = _family_class(entry.family, dict(TASKS.values())[entry.task])
    if head is not _family_class(entry.family, *_autos()):
        config.architectures = [head.__name__]
    return config


def _config_of(entry: Entry) -> Any:
    classes = {"num_labels": entry.num_labels} if entry.num_labels else {}
    if entry.source == "bundled":
        fields = read_json(CHECKPOINTS / entry.location / "config.json")
        own = _without_derived(fields)
        del own["model_type"]
        return make_config(config_class(entry.family), own | classes)
    layouts = [layout for family in families() if family.name == entry.family for layout in family.layouts]
    fields = _row_fields(entry, layouts)
    return make_config(config_class(entry.family), fields | classes)


def config_class(family: str) -> Any:
    return _family_class(family, "AutoConfig")


def net_without_weights(config: Any) -> Any:
    """The net with its head that `config` describes, on the meta device: shapes, and no memory."""
    net = _build(config, "meta")
    for name, parameter in net.named_parameters():
        if not parameter.numel():
            raise CvhubError(f"This config makes a layer of nothing: {name} is {list(parameter.shape)}.")
    return net


def untrained_net(config: Any) -> Any:
    """The net with its head that `config` describes, with initial weights, the same each time."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _build(config, "cpu").eval()


def _build(config: Any, device: str) -> Any:
    import torch

    family, names = config.model_type.removeprefix("cvhub_"), config.architectures or ()
    model_class = _family_class(family, *_autos(), names=names)
    try:
        with torch.device(device), bounded():
            return model_class(config)
    except (ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
        raise CvhubError(f"No net can be built from this config: {error}"[:300]) from error


def _row_fields(entry: Entry, layouts: list[Layout]) -> Fields:
    if entry.config:
        layout = next(layout for layout in layouts if layout.library == "transformers")
        return next(iter(layout.architectures.values())) | layout.read(entry.config)
    if entry.source == "package":
        name, layouts = entry.name, [layout for layout in layouts if layout.library not in LIBRARIES]
    else:
        name = entry.location.partition("/")[2].partition(".")[0]
    for layout in layouts:
        for architecture, fields in layout.architectures.items():
            if _plain(architecture) == _plain(name):
                return dict(fields)
    raise CvhubError(f"Which architecture {entry.location} has is in its config.json only.")


def _plain(name: str) -> str:
    """microsoft's resnet-50 is timm's resnet50."""
    return name.lower().replace("-", "").replace("_", "")


def _json_config(text: str) -> Any:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CvhubError(f"This is not JSON: {error}."[:300]) from None
    family = str(fields.pop("model_type", "")).removeprefix("cvhub_")
    if family not in FAMILIES:
        known = ", ".join(f"cvhub_{name}" for name in FAMILIES)
        raise CvhubError(f"model_type is {family!r}, expected one of {known}.")
    cls = config_class(family)
    check_numbers(fields, MAX_NUMBER)
    check_fields(cls, fields)
    return make_config(cls, fields)


def _autos() -> list[str]:
    """The Auto classes of nets with a head."""
    return [auto for _, auto in TASKS.values()]


def _family_class(family: str, *autos: str, names: Sequence[str] = ()) -> Any:
    """The class that one of the Auto classes `autos` loads: of several that among `names`, or else the first."""
    module = importlib.import_module(f"cvhub.models.{family}")
    classes = importlib.import_module("cvhub.models.base").family_classes(module.__name__)
    loaded = [cls for cls in classes if not set(autos).isdisjoint(cls.auto_classes)]
    return next((cls for cls in loaded if cls.__name__ in names), loaded[0])
