"""The figures of the Explore tab, in the order of the notes, those of segmenters and those of students. A figure is a
module of this package; see figure.py. part.py lets a visitor choose among them."""

from cvhub.ui.figures import (
    auxiliary,
    bottleneck,
    curves,
    dense_curves,
    depthwise,
    gradient,
    growth,
    identity,
    positions,
    quantisation,
    reduction,
    resnets,
    stacked,
    students,
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

DENSE_FIGURES: tuple[Figure, ...] = (dense_curves,)

STUDENT_FIGURES: tuple[Figure, ...] = (students,)
