"""How a synthetic scene looks: two-coloured textures for stuff and things alike, shadows, and a camera.

Colour alone tells little: a scene has five colours, and each region and each thing is a pattern of any two of them.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from cvhub.training.scene_layout import CLASSES, Region, Thing

# Ink, teal, slate, plum, brick; sage, ochre, rose, straw, cream.
DARK = np.array([[52, 64, 84], [47, 99, 104], [94, 126, 156], [116, 84, 118], [188, 96, 68]], np.float32)
LIGHT = np.array([[139, 163, 134], [214, 164, 76], [214, 162, 156], [205, 184, 152], [238, 227, 205]], np.float32)
DARKS, LIGHTS = 2, 3  # so many of them are in a scene
STUFF_CONTRAST, THING_CONTRAST = 0.7, 0.9  # how far a texture goes from its first colour to its second
SHADOW = 0.45  # of the light that a shadow takes

# How much of a texture's second colour there is, (H, W) from 0 to 1. One of stuff is given height and width, one of a
# thing the pixels' places (x, y) in its frame; `unit` is 1 pixel in a scene whose shorter side has 160.
StuffTexture = Callable[[np.random.Generator, int, int, float], np.ndarray]
ThingTexture = Callable[[np.random.Generator, np.ndarray, np.ndarray, float], np.ndarray]


def paint(
    rng: np.random.Generator, regions: Sequence[Region], things: Sequence[Thing], height: int, width: int
) -> Image.Image:
    """The picture (RGB) of layers that come from the lowest to the topmost."""
    colours = np.concatenate([rng.permutation(DARK)[:DARKS], rng.permutation(LIGHT)[:LIGHTS]])
    canvas = np.zeros((3, height, width), np.float32)
    unit = min(height, width) / 160
    grounds = _paint_regions(rng, canvas, regions, colours, unit)
    sun = rng.uniform(0, 2 * math.pi)
    for thing in things:
        # A thing all in its ground's colour would not be seen; half of all things have it as their second.
        ground = grounds[int(thing.y), int(thing.x)]
        first = (ground + rng.integers(1, len(colours))) % len(colours)
        second = ground if rng.random() < 0.5 else (first + rng.integers(1, len(colours))) % len(colours)
        _paint_thing(rng, canvas, thing, colours[[first, second]], sun, unit)
    return _photograph(rng, canvas, sun)


def _paint_regions(
    rng: np.random.Generator, canvas: np.ndarray, regions: Sequence[Region], colours: np.ndarray, unit: float
) -> np.ndarray:
    """Fills the canvas (3, H, W), and gives the place of each pixel's first colour, (H, W)."""
    grounds = np.zeros(canvas.shape[1:], np.intp)
    for region in regions:
        rows = np.flatnonzero((region.distance < 0.5).any(axis=1))
        if not len(rows):  # the waves hide it
            continue
        part = slice(rows[0], rows[-1] + 1)
        pair = rng.permutation(len(colours))[:2]
        field = STUFF_TEXTURES[CLASSES[region.label].name](rng, part.stop - part.start, canvas.shape[2], unit)
        _blend(canvas[:, part], region.distance[part], colours[pair], STUFF_CONTRAST * field)
        grounds[region.distance < 0] = pair[0]
    return grounds


def _paint_thing(
    rng: np.random.Generator, canvas: np.ndarray, thing: Thing, tones: np.ndarray, sun: float, unit: float
) -> None:
    """The shadow on what lies below, then the thing."""
    window = thing.window(*canvas.shape[1:], margin=7 * unit)
    part = canvas[:, *window]
    away = (3 * unit * math.sin(sun), 3 * unit * math.cos(sun))
    shade = np.clip(0.5 - thing.distance(*thing.frame(window, away)) / (5 * unit), 0, 1)
    part *= (1 - SHADOW * shade).astype(np.float32)
    x, y = thing.frame(window)
    field = THING_TEXTURES[rng.integers(len(THING_TEXTURES))](rng, x, y, unit)
    _blend(part, thing.distance(x, y), tones, THING_CONTRAST * field)


def _blend(part: np.ndarray, distance: np.ndarray, tones: np.ndarray, share: np.ndarray) -> None:
    """Covers (3, h, w) with two colours, of the second the given share, (h, w), where the distance is negative."""
    first, second = tones[..., None, None]
    layer = first + share.astype(np.float32) * (second - first)
    layer -= part
    layer *= np.clip(0.5 - distance, 0, 1).astype(np.float32)
    part += layer


