"""What the paper says of Panoptic-DeepLab (Cheng et al. 2020) holds for our net, and its maps become segments."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from transformers import Mask2FormerImageProcessorPil
from transformers.models.mask2former.image_processing_mask2former import convert_segmentation_to_rle

from cvhub.models.dense_processing import CvPanopticProcessor, run_lengths
from cvhub.models.grouping import find_centres, group_pixels
from cvhub.models.losses_dense import dense_loss
from cvhub.models.panoptic_deeplab import (
    CvPanopticDeepLabConfig,
    CvPanopticDeepLabForPanopticSegmentation,
    instance_targets,
)
from tests.test_deeplab import TINY_BACKBONE

# The smallest net that still has all the family's parts.
TINY = {
    "backbone": TINY_BACKBONE,
    "atrous_rates": (1, 2),
    "semantic_channels": 8,
    "semantic_projections": (4, 4),
    "instance_channels": 8,
    "instance_projections": (4, 4),
    "head_channels": 4,
    "dropout": 0.0,
    "thing_ids": (1,),
}


def disks(height: int, width: int, *centres: tuple[int, int], radius: int = 5) -> Tensor:
    """Instances (1, H, W): a disk around each centre, the later over the earlier."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    instances = torch.zeros(height, width, dtype=torch.int64)
    for number, (row, column) in enumerate(centres, start=1):
        instances[(rows - row) ** 2 + (columns - column) ** 2 <= radius**2] = number
    return instances[None]


def perfect_outputs(instances: Tensor, classes: Tensor, num_labels: int, sigma: float = 2.0) -> SimpleNamespace:
    """What a net would say that makes no mistake."""
    centres, offsets = instance_targets(instances, sigma)
    logits = 10.0 * torch.nn.functional.one_hot(classes, num_labels).permute(0, 3, 1, 2)
    return SimpleNamespace(logits=logits, centres=centres, offsets=offsets)


def same_partition(a: Tensor, b: Tensor) -> bool:
    """Whether two maps differ in the names of their ids only."""
    pairs = torch.stack([a.flatten().long(), b.flatten().long()]).unique(dim=1)
    return pairs.shape[1] == len(a.unique()) == len(b.unique())


def test_targets_are_hills_and_ways_to_the_mean() -> None:
    instances = disks(24, 32, (8, 9), (15, 22))
    centres, offsets = instance_targets(instances, sigma=2.0)
    assert centres[0, 0, 8, 9] == centres[0, 0, 15, 22] == 1
    assert centres[0, 0, 8, 11].item() == pytest.approx(math.exp(-4 / 8))
    assert offsets[0, :, 6, 10].tolist() == [2, -1]
    assert not offsets[0, :, instances[0] == 0].any()


def test_a_picture_without_things_has_empty_targets() -> None:
    centres, offsets = instance_targets(torch.zeros(1, 8, 8, dtype=torch.int64), sigma=2.0)
    assert not centres.any()
    assert not offsets.any()


@given(st.lists(st.tuples(st.integers(6, 40), st.integers(6, 50)), min_size=1, max_size=6, unique=True))
def test_perfect_maps_give_the_things_back(positions: list[tuple[int, int]]) -> None:
    """Of things of which enough is seen for a centre of its own."""
    apart = [a for i, a in enumerate(positions) if all(math.dist(a, b) > 11 for b in positions[:i])]
    instances = disks(48, 60, *apart)
    outputs = perfect_outputs(instances, (instances > 0).long(), 2)
    (result,) = CvPanopticProcessor(nms_kernel=5).post_process_instance_segmentation(outputs)
    assert len(result["segments_info"]) == len(apart)
    assert same_partition(result["segmentation"], instances[0])


def test_panoptic_joins_things_and_stuff() -> None:
    instances = disks(32, 40, (10, 10), (20, 28))
    classes = torch.where(torch.arange(40) < 20, 0, 2).expand(1, 32, 40)
    classes = torch.where(instances > 0, 1, classes)
    outputs = perfect_outputs(instances, classes, 3)
    processor = CvPanopticProcessor(thing_ids=[1], nms_kernel=5)
    (result,) = processor.post_process_panoptic_segmentation(outputs)
    assert [(s["label_id"], s["was_fused"]) for s in result["segments_info"]] == [
        (1, False), (1, False), (0, True), (2, True)
    ]  # fmt: skip
    assert result["segmentation"].dtype == torch.int32
    truth = torch.where(instances > 0, instances, 10 + classes)[0]
    assert same_partition(result["segmentation"], truth)
    (fused,) = processor.post_process_panoptic_segmentation(outputs, label_ids_to_fuse={1})
    assert [s["label_id"] for s in fused["segments_info"]] == [1, 0, 2]
    assert same_partition(fused["segmentation"], classes[0])


