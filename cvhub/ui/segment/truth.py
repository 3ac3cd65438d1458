"""What is known to be true of a picture: of a synthetic sample, of a mask that is uploaded, of one that is painted."""

import base64
import binascii
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cvhub.errors import CvhubError
from cvhub.ui.segment.reading import components
from cvhub.ui.segment.samples import scene_in
from cvhub.ui.segment.state import Seen, SegmentSession
from cvhub.ui.strings import Say

if TYPE_CHECKING:
    from cvhub.evaluation.truth import Masks
    from cvhub.training.scenes import Scene

WHITE = 255  # in masks of black and white the object
MAX_PAINTED = 2**20  # characters of a painted mask's PNG


def find_truth(session: SegmentSession, seen: Seen, kind: str, say: Say) -> "Masks | None":
    """The truth of this kind, or None while there is none; CvhubError where it doesn't fit picture or net."""
    if kind not in session.truths:
        scene = scene_in(Path(session.question.picture)) if session.question and session.question.picture else None
        if kind == "example" and scene:
            session.truths[kind] = scene_truth(scene, seen, say)
        elif kind == "upload" and session.uploaded:
            session.truths[kind] = uploaded_truth(Path(session.uploaded), seen, say)
        elif kind == "paint" and session.painted is not None and session.painted.any():
            session.truths[kind] = painted_truth(session.painted, seen)
    return session.truths.get(kind)


def scene_truth(scene: "Scene", seen: Seen, say: Say) -> "Masks":
    """A synthetic scene's truth in the numbers of the net's classes, which are matched by name."""
    from cvhub.evaluation.classes import match_classes
    from cvhub.evaluation.truth import Masks
    from cvhub.training.scene_layout import CLASSES

    try:
        numbers = match_classes([row.name for row in CLASSES], seen.labels)
    except CvhubError:
        raise CvhubError(say("truth_other_classes")) from None
    return Masks(np.array(numbers, np.uint8)[scene.semantic], scene.instances.astype(np.int32))


def uploaded_truth(file: Path, seen: Seen, say: Say) -> "Masks":
    """A mask's file: its values are the numbers of the classes, 255 what is not known.

    Of a net of two classes a mask may be black and white, or have a number for each object.
    """
    from cvhub.evaluation.truth import IGNORED, mask_values

    values = mask_values({"path": str(file), "bytes": None})
    if values.shape != seen.own:
        found, expected = (f"{width} × {height}" for height, width in (values.shape, seen.own))
        raise CvhubError(say("truth_size", found=found, expected=expected))
    values = values[:: seen.reduced, :: seen.reduced]
    count = len(seen.labels)
    found = set(np.unique(values).tolist())
    if count == 2 and found <= {0, WHITE}:
        return with_components((values == WHITE).astype(np.uint8), seen)
    wrong = sorted(found - set(range(count)) - {IGNORED})
    if wrong and count == 2:
        return numbered(values)
    if wrong:
        raise CvhubError(say("truth_value", value=wrong[0], most=count - 1))
    return with_components(values.astype(np.uint8), seen)


def numbered(values: np.ndarray) -> "Masks":
    """A number for each object of the only class that has any."""
    from cvhub.evaluation.truth import Masks

    return Masks((values > 0).astype(np.uint8), values.astype(np.int32))


def with_components(labels: np.ndarray, seen: Seen) -> "Masks":
    """Classes alone: each connected part of a class that can be counted is an object."""
    from cvhub.evaluation.truth import Masks

    ids, _ = components(labels.astype(np.int32) + 1, {label_id + 1 for label_id in seen.things})
    return Masks(labels, ids)


def painted_truth(painted: np.ndarray, seen: Seen) -> "Masks":
    """Painted classes at the picture's size. What is not painted is background, or not known where there is none."""
    from cvhub.evaluation.truth import IGNORED

    height, width = seen.size
    enlarged = np.asarray(Image.fromarray(painted).resize((width, height), Image.Resampling.NEAREST))
    unpainted = 0 if seen.segmenter.has_background else IGNORED
    return with_components(np.where(enlarged > 0, enlarged - 1, unpainted).astype(np.uint8), seen)


def decode_painting(data_uri: str, num_labels: int) -> np.ndarray:
    """What the browser painted, a PNG whose red is class + 1 and whose alpha says where → (h, w) uint8."""
    prefix = "data:image/png;base64,"
    if not isinstance(data_uri, str) or not data_uri.startswith(prefix) or len(data_uri) > MAX_PAINTED:
        raise CvhubError("the painted mask is no small PNG.")
    try:
        with Image.open(io.BytesIO(base64.b64decode(data_uri[len(prefix) :], validate=True)), formats=("PNG",)) as png:
            pixels = np.asarray(png.convert("RGBA"))
    except (binascii.Error, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise CvhubError("the painted mask is no small PNG.") from None
    painted = np.where(pixels[..., 3] > 127, pixels[..., 0], 0).astype(np.uint8)
    if painted.max(initial=0) > num_labels:
        raise CvhubError(f"the painted mask has a class {painted.max() - 1}, expected 0 to {num_labels - 1}.")
    return painted
