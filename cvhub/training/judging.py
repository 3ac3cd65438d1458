"""What a net is worth on what is held out, while it is trained: sums, so that processes can add theirs up."""

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from cvhub.evaluation.retrieval import recall_metrics
from cvhub.evaluation.truth import IGNORED, Masks
from cvhub.inference.segment import frame
from cvhub.models.pixels import PixelTransform
from cvhub.training.data import Pictures
from cvhub.training.dense import MaskedPictures
from cvhub.training.pairs import Pairs, read_texts


class Judge(Protocol):
    """`judge` some of the held out pictures, add what comes of all, `terms` numbers, and `metrics` tells the values.

    - `metric`: the name of the one that a run is followed by.
    """

    metric: str
    terms: int

    def __len__(self) -> int: ...

    def judge(self, net: nn.Module, indices: range, device: Any, layout: torch.memory_format) -> Tensor: ...

    def metrics(self, sums: Tensor) -> dict[str, float]: ...


class ClassifierJudge:
    """Accuracy, and mean cross entropy."""

    metric = "accuracy"
    terms = 3

    def __init__(self, pictures: Pictures, transform: PixelTransform):
        self.pictures = pictures
        self.transform = transform
        self.answers = np.full(len(pictures), -1)  # the class that each picture was last given

    def __len__(self) -> int:
        return len(self.pictures)

    def judge(self, net: nn.Module, indices: range, device: Any, layout: torch.memory_format) -> Tensor:
        """How many of these pictures are named rightly, their losses' sum, and how many they are."""
        pixels = torch.from_numpy(self.transform([self.pictures[index] for index in indices])).to(device)
        targets = torch.from_numpy(self.pictures.targets[indices.start : indices.stop]).to(device)
        logits = net(pixels.to(memory_format=layout)).logits.float()
        found = logits.argmax(-1)
        self.answers[indices.start : indices.stop] = found.cpu().numpy()
        right = found == targets
        return torch.stack(
            [right.sum(), F.cross_entropy(logits, targets, reduction="sum"), torch.ones_like(targets).sum()]
        )

    def metrics(self, sums: Tensor) -> dict[str, float]:
        correct, loss, count = sums.tolist()
        return {"eval_loss": loss / count, "eval_accuracy": correct / count}


class PairJudge:
    """How many of the held out pictures and texts find each other among the five nearest: the mean of both ways."""

    metric = "recall"

    def __init__(self, pairs: Pairs, transform: PixelTransform, read: Callable[..., Any], dimensions: int):
        """`read` makes numbers of texts, as a tokenizer does; `dimensions` are those of an embedding."""
        self.pairs = pairs
        self.transform = transform
        self.read = read
        self.texts = [next(text for text in said if isinstance(text, str)) for said in pairs.said]
        self.shape = 2, len(pairs), dimensions
        self.terms = math.prod(self.shape)

    def __len__(self) -> int:
        return len(self.pairs)

    def judge(self, net: Any, indices: range, device: Any, layout: torch.memory_format) -> Tensor:
        """The embeddings of these pictures and of their texts, each at its place, and 0 for all others."""
        pixels = torch.from_numpy(self.transform([self.pairs[index] for index in indices])).to(device)
        texts = read_texts(self.read, [self.texts[index] for index in indices]).values()
        found = torch.zeros(self.shape, dtype=torch.float64, device=device)
        place = slice(indices.start, indices.stop)
        found[0, place] = net.get_image_features(pixels.to(memory_format=layout)).pooler_output.double()
        found[1, place] = net.get_text_features(*(ids.to(device) for ids in texts)).pooler_output.double()
        return F.normalize(found, dim=-1).flatten()

    def metrics(self, sums: Tensor) -> dict[str, float]:
        images, texts = sums.cpu().numpy().reshape(self.shape)
        names = sorted(set(self.texts))
        of_names = texts[[self.texts.index(name) for name in names]]
        own = np.asarray(self.texts)[:, None] == np.asarray(names)
        return {"eval_recall": recall_metrics(images @ of_names.T, own)["recall@5"]}


class SegmenterJudge:
    """Mean intersection over union of the classes, pooled over all pixels, and the mean of the pictures' losses."""

    metric = "iou"

    def __init__(self, pictures: MaskedPictures, transform: PixelTransform, config: Any):
        """`config`: the net's."""
        self.pictures = pictures
        self.transform = transform
        self.config = config
        self.terms = config.num_labels**2 + 2
        self.with_instances = "thing_ids" in config.to_dict()

    def __len__(self) -> int:
        return len(self.pictures)

    def judge(self, net: nn.Module, indices: range, device: Any, layout: torch.memory_format) -> Tensor:
        """The confusion matrix of the pixels, row by row (K·K), the losses' sum, and the number of pictures."""
        k, margin = self.config.num_labels, self.config.margin
        counts, loss = torch.zeros(k * k, dtype=torch.float64, device=device), 0.0
        for index in indices:  # one by one: their sizes differ
            image, masks = self.pictures[index]
            pixels, labels, instances = (torch.from_numpy(x).to(device) for x in self._framed(image, masks))
            more = {"instance_labels": instances} if self.with_instances else {}
            output: Any = net(pixels.to(memory_format=layout), labels=labels, **more)
            loss += float(output.loss)
            labels = labels[:, margin : labels.shape[1] - margin, margin : labels.shape[2] - margin]
            logits = output.logits.float()
            if logits.shape[2:] != labels.shape[1:]:  # a net that doesn't enlarge them
                logits = F.interpolate(logits, labels.shape[1:], mode="bilinear")
            found = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(1)
            counts += torch.bincount((labels * k + found)[labels != IGNORED], minlength=k * k)
        return torch.cat([counts, counts.new_tensor([loss, len(indices)])])

    def _framed(self, image: Image.Image, masks: Masks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pixels (1, C, H, W) as the net takes them, mirrored around where it wants more, and labels and instances
        (1, H, W), with nothing known of what was added."""
        around = frame(self.config, masks.labels.shape)  # pyright: ignore[reportArgumentType]
        pixels = np.pad(self.transform([image])[0], [(0, 0), *around], mode="reflect")
        labels = np.pad(masks.labels, around, constant_values=IGNORED).astype(np.int64)
        return pixels[None], labels[None], np.pad(masks.instances, around).astype(np.int64)[None]

    def metrics(self, sums: Tensor) -> dict[str, float]:
        *counts, loss, pictures = sums.tolist()
        confusion = np.asarray(counts).reshape(self.config.num_labels, -1)
        union = confusion.sum(0) + confusion.sum(1) - np.diag(confusion)
        iou = np.diag(confusion)[union > 0] / union[union > 0]
        return {"eval_loss": loss / pictures, "eval_iou": float(iou.mean())}