def test_a_thing_has_the_class_of_most_of_its_pixels() -> None:
    instances = disks(24, 24, (11, 11))
    classes = (instances > 0).long()
    classes[0, 10:12, 8:12] = 2
    outputs = perfect_outputs(instances, classes, 3)
    (result,) = CvPanopticProcessor(thing_ids=[1, 2], nms_kernel=5).post_process_instance_segmentation(outputs)
    (segment,) = result["segments_info"]
    assert segment["label_id"] == 1
    share = (classes == 1).sum() / (instances > 0).sum()
    assert segment["score"] == pytest.approx(share.item(), abs=1e-3)


def test_answers_come_at_the_size_that_is_asked_for() -> None:
    small = disks(24, 32, (8, 9), (15, 22))
    outputs = perfect_outputs(small, (small > 0).long(), 2)
    processor = CvPanopticProcessor(nms_kernel=5)
    (result,) = processor.post_process_instance_segmentation(outputs, target_sizes=[(48, 64)])
    doubled = small[0].repeat_interleave(2, 0).repeat_interleave(2, 1)
    found = result["segmentation"] + 1
    assert found.shape == (48, 64)
    assert (found > 0).logical_and(doubled > 0).sum() / (found > 0).logical_or(doubled > 0).sum() > 0.9
    (panoptic,) = processor.post_process_panoptic_segmentation(outputs, target_sizes=[(48, 64)])
    assert panoptic["segmentation"].shape == (48, 64)
    (semantic,) = processor.post_process_semantic_segmentation(outputs, target_sizes=[(48, 64)])
    assert semantic.shape == (48, 64)
    with pytest.raises(ValueError, match="2 target_sizes, expected 1"):
        processor.post_process_semantic_segmentation(outputs, target_sizes=[(4, 4), (4, 4)])


@pytest.mark.parametrize("kind", ["panoptic", "instance"])
def test_results_look_like_mask2formers(kind: str) -> None:
    """The same keys, types of tensors, first id and background, of something and of nothing."""
    instances = disks(384, 384, (100, 100), (200, 300), radius=30)
    theirs_of = getattr(Mask2FormerImageProcessorPil(), f"post_process_{kind}_segmentation")
    ours_of = getattr(CvPanopticProcessor(), f"post_process_{kind}_segmentation")
    masks = torch.stack([20.0 * (instances[0] == number) - 10 for number in (1, 2)])[None]
    classes = torch.tensor([[[0.0, 9.0, 0.0], [0.0, 9.0, 0.0]]])
    nothing = torch.tensor([[[0.0, 0.0, 9.0], [0.0, 0.0, 9.0]]])
    for something in (True, False):
        query_logits = classes if something else nothing
        queries = SimpleNamespace(class_queries_logits=query_logits, masks_queries_logits=masks)
        outputs = perfect_outputs(instances, (instances > 0).long(), 2)
        arguments: dict[str, Any] = {} if something else {"threshold": 1.1}
        theirs, ours = theirs_of(queries)[0], ours_of(outputs, **arguments)[0]
        assert ours.keys() == theirs.keys()
        assert ours["segmentation"].dtype == theirs["segmentation"].dtype
        assert ours["segmentation"].min() == theirs["segmentation"].min()
        assert bool(ours["segments_info"]) is bool(theirs["segments_info"]) is something
        for segment, reference in zip(ours["segments_info"], theirs["segments_info"], strict=False):
            assert {key: type(value) for key, value in segment.items()} == {
                key: type(value) for key, value in reference.items()
            }
            assert segment["id"] == reference["id"]


def test_run_lengths_and_binary_maps_say_the_same() -> None:
    instances = disks(20, 24, (8, 8), (12, 18))
    outputs = perfect_outputs(instances, (instances > 0).long(), 2)
    processor = CvPanopticProcessor(nms_kernel=5)
    (plain,), (coco,), (binary,) = (
        processor.post_process_instance_segmentation(outputs, **arguments)
        for arguments in ({}, {"return_coco_annotation": True}, {"return_binary_maps": True})
    )
    assert coco["segmentation"] == convert_segmentation_to_rle(plain["segmentation"])
    of_things = coco["segmentation"][1:]  # theirs begins with what is in no segment
    for number, (runs, mask) in enumerate(zip(of_things, binary["segmentation"], strict=True)):
        drawn = torch.zeros(20 * 24)
        for first, length in zip(runs[::2], runs[1::2], strict=True):
            drawn[first - 1 : first - 1 + length] = 1
        assert torch.equal(drawn.reshape(20, 24), mask)
        assert torch.equal(mask.bool(), plain["segmentation"] == number)
    with pytest.raises(ValueError, match="can't both"):
        processor.post_process_instance_segmentation(outputs, return_coco_annotation=True, return_binary_maps=True)
    assert run_lengths(torch.full((2, 2), -1.0)) == convert_segmentation_to_rle(torch.full((2, 2), -1.0)) == [[1, 4]]


