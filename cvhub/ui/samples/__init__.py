"""The pictures that come along. README.md says what they show and where they are from."""

from pathlib import Path

FOLDER = Path(__file__).parent
PHOTOS = ("chelsea", "coffee", "rocket", "astronaut")
TILE = "tile"  # of a satellite's picture, what our own classifiers were trained on
SAMPLES = (*PHOTOS, TILE)
DRAWINGS = ("apple", "fish", "house", "sun", "tree", "car")  # what our own nets know the words of
DIGIT = "digit"  # what the Distill tab compares nets on


def sample_file(sample: str) -> str:
    """The file of a sample picture, as the page takes it."""
    return str(FOLDER / f"{sample}.jpg")


def thumbnail(sample: str) -> bytes:
    """The JPEG on a sample's radio button."""
    return (FOLDER / "thumbnails" / f"{sample}.jpg").read_bytes()
