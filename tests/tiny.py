"""Tiny nets of each family, quick enough for every test: `TINY` in the family's own test file holds their fields."""

import importlib
from dataclasses import dataclass
from typing import Any

from cvhub.models import FAMILIES

CLASSIFIER = "AutoModelForImageClassification"
SEGMENTERS = ("AutoModelForSemanticSegmentation", "AutoModelForUniversalSegmentation")


@dataclass(frozen=True)
class TinyFamily:
    """A file of `cvhub.models`, and tiny nets of it."""

    name: str

    def has(self, auto: str) -> bool:
        return auto in self._classes()

    def class_for(self, auto: str) -> Any:
        """The family's class that the Auto class `auto` lists."""
        return self._classes()[auto]

    def _classes(self) -> dict[str, Any]:
        module = importlib.import_module(f"cvhub.models.{self.name}")
        base = importlib.import_module("cvhub.models.base")
        return {auto: cls for cls in base.family_classes(module.__name__) for auto in cls.auto_classes}

    def listed(self, name: str, default: Any = None) -> Any:
        """What the family's test file says under `name`."""
        return getattr(importlib.import_module(f"tests.test_{self.name}"), name, default)

    def can_dilate(self) -> bool:
        """Whether strides may be turned into dilations."""
        backbone = importlib.import_module("cvhub.models.backbone")
        return issubclass(self.class_for("AutoConfig"), backbone.CvConvNetConfig)

    def config(self, **fields: Any) -> Any:
        return self.class_for("AutoConfig")(**({"num_labels": 5} | self.listed("TINY") | fields))

    def model(self, auto: str = CLASSIFIER, **fields: Any) -> Any:
        """A net in evaluation mode whose normalisation is no identity, as a trained net's isn't."""
        import torch

        torch.manual_seed(0)
        model = self.class_for(auto)(self.config(**fields)).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d | torch.nn.LayerNorm):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, std=0.1)
            if isinstance(module, torch.nn.BatchNorm2d):
                statistics = dict(module.named_buffers())
                torch.nn.init.normal_(statistics["running_mean"], std=0.1)
                torch.nn.init.uniform_(statistics["running_var"], 0.5, 1.5)
        return model


def reads_words(name: str) -> bool:
    """Whether a family's nets are given texts beside pictures."""
    return bool(TinyFamily(name).class_for("AutoConfig").words)


def families_with(auto: str) -> list[str]:
    """The families that the Auto class `auto` lists."""
    return [name for name in FAMILIES if TinyFamily(name).has(auto)]