@pytest.mark.parametrize("points", [1, 3, 200])
def test_pixels_go_to_the_nearest_point(points: int) -> None:
    """Block by block, of few points, as of all at once."""
    torch.manual_seed(points)
    things, offsets = torch.rand(100, 150) > 0.3, 20 * torch.randn(2, 100, 150)
    places = torch.rand(points, 2) * torch.tensor([100, 150])
    ids = torch.from_numpy(group_pixels(offsets.numpy(), places.numpy(), things.numpy()))
    led = torch.stack(torch.meshgrid(torch.arange(100), torch.arange(150), indexing="ij")) + offsets
    distances = (led[:, None] - places.T[:, :, None, None]).norm(dim=0)
    assert torch.equal(ids, torch.where(things, distances.argmin(0) + 1, 0))


def test_many_things_are_all_told_apart() -> None:
    """A thousand on a picture: more than the paper's 200, where `top_k` allows it."""
    instances = disks(330, 330, *((row, column) for row in range(5, 330, 10) for column in range(5, 330, 10)), radius=3)
    outputs = perfect_outputs(instances, (instances > 0).long(), 2)
    (result,) = CvPanopticProcessor(nms_kernel=5, top_k=5000).post_process_instance_segmentation(outputs)
    assert len(result["segments_info"]) == 33 * 33
    assert same_partition(result["segmentation"], instances[0])


def test_a_net_without_things_has_stuff_only() -> None:
    classes = torch.where(torch.arange(40) < 20, 0, 1).expand(1, 32, 40)
    outputs = perfect_outputs(torch.zeros(1, 32, 40, dtype=torch.int64), classes, 2)
    processor = CvPanopticProcessor(thing_ids=[])
    (instance,) = processor.post_process_instance_segmentation(outputs)
    assert instance["segments_info"] == []
    (panoptic,) = processor.post_process_panoptic_segmentation(outputs)
    assert [segment["label_id"] for segment in panoptic["segments_info"]] == [0, 1]
    assert same_partition(panoptic["segmentation"], classes[0])


def test_centres_are_peaks_above_the_threshold_the_highest_first() -> None:
    hills = np.zeros((16, 16), np.float32)
    hills[3, 4], hills[4, 4], hills[10, 12], hills[14, 2] = 0.9, 0.8, 1.0, 0.05
    points, heights = find_centres(hills, threshold=0.1, kernel=3, top_k=5)
    assert points.tolist() == [[10, 12], [3, 4]]
    np.testing.assert_allclose(heights, [1.0, 0.9])
    assert len(find_centres(hills, threshold=0.1, kernel=3, top_k=1)[0]) == 1


def test_without_a_centre_no_pixel_belongs_anywhere() -> None:
    things = np.ones((4, 4), bool)
    assert not group_pixels(np.zeros((2, 4, 4), np.float32), np.zeros((0, 2), np.float32), things).any()


def test_the_loss_is_the_papers_sum() -> None:
    """Eq. 1 with its weights: classes + 200 · squared error of centres + 0.01 · absolute error of offsets."""
    config = CvPanopticDeepLabConfig(**TINY)
    model = CvPanopticDeepLabForPanopticSegmentation(config).eval()
    instances = disks(64, 64, (20, 20), (44, 30))
    labels = (instances > 0).long()
    labels[0, :8] = 255
    output = model(torch.randn(1, 3, 64, 64), labels=labels, instance_labels=instances)
    centres, offsets = instance_targets(instances, config.centre_sigma)
    semantic, centre, offset = output.losses
    torch.testing.assert_close(semantic, dense_loss(output.logits, labels, "cross_entropy"))
    known = labels != 255
    torch.testing.assert_close(centre, 200 * ((output.centres - centres)[:, 0] ** 2)[known].mean())
    at_things = (output.offsets - offsets).abs().sum(1)[instances > 0]
    torch.testing.assert_close(offset, 0.01 * at_things.mean())
    torch.testing.assert_close(output.loss, semantic + centre + offset)
    assert model(torch.randn(1, 3, 64, 64)).loss is None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"thing_ids": (7,)}, r"thing_ids are \(7,\), expected some of 0 to 1"),
        ({"semantic_projections": (4,)}, r"semantic_projections are \(4,\), expected 2"),
        ({"fine_features": ("stage8", "stem")}, "no feature map 'stage8'"),
        ({"single_logit": True}, "single_logit is True, expected False"),
    ],
)
def test_a_wrong_field_is_one_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Exception, match=sentence):
        CvPanopticDeepLabConfig(**TINY | fields)
