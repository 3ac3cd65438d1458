"""The figures of the Explore tab, in the order of the notes. A figure is a module of this package; see figure.py."""

from cvhub.ui.figures import (
    auxiliary,
    bottleneck,
    curves,
    depthwise,
    gradient,
    growth,
    identity,
    positions,
    quantisation,
    reduction,
    resnets,
    stacked,
    surface,
    windows,
)
from cvhub.ui.figures.figure import Figure

FIGURES: tuple[Figure, ...] = (
    resnets,
    gradient,
    identity,
    reduction,
    auxiliary,
    stacked,
    depthwise,
    surface,
    quantisation,
    bottleneck,
    positions,
    windows,
    growth,
    curves,
)
