"""A new family is found everywhere by the files that the guide names, and by nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cvhub

# Runs where the family was added: from its public names to the answers of the command line.
PROGRAM = """
import json, timm, torch
from timm.models._hub import save_for_hf
from PIL import Image
from transformers import AutoBackbone, AutoConfig, AutoModelForImageClassification
import cvhub
from cvhub.cli import main
from cvhub.hub.folder import check_folder

assert type(AutoConfig.for_model("cvhub_imaginary")) is cvhub.CvImaginaryConfig
config = cvhub.CvImaginaryConfig(depths=(1, 1), widths=(8, 8), num_labels=3)
assert type(AutoBackbone.from_config(config)) is cvhub.CvImaginaryBackbone

save_for_hf(timm.create_model("resnet18", num_classes=3), "theirs", safe_serialization=True)
foreign = json.load(open("theirs/config.json")) | {"architecture": "imaginary18"}
json.dump(foreign, open("theirs/config.json", "w"))
assert main(["convert", "theirs", "ours"]) == 0
assert type(AutoModelForImageClassification.from_pretrained("ours")) is cvhub.CvImaginaryForImageClassification
assert check_folder(cvhub.resolve("ours")) == "imaginary"
Image.new("RGB", (64, 48), "red").save("red.png")
assert main(["info", "ours", "--size", "64x64"]) == 0
assert main(["predict", "ours", "red.png"]) == 0
assert main(["convert", "ours", "back", "--to", "timm"]) == 0
"""


def test_an_imaginary_family_needs_its_own_files_only(tmp_path: Path) -> None:
    package = tmp_path / "cvhub"
    shutil.copytree(Path(cvhub.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "ui"))
    for folder in ("models", "convert"):
        code = (package / folder / "resnet.py").read_text(encoding="utf-8")
        code = code.replace("CvResNet", "CvImaginary").replace("cvhub_resnet", "cvhub_imaginary")
        code = code.replace('"resnet', '"imaginary').replace("models.resnet", "models.imaginary")
        code = code.replace("self.resnet", "self.imaginary")
        (package / folder / "imaginary.py").write_text(code, encoding="utf-8")
    # The copy is another package to coverage, which would count its lines too.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    environment = inherited | {"PYTHONPATH": str(tmp_path), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
