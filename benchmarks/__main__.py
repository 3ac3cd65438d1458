"""`python -m benchmarks [TOPIC …]`: prints the tables of all topics, or of those named."""

import argparse
import importlib
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.nets import NETS
from benchmarks.report import heading
from benchmarks.settings import ROOT, Settings

TOPICS = (
    "peak",
    "models",
    "segmenters",
    "int8",
    "words",
    "tiles",
    "training",
    "distillation",
    "processes",
    "folder",
    "scale",
    "indexing",
    "search",
    "startup",
    "space",
    "api",
    "load",
    "soak",
    "pool",
    "figures",
)  # a module each, with run(settings) -> Report


def main() -> None:
    arguments = _parse()
    with tempfile.TemporaryDirectory(prefix="cvhub-benchmarks-") as work:
        os.environ["CVHUB_CACHE"] = str(Path(work) / "cache")  # what is converted and compiled here goes with it
        os.environ |= {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        settings = Settings(
            Path(work),
            arguments.rounds,
            arguments.count,
            arguments.photos,
            tuple(net for net in NETS if net.name in arguments.nets),
        )
        text = heading(" ".join(["python -m benchmarks", *sys.argv[1:]]))
        print(text, flush=True)
        for topic in arguments.topics or TOPICS:
            section = importlib.import_module(f"benchmarks.{topic}").run(settings).markdown()
            print(f"\n{section}", flush=True)
            text += f"\n\n{section}"
    if arguments.write:
        (ROOT / "benchmarks" / "RESULTS.md").write_text(text + "\n", encoding="utf-8")


def _parse() -> argparse.Namespace:
    names = [net.name for net in NETS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed beside the peers.")
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"of {', '.join(TOPICS)}; all unless named")
    parser.add_argument("--nets", nargs="+", choices=names, default=names, help="in timm's names, or torchvision's")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each contender")
    parser.add_argument("--photos", type=Path, help="folder of photos for the folder run, made from samples otherwise")
    parser.add_argument("--count", type=int, default=1000, help="photos in the folder run")
    parser.add_argument("--write", action="store_true", help="write the tables to benchmarks/RESULTS.md too")
    arguments = parser.parse_args()
    if unknown := set(arguments.topics) - set(TOPICS):
        parser.error(f"no topic {', '.join(sorted(unknown))}, expected one of {', '.join(TOPICS)}")
    return arguments


if __name__ == "__main__":
    main()
