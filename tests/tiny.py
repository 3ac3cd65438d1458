"""Tiny nets of each family, quick enough for every test."""

import importlib
from dataclasses import dataclass
from typing import Any

CLASSIFIER = "AutoModelForImageClassification"
# The smallest net that still has all its family's parts: stages, kernels, shortcuts, groups. A new family adds its own.
CONFIGS: dict[str, dict[str, Any]] = {
    "resnet": {
        "depths": (1, 2, 1, 1),
        "widths": (8, 8, 16, 16),
        "stem_width": 8,
        "groups": 2,
        "width_per_group": 32,
    },
    "mobilenet_v2": {
        "rows": ((1, 8, 1, 1), (6, 8, 2, 2), (3, 16, 1, 2, 5), (3, 16, 1, 2), (3, 24, 1, 1), (3, 24, 2, 2, 5)),
        "stem_channels": 8,
        "head_channels": 32,
        "padding": "same",
        "dropout": 0.0,
    },
}


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

    def config(self, **fields: Any) -> Any:
        return self.class_for("AutoConfig")(**({"num_labels": 5} | CONFIGS[self.name] | fields))

    def model(self, auto: str = CLASSIFIER, **fields: Any) -> Any:
        """A net in evaluation mode whose normalisation is no identity, as a trained net's isn't."""
        import torch

        torch.manual_seed(0)
        model = self.class_for(auto)(self.config(**fields)).eval()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, std=0.1)
                torch.nn.init.normal_(module.running_mean, std=0.1)
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        return model
