"""A foreign checkpoint becomes a complete folder of ours: config, weights, processor, labels, card, code."""

import importlib
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cvhub.cache import write_folder, writing
from cvhub.convert import processor as processors
from cvhub.convert.checkpoint import Checkpoint, read_file, read_folder
from cvhub.convert.family import Family, Fields, Layout
from cvhub.convert.labels import checkpoint_labels
from cvhub.convert.renaming import Part, rename
from cvhub.convert.words import save_words
from cvhub.errors import CvhubError
from cvhub.hub.folder import add_code, check_folder, travels
from cvhub.json_file import read_json
from cvhub.limits import bounded, check_numbers
from cvhub.loading import explained, loading
from cvhub.models import FAMILIES
from cvhub.models.segmentation import CvSegmenterConfig

log = logging.getLogger("cvhub")

Overrides = Mapping[str, Any]


def convert_checkpoint(
    source: Path, dest: Path, arch: str | None = None, overrides: Overrides | None = None, origin: str | None = None
) -> None:
    """Writes the foreign checkpoint `source`, a folder or a file, to the new folder `dest`, or nothing at all.

    A folder of ours is copied, with the code that it may lack.
    `arch` names the architecture of a bare file; `overrides` set fields of our config that the source can't tell;
    `origin` is what the card gives as the weights' source.
    """
    if dest.exists() and (not dest.is_dir() or any(dest.iterdir())):
        raise CvhubError(f"{dest} exists and is not an empty folder.")

    def build(folder: Path) -> None:
        if is_own(source):
            copy_own(source, folder, overrides or {})
        elif source.is_dir():
            import_folder(source, folder, overrides or {}, origin)
        else:
            import_file(source, folder, arch, overrides or {}, origin)

    with writing(dest):
        write_folder(dest, build)


def is_own(source: Path) -> bool:
    """Whether a folder holds a model of cvhub."""
    try:
        return str(read_json(source / "config.json").get("model_type")).startswith("cvhub_")
    except (CvhubError, OSError):  # what it is instead will be said
        return False


def copy_own(source: Path, folder: Path, overrides: Overrides) -> None:
    if overrides:
        raise CvhubError(f"{source.name} is a model of cvhub already, whose {next(iter(overrides))} can't be set.")
    family = check_folder(source)
    for file in source.iterdir():
        if travels(file):
            shutil.copyfile(file, folder / file.name)
    add_code(source, folder, family)


def import_folder(source: Path, folder: Path, overrides: Overrides, origin: str | None = None, **card: Any) -> None:
    """A folder in the layout of timm, segmentation_models_pytorch, transformers or open_clip."""
    with explained(source):
        checkpoint = read_folder(source)
        check_numbers(checkpoint.config)
        family, layout = next(find_layouts(checkpoint.architecture, checkpoint.library))
        _write(checkpoint, family, layout, folder, overrides, origin or source.name, card)


def import_file(
    file: Path, folder: Path, arch: str | None, overrides: Overrides, origin: str | None = None, **card: Any
) -> None:
    """A bare file of weights, whose architecture only the user knows; `card` holds further facts about it."""
    if not file.is_file():
        raise CvhubError(f"There is no file or folder {file}.")
    if not arch:
        raise CvhubError(f"{file.name} doesn't say what it is: name its architecture, e.g. --arch resnet50.")
    with explained(file):
        tensors = read_file(file)
        family, layout = _layout_of(arch, tensors)
        _write(Checkpoint(layout.library, arch, tensors), family, layout, folder, overrides, origin or file.name, card)


def families() -> Iterator[Family]:
    for name in FAMILIES:
        yield importlib.import_module(f"cvhub.convert.{name}").FAMILY


