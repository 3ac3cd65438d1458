"""Who a student learns from: any classifier that cvhub loads, asked about the very view that the student sees."""

import logging
from collections.abc import Sequence
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from cvhub.errors import CvhubError
from cvhub.evaluation.classes import match_classes
from cvhub.inference.runtime import Runtime, build_runtime
from cvhub.load import labels_of, load_processor, require_complete, resolve, task_of
from cvhub.models.pixels import PixelTransform
from cvhub.training.batches import affine

TASK = "image-classification"
# Pillow's weights of red, green and blue in grey (ITU-R 601-2).
LUMA = (0.299, 0.587, 0.114)

log = logging.getLogger("cvhub")


class Teacher:
    """A classifier, frozen: it is no part of what is trained, and nothing asks it for gradients.

    Its weights are loaded when it is first asked, so that a run whose answers are stored never holds them.
    """

    def __init__(self, model: str, labels: Sequence[str], student: PixelTransform):
        """`model` is any MODEL; `labels` and `student` are the student's classes and how it sees pictures.

        Raises `CvhubError` for what classifies no pictures, or lacks one of the classes.
        """
        self.model = model
        self.folder = resolve(model)
        require_complete(self.folder)
        if (task := task_of(self.folder)) != TASK:
            raise CvhubError(f"teacher {model} is for {task or 'no task'}, expected one that classifies pictures.")
        theirs = labels_of(self.folder)
        try:
            self.columns = match_classes(labels, theirs, hint="teachers=MODEL names one that knows them all")
        except CvhubError as error:
            raise CvhubError(f"teacher {model}: {error}") from None
        self.student = student
        self.transform = load_processor(model)

    @cached_property
    def runtime(self) -> Runtime:
        """The fastest that this machine has: it computes forward only, so it need not be the student's."""
        with _undisturbed():
            made = build_runtime(self.folder)
        log.debug("%s teaches: %s", self.model, made.reason)
        return made

    def answer(self, pixels: Tensor) -> Tensor:
        """`pixel_values` (N, C, H, W) as the student has them → logits (N, K) float32 of the student's classes."""
        with _undisturbed():
            logits = self.runtime.run(self.view(pixels).contiguous().numpy())["logits"]
        return torch.from_numpy(logits[:, self.columns])

    @torch.no_grad()
    def view(self, pixels: Tensor) -> Tensor:
        """The same view at the teacher's size, in its colours and normalised as it wants, (N, C', H', W') float32."""
        offset, scale = self._affine_of_student
        x = (pixels.detach().cpu().float() - offset) / scale  # 0 to 255, and beyond where noise was put in
        channels = len(self.transform.image_mean)
        if channels == 1 and x.shape[1] == 3:
            x = (x * torch.tensor(LUMA)[:, None, None]).sum(1, keepdim=True)
        elif channels != x.shape[1]:
            x = x.expand(-1, channels, -1, -1)
        size = self.transform.size_of(x.shape[3], x.shape[2])
        if size != x.shape[2:]:
            mode = "bicubic" if self.transform.resample == Image.Resampling.BICUBIC else "bilinear"
            x = F.interpolate(x, size, mode=mode, antialias=True)
        offset, scale = self._affine
        return x * scale + offset

    @cached_property
    def _affine_of_student(self) -> tuple[Tensor, Tensor]:
        return affine(self.student)

    @cached_property
    def _affine(self) -> tuple[Tensor, Tensor]:
        return affine(self.transform)


def _undisturbed() -> torch.autocast:
    """Without a training step's bf16, which is the student's business: a net that is traced under it keeps casts that
    OpenVINO can't convert, and what a teacher answers would depend on whether it had been converted before."""
    return torch.autocast("cpu", enabled=False)
