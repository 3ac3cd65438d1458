"""Pictures with masks, and batches of them: what chance does to a picture it does to its masks."""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms import v2
from torchvision.tv_tensors import Image as PictureTensor
from torchvision.tv_tensors import Mask

from cvhub.errors import CvhubError
from cvhub.evaluation.dataset import open_rows, source_of
from cvhub.evaluation.truth import EVERY_OTHER, IGNORED, MaskedRows, Masks, Truth, divide_groups
from cvhub.inference.images import open_picture
from cvhub.models.pixels import PixelTransform, to_mode
from cvhub.training.batches import Key, affine, borrowed_chance, seed_all
from cvhub.training.border_weights import border_weights
from cvhub.training.data import DECODERS
from cvhub.training.recipe import Augmentation, Data


@dataclass(frozen=True)
class MaskedPictureSet:
    """What is trained on and what is held out, with the names of the classes."""

    labels: list[str]
    train: "MaskedPictures"
    held_out: "MaskedPictures | None"


class MaskedPictures:
    """Some rows of a split, decoded in mode "RGB" or "L", each with its masks. All are kept in memory."""

    def __init__(self, rows: MaskedRows, indices: np.ndarray, mode: str):
        self.rows = rows
        self.mode = mode
        with ThreadPoolExecutor(DECODERS) as threads:
            self.kept: list[tuple[np.ndarray, Masks]] = list(threads.map(self._decode, indices.tolist()))

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, index: int) -> tuple[Image.Image, Masks]:
        pixels, masks = self.kept[index]
        return Image.fromarray(pixels), masks

    def _decode(self, index: int) -> tuple[np.ndarray, Masks]:
        try:
            return read_row(self.rows, index, self.mode)
        except CvhubError as error:
            rows = self.rows.rows
            raise CvhubError(f"row {index} of {rows.name} of {rows.dataset}: {error}") from None


def read_row(rows: MaskedRows, index: int, mode: str) -> tuple[np.ndarray, Masks]:
    """A row's pixels, (H, W) or (H, W, 3) uint8, and its masks."""
    picture, contents = rows.contents(index)
    pixels = np.array(to_mode(open_picture(source_of(picture)), mode))  # a copy: torch wants to own what it reads
    return pixels, rows.truth.read(contents, (pixels.shape[0], pixels.shape[1]))


def load_masked_pictures(data: Data, mode: str) -> MaskedPictureSet:
    """The pictures that a recipe's `[data]` names: what `holdout` draws is left alone, of the rest `validation` is."""
    truth = truth_of(data)
    rows = MaskedRows(open_rows(data.source, data.split, streaming=False), truth)
    kept, drawn = rows.kept, np.arange(0)
    if data.validation:
        inner, outer = divide_groups(rows.groups(kept), data.validation, data.holdout_seed)
        kept, drawn = kept[inner], kept[outer]
    if data.share < 1:
        kept = kept[divide_groups(rows.groups(kept), 1 - data.share, data.holdout_seed)[0]]
    if len(kept) < 2:
        raise CvhubError(f"{data.source} leaves {len(kept)} pictures to train on, expected at least 2.")
    train, held_out = MaskedPictures(rows, kept, mode), MaskedPictures(rows, drawn, mode) if len(drawn) else None
    for some, use in ((train, "trained on"), (held_out, "held out")):
        if some is not None and all((masks.labels == IGNORED).all() for _, masks in some.kept):
            raise CvhubError(f"{data.source}: no pixel of the pictures {use} has a class, all are ignored.")
    return MaskedPictureSet(truth.classes, train, held_out)


def truth_of(data: Data) -> Truth:
    return Truth(data.target, {str(value): str(name) for value, name in data.map.items()}, data.holdout)


def border_weigher(data: Data, with_instances: bool) -> Callable[[np.ndarray], np.ndarray] | None:
    """What weighs the pixels of a picture's instances as `[data]` says, None where all count 1."""
    if not data.border_weight:
        return None
    if with_instances:
        raise CvhubError("data.border_weight is for nets that name pixels only: this one has heads for things.")
    if len(truth_of(data).columns) == 1 and EVERY_OTHER not in truth_of(data).map:
        raise CvhubError(
            f"data.border_weight is {data.border_weight:g}, but the masks in {data.target} tell no things apart: "
            'data.map needs a "*", or data.target is CLASSES+INSTANCES.'
        )
    return partial(border_weights, w0=data.border_weight, sigma=data.border_sigma)


class MaskedBatches(Dataset):
    """Keys → `pixel_values` (N, C, H, W) float32, `labels` (N, H, W) int64 and, of nets that tell things apart,
    `instance_labels` (N, H, W) int64; with `weigh`, which says what each pixel of a picture's instances (H, W) counts,
    also `label_weights` (N, H, W) float32."""

    def __init__(
        self,
        pictures: MaskedPictures,
        transform: PixelTransform,
        augmentation: Augmentation,
        side: int,
        with_instances: bool,
        seed: int,
        memory_format: torch.memory_format = torch.channels_last,
        weigh: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        self.pictures = pictures
        self.weigh = weigh
        self.with_instances = with_instances
        self.seed = seed
        self.memory_format = memory_format
        self.turns = augmentation.quarter_turns
        self.place = v2.Compose(
            [
                v2.RandomResizedCrop((side, side), augmentation.crop_scale, augmentation.crop_ratio, antialias=True),
                v2.RandomHorizontalFlip(augmentation.flip_horizontal),
                v2.RandomVerticalFlip(augmentation.flip_vertical),
            ]
        )
        jitter, hue = augmentation.colour_jitter, augmentation.hue
        self.colour = v2.Compose(
            [
                v2.ColorJitter(jitter, jitter, jitter, hue),
                v2.RandomGrayscale(augmentation.grey),
                v2.RandomInvert(augmentation.invert),
            ]
        )
        self.offset, self.scale = affine(transform)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitems__(self, keys: Sequence[Key]) -> dict[str, Tensor]:
        with borrowed_chance():
            pixels, labels, instances = zip(*(self._augment(key) for key in keys), strict=True)
        x = torch.stack(pixels).to(torch.float32, memory_format=self.memory_format)
        batch = {"pixel_values": x.mul_(self.scale).add_(self.offset), "labels": torch.stack(labels).long()}
        if self.with_instances:
            batch["instance_labels"] = torch.stack(instances).long()
        if self.weigh is not None:
            batch["label_weights"] = torch.stack([torch.from_numpy(self.weigh(ids.numpy())) for ids in instances])
        return batch

    def _augment(self, key: Key) -> tuple[Tensor, Tensor, Tensor]:
        """A picture as this epoch sees it (C, H, W) uint8, and its masks (H, W)."""
        pixels, masks = self.pictures.kept[key.index]
        seed_all(self.seed, "picture", key.epoch, key.index)
        turns = random.randrange(4) if self.turns else 0
        planes = torch.from_numpy(np.atleast_3d(pixels)).permute(2, 0, 1).rot90(turns, (1, 2))
        of_masks = [Mask(torch.from_numpy(mask)[None].rot90(turns, (1, 2))) for mask in masks]
        picture, labels, instances = self.place(PictureTensor(planes), *of_masks)
        return self.colour(picture).as_subclass(Tensor), labels[0].as_subclass(Tensor), instances[0].as_subclass(Tensor)
