"""Pixels: equal to timm's and torchvision's evaluation transforms to the bit, for any picture that Pillow opens."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform
from torchvision import transforms
from transformers import AutoImageProcessor, SamImageProcessorPil

from cvhub.models import pixels
from cvhub.models.image_processing import CvImageProcessor
from cvhub.models.pixels import PixelTransform, to_mode

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SHAPES = [(640, 480), (481, 333), (256, 256), (224, 500), (97, 61), (13, 200), (1, 1), (224, 224)]


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(width * 10_000 + height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def processor(short: int, crop: int, resample: int = Image.Resampling.BICUBIC, **fields: Any) -> CvImageProcessor:
    sizes: dict[str, Any] = {"size": {"shortest_edge": short}, "crop_size": {"height": crop, "width": crop}}
    return CvImageProcessor(**(sizes | {"resample": resample, "image_mean": MEAN, "image_std": STD} | fields))


def process(made: CvImageProcessor, *images: Any) -> np.ndarray:
    return made(list(images), return_tensors="np")["pixel_values"]


def check_equal(made: CvImageProcessor, reference: Any) -> None:
    """To a transform of torchvision's, to the bit, for all shapes."""
    for shape in SHAPES:
        image = picture(*shape)
        assert np.array_equal(process(made, image)[0], reference(image).numpy()), shape


# --- Equal to the bit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.882, 0.89, 0.95, 1.0])
@pytest.mark.parametrize("size", [224, 240, 97])
def test_equal_to_timms_transform(size: int, crop_pct: float, interpolation: str) -> None:
    reference = create_transform(size, interpolation=interpolation, mean=MEAN, std=STD, crop_pct=crop_pct)
    check_equal(processor(int(size / crop_pct), size, Image.Resampling[interpolation.upper()]), reference)


def test_equal_to_timms_transform_that_squashes() -> None:
    """To a fixed size, whatever the proportions."""
    reference = create_transform(
        (200, 240), interpolation="bicubic", mean=MEAN, std=STD, crop_mode="squash", crop_pct=0.9
    )
    scaled = {"height": int(200 / 0.9), "width": int(240 / 0.9)}
    check_equal(processor(0, 0, size=scaled, crop_size={"height": 200, "width": 240}), reference)