def find_layouts(architecture: str, library: str | None = None) -> Iterator[tuple[Family, Layout]]:
    """The families and layouts that know `architecture`, at least one; `library` narrows them down."""
    layouts = [(family, layout) for family in families() for layout in family.layouts]
    layouts = [(family, layout) for family, layout in layouts if library in (None, layout.library)]
    found = [(family, layout) for family, layout in layouts if architecture in layout.architectures]
    if not found:
        names = sorted({name for _, layout in layouts for name in layout.architectures})
        if near := get_close_matches(architecture, names):
            raise CvhubError(f"Architecture {architecture!r} is unknown here, did you mean {' or '.join(near)}?")
        told = ", ".join(names) if len(names) < 10 else f"{', '.join(names[:8])} and {len(names) - 8} more"
        whose = f" of {library}" if library else ""
        raise CvhubError(f"Architecture {architecture!r} is unknown here; known{whose} are {told}."[:300])
    yield from found


def _layout_of(architecture: str, tensors: Mapping[str, Tensor]) -> tuple[Family, Layout]:
    """Of the layouts that know `architecture` the one that most tensors of a bare file have names of, which says no
    more about the library that wrote it. Of two as good it is the one whose files have no unused tensors: where these
    are missing the other library's own file isn't likely.
    """
    found = [
        (*candidate, _known_tensors(*candidate, architecture, tensors)) for candidate in find_layouts(architecture)
    ]
    family, layout, known = max(found, key=lambda candidate: (candidate[2], -len(candidate[1].unused)))
    fields = _row_config(family, layout, architecture).to_dict()
    for other_family, other, as_many in found:
        if as_many == known and _row_config(other_family, other, architecture).to_dict() != fields:
            log.warning(
                "The tensors fit %s of %s as well as that of %s, which is another net: the former is taken.",
                *(architecture, layout.library, other.library),
            )
    return family, layout


def _known_tensors(family: Family, layout: Layout, architecture: str, tensors: Mapping[str, Tensor]) -> int:
    """How many tensors have names of this layout, unused ones included."""
    config = _row_config(family, layout, architecture)
    _, unknown = rename(tensors, ((theirs, ours) for ours, theirs in layout.names(config)))
    return len(tensors) - sum(not name.startswith(layout.unused) for name in unknown)


def _row_config(family: Family, layout: Layout, architecture: str) -> Any:
    return make_config(_class(family, "Config"), dict(layout.architectures[architecture]))


def _write(
    checkpoint: Checkpoint,
    family: Family,
    layout: Layout,
    folder: Path,
    overrides: Overrides,
    origin: str,
    card: Fields,
) -> None:
    net = translate(checkpoint, family, layout, overrides)
    if net.head in HEADS:
        log.warning("%s", HEADS[net.head].format(net.config.num_labels))
    segments = isinstance(net.config, CvSegmenterConfig)
    labels = checkpoint_labels(checkpoint.config, net.config.num_labels, segments) if net.head == "own" else None
    if labels:
        net.config.id2label = dict(enumerate(labels))
        net.config.label2id = {label: index for index, label in enumerate(labels)}
    with loading():
        net.build().save_pretrained(folder)
    save_processor(folder, _processor_fields(checkpoint, layout, net.config), net.config)
    if family.tokenizer is not None:
        save_words(folder, checkpoint.folder, net.config, family.tokenizer)
    write_model_card(folder, checkpoint, origin, net.card() | card)


# What a user is told where a checkpoint's own classifier doesn't come along.
HEADS = {
    "none": "The source has no classifier: AutoModel loads the folder, for features. --set num_labels=N adds one.",
    "fresh": "The classifier of {} classes is new: its weights are random until it is trained.",
}


