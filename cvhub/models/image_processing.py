"""The image processors that transformers' AutoImageProcessor finds; the pixels themselves are made in pixels.py."""

from typing import Any, ClassVar

import numpy as np
from PIL import Image
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature
from transformers.image_utils import SizeDict

from .pixels import IMAGENET_MEAN, IMAGENET_STD, PixelTransform, to_mode


class CvImageProcessor(PilBackend):
    """Pictures → `pixel_values` (N, C, H, W) float32, equal to timm's evaluation transform to the bit on the CPU."""

    auto_classes: ClassVar[tuple[str, ...]] = ("AutoImageProcessor",)
    _auto_class = "AutoImageProcessor"

    do_convert_rgb = True
    do_resize = True
    size = {"shortest_edge": 256}
    default_to_square = False
    resample = Image.Resampling.BICUBIC
    do_center_crop = True
    crop_size = {"height": 224, "width": 224}
    do_rescale = True
    do_normalize = True
    image_mean = list(IMAGENET_MEAN)
    image_std = list(IMAGENET_STD)

    def process_image(self, image: Any, **kwargs: Any) -> Image.Image:
        """Pillow pictures stay as they are; arrays and tensors, of bytes or of 0 to 1, become Pillow pictures."""
        if isinstance(image, Image.Image):
            return image
        channels_first = super().process_image(image, **dict[str, Any](kwargs, do_convert_rgb=False))
        if np.issubdtype(channels_first.dtype, np.floating):
            channels_first = np.rint(np.clip(channels_first, 0, 1) * 255)
        pixels = np.moveaxis(channels_first, 0, -1).astype(np.uint8)
        return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)

    def _preprocess(
        self,
        images: list[Image.Image],
        size: SizeDict | None,
        crop_size: SizeDict | None,
        return_tensors: str | None = None,
        **settings: Any,
    ) -> BatchFeature:
        transform = PixelTransform.from_config(settings | {"size": _sides(size), "crop_size": _sides(crop_size)})
        if settings.get("do_convert_rgb") is False and not settings.get("do_resize"):
            images = [to_mode(image, transform.mode) for image in images]
        return BatchFeature(data={"pixel_values": transform(images)}, tensor_type=return_tensors)


def _sides(size: SizeDict | None) -> dict[str, int]:
    return {} if size is None else {side: length for side, length in dict(size).items() if length is not None}
