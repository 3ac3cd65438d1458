"""From a picture to the numbers a network takes, in Pillow and numpy alone.

Equal to the bit to timm's evaluation transform (torchvision's Resize, CenterCrop, ToTensor, Normalize on a Pillow
image). `image_processing.py` shows the same code to transformers; what must start fast uses it without torch.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# Resizing before cropping would make a 20000x1 picture a billion pixels wide: beyond this, only the crop is computed.
MAX_RESIZED_PIXELS = 2**26

# Of ImageNet's training pictures, by which most classifiers normalise.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PixelTransform:
    """Resize, centre crop, scale and normalise; the fields are those of `preprocessor_config.json`.

    `size` is {"shortest_edge": n} or {"longest_edge": n}, which keep the proportions, or {"height": h, "width": w}, and
    {} where nothing is resized; so is `crop_size` where nothing is cropped. `resample` is Pillow's number of the
    filter; `image_mean` and `image_std` have a value a channel, on the scale after `rescale_factor`.
    """

    size: dict[str, int]
    crop_size: dict[str, int]
    image_mean: Sequence[float]
    image_std: Sequence[float]
    resample: int = Image.Resampling.BICUBIC
    rescale_factor: float = 1 / 255
    do_resize: bool = True
    do_center_crop: bool = True
    do_rescale: bool = True
    do_normalize: bool = True

    def __post_init__(self) -> None:
        if self.do_resize and not ({"shortest_edge", "longest_edge"} & set(self.size) or _is_box(self.size)):
            raise ValueError(f"size is {self.size}, expected shortest_edge, longest_edge, or height and width.")
        if self.do_center_crop and not _is_box(self.crop_size):
            raise ValueError(f"crop_size is {self.crop_size}, expected height and width.")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "PixelTransform":
        """From a `preprocessor_config.json`, whose other keys are ignored; a step without its size is left out."""
        given = {field.name: config[field.name] for field in fields(cls) if config.get(field.name) is not None}
        for step, size in (("do_resize", "size"), ("do_center_crop", "crop_size")):
            given.setdefault(step, bool(given.setdefault(size, {})))
        return cls(**given)

    @classmethod
    def from_folder(cls, folder: Path) -> "PixelTransform":
        """From a model's folder; where it has no `preprocessor_config.json`, `default` and a warning."""
        file = folder / "preprocessor_config.json"
        if not file.is_file():
            log.warning("%s has no %s: ImageNet's usual preprocessing is used.", folder.name, file.name)
            return cls.default(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        return cls.from_config(json.loads(file.read_text(encoding="utf-8")))

    @classmethod
    def default(cls, config: dict[str, Any]) -> "PixelTransform":
        """ImageNet's usual evaluation: 7/8 of the shorter side, at the `image_size` of the model's config or at 224.

        A segmenter's pictures keep their size.
        """
        side = config.get("image_size") or 224
        height, width = (side, side) if isinstance(side, int) else side
        mean, std = IMAGENET_MEAN, IMAGENET_STD
        if (channels := config.get("num_channels", 3)) != 3:
            mean, std = ((sum(values) / 3,) * channels for values in (mean, std))
        if any(str(name).endswith("Segmentation") for name in config.get("architectures") or ()):
            return cls({}, {}, mean, std, do_resize=False, do_center_crop=False)
        size = {"shortest_edge": round(height * 8 / 7)} if height == width else {"height": height, "width": width}
        return cls(size, {"height": height, "width": width}, mean, std)

    def __call__(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Pictures of any mode and size → (N, C, H, W) float32; of one size if neither resized nor cropped."""
        table = self._values()
        batch = [_look_up(table, np.asarray(self.resize_and_crop(image))) for image in images]
        return np.stack(batch)

    @property
    def mode(self) -> str:
        return "L" if len(self.image_mean) == 1 else "RGB"

    def size_of(self, width: int, height: int) -> tuple[int, int]:
        """Height and width of what the network is given of a width x height picture."""
        left, top, right, bottom = self._crop(*self._resized(width, height))
        return bottom - top, right - left

    def resize_and_crop(self, image: Image.Image) -> Image.Image:
        """The part of the picture that the network sees, at the network's size, in its colour mode."""
        # Grey pictures are resized in grey: the same pixels, in a quarter of the memory.
        image = to_mode(image, "L" if is_grey(image) else self.mode)
        return self._resize_and_crop(image).convert(self.mode)

    def _resize_and_crop(self, image: Image.Image) -> Image.Image:
        width, height = self._resized(*image.size)
        left, top, right, bottom = self._crop(width, height)
        if width * height > MAX_RESIZED_PIXELS:
            if not self.do_center_crop:
                raise ValueError(
                    f"the picture would become {width}x{height} pixels, the limit is {MAX_RESIZED_PIXELS:,}."
                )
            box = self.crop_box(*image.size)
            return image.resize((right - left, bottom - top), self.resample, box=box)
        if (width, height) != image.size:
            image = image.resize((width, height), self.resample)
        return image.crop((left, top, right, bottom))

    def crop_box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom, in pixels of a width x height picture, of the part that the network sees."""
        resized_width, resized_height = self._resized(width, height)
        left, top, right, bottom = self._crop(resized_width, resized_height)
        across, down = width / resized_width, height / resized_height
        return (
            max(0.0, left * across),
            max(0.0, top * down),
            min(float(width), right * across),
            min(float(height), bottom * down),
        )

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        if not self.do_resize:
            return width, height
        if "longest_edge" in self.size:  # rounded as transformers' SAM does
            scale = self.size["longest_edge"] / max(width, height)
            return max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5))
        if "shortest_edge" not in self.size:
            return self.size["width"], self.size["height"]
        short = self.size["shortest_edge"]
        if width <= height:
            return short, int(short * height / width)
        return int(short * width / height), short

    def _crop(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The centre crop's box; it may reach beyond a smaller picture, which Pillow fills with black."""
        if not self.do_center_crop:
            return 0, 0, width, height
        left = _margin(width, self.crop_size["width"])
        top = _margin(height, self.crop_size["height"])
        return left, top, left + self.crop_size["width"], top + self.crop_size["height"]

    def _values(self) -> np.ndarray:
        """The float32 that each of the 256 pixel values becomes, (C, 256): 256 divisions instead of one a pixel."""
        values = np.arange(256, dtype=np.float32)
        if self.do_rescale:
            values = values / np.float32(1 / self.rescale_factor)
        table = np.repeat(values[None], len(self.image_mean), axis=0)
        if self.do_normalize:
            mean, std = (np.asarray(x, dtype=np.float32)[:, None] for x in (self.image_mean, self.image_std))
            table = (table - mean) / std
        return table


def _is_box(size: dict[str, int]) -> bool:
    return {"height", "width"} <= set(size)


def _margin(length: int, crop: int) -> int:
    """Pixels before the crop, rounded as torchvision's CenterCrop does (half to even; floor where it pads)."""
    return round((length - crop) / 2) if length >= crop else -((crop - length) // 2)


def _look_up(table: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W) or (H, W, C) → float32 (C, H, W) by each channel's table."""
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return np.stack([table[channel][pixels[:, :, channel]] for channel in range(len(table))])


def is_grey(image: Image.Image) -> bool:
    """Whether a picture has neither colour nor transparency."""
    return (image.mode in ("1", "L", "F") or image.mode.startswith("I")) and "transparency" not in image.info


def to_mode(image: Image.Image, mode: str) -> Image.Image:
    """Any Pillow picture as "RGB" or "L": 16-bit and float values are scaled to 8 bits, transparency shows white."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _to_eight_bits(image)
    if image.mode == "LAB":
        image = image.convert("RGB")  # the only way that Pillow has
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        picture = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", picture.size, "white")
        image.paste(picture, mask=picture)  # not alpha_composite, which takes twice the memory
    return image if image.mode == mode else image.convert(mode)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits, read as 0 to 1, 0 to 255 or 0 to 65535, whichever its type and largest value allow."""
    if image.mode.startswith("I;16"):  # looked up: 50 million pixels as float64 would be 400 MB, four times over
        table = np.rint(np.arange(65536) / 257).astype(np.uint8)
        return Image.fromarray(table[np.asarray(image)])
    values = np.nan_to_num(np.asarray(image, dtype=np.float32))
    if values.max(initial=0) > 255:
        values = values / 257
    elif image.mode == "F" and values.max(initial=0) <= 1:
        values = values * 255
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
