"""Which class of a classifier is which class of a data set: the names say so, not the numbers."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from cvhub.convert.labels import imagenet_synsets
from cvhub.errors import CvhubError

SYNSET = re.compile(r"n\d{8}")  # WordNet's number, which names the folders of ImageNet's pictures


def match_classes(
    classes: Sequence[str],
    labels: Sequence[str],
    renamed: Mapping[str, str] | None = None,
    hint: str = "--map CLASS=LABEL says which one is meant",
) -> list[int]:
    """For each of the data set's `classes` the index of its name among the classifier's `labels`, of which there may be
    more.

    Names are equal but for upper and lower case, underscores, hyphens and spaces. `renamed` tells the label of classes
    that are called otherwise. Where several classes have one name (ImageNet has two cranes), they match as many labels
    of that name, in order. Raises CvhubError that names the classes without a label, and gives
    the `hint`.
    """
    names = _names(classes, renamed or {})
    columns, rows = _places(labels), _places(names)
    unknown = [classes[row] for name, places in rows.items() if name not in columns for row in places]
    if unknown:
        raise CvhubError(
            f"{len(unknown)} of the data set's {len(classes)} classes are none of the model's {len(labels)}: "
            f"{_listed(unknown)}. The model's are {_listed(labels)}; {hint}."
        )
    matched = [0] * len(classes)
    for name, places in rows.items():
        if len(places) != len(columns[name]):
            raise CvhubError(
                f"the data set has {len(places)} classes named {classes[places[0]]!r} and the model "
                f"{len(columns[name])}: which is which can't be told."
            )
        for row, column in zip(places, columns[name], strict=True):
            matched[row] = column
    return matched


def _names(classes: Sequence[str], renamed: Mapping[str, str]) -> list[str]:
    strangers = [name for name in renamed if name not in classes]
    if strangers:
        raise CvhubError(f"{strangers[0]!r} is no class of the data set, which has {_listed(classes)}.")
    names = [renamed.get(name, name) for name in classes]
    if all(SYNSET.fullmatch(name) for name in names):
        known = imagenet_synsets()
        names = [known.get(name, name) for name in names]
    return names


def _places(names: Sequence[str]) -> dict[str, list[int]]:
    """Where each name stands, by what is compared of it."""
    places: defaultdict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        places[re.sub(r"[\s_-]+", "", name).casefold()].append(index)
    return dict(places)


def _listed(names: Sequence[str]) -> str:
    """The first few names, each cut where it is long."""
    shown = ", ".join(name if len(name) <= 24 else f"{name[:23]}…" for name in names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown
