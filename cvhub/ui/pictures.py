"""What the browser is given to draw: the picture as the models see it, and coloured heat maps to lie over it."""

import base64
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cvhub.explain.cam import paint
from cvhub.models.pixels import to_mode
from cvhub.ui.state import Answer, Box, Heat

if TYPE_CHECKING:
    from cvhub.models.pixels import PixelTransform

PREVIEW_SIDE = 720  # pixels of the longer side; a card is at most 360 CSS pixels wide
HEAT_SIDE = 96
SHOWN_BY_BROWSERS = ("JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "AVIF")  # Pillow's names


def picture_style(image: Image.Image | None, answers: list[Answer], replace: bool) -> str:
    """A style element that hands the picture to every card at once, and each chosen model's colour to its chip.

    `replace` also draws it in place of an upload that browsers can't show (TIFF, CMYK …).
    """
    rules = []
    if image is not None:
        rules.append(f":root{{--picture:url({data_uri(preview(image))});--ratio:{image.width}/{image.height}}}")
    if replace:
        rules.append("#picture img{content:var(--picture)}")
    for place, answer in enumerate(answers, 1):
        rules.append(f"#models .token:nth-of-type({place}){{--series:var(--series-{answer.colour})}}")
    return f"<style>{''.join(rules)}</style>"


def picture_on(view: str, image: Image.Image) -> str:
    """A style element that hands the picture to the heat maps within the element `view`."""
    return f"<style>#{view}{{--picture:url({data_uri(preview(image))});--ratio:{image.width}/{image.height}}}</style>"


def seen_part(processor: "PixelTransform", image: Image.Image) -> Box:
    """The part of the picture that a net is shown."""
    left, top, right, bottom = processor.crop_box(*image.size)
    return (left / image.width, top / image.height, (right - left) / image.width, (bottom - top) / image.height)


def preview(image: Image.Image) -> Image.Image:
    """An RGB copy whose longer side is at most PREVIEW_SIDE pixels."""
    small = to_mode(image, "RGB").copy()
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return small


def data_uri(image: Image.Image) -> str:
    """The picture as a data URI: JPEG, or WebP where it has transparency."""
    return encoded(image, "webp" if image.mode == "RGBA" else "jpeg")


def encoded(image: Image.Image, kind: str) -> str:
    """The picture as a data URI of this kind; "png" keeps every pixel."""
    buffer = BytesIO()
    image.save(buffer, kind, quality=85, method=1)  # of WebP: a third of the usual time for a fifth more bytes
    return file_uri(buffer.getvalue(), kind)


def file_uri(content: bytes, kind: str) -> str:
    """A picture file as a data URI."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def thumbnails_css(selector: str, jpegs: Iterable[bytes]) -> str:
    """Pictures as the backgrounds of the radio buttons below `selector`, in order."""
    return "".join(
        f"{selector} .wrap label:nth-of-type({place}){{background-image:url({file_uri(jpeg, 'jpeg')})}}"
        for place, jpeg in enumerate(jpegs, 1)
    )


def heat_layer(heat: np.ndarray, box: Box, exact: bool) -> Heat:
    """A heat map (h, w) in [0, 1], enlarged, coloured and the more opaque the hotter."""
    grey = Image.fromarray(np.rint(255 * heat).astype(np.uint8))
    shades = grey.resize((HEAT_SIDE, HEAT_SIDE), Image.Resampling.BICUBIC)
    coloured = paint(shades)
    coloured.putalpha(shades.point([round(255 * (value / 255) ** 0.5) for value in range(256)]))
    return Heat(data_uri(coloured), box, exact)