@dataclass
class Net:
    """A checkpoint in our terms. `head`, the classifier, is its "own", a "fresh" one or "none", in a base model; "all"
    is a net that has none to leave out."""

    model_class: Any
    config: Any
    tensors: dict[str, Tensor]
    head: str

    def build(self) -> Any:
        dtypes = {tensor.dtype for tensor in self.tensors.values() if tensor.is_floating_point()}
        dtype = dtypes.pop() if len(dtypes) == 1 else torch.float32
        tensors = self.tensors
        if self.head == "fresh":  # transformers would start it too, and warn in its own words
            tensors = self.model_class(self.config).state_dict() | tensors
        return self.model_class.from_pretrained(None, config=self.config, state_dict=tensors, dtype=dtype)

    def card(self) -> Fields:
        """What a card says about this net that others' don't."""
        if self.head == "none":
            return {"task": None}
        fresh = f"## Classifier\n\n{HEADS['fresh'].format(self.config.num_labels)}"
        return {"training": fresh} if self.head == "fresh" else {}


def translate(checkpoint: Checkpoint, family: Family, layout: Layout, overrides: Overrides) -> Net:
    """Our config and our tensors; raises `CvhubError` with the names of the first tensors that don't fit.

    A source without a classifier becomes a base model. Where `overrides` ask for another `num_labels` than it has, it
    is a classifier whose last layers are new.
    """
    suffix = layout.suffixes.get(checkpoint.architecture, family.suffix)
    config_class, model_class = _class(family, "Config"), _class(family, suffix)
    check_fields(config_class, overrides)
    fields = dict(layout.architectures[checkpoint.architecture]) | layout.read(checkpoint.config)
    config = make_config(config_class, fields)
    names = [(theirs, ours) for ours, theirs in layout.names(config)]
    theirs = _with_prefix(checkpoint, names)
    tensors, unexpected = rename(theirs, names)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    try:
        fields |= family.sizes(config, shapes)
    except (KeyError, ValueError, IndexError, ZeroDivisionError):
        check_fit(model_class, config, tensors, unexpected)  # says which tensors are wrong
        raise
    own = shapes.get("classifier.weight", (None,))[0]
    config = make_config(config_class, ({"num_labels": own} if own else {}) | fields | dict(overrides))
    constants = layout.constants(config)
    unexpected = [name for name in unexpected if not _follows(name, theirs[name], layout, constants)]
    head, body = "own", f"{model_class.base_model_prefix}."
    if overrides.get("num_labels", own) != own:
        head, tensors = "fresh", {name: tensor for name, tensor in tensors.items() if name.startswith(body)}
    elif family.tokenizer is not None:
        head = "all"
        tensors |= {
            name: value for name, value in layout.lacking(config).items() if name in names_of(model_class, config)
        }
    elif not any(name.startswith("classifier.") for name in tensors):
        head, model_class = "none", _class(family, "Model")
        tensors = {name.removeprefix(body): tensor for name, tensor in tensors.items()}
    check_fit(model_class, config, tensors, unexpected, new_beside=body if head == "fresh" else "")
    return Net(model_class, config, tensors, head)


def check_fields(config_class: Any, names: Iterable[str]) -> None:
    known = {"num_labels", *config_class().to_dict()}
    for name in names:
        if name not in known:
            raise CvhubError(f"{config_class.__name__} has no field {name!r}.")


def _with_prefix(checkpoint: Checkpoint, names: list[tuple[Part, Part]]) -> dict[str, Tensor]:
    """Their tensors, under the names that a classifier's file would give them.

    transformers' base classes leave out the prefix that their classifiers have (`vit.`), and some end in a pooler, a
    layer for a classifier to begin with, which no classifier has.
    """
    prefix, first = f"{checkpoint.architecture}.", f"{names[0][0]}.weight"
    bare = first.startswith(prefix) and first.removeprefix(prefix) in checkpoint.tensors
    if checkpoint.library != "transformers" or not bare:
        return checkpoint.tensors
    return {prefix + name: value for name, value in checkpoint.tensors.items() if not name.startswith("pooler.")}


def _follows(name: str, tensor: Tensor, layout: Layout, constants: Mapping[str, Tensor]) -> bool:
    """Whether a tensor that we have no place for says nothing that the config doesn't."""
    if name.rpartition(".")[2] in layout.leftovers or name.startswith(layout.unused):
        return True
    return name in constants and torch.equal(tensor, constants[name])


