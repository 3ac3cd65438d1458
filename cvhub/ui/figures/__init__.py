"""The figures of the Explore tab, in the order of the notes. A figure is a module of this package; see figure.py."""

from cvhub.ui.figures import bottleneck, depthwise, gradient, resnets, stacked
from cvhub.ui.figures.figure import Figure

FIGURES: tuple[Figure, ...] = (resnets, gradient, stacked, depthwise, bottleneck)
