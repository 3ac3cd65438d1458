"""Names of the classes."""

from typing import Any


def checkpoint_labels(config: dict[str, Any], num_labels: int, segments: bool = False) -> list[str] | None:
    """The source's own names; else a well-known data set's whose number of classes it has; else None.

    For classifiers that is ImageNet; for nets that segment Pascal VOC, and two classes are background and foreground.
    """
    own = config.get("id2label") or {}
    if len(own) == num_labels and not all(str(name).startswith("LABEL_") for name in own.values()):
        return [str(own[key]) for key in sorted(own, key=int)]
    if len(config.get("label_names") or []) == num_labels:
        return [str(name) for name in config["label_names"]]
    if segments:
        return ["background", "foreground"] if num_labels == 2 else voc_labels() if num_labels == 21 else None
    if num_labels == 1000:
        return imagenet_labels()
    if num_labels == 1001:
        return ["background", *imagenet_labels()]
    return None


def imagenet_labels() -> list[str]:
    """The thousand classes of ILSVRC 2012, named as timm names them."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    return [info.index_to_description(index) for index in range(info.num_classes())]


def voc_labels() -> list[str]:
    """The background and the twenty classes of Pascal VOC, as torchvision names them: its segmenters' classes."""
    from torchvision.models.segmentation import DeepLabV3_ResNet50_Weights

    background, *names = DeepLabV3_ResNet50_Weights.DEFAULT.meta["categories"]
    return [background.strip("_"), *names]


def imagenet_synsets() -> dict[str, str]:
    """The same names by WordNet's numbers, such as n01440764, which ImageNet's folders and files are named by."""
    from timm.data import ImageNetInfo

    return dict(zip(ImageNetInfo("imagenet-1k").label_names(), imagenet_labels(), strict=True))
