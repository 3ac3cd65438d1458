"""cvhub: the classic vision architectures, written once, as Hugging Face models.

Public names are resolved when first used, so that importing the package costs milliseconds.
"""

import importlib
from typing import Any

from cvhub import registration
from cvhub.models import FAMILIES

__version__ = "0.1.0"

# Public name → the module that defines it. The classes of the models are found by their names, `Cv` and the family's.
_HOME = {
    "CATALOG": "cvhub.catalog",
    "find_entry": "cvhub.catalog",
    "CvhubError": "cvhub.errors",
    "resolve": "cvhub.load",
    "load_model": "cvhub.load",
    "load_processor": "cvhub.load",
    "convert_checkpoint": "cvhub.convert",
    "export_checkpoint": "cvhub.convert",
    "Classifier": "cvhub.inference.classify",
    "load_recipe": "cvhub.training.recipe_file",
    "train": "cvhub.training.run",
    "CvImageProcessor": "cvhub.models.image_processing",
}

__all__ = ["__version__", *_HOME]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name) or _family_of(name)
    if home is None:
        raise AttributeError(f"module 'cvhub' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def _family_of(name: str) -> str | None:
    """The module of a class such as CvMobileNetV2Config: `mobilenet_v2`."""
    matches = [family for family in FAMILIES if name.lower().startswith("cv" + family.replace("_", ""))]
    return f"cvhub.models.{max(matches, key=len)}" if matches else None


def __dir__() -> list[str]:
    return sorted(__all__)


registration.install()
