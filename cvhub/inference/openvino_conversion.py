"""Makes OpenVINO's network of one of torch's, and keeps beside it what torch answered, by which it is judged."""

import contextlib
import json
import logging
import threading
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import openvino

from cvhub.errors import CvhubError, one_line
from cvhub.inference.runtime import RuntimeUnavailable, example_inputs

# Raised when conversion writes something else than before, so that older files in the cache are not used.
CONVERSION = 7
# What torch answered, at the processor's size and at another, odd one, so that padding shows and size arithmetic that
# froze in conversion. A network that takes one size only has no second file.
OWN_SIZE, OTHER_SIZE = "own_size.npz", "other_size.npz"
# The fewest pixels a side may have, and by multiples of how many it may be larger; torch refuses others, and OpenVINO
# would answer something.
SIDES = "sides.json"


def write_converted(folder: Path, part: str, target: Path) -> None:
    """Writes the network, or its part, as OpenVINO's file, and what torch answers at two sizes."""
    import torch

    from cvhub.inference.torch_runtime import load_plain_module

    example = torch.from_numpy(example_inputs(folder, part, batch=2))
    module = load_plain_module(folder, part)
    model = convert_module(module, example)
    openvino.save_model(model, target / "model.xml", compress_to_fp16=False)
    ends = _ends(model, getattr(module.config, "precise_outputs", ()))
    precise = [*filter(is_depthwise, model.get_ops()), *ends]
    keep_precise(target / "model.xml", {node.get_friendly_name() for node in precise})
    fresh = load_plain_module(folder, part)  # tracing may have changed the first
    for name, larger in ((OWN_SIZE, False), (OTHER_SIZE, True)):
        inputs = example_inputs(folder, part, 3, larger)
        try:
            with torch.inference_mode():
                outputs = fresh(torch.from_numpy(inputs))
        except (RuntimeError, ValueError):
            continue  # a network that takes one size only
        answers = {output: values.numpy() for output, values in outputs.items()}
        np.savez(target / name, allow_pickle=False, inputs=inputs, **answers)
    sides = [getattr(fresh.config, name, 1) for name in ("smallest_input", "size_step")]
    (target / SIDES).write_text(json.dumps(sides), encoding="utf-8")


def convert_module(module: Any, example: Any) -> openvino.Model:
    """A torch module as OpenVINO's, as it is traced on a tensor or several."""
    try:
        with _alone_and_quiet():
            return openvino.convert_model(module, example_input=example)
    except CvhubError:
        raise
    except Exception as error:  # converters raise anything
        raise RuntimeUnavailable(f"OpenVINO can't convert this network: {one_line(error)}.") from error


def is_depthwise(node: openvino.Node) -> bool:
    """Whether it is a convolution with one filter a channel: weights (groups, 1, 1, k, k)."""
    return node.get_type_name() == "GroupConvolution" and list(node.get_input_shape(1))[1:3] == [1, 1]


def _ends(model: openvino.Model, outputs: Sequence[str]) -> list[openvino.Node]:
    """The last convolutions before these outputs, and all after them: how a head's map is enlarged."""
    ends: dict[str, openvino.Node] = {}
    reached = [output.get_node() for output in model.outputs if output.get_names() & set(outputs)]
    while reached:
        for given in reached.pop().input_values():
            node = given.get_node()
            if node.get_friendly_name() not in ends:
                ends[node.get_friendly_name()] = node
                if "Convolution" not in node.get_type_name():
                    reached.append(node)
    return list(ends.values())


def keep_precise(file: Path, names: set[str]) -> None:
    """Marks layers of OpenVINO's file as computed in fp32 whatever the precision; its Python offers no other way.

    Depthwise convolutions are so few of the operations that bf16 gains little there, and sum so few terms that its
    rounding shows: kept in fp32, EfficientNet-Lite0 names the class that fp32 does for 496 of 500 photos, else for 489.
    """
    tree = ElementTree.parse(file)
    for layer in tree.iterfind("layers/layer"):
        if layer.get("name") in names:
            info = layer.find("rt_info")
            if info is None:
                info = ElementTree.Element("rt_info")
                layer.insert(1, info)  # after <data>
            ElementTree.SubElement(info, "attribute", name="precise", version="0")
    tree.write(file)


def kept_precise(file: Path) -> set[str]:
    """The layers of OpenVINO's file that are marked so. What OpenVINO reads and writes again has lost the marks."""
    layers = ElementTree.parse(file).iterfind("layers/layer")
    return {layer.attrib["name"] for layer in layers if layer.find("rt_info/attribute[@name='precise']") is not None}


_tracing = threading.Lock()


@contextlib.contextmanager
def _alone_and_quiet() -> Iterator[None]:
    """One conversion at a time, and the process's logging as it was before.

    Tracing warns of each size that it records, and looks at what makes transformers warn of losses. OpenVINO sets the
    root logger to errors alone while it converts: two at once, or one that fails, would leave it there, and with it all
    of cvhub's warnings.
    """
    loggers = logging.getLogger(), logging.getLogger("transformers")
    with _tracing:
        kept = [(logger.level, logger.filters[:], logger.handlers[:]) for logger in loggers]
        loggers[1].setLevel(logging.ERROR)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            for logger, (level, filters, handlers) in zip(loggers, kept, strict=True):
                logger.setLevel(level)
                logger.filters, logger.handlers = filters, handlers
