"""Photos to classify: one for the forward passes, and a folder of many made from a few."""

import functools
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

SIZE = (500, 375)  # of a typical ImageNet photo


@functools.cache
def sample() -> Image.Image:
    from skimage import data

    return Image.fromarray(data.chelsea())


def make_photos(folder: Path, count: int) -> None:
    """Writes `count` JPEG files: parts of sample photos, some mirrored, lighter or darker."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    arrays = [data.chelsea(), data.coffee(), data.rocket(), data.astronaut(), *load_sample_images().images]
    originals = [Image.fromarray(array) for array in arrays]
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for i in range(count):
        photo = _part(originals[i % len(originals)], random)
        if random.random() < 0.5:
            photo = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        photo = ImageEnhance.Brightness(photo).enhance(random.uniform(0.8, 1.2))
        photo.save(folder / f"{i:05}.jpg", quality=90)


def _part(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """A part of the proportions and size of SIZE, from 60 to 100 % of what fits."""
    scale = random.uniform(0.6, 1.0) * min(image.width / SIZE[0], image.height / SIZE[1])
    width, height = SIZE[0] * scale, SIZE[1] * scale
    left, top = random.uniform(0, image.width - width), random.uniform(0, image.height - height)
    return image.resize(SIZE, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
