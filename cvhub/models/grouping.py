"""How pixels find the thing that they are of: centres are peaks of a map, and each pixel points to one.

Panoptic-DeepLab, section 3.3 of Cheng et al. 2020 (https://arxiv.org/abs/1911.10194). The maps are those of
panoptic_deeplab.py; the processor in dense_processing.py asks.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK = 128  # pixels a side of what is grouped at once: few centres are near all of it


def find_centres(centres: Tensor, threshold: float, kernel: int, top_k: int) -> tuple[Tensor, Tensor]:
    """`centres` (H, W) → rows and columns (n, 2) of its peaks, the highest first, and their heights (n,).

    A peak is above `threshold` and the highest in a window of `kernel` pixels a side.
    """
    centres = centres.float()
    around = _highest_near(_highest_near(centres, kernel, 0), kernel, 1)
    peaks = ((centres == around) & (centres > threshold)).nonzero()
    heights = centres[peaks[:, 0], peaks[:, 1]]
    best = heights.argsort(descending=True, stable=True)[:top_k]
    return peaks[best].float(), heights[best]


def _highest_near(values: Tensor, kernel: int, dim: int) -> Tensor:
    """Of each of `values` (H, W) the highest in a window of `kernel` along `dim`: a max pooling that keeps no indices.
    From the highest of n in a row follows that of any number up to 2 n."""
    half = kernel // 2
    padded = F.pad(values, (half, half, 0, 0) if dim else (0, 0, half, half), value=-torch.inf)
    seen = 1
    while seen < kernel:
        step = min(seen, kernel - seen)
        left = padded.shape[dim] - step
        padded = torch.maximum(padded.narrow(dim, 0, left), padded.narrow(dim, step, left))
        seen += step
    return padded.narrow(dim, 0, values.shape[dim])


def group_pixels(offsets: Tensor, points: Tensor, things: Tensor) -> Tensor:
    """Eq. 2: each pixel of `things` (H, W) belongs to the point nearest to where its offset leads.

    `offsets` (2, H, W) in pixels, `points` (n, 2) → ids (H, W) from 1 on, 0 outside `things` or where n is 0.
    """
    places, owners = find_owners(offsets, points, things)
    ids = torch.zeros_like(things, dtype=torch.int64)
    ids.view(-1).index_copy_(0, places, owners + 1)
    return ids


def find_owners(offsets: Tensor, points: Tensor, things: Tensor) -> tuple[Tensor, Tensor]:
    """What `group_pixels` finds, as the places (P,) of pixels in the flat map, in no order, and their points (P,)."""
    rows, columns = (torch.arange(side, dtype=offsets.dtype, device=offsets.device) for side in things.shape)
    ends = torch.stack([offsets[0] + rows[:, None], offsets[1] + columns]).flatten(1)  # where offsets lead
    numbers = torch.arange(things.numel(), device=things.device).view(things.shape)
    found = [(numbers[:0, 0], numbers[:0, 0])]
    for top in range(0, things.shape[0] if len(points) else 0, BLOCK):
        for left in range(0, things.shape[1], BLOCK):
            block = slice(top, top + BLOCK), slice(left, left + BLOCK)
            places = numbers[block].masked_select(things[block])
            if len(places):
                led = ends.index_select(1, places).t().nan_to_num()
                near = _near(points, led)
                found.append((places, look_up(near, _nearest(points[near], led))))
    places, owners = (torch.cat(parts) for parts in zip(*found, strict=True))
    return places, owners


def look_up(values: Tensor, index: Tensor) -> Tensor:
    """`values[index]` of values (n,) at an index of any shape, nine times as fast."""
    return values.index_select(0, index.flatten()).view(index.shape)


def _nearest(points: Tensor, places: Tensor) -> Tensor:
    """Of each of `places` (P, 2) the nearest of `points` (n, 2), by |q|² − 2·p·q, in which p's own square is left out.

    Seen from the middle of the points, so that what is squared stays small.
    """
    middle = points.mean(0)
    points, places = points - middle, places - middle
    return torch.addmm(points.square().sum(1), places, points.t(), alpha=-2).argmin(1)


def _near(points: Tensor, places: Tensor) -> Tensor:
    """Which of `points` (n, 2) may be the nearest one to some of `places` (P, 2), in order.

    All places lie within r of their middle m, and one point within d of m. What is nearest to a place is then at most
    d + r from it, and d + 2 r from m.
    """
    low, high = places.aminmax(dim=0)
    distances = (points - (low + high) / 2).norm(dim=1)
    return (distances <= distances.min() + (high - low).norm() * 1.001 + 1).nonzero()[:, 0]  # rounded up
