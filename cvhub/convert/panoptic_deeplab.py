"""Panoptic-DeepLab: no library that cvhub reads has it."""

from cvhub.convert.family import Family

FAMILY = Family(
    name="panoptic_deeplab",
    prefix="CvPanopticDeepLab",
    suffix="ForPanopticSegmentation",
    sizes=lambda config, shapes: {},
    layouts=(),
)