def make_config(config_class: Any, fields: Fields, variant: str = "") -> Any:
    """Of these fields, over those of a `variant`; raises `CvhubError` with the config's own sentence."""
    try:
        return config_class.variant(variant, **fields) if variant else config_class(**fields)
    except Exception as error:  # transformers wraps a field's error in its own classes
        raise CvhubError(f"{config_class.__name__}: {str(error).splitlines()[-1].strip()}"[:300]) from None


def check_fit(
    model_class: Any, config: Any, tensors: dict[str, Tensor], unexpected: list[str], new_beside: str = ""
) -> None:
    """Compares with a model that holds no memory; step counters of BatchNorm may be missing and start at zero.

    So may all tensors whose names don't begin with `new_beside`.
    """
    expected = names_of(model_class, config)
    for name in getattr(model_class, "_tied_weights_keys", None) or ():
        expected.pop(name, None)  # which is another's
    for name in expected:
        if name.endswith("num_batches_tracked"):
            tensors.setdefault(name, torch.zeros((), dtype=torch.int64))
    missing = [name for name in expected if name not in tensors and name.startswith(new_beside)]
    unexpected = unexpected + [name for name in tensors if name not in expected]
    misshapen = [
        f"{name} is {list(tensors[name].shape)}, expected {list(shape)}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    problems = [
        f"{kind}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("misshapen", misshapen))
        if names
    ]
    if problems:
        raise CvhubError(f"The tensors don't fit {model_class.__name__}; {'; '.join(problems)}.")


def names_of(model_class: Any, config: Any) -> dict[str, tuple[int, ...]]:
    """Name → shape of each tensor of a net, which needs no memory."""
    with bounded(), torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in model_class(config).state_dict().items()}


def _processor_fields(checkpoint: Checkpoint, layout: Layout, config: Any) -> Fields:
    default = _at_own_size(layout.processor(checkpoint.architecture), config)
    readers = {"transformers": processors.from_transformers, "open_clip": processors.from_open_clip}
    if checkpoint.processor:
        fields = readers.get(checkpoint.library, processors.from_timm)(checkpoint.processor, default)
    else:
        fields = default
        if not layout.processor_is_exact:
            log.warning("The source has no preprocessing: %s's default for this family is used.", layout.library)
    num_channels = config.num_channels
    if len(fields["image_mean"]) != num_channels:
        average = {key: sum(fields[key]) / len(fields[key]) for key in ("image_mean", "image_std")}
        fields = fields | {key: [value] * num_channels for key, value in average.items()}
    return fields


def _at_own_size(fields: Fields, config: Any) -> Fields:
    """The whole picture at `image_size`, where a net, or its image tower, has such a field and the layout's default is
    another size."""
    side = config.to_dict().get("vision_config", config.to_dict()).get("image_size")
    if not isinstance(side, int) or fields["crop_size"] == (square := {"height": side, "width": side}):
        return fields
    return fields | {"size": square if "height" in fields["size"] else {"shortest_edge": side}, "crop_size": square}


def save_processor(folder: Path, fields: Fields, config: Any) -> None:
    """The processor that a net's config names, with these fields and what it has to know of the net."""
    file, name = config.processor
    processor_class = getattr(importlib.import_module(f"cvhub.models.{file}"), name)
    processor_class(**fields | config.processor_fields).save_pretrained(folder)


def write_model_card(folder: Path, checkpoint: Checkpoint, origin: str, known: Fields) -> None:
    from cvhub.hub.card import write_card

    licence = checkpoint.config.get("license") or (checkpoint.processor or {}).get("license")
    facts = {"title": origin, "task": None, "licence": licence, "dataset": None, "metrics": {}}
    write_card(folder, **(facts | known), source=origin)


def _class(family: Family, suffix: str) -> Any:
    module = importlib.import_module(f"cvhub.models.{family.name}")
    return getattr(module, family.prefix + suffix)
