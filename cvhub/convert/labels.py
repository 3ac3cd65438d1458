"""Names of the classes."""

from typing import Any


def checkpoint_labels(config: dict[str, Any], num_labels: int) -> list[str] | None:
    """The source's own names; else ImageNet's where the number of classes tells that it is ImageNet; else None."""
    own = config.get("id2label") or {}
    if len(own) == num_labels and not all(str(name).startswith("LABEL_") for name in own.values()):
        return [str(own[key]) for key in sorted(own, key=int)]
    if len(config.get("label_names") or []) == num_labels:
        return [str(name) for name in config["label_names"]]
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


def imagenet_synsets() -> dict[str, str]:
    """The same names by WordNet's numbers, such as n01440764, which ImageNet's folders and files are named by."""
    from timm.data import ImageNetInfo

    return dict(zip(ImageNetInfo("imagenet-1k").label_names(), imagenet_labels(), strict=True))
