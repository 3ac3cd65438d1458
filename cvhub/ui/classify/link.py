"""A view of the Classify tab as a link: readable query parameters, and back."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from cvhub.catalog import CATALOG
from cvhub.ui.samples import SAMPLES, TILE

DEFAULT_MODELS: tuple[str, ...] = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
ZOO = tuple(entry.name for entry in CATALOG if entry.name == f"eurosat_{entry.family}")  # an architecture each
MAX_MODELS = 9
TEMPERATURES = (0.1, 5.0)
EPSILONS = (0.0, 0.5)
OPACITIES = (0, 100)


@dataclass(frozen=True)
class Link:
    """What a link can hold. A visitor's own picture is not in it."""

    sample: str | None = SAMPLES[0]
    models: tuple[str, ...] = DEFAULT_MODELS
    temperature: float = 1.0
    opacity: int = 60
    heat_class: str = ""
    true_class: str = ""
    epsilon: float = 0.1
    language: str = "en"


def models_for(sample: str | None) -> tuple[str, ...]:
    """The models that know what is in a sample."""
    return ZOO if sample == TILE else DEFAULT_MODELS


def compose(link: Link) -> str:
    """The query string of a link: `sample=chelsea&models=a,b&tau=1 …`; what is empty is left out."""
    parameters = {
        "sample": link.sample,
        "models": ",".join(link.models),
        "tau": f"{link.temperature:g}",
        "heat": f"{link.opacity:g}",
        "class": link.heat_class,
        "true": link.true_class,
        "eps": f"{link.epsilon:g}",
        "lang": link.language,
    }
    return urlencode({name: value for name, value in parameters.items() if value}, safe=",/")


def parse(query: Mapping[str, str]) -> Link:
    """The link that query parameters spell; what is missing or makes no sense takes its default."""
    default = Link()
    models = tuple(dict.fromkeys(name.strip() for name in query.get("models", "").split(",") if name.strip()))
    sample = query.get("sample", "")
    sample = sample if sample in SAMPLES else SAMPLES[0]
    return Link(
        sample=sample,
        models=models[:MAX_MODELS] or models_for(sample),
        temperature=_number(query.get("tau"), default.temperature, TEMPERATURES),
        opacity=round(_number(query.get("heat"), default.opacity, OPACITIES)),
        heat_class=query.get("class", ""),
        true_class=query.get("true", ""),
        epsilon=_number(query.get("eps"), default.epsilon, EPSILONS),
        language=query.get("lang", default.language),
    )


def _number(text: str | None, default: float, limits: tuple[float, float]) -> float:
    """The number that `text` spells, kept within `limits`; the default where it spells none."""
    try:
        value = float(text) if text else default
    except ValueError:
        return default
    low, high = limits
    return min(max(value, low), high) if value == value else default
