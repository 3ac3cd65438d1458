"""What stands where an answer will, or would have: that a net is being asked, or why it said nothing."""

import logging
from html import escape

from cvhub.errors import CvhubError
from cvhub.ui import answering
from cvhub.ui.messages import translated
from cvhub.ui.readout import message
from cvhub.ui.strings import Say, speaker

log = logging.getLogger(__name__)


def asking(model: str, say: Say) -> str:
    return message(escape(say("words_asking", title=answering.title_of(model))))


def failure(error: Exception, language: str) -> str:
    """An error as a sentence; one that nobody foresaw is logged."""
    if isinstance(error, CvhubError):
        return message(escape(translated(str(error), language)))
    log.error("the Words tab failed", exc_info=error)
    return message(escape(speaker(language)("unexpected_view", kind=type(error).__name__)))