def _photograph(rng: np.random.Generator, canvas: np.ndarray, sun: float) -> Image.Image:
    """More light towards the sun, a lens slightly out of focus, and the sensor's noise."""
    _, height, width = canvas.shape
    y, x = np.linspace(-1, 1, height, dtype=np.float32)[:, None], np.linspace(-1, 1, width, dtype=np.float32)
    canvas *= 1 - np.float32(rng.uniform(0.05, 0.2)) * (y * np.float32(math.sin(sun)) + x * np.float32(math.cos(sun)))
    spread = np.float32(rng.uniform(0.05, 0.2))  # of the light, to either neighbour; a blur of σ = √(2 · spread) pixels
    canvas[:, 1:-1] += spread * (canvas[:, :-2] - 2 * canvas[:, 1:-1] + canvas[:, 2:])
    canvas[:, :, 1:-1] += spread * (canvas[:, :, :-2] - 2 * canvas[:, :, 1:-1] + canvas[:, :, 2:])
    canvas += np.float32(rng.uniform(2, 6)) * rng.standard_normal(canvas.shape, np.float32)
    pixels = np.clip(canvas + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


# --- Textures --------------------------------------------------------------------------------------------------------


def _noise(rng: np.random.Generator, height: int, width: int, cell: tuple[float, float]) -> np.ndarray:
    """Smooth noise from about 0 to 1, whose blotches are about `cell` (height, width) pixels."""
    rows, columns = math.ceil(height / cell[0]) + 1, math.ceil(width / cell[1]) + 1
    grid = Image.fromarray(rng.random((rows, columns), np.float32))
    return np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))


def _steep(wave: np.ndarray, slope: float) -> np.ndarray:
    """A wave from −1 to 1 as bands of 0 and 1 with soft borders."""
    return np.clip(0.5 + slope * wave, 0, 1)


def _clouds(rng: np.random.Generator, height: int, width: int, unit: float) -> np.ndarray:
    cloud = _noise(rng, height, width, (16 * unit, 40 * unit)) + 0.4 * _noise(rng, height, width, (7 * unit, 14 * unit))
    return _steep(cloud - 0.75, 1.6)


def _blades(rng: np.random.Generator, height: int, width: int, unit: float) -> np.ndarray:
    return _steep(_noise(rng, height, width, (9 * unit, 2 * unit)) - 0.5, 1.8)


def _ripples(rng: np.random.Generator, height: int, width: int, unit: float) -> np.ndarray:
    y = np.arange(height, dtype=np.float32)[:, None] / (rng.uniform(6, 9) * unit)
    return _steep(np.sin(2 * math.pi * (y + 1.6 * _noise(rng, height, width, (18 * unit, 22 * unit)))), 0.9)


STUFF_TEXTURES: dict[str, StuffTexture] = {"sky": _clouds, "grass": _blades, "water": _ripples}


def _shading(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, unit: float) -> np.ndarray:
    return np.clip(0.5 + (x + y) / (60 * unit), 0, 1)


def _stripes(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, unit: float) -> np.ndarray:
    turn, wave = rng.uniform(0, math.pi), 2 * math.pi / (rng.uniform(6, 11) * unit)
    return _steep(np.sin(wave * (math.cos(turn) * x + math.sin(turn) * y)), 1.5)


def _checks(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, unit: float) -> np.ndarray:
    wave = 2 * math.pi / (rng.uniform(9, 14) * unit)
    return _steep(np.sin(wave * x) * np.sin(wave * y), 2.5)


def _dots(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, unit: float) -> np.ndarray:
    wave = 2 * math.pi / (rng.uniform(6, 9) * unit)
    return _steep(np.sin(wave * x) + np.sin(wave * y) - 0.9, 1.2)


def _speckle(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, unit: float) -> np.ndarray:
    return _steep(_noise(rng, x.shape[0], x.shape[1], (2 * unit, 2 * unit)) - 0.6, 2.5)


def _as_stuff(texture: StuffTexture) -> ThingTexture:
    return lambda rng, x, y, unit: texture(rng, x.shape[0], x.shape[1], unit)


# More than a third of the things look like stuff within: only their shape tells.
THING_TEXTURES: tuple[ThingTexture, ...] = (
    *(_shading, _stripes, _checks, _dots, _speckle),
    *map(_as_stuff, STUFF_TEXTURES.values()),
)
