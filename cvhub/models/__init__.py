"""The architectures, a file each. They import nothing of cvhub but their siblings: all of them travel to the Hub."""

from os import listdir
from os.path import dirname

# What architectures share, and parts of one; every other file here is one.
SHARED = (
    *(
        "attention",
        "backbone",
        "base",
        "blip_pretraining",
        "blip_text",
        "clip_resnet",
        "dense_processing",
        "grouping",
        "image_processing",
    ),
    *("inception", "layers", "losses", "losses_contrastive", "losses_dense", "pixels", "segmentation", "swin_windows"),
)
FAMILIES = tuple(
    name.removesuffix(".py")
    for name in sorted(listdir(dirname(__file__)))
    if name.endswith(".py") and name.removesuffix(".py") not in ("__init__", *SHARED)
)
