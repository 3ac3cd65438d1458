"""Batches to train on: which pictures, in which order, and what chance makes of each.

Everything random follows from (seed, epoch, sample) alone, not from a worker, an order or what was drawn before. So a
run that was interrupted, or that two processes share, sees the pictures that one process sees.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from timm.data import Mixup, create_transform
from timm.data.random_erasing import RandomErasing
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cvhub.errors import CvhubError
from cvhub.models.losses import UNKNOWN
from cvhub.models.pixels import PixelTransform
from cvhub.training.data import Pictures
from cvhub.training.recipe import Augmentation

QUARTER_TURNS = (None, Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)


class Key(NamedTuple):
    """A picture, and where it stands in a run: the batch's number counts from 0 in each epoch."""

    epoch: int
    batch: int
    index: int
    copy: int = 0  # of several times that the batch sees the picture


class Deal(Sampler[list[Key]]):
    """Shuffles the pictures in each epoch and deals each batch out to the processes.

    The n-th picture of a batch and the n-th from its end go to the same process, since mixup mixes these. What doesn't
    fill a batch waits for the next epoch's shuffle.

    With `repeats` a picture comes so many times one after another, otherwise each time, and an epoch, which is as long
    as ever, sees a part of the pictures (Hoffer et al. 2020, section 2). After `views` epochs all comes again.
    """

    def __init__(
        self,
        pictures: int,
        batch: int,
        seed: int,
        process: int = 0,
        processes: int = 1,
        repeats: int = 1,
        views: int = 0,
    ):
        smallest = 2 * processes
        self.pictures = pictures
        self.batch = min(batch, pictures) // smallest * smallest
        if not self.batch:
            raise CvhubError(f"{pictures} pictures in batches of {batch} are too few for {processes} processes.")
        self.seed = seed
        self.process, self.processes = process, processes
        self.repeats = repeats
        self.views = views
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch % self.views if self.views else epoch

    def __len__(self) -> int:
        return self.pictures // self.batch

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.pictures)
        pairs = self.batch // 2 // self.processes
        first, last = self.process * pairs, (self.process + 1) * pairs
        for number in range(len(self)):
            places = np.arange(number * self.batch, (number + 1) * self.batch)
            mine = [*places[first:last], *places[self.batch - last : self.batch - first]]
            yield [
                Key(self.epoch, number, int(order[place // self.repeats]), int(place % self.repeats)) for place in mine
            ]


class PictureBatches(Dataset):
    """Keys → pixel values (N, C, H, W) float32, of pictures as chance changes them."""

    def __init__(
        self,
        pictures: Any,  # by index, PIL's
        transform: PixelTransform,
        augmentation: Augmentation,
        seed: int,
        memory_format: torch.memory_format = torch.channels_last,
    ):
        self.pictures = pictures
        self.seed = seed
        self.memory_format = memory_format
        height, width = transform.crop_size["height"], transform.crop_size["width"]
        self.turns = augmentation.quarter_turns
        self.crop, self.policy = timm_parts((height, width), transform, augmentation)
        self.offset, self.scale = affine(transform)
        self.erase = RandomErasing(augmentation.erasing, mode="pixel", device="cpu")

    def __len__(self) -> int:
        return len(self.pictures)

    def pixel_values(self, keys: Sequence[Key]) -> Tensor:
        pixels = torch.from_numpy(np.stack([self._augment(key) for key in keys]))
        x = pixels.permute(0, 3, 1, 2).to(torch.float32, memory_format=self.memory_format)
        x.mul_(self.scale).add_(self.offset)
        if self.erase.probability:
            for picture, key in zip(x, keys, strict=True):
                seed_all(self.seed, "erase", *_chance(key))
                self.erase(picture)
        return x

    def _augment(self, key: Key) -> np.ndarray:
        """A picture as this epoch sees it, (H, W, C) uint8."""
        image = self.pictures[key.index]
        seed_all(self.seed, "picture", *_chance(key))
        if self.turns and (turn := random.choice(QUARTER_TURNS)) is not None:
            image = image.transpose(turn)
        pixels = np.asarray(self.policy(self.crop(image)))
        return pixels[:, :, None] if pixels.ndim == 2 else pixels


class Batches(PictureBatches):
    """Keys → `pixel_values` (N, C, H, W) float32 and `labels` (N,), or soft (N, K) where batches are mixed.

    An unknown label is −100; in a mixed picture it is what its row lacks to 1. With `keyed` there are also `keys`
    (N, 3): each picture's epoch, index and copy.
    """

    def __init__(
        self,
        pictures: Pictures,
        transform: PixelTransform,
        augmentation: Augmentation,
        num_labels: int,
        seed: int,
        memory_format: torch.memory_format = torch.channels_last,
        keyed: bool = False,
    ):
        super().__init__(pictures, transform, augmentation, seed, memory_format)
        self.num_labels = num_labels
        self.keyed = keyed
        self.mix = None
        if augmentation.mixup or augmentation.cutmix:
            self.mix = Mixup(
                augmentation.mixup,
                augmentation.cutmix,
                prob=augmentation.mix_probability,
                label_smoothing=0.0,  # the loss does that
                num_classes=num_labels + 1,  # the last stands for what is unknown
            )

    def __getitems__(self, keys: Sequence[Key]) -> dict[str, Tensor]:
        with borrowed_chance():
            x = self.pixel_values(keys)
            labels = torch.from_numpy(self.pictures.targets[[key.index for key in keys]])
            if self.mix is not None:
                seed_all(self.seed, "mix", keys[0].epoch, keys[0].batch)
                x, labels = self.mix(x, labels.where(labels != UNKNOWN, self.num_labels))
                labels = labels[:, : self.num_labels]
        batch = {"pixel_values": x, "labels": labels}
        if self.keyed:
            batch["keys"] = torch.tensor([(key.epoch, key.index, key.copy) for key in keys])
        return batch


class Loader(DataLoader):
    """A loader of batches whose epochs Trainer sets. It draws no random number."""

    def __init__(self, batches: Dataset, deal: Deal, workers: int):
        super().__init__(
            batches,
            batch_sampler=deal,
            num_workers=workers,
            collate_fn=as_it_is,
            persistent_workers=workers > 0,
            generator=torch.Generator(),
        )

    def set_epoch(self, epoch: int) -> None:
        self.batch_sampler.set_epoch(epoch)  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]


def _chance(key: Key) -> tuple[int, ...]:
    """What the chance of one picture follows from, besides the seed."""
    return (key.epoch, key.index, key.copy) if key.copy else (key.epoch, key.index)


def as_it_is(batch: Any) -> Any:
    return batch


def timm_parts(size: tuple[int, int], transform: PixelTransform, augmentation: Augmentation) -> tuple[Any, Any]:
    """timm's crop and flips, and its policy, of pictures; what it does to numbers is done for a whole batch at once."""
    try:
        parts: Any = create_transform(
            size,
            is_training=True,
            separate=True,
            scale=augmentation.crop_scale,
            ratio=augmentation.crop_ratio,
            hflip=augmentation.flip_horizontal,
            vflip=augmentation.flip_vertical,
            auto_augment=augmentation.policy or None,
            color_jitter=augmentation.colour_jitter or None,  # pyright: ignore[reportArgumentType]
            interpolation=Image.Resampling(transform.resample).name.lower(),
            mean=tuple(transform.image_mean),
            std=tuple(transform.image_std),
        )
    except (AssertionError, ValueError):  # timm's word for a policy that it can't read
        expected = "timm's words, such as rand-m7-n2-mstd0.5, 3a or augmix-m3-w3"
        raise CvhubError(f"augmentation.policy is {augmentation.policy!r}, expected {expected}.") from None
    crop, policy, _ = parts
    return crop, policy


def affine(transform: PixelTransform) -> tuple[Tensor, Tensor]:
    """What the value 0 becomes, and what each further one of 255 adds, (C, 1, 1), read off the transform itself."""
    plain = (transform([Image.new(transform.mode, (32, 32), shade)])[0] for shade in ("black", "white"))
    # The middle is the picture's, whatever its size: a crop that is larger is black around it.
    black, white = (torch.from_numpy(x[:, x.shape[1] // 2, x.shape[2] // 2]) for x in plain)
    return black[:, None, None], ((white - black) / 255)[:, None, None]


def seed_all(*parts: Any) -> None:
    """Sets Python's, numpy's and torch's generators, which timm's and torchvision's transforms draw from."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little")
    random.seed(number)
    np.random.seed(number % 2**32)  # noqa: NPY002 (timm draws from it)
    torch.default_generator.manual_seed(number % 2**63)


@contextmanager
def borrowed_chance() -> Iterator[None]:
    """Gives the generators back as they were: dropout and what else draws in the net go on undisturbed."""
    python, numpy, torch_state = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(torch_state)
