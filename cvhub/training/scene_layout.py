"""Where a synthetic scene has what: regions of stuff, and things that touch and hide each other.

Everything is a signed distance d in pixels, negative inside. A pixel belongs to the topmost layer with d < 0, and the
picture blends a layer in by clip(1/2 − d, 0, 1), about the share of the pixel that it covers: edges are smooth and
labels exact, without drawing anything at a larger size first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Window = tuple[slice, slice]

MIN_THINGS, MAX_THINGS = 3, 12
MIN_VISIBLE, MIN_VISIBLE_SHARE = 30, 0.5  # pixels of a thing that show at least, and their share of all it has
SMALLEST, LARGEST = 0.065, 0.21  # radius of a thing, in shorter sides
PROPOSALS = 80  # things proposed at most, of which those that would hide another are dropped


class SceneClass(NamedTuple):
    name: str
    is_thing: bool


# A class's id is its place here: 0 to 2 are stuff, 3 to 7 are things.
CLASSES = (
    SceneClass("sky", False),
    SceneClass("grass", False),
    SceneClass("water", False),
    SceneClass("disc", True),
    SceneClass("square", True),
    SceneClass("triangle", True),
    SceneClass("star", True),
    SceneClass("ring", True),
)
STUFF = tuple(label for label, row in enumerate(CLASSES) if not row.is_thing)
THINGS = tuple(label for label, row in enumerate(CLASSES) if row.is_thing)


# --- Stuff -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Region:
    """A region of stuff: `distance` (H, W) to its border, negative inside."""

    label: int
    distance: np.ndarray


def lay_out_stuff(rng: np.random.Generator, height: int, width: int) -> list[Region]:
    """Two to four bands from top to bottom with wavy borders, sky at the top only, and at times a pond or an island."""
    y, x = np.arange(height)[:, None], np.arange(width)
    labels = [STUFF[0] if rng.random() < 0.5 else _other_ground(rng, None)]
    bands = rng.integers(2, 5)
    while len(labels) < bands:
        labels.append(_other_ground(rng, labels[-1]))
    tilt = rng.uniform(-0.4, 0.4)
    regions = [Region(labels[0], np.full((height, width), -np.inf))]
    for place, label in enumerate(labels[1:], start=1):
        top = (place + rng.uniform(-0.25, 0.25)) / bands * height
        regions.append(Region(label, top + tilt * (x - width / 2) + _waves(rng, x / width) * height - y))
    if rng.random() < 0.5:
        regions.append(_pond(rng, y, x, _other_ground(rng, None)))
    return regions


def _other_ground(rng: np.random.Generator, above: int | None) -> int:
    """Stuff that isn't sky, nor what lies above."""
    grounds = [label for label in STUFF[1:] if label != above]
    return grounds[rng.integers(len(grounds))]


