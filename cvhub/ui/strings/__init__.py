"""Every visible string of the page, in English and Chinese, in one table: a file a tab, and what each figure says."""

from collections.abc import Callable

from cvhub.ui.figures import DENSE_FIGURES, FIGURES, STUDENT_FIGURES
from cvhub.ui.strings.classify import CLASSIFY
from cvhub.ui.strings.distill import DISTILL
from cvhub.ui.strings.explore import EXPLORE
from cvhub.ui.strings.hub import HUB
from cvhub.ui.strings.overlap import OVERLAP
from cvhub.ui.strings.search import SEARCH
from cvhub.ui.strings.segment import SEGMENT
from cvhub.ui.strings.words import WORDS

LANGUAGES = {"en": "English", "zh": "中文"}

STRINGS: dict[str, tuple[str, str]] = {
    # header and tabs
    "tagline": ("The classic vision networks, side by side on your pictures", "经典视觉网络，在你的图片上并排比较"),
    "language": ("Language", "语言"),
    "switch_theme": ("Switch between light and dark", "切换浅色与深色"),
    "tab_classify": ("Classify", "分类"),
}
STRINGS |= CLASSIFY | EXPLORE | DISTILL | SEGMENT | OVERLAP | WORDS | SEARCH | HUB
for figure in (*FIGURES, *DENSE_FIGURES, *STUDENT_FIGURES):
    STRINGS |= figure.STRINGS


def text(key: str, language: str, **values: object) -> str:
    """The string `key` in a language, its placeholders filled with `values`."""
    english, chinese = STRINGS[key]
    return (chinese if language == "zh" else english).format(**values)


Say = Callable[..., str]


def speaker(language: str) -> Say:
    """A function `say(key, **values)` that speaks one language."""
    return lambda key, **values: text(key, language, **values)
