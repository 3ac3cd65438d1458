"""cvhub: the classic vision architectures, written once, as Hugging Face models.

Public names are resolved when first used, so that importing the package costs milliseconds.
"""

import importlib

from cvhub import registration

__version__ = "0.1.0"

# Public name → the module that defines it.
_HOME = {
    "CvhubError": "cvhub.errors",
    "CATALOG": "cvhub.catalog",
    "find_entry": "cvhub.catalog",
    "resolve": "cvhub.load",
    "load_model": "cvhub.load",
    "load_processor": "cvhub.load",
    "convert_checkpoint": "cvhub.convert",
    "Classifier": "cvhub.inference.classify",
    "CvImageProcessor": "cvhub.models.image_processing",
    "CvResNetConfig": "cvhub.models.resnet",
    "CvResNetModel": "cvhub.models.resnet",
    "CvResNetForImageClassification": "cvhub.models.resnet",
    "CvResNetBackbone": "cvhub.models.resnet",
    "CvMobileNetV2Config": "cvhub.models.mobilenet_v2",
    "CvMobileNetV2Model": "cvhub.models.mobilenet_v2",
    "CvMobileNetV2ForImageClassification": "cvhub.models.mobilenet_v2",
    "CvMobileNetV2Backbone": "cvhub.models.mobilenet_v2",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'cvhub' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


registration.install()
