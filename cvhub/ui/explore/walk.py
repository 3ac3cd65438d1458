"""A picture walks through a net: the maps that its layers make of it, as HTML."""

from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cvhub.catalog import CATALOG, find_entry
from cvhub.errors import CvhubError
from cvhub.explain.cam import paint
from cvhub.ui.pictures import encoded
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    from cvhub.explain.activations import Place

SHOWN = 16  # channels of the chosen layer
AT_HAND = ("package", "bundled")  # where weights lie that need no network


@dataclass(frozen=True)
class Walker:
    """A net with its weights, what it takes for pictures, and where a picture passes."""

    net: Any
    processor: Any
    places: "tuple[Place, ...]"


@lru_cache(maxsize=2)
def walker(name: str) -> Walker:
    from cvhub.convert.named import net_without_weights
    from cvhub.explain.activations import places
    from cvhub.inference.pool import building
    from cvhub.load import load_model, load_processor

    with building:
        net, processor = load_model(name), load_processor(name)
    size = processor.crop_size if processor.do_center_crop else processor.size
    passed = places(net_without_weights(net.config), size["height"], size["width"])
    return Walker(net, processor, tuple(passed))


def check_at_hand(text: str, say: Say) -> None:
    """CvhubError where there are no weights to walk through."""
    entry = find_entry(text)
    if entry is None:
        raise CvhubError(say("walk_config"))
    if entry.source not in AT_HAND:
        titles = say("walk_comma").join(row.title for row in CATALOG if row.source in AT_HAND)
        raise CvhubError(say("walk_hub", title=entry.title, place=entry.location, titles=titles))


def layer_choices(name: str) -> list[tuple[str, str]]:
    """(what is said of it, name) of each layer that makes maps."""
    return [
        (
            f"{place.name} · {place.kind} · {place.layout.channels} × {place.layout.rows} × {place.layout.columns}",
            place.name,
        )
        for place in walker(name).places
    ]


def first_layer(name: str) -> str:
    """The layer that is shown before one is chosen: deep enough for more than edges, and still fine."""
    from cvhub.explain.activations import way

    stops = way(list(walker(name).places))
    return stops[min(1, len(stops) - 1)].name


def walk(name: str, image: Image.Image, layer: str, say: Say) -> str:
    """The picture's way, a map a size, then the strongest channels of one layer."""
    import torch

    from cvhub.explain.activations import activation_maps, way

    walking = walker(name)
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
    return f'<ul class="panels">{"".join(panels)}</ul>{note}{channels(maps[layer], layer, say)}'


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
