"""A picture walks through a net: the maps that its layers make of it, as HTML."""

from dataclasses import dataclass, replace
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cvhub.catalog import CATALOG, find_entry
from cvhub.errors import CvhubError
from cvhub.explain.cam import paint
from cvhub.ui import numerals
from cvhub.ui.explore import tree
from cvhub.ui.pictures import encoded
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    from cvhub.explain.activations import Place
    from cvhub.models.pixels import PixelTransform

SHOWN = 16  # channels of the chosen layer
SIDE = 224  # pixels, where neither a config nor a processor tells
# Anybody may type a config: no picture walks through a net of initial weights that takes more than seconds.
MAX_BYTES = 1_000_000_000
MAX_MULTIPLY_ADDS = 25_000_000_000


@dataclass(frozen=True)
class Walker:
    """A net with weights, what it takes for pictures (all of one size), and where a picture passes."""

    net: Any
    processor: "PixelTransform"
    places: "tuple[Place, ...]"
    trained: bool


def find_walker(text: str, height: int, width: int, say: Say) -> Walker:
    """Of a name of the catalogue, or of a config as JSON, which is shown pictures of height x width pixels.

    CvhubError where there is nothing that a picture could walk through.
    """
    entry = find_entry(text)
    if entry is None:
        check_size(text, height, width, say)
        return untrained(text, height, width)
    check_at_hand(text, say)
    return trained(text)


@lru_cache(maxsize=2)
def trained(name: str) -> Walker:
    from cvhub.inference.pool import building
    from cvhub.load import load_model, load_processor

    with building:
        return made(load_model(name), square(load_processor(name)), trained=True)


@lru_cache(maxsize=1)
def untrained(text: str, height: int, width: int) -> Walker:
    from cvhub.convert.named import read_config, untrained_net
    from cvhub.inference.pool import building
    from cvhub.models.pixels import PixelTransform

    with building:
        net = untrained_net(read_config(text))
    picture = {"image_size": [height, width], "num_channels": net.config.num_channels}
    return made(net, PixelTransform.default(picture), trained=False)


def made(net: Any, processor: "PixelTransform", trained: bool) -> Walker:
    from cvhub.convert.named import net_without_weights
    from cvhub.explain.activations import places

    passed = places(net_without_weights(net.config), processor.crop_size["height"], processor.crop_size["width"])
    return Walker(net, processor, tuple(passed), trained)


def square(processor: "PixelTransform") -> "PixelTransform":
    """Of a net that takes pictures of any size: their middle squares, of a side that is soon computed."""
    if processor.do_center_crop:
        return processor
    side = min(SIDE, *processor.size.values())
    box = {"height": side, "width": side}
    return replace(processor, size={"shortest_edge": side}, crop_size=box, do_resize=True, do_center_crop=True)


def check_at_hand(name: str, say: Say) -> None:
    """CvhubError where the weights of a row would have to be fetched."""
    from cvhub.load import is_at_hand

    entry = find_entry(name)
    if entry and not is_at_hand(entry):
        titles = say("walk_comma").join(row.title for row in CATALOG if is_at_hand(row))
        raise CvhubError(say("walk_hub", title=entry.title, place=entry.location, titles=titles))


def check_size(text: str, height: int, width: int, say: Say) -> None:
    """CvhubError where a config's net can't be shown a picture, or would be at it for too long."""
    from cvhub.convert.named import read_config

    if (channels := read_config(text).num_channels) not in (1, 3):
        raise CvhubError(say("walk_channels", n=channels))
    cost = tree.study(text, height, width).cost
    if cost.memory_bytes > MAX_BYTES or cost.multiply_adds > MAX_MULTIPLY_ADDS:
        limits = {"most": numerals.megabytes(MAX_BYTES), "most_adds": numerals.count(MAX_MULTIPLY_ADDS)}
        n, adds = numerals.megabytes(cost.memory_bytes), numerals.count(cost.multiply_adds)
        raise CvhubError(say("walk_large", n=n, adds=adds, **limits))


def layer_choices(walking: Walker) -> list[tuple[str, str]]:
    """(what is said of it, name) of each layer that makes maps."""
    return [
        (
            f"{place.name} · {place.kind} · {place.layout.channels} × {place.layout.rows} × {place.layout.columns}",
            place.name,
        )
        for place in walking.places
    ]


def first_layer(walking: Walker) -> str:
    """The layer that is shown before one is chosen: deep enough for more than edges, and still fine."""
    from cvhub.explain.activations import way

    stops = way(list(walking.places))
    return stops[min(1, len(stops) - 1)].name


def walk(walking: Walker, image: Image.Image, layer: str, say: Say) -> str:
    """The picture's way, a map wherever its size changes, then the strongest channels of one layer."""
    import torch

    from cvhub.explain.activations import activation_maps, way

    passed = {place.name: place for place in walking.places}
    if layer not in passed:
        raise CvhubError(say("walk_unknown", layer=layer[:80]))
    stops = [place.name for place in way(list(walking.places))]
    maps = activation_maps(walking.net, torch.from_numpy(walking.processor([image])), [*stops, layer])
    left, top, right, bottom = walking.processor.crop_box(*image.size)
    seen = image.convert("RGB").crop((round(left), round(top), round(right), round(bottom))).resize((112, 112))
    panels = [panel(seen, say("walk_seen_alt"), say("walk_seen"))]
    for stop in stops:
        strength = np.abs(maps[stop]).mean(axis=0)
        panels.append(panel(painted(strength), say("walk_map_alt", name=stop), stop, shape(maps[stop])))
    note = f'<p class="facts">{say("walk_note")}</p>'
    first = "" if walking.trained else f'<p class="aside">{escape(say("walk_untrained"))}</p>'
    return f'{first}<ul class="panels">{"".join(panels)}</ul>{note}{channels(maps[layer], layer, say)}'


def channels(maps: np.ndarray, layer: str, say: Say) -> str:
    """The channels (C, h, w) of one layer that are the strongest on average, the strongest first."""
    order = np.argsort(-np.abs(maps).mean(axis=(1, 2)), kind="stable")[:SHOWN]
    panels = "".join(
        panel(painted(maps[i]), say("walk_map_alt", name=i), say("walk_channel", i=i)) for i in order.tolist()
    )
    head = say("walk_layer", layer=layer, n=len(order), count=len(maps))
    return (
        f'<h3>{escape(head)}</h3><ul class="panels small">{panels}</ul><p class="facts">{say("walk_channels_note")}</p>'
    )


def panel(image: Image.Image, alt: str, name: str, more: str = "") -> str:
    drawn = f'<img class="pixels" src="{encoded(image, "png")}" alt="{escape(alt)}">'
    return f"<li>{drawn}<b>{escape(name)}</b><span>{escape(more)}</span></li>"


def shape(maps: np.ndarray) -> str:
    return " × ".join(map(str, maps.shape))


def painted(values: np.ndarray) -> Image.Image:
    """(h, w) in the colours of heat, its least value the darkest, its most the lightest."""
    low, high = float(values.min()), float(values.max())
    shades = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return paint(Image.fromarray(np.rint(255 * shades).astype(np.uint8)))