def _waves(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    octave, phase, height = np.arange(1, 5)[:, None], rng.uniform(0, 2 * math.pi, (4, 1)), rng.uniform(0, 0.05, (4, 1))
    return (height / octave * np.sin(2 * math.pi * octave * x + phase)).sum(axis=0)


def _pond(rng: np.random.Generator, y: np.ndarray, x: np.ndarray, label: int) -> Region:
    """A round region whose radius swings with the angle."""
    height, width = len(y), len(x)
    dy, dx = y - rng.uniform(0.4, 0.8) * height, x - rng.uniform(0.2, 0.8) * width
    turn, first, second = np.arctan2(dy, dx), *rng.uniform(0, 2 * math.pi, 2)
    radius = rng.uniform(0.17, 0.3) * min(height, width)
    radius = radius * (1 + 0.2 * np.sin(2 * turn + first) + 0.1 * np.sin(3 * turn + second))
    return Region(label, np.hypot(dy, dx) - radius)


# --- Things ----------------------------------------------------------------------------------------------------------
# Distances of shapes of radius about 1, that look equally large; `detail` from 0 to 1 is what varies within a class.


def _disc(x: np.ndarray, y: np.ndarray, detail: float) -> np.ndarray:
    return np.hypot(x, y) - 0.9


def _square(x: np.ndarray, y: np.ndarray, detail: float) -> np.ndarray:
    return np.maximum(abs(x), abs(y)) - 0.8


def _triangle(x: np.ndarray, y: np.ndarray, detail: float) -> np.ndarray:
    return np.maximum(y, abs(x) * math.sqrt(0.75) - y / 2) - 0.6


def _star(x: np.ndarray, y: np.ndarray, detail: float) -> np.ndarray:
    """To the edge from tip to notch that is nearest, along and across the axis of the nearest of the five points."""
    sector, tip, notch = math.pi / 5, 1.2, 0.5 + 0.1 * detail
    along = np.max([math.cos(2 * k * sector) * x + math.sin(2 * k * sector) * y for k in range(5)], axis=0)
    across = np.sqrt(np.maximum(0, x * x + y * y - along * along))
    normal = np.array([notch * math.sin(sector), tip - notch * math.cos(sector)])
    normal /= np.linalg.norm(normal)
    return normal[0] * (along - tip) + normal[1] * across


def _ring(x: np.ndarray, y: np.ndarray, detail: float) -> np.ndarray:
    thickness = 0.36 + 0.14 * detail
    return abs(np.hypot(x, y) - 1 + thickness / 2) - thickness / 2


SHAPES: dict[str, Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "ring": _ring,
}
REACH = 1.5  # no shape is wider than so many radii, stretched or not


@dataclass(frozen=True)
class Thing:
    """A shape of a radius in pixels at (y, x), turned by `angle` radians, `stretch` times as long and less wide."""

    label: int
    y: float
    x: float
    radius: float
    angle: float
    stretch: float
    detail: float

    def window(self, height: int, width: int, margin: float = 0.0) -> Window:
        """The part of the picture that holds the thing and `margin` pixels around it."""
        reach = REACH * self.radius + margin
        return (
            slice(max(0, math.floor(self.y - reach)), min(height, math.ceil(self.y + reach) + 1)),
            slice(max(0, math.floor(self.x - reach)), min(width, math.ceil(self.x + reach) + 1)),
        )

    def frame(self, window: Window, shift: tuple[float, float] = (0.0, 0.0)) -> tuple[np.ndarray, np.ndarray]:
        """The window's pixels as x and y in the thing's own frame, in pixels, the thing moved by `shift` (y, x)."""
        rows, columns = window
        dy = np.arange(rows.start, rows.stop)[:, None] - self.y - shift[0]
        dx = np.arange(columns.start, columns.stop) - self.x - shift[1]
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return (cos * dx + sin * dy) / self.stretch, (cos * dy - sin * dx) * self.stretch

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Of places in the thing's frame to its edge; off by the stretch, which an edge of one pixel doesn't show."""
        return self.radius * SHAPES[CLASSES[self.label].name](x / self.radius, y / self.radius, self.detail)


def place_things(rng: np.random.Generator, height: int, width: int) -> tuple[list[Thing], np.ndarray]:
    """The things from the lowest to the topmost, and the numbers (H, W) of those that show.

    A thing that would leave too little of itself or of another in sight is not placed.
    """
    things: list[Thing] = []
    instances = np.zeros((height, width), np.uint16)
    needed, visible = np.zeros(MAX_THINGS + 1), np.zeros(MAX_THINGS + 1)
    wanted = rng.integers(MIN_THINGS, MAX_THINGS + 1)
    for _ in range(PROPOSALS):
        if len(things) == wanted:
            break
        thing = _propose(rng, things, height, width)
        window = thing.window(height, width)
        inside = thing.distance(*thing.frame(window)) < 0
        area = np.count_nonzero(inside)
        left = visible - np.bincount(instances[window][inside], minlength=len(visible))
        if area < MIN_VISIBLE or (left < needed)[1:].any():
            continue
        things.append(thing)
        instances[window][inside] = number = len(things)
        visible, needed[number] = left, max(MIN_VISIBLE, MIN_VISIBLE_SHARE * area)
        visible[number] = area
    return things, instances


def _propose(rng: np.random.Generator, things: list[Thing], height: int, width: int) -> Thing:
    """A thing anywhere or, two times in five, one that touches or overlaps another of its class."""
    smallest, largest = SMALLEST * min(height, width), LARGEST * min(height, width)
    label, radius = THINGS[rng.integers(len(THINGS))], smallest * (largest / smallest) ** rng.random()
    y, x = rng.uniform(0, height), rng.uniform(0, width)
    if things and rng.random() < 0.4:
        other = things[rng.integers(len(things))]
        label, radius = other.label, min(max(other.radius * rng.uniform(0.8, 1.2), smallest), largest)
        apart, towards = rng.uniform(0.75, 1.0) * (radius + other.radius), rng.uniform(0, 2 * math.pi)
        y, x = other.y + apart * math.sin(towards), other.x + apart * math.cos(towards)
    # Most of each thing is within the picture.
    y, x = (min(max(at, radius / 2), side - radius / 2) for at, side in ((y, height), (x, width)))
    return Thing(label, y, x, radius, rng.uniform(0, 2 * math.pi), rng.uniform(0.85, 1.18), rng.random())