@pytest.mark.parametrize(("short", "crop"), [(256, 224), (232, 224), (64, 96), (65, 96)])
def test_equal_to_torchvisions_transform(short: int, crop: int) -> None:
    """Also where the crop reaches beyond the resized picture."""
    bilinear = transforms.InterpolationMode.BILINEAR
    reference = transforms.Compose(
        [
            transforms.Resize(short, interpolation=bilinear),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    check_equal(processor(short, crop, Image.Resampling.BILINEAR), reference)


@pytest.mark.parametrize("skipped", ["do_resize", "do_center_crop", "do_rescale", "do_normalize"])
def test_a_step_that_is_switched_off_is_left_out(skipped: str) -> None:
    steps: dict[str, Any] = {
        "do_resize": transforms.Resize(80, interpolation=transforms.InterpolationMode.BICUBIC),
        "do_center_crop": transforms.CenterCrop(64),
        "do_rescale": transforms.ToTensor(),
        "do_normalize": transforms.Normalize(MEAN, STD),
    }
    if skipped == "do_rescale":
        steps["do_rescale"] = transforms.Compose([transforms.PILToTensor(), transforms.Lambda(torch.Tensor.float)])
    else:
        del steps[skipped]
    expected: Any = picture(90, 75)
    for step in steps.values():
        expected = step(expected)
    made = processor(80, 64, **{skipped: False})
    assert np.array_equal(process(made, picture(90, 75))[0], np.asarray(expected))


def test_the_light_transform_is_the_processors(tmp_path: Path) -> None:
    """`PixelTransform`, which needs no torch, reads the processor's file and gives the same numbers."""
    made = processor(72, 64, Image.Resampling.BILINEAR)
    made.save_pretrained(tmp_path)
    images = [picture(90, 75), picture(40, 200)]
    batch = PixelTransform.from_folder(tmp_path)(images)
    assert batch.dtype == np.float32
    assert np.array_equal(batch, process(made, *images))
    program = f"""
import sys
from pathlib import Path
from cvhub.models.pixels import PixelTransform
PixelTransform.from_folder(Path({str(tmp_path)!r}))
assert not {{"torch", "transformers", "timm", "torchvision"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


# --- The processor as transformers knows it --------------------------------------------------------------------------


def test_a_processor_is_saved_and_found_again(tmp_path: Path) -> None:
    made = processor(72, 64, Image.Resampling.BILINEAR)
    made.save_pretrained(tmp_path)
    loaded = AutoImageProcessor.from_pretrained(tmp_path)
    assert type(loaded) is CvImageProcessor
    assert loaded.to_dict() == made.to_dict()
    saved = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert saved["auto_map"] == {"AutoImageProcessor": "image_processing.CvImageProcessor"}
    assert {"image_processing.py", "pixels.py"} <= {file.name for file in tmp_path.iterdir()}


def test_batches_and_tensors() -> None:
    made = processor(72, 64)
    images = [picture(90, 75), picture(40, 200), picture(64, 64)]
    batch = made(images, return_tensors="pt")["pixel_values"]
    assert batch.shape == (3, 3, 64, 64)
    assert batch.dtype == torch.float32
    for one, image in zip(batch, images, strict=True):
        assert torch.equal(one, made(image, return_tensors="pt")["pixel_values"][0])


def test_arrays_and_tensors_are_pictures_too() -> None:
    """Of bytes or of 0 to 1, channels first or last, grey or with colours."""
    made, image = processor(72, 64), picture(90, 75)
    expected = process(made, image)
    array = np.asarray(image)
    for same in (
        array,
        np.moveaxis(array, -1, 0),
        torch.tensor(array),
        array / 255,
        torch.tensor(array / 255).permute(2, 0, 1),
    ):
        assert np.array_equal(process(made, same), expected)
    grey = image.convert("L")
    assert np.array_equal(process(made, np.asarray(grey)[None]), process(made, grey))


def test_settings_of_a_single_call() -> None:
    made, image = processor(72, 64), picture(90, 75)
    settings: dict[str, Any] = {"size": {"shortest_edge": 50}, "crop_size": {"height": 40, "width": 30}}
    once = made(image, return_tensors="np", **settings)["pixel_values"]
    assert np.array_equal(once, process(processor(50, 0, crop_size=settings["crop_size"]), image))
    assert process(made, image).shape == (1, 3, 64, 64)


def test_one_mean_makes_one_grey_channel() -> None:
    grey = processor(72, 64, image_mean=[0.5], image_std=[0.25])
    reference = transforms.Compose(
        [
            transforms.Lambda(lambda image: image.convert("L")),
            transforms.Resize(72, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(64),
            transforms.ToTensor(),
            transforms.Normalize([0.5], [0.25]),
        ]
    )
    check_equal(grey, reference)


# --- Odd pictures ----------------------------------------------------------------------------------------------------

MODES = [
    "1",
    "L",
    "P",
    "LA",
    "PA",
    "RGB",
    "RGBA",
    "RGBa",
    "RGBX",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "I;16",
    "I;16B",
]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow(mode: str) -> None:
    image = Image.new(mode, (90, 75))
    for means in (MEAN, [0.5]):
        batch = process(processor(72, 64, image_mean=means, image_std=means), image)
        assert batch.shape == (1, len(means), 64, 64)
        assert np.isfinite(batch).all()


@pytest.mark.parametrize("dtype", [">u2", "<u2"])
def test_sixteen_bits_keep_their_range(dtype: str) -> None:
    """A grey of 16 bits is the same grey in 8: dark pictures stay dark, white is white."""
    mode = "I;16B" if dtype == ">u2" else "I;16"
    values = np.array([[0, 257, 257 * 100, 65535]], dtype=dtype)
    image = Image.frombytes(mode, (4, 1), values.tobytes())
    assert list(to_mode(image, "L").tobytes()) == [0, 1, 100, 255]
    assert to_mode(image, "RGB").getpixel((2, 0)) == (100, 100, 100)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 128.0, 255.0], [0, 128, 255]),
        ([0.0, 257.0 * 9, 65535.0], [0, 9, 255]),
        ([-5.0, float("nan"), 1.0], [0, 0, 255]),
    ],
)
def test_floating_point_pictures_are_read_by_their_range(values: list[float], expected: list[int]) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert image.mode == "F"
    assert list(to_mode(image, "L").tobytes()) == expected


def test_integers_are_read_by_their_range() -> None:
    for values, expected in (([0, 7, 255], [0, 7, 255]), ([0, 257 * 7, 65535], [0, 7, 255])):
        image = Image.fromarray(np.array([values], dtype=np.int32))
        assert image.mode == "I"
        assert list(to_mode(image, "L").tobytes()) == expected


def test_what_is_transparent_shows_white() -> None:
    image = Image.new("RGBA", (3, 1), (200, 0, 0, 255))
    image.putpixel((1, 0), (200, 0, 0, 0))
    image.putpixel((2, 0), (0, 0, 0, 51))  # a fifth
    assert [to_mode(image, "RGB").getpixel((x, 0)) for x in range(3)] == [(200, 0, 0), (255, 255, 255), (204, 204, 204)]
    palette = Image.new("P", (1, 1), 0)
    palette.putpalette([10, 20, 30])
    assert to_mode(palette, "RGB").getpixel((0, 0)) == (10, 20, 30)
    palette.info["transparency"] = 0
    assert to_mode(palette, "RGB").getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_is_left_as_it_was() -> None:
    image = picture(90, 75, "RGBA")
    before = image.copy()
    process(processor(72, 64), image)
    assert image.mode == "RGBA"
    assert image.tobytes() == before.tobytes()


# --- Oblong pictures -------------------------------------------------------------------------------------------------


OBLONG_PROGRAM = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1_500_000_000, 1_500_000_000))
from PIL import Image
from cvhub.models.pixels import PixelTransform
transform = PixelTransform(
    size={"shortest_edge": 256}, crop_size={"height": 224, "width": 224}, image_mean=[0.5] * 3, image_std=[0.5] * 3
)
for size in ((20000, 1), (1, 20000), (100000, 3)):
    assert transform([Image.new("RGB", size, "teal")]).shape == (1, 3, 224, 224)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux bounds a process's memory")
def test_extremely_oblong_pictures_stay_small_in_memory() -> None:
    """Resized before the crop, as usual, a 20000x1 picture would take five gigabytes; here are 1.5 for all."""
    done = subprocess.run([sys.executable, "-c", OBLONG_PROGRAM], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_short_cut_for_oblong_pictures_gives_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to rounding: the filter is applied to the part that is kept, with the same scale and place."""
    made = processor(72, 64)
    smooth = Image.linear_gradient("L").resize((700, 60)).convert("RGB")
    usual = process(made, smooth)
    monkeypatch.setattr(pixels, "MAX_RESIZED_PIXELS", 0)
    assert np.abs(process(made, smooth) - usual).max() <= 2 / 255 / min(STD) + 1e-6


@pytest.mark.parametrize("shape", [(640, 480), (480, 640), (97, 61)])
def test_crop_box_is_the_part_that_is_seen(shape: tuple[int, int]) -> None:
    """What lies outside may change without changing a pixel, what lies inside may not."""
    transform = PixelTransform({"shortest_edge": 72}, {"height": 64, "width": 48}, MEAN, STD)
    left, top, right, bottom = transform.crop_box(*shape)
    scale = 72 / min(shape)
    assert right - left == pytest.approx(48 / scale, rel=0.02)
    assert bottom - top == pytest.approx(64 / scale, rel=0.02)
    assert (left + right) / 2 == pytest.approx(shape[0] / 2, abs=1 / scale)
    assert (top + bottom) / 2 == pytest.approx(shape[1] / 2, abs=1 / scale)
    image = picture(*shape)
    reach = 3 / scale  # of the bicubic filter
    outside = Image.new("RGB", shape, "magenta")
    x, y = int(max(0, left - reach)), int(max(0, top - reach))
    kept = image.crop((x, y, int(right + reach) + 1, int(bottom + reach) + 1))
    outside.paste(kept, (x, y))
    assert np.array_equal(transform([outside]), transform([image]))
    assert not np.array_equal(transform([Image.new("RGB", shape, "magenta")]), transform([image]))


def test_crop_box_of_a_picture_smaller_than_the_crop_is_the_whole() -> None:
    transform = PixelTransform({"shortest_edge": 32}, {"height": 64, "width": 64}, MEAN, STD, do_resize=False)
    assert transform.crop_box(40, 30) == (0, 0, 40, 30)


@pytest.mark.parametrize("mode", ["1", "L", "I;16", "I", "F"])
def test_grey_pictures_are_resized_in_grey_and_give_the_same_pixels(mode: str) -> None:
    values = np.random.default_rng(0).integers(0, 256, (90, 131), dtype=np.uint8)
    grey = Image.fromarray(values)
    picture = {
        "1": lambda: grey.convert("1"),
        "L": lambda: grey,
        "I;16": lambda: Image.fromarray(values.astype(np.uint16) * 257),
        "I": lambda: Image.fromarray(values.astype(np.int32)),
        "F": lambda: Image.fromarray(values.astype(np.float32)),
    }[mode]()
    assert picture.mode == mode
    made = processor(72, 64)
    np.testing.assert_array_equal(process(made, picture), process(made, pixels.to_mode(picture, "RGB")))


# --- What a segmenter's processor may say -----------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "expected"), [((640, 480), (48, 64)), ((31, 97), (64, 20)), ((1, 500), (64, 1))])
def test_the_longer_side_may_be_given(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    """Height and width as transformers' SAM finds them."""
    theirs = SamImageProcessorPil()._get_preprocess_shape((shape[1], shape[0]), 64)
    assert expected == (theirs[0], max(1, theirs[1]))
    made = processor(0, 0, size={"longest_edge": 64}, do_center_crop=False)
    assert process(made, picture(*shape)).shape == (1, 3, *expected)
    transform = PixelTransform({"longest_edge": 64}, {}, MEAN, STD, do_center_crop=False)
    assert transform.size_of(*shape) == expected
    assert np.array_equal(transform([picture(*shape)]), process(made, picture(*shape)))


@pytest.mark.parametrize("sizes", [{}, {"do_resize": False, "do_center_crop": False}, {"size": None}], ids=str)
def test_without_sizes_a_picture_keeps_its_own(sizes: dict[str, Any]) -> None:
    transform = PixelTransform.from_config({"image_mean": MEAN, "image_std": STD} | sizes)
    assert transform([picture(31, 17)]).shape == (1, 3, 17, 31)
    assert transform.size_of(31, 17) == (17, 31)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"do_resize": True}, r"size is \{\}, expected shortest_edge"),
        ({"do_center_crop": True}, r"crop_size is \{\}, expected height and width"),
        ({"size": {"height": 4}}, r"size is \{'height': 4\}"),
    ],
)
def test_a_step_without_its_size_is_one_sentence(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelTransform.from_config({"image_mean": MEAN, "image_std": STD} | sizes)


def test_a_segmenter_without_a_processor_keeps_sizes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["CvUNetForSemanticSegmentation"]}))
    assert PixelTransform.from_folder(tmp_path)([picture(31, 17)]).shape == (1, 3, 17, 31)
