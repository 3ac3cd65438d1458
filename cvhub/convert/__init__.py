"""Foreign checkpoints (timm, torchvision, transformers) to cvhub's folders, and back."""

from cvhub.convert.exporting import export_checkpoint
from cvhub.convert.importing import convert_checkpoint, import_file, import_folder

__all__ = ["convert_checkpoint", "export_checkpoint", "import_file", "import_folder"]
