"""Makes transformers' Auto classes know cvhub's models, without importing transformers before somebody else does.

`import cvhub` costs milliseconds, and still `AutoModel.from_pretrained(folder)` finds our classes: a finder watches
transformers' Auto modules being imported and registers our classes as soon as they can be imported in turn.
"""

import importlib
import sys
import threading
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from cvhub.models import FAMILIES
from cvhub.models import __name__ as OUR_MODELS

# The modules in which transformers defines its Auto classes.
AUTO_MODULES = (
    "transformers.models.auto.configuration_auto",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.image_processing_auto",
    "transformers.models.auto.video_processing_auto",
)
# What our model files import. Some of it imports Auto modules while it is half done, as a file of ours may be too: then
# we have to wait.
NEEDED_MODULES = (
    "transformers.modeling_layers",
    "transformers.modeling_utils",
    "transformers.backbone_utils",
    "transformers.image_processing_backends",
    "transformers.image_processing_utils",
    "transformers.processing_utils",
)


def install() -> None:
    """Registers with each Auto module that is loaded already, and watches for the others."""
    finder = _WatchingFinder()
    finder.waiting.extend(sys.modules[name] for name in AUTO_MODULES if name in sys.modules)
    sys.meta_path.insert(0, finder)
    finder.register_waiting()


def _register(auto_module: ModuleType) -> None:
    """Lists the classes of all families under the Auto classes that `auto_module` defines."""
    kind = auto_module.__name__.rpartition(".")[2]
    if kind == "modeling_auto":
        base = importlib.import_module("cvhub.models.base")
        base.CvPreTrainedModel.complete_card = importlib.import_module("cvhub.hub.card").complete_card
    for family in FAMILIES:
        classes = _classes(family)
        config = next(cls for cls in classes if "AutoConfig" in cls.auto_classes)
        if kind == "configuration_auto":
            auto_module.AutoConfig.register(config.model_type, config)
        elif kind == "image_processing_auto":
            file, name = config.processor
            processor = getattr(importlib.import_module(f"cvhub.models.{file}"), name)
            processors = dict.fromkeys(("pil", "torchvision"), processor)
            auto_module.AutoImageProcessor.register(config, image_processor_classes=processors)
        elif kind == "video_processing_auto":
            # Every pipeline looks for one, and would ask whether it may run a folder's code to find none.
            auto_module.AutoVideoProcessor.register(config, None)
        else:
            for cls in classes:
                for auto in set(cls.auto_classes) - {"AutoConfig"}:
                    getattr(auto_module, auto).register(config, cls)


def _classes(family: str) -> list:
    """Imported here, since a model file brings torch and transformers."""
    module = importlib.import_module(f"cvhub.models.{family}")
    return importlib.import_module("cvhub.models.base").family_classes(module.__name__)


class _WatchingFinder(threading.local):
    """Counts how many watched modules are being imported, one inside another, and acts when the outermost is done.

    Each thread registers with what it imported itself, since another's imports may be half done.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.waiting: list[ModuleType] = []

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        if name not in AUTO_MODULES + NEEDED_MODULES and not name.startswith(f"{OUR_MODELS}."):
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _WatchedLoader(spec.loader, self)  # pyright: ignore[reportAttributeAccessIssue]
        return spec

    def register_waiting(self) -> None:
        if self.depth:
            return
        self.depth += 1  # what our own imports load joins the list and is served below
        try:
            while self.waiting:
                _register(self.waiting.pop(0))
        finally:
            self.depth -= 1


class _WatchedLoader:
    def __init__(self, loader, finder: _WatchingFinder):
        self.loader = loader
        self.finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.finder.depth += 1
        try:
            self.loader.exec_module(module)
        finally:
            self.finder.depth -= 1
        if module.__name__ in AUTO_MODULES:
            self.finder.waiting.append(module)
        self.finder.register_waiting()
