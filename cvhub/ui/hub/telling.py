"""Why something of the Hub tab could not be done, in one sentence."""

import logging
from html import escape

from cvhub.errors import CvhubError
from cvhub.ui.messages import translated
from cvhub.ui.readout import message
from cvhub.ui.strings import speaker

log = logging.getLogger(__name__)


def told(error: Exception, language: str) -> str:
    """An error's sentence; one that nobody foresaw is logged."""
    if isinstance(error, CvhubError):
        return translated(str(error), language)
    log.error("the Hub tab failed", exc_info=error)
    return speaker(language)("unexpected", kind=type(error).__name__)


def failure(error: Exception, language: str) -> str:
    """The same where a result would stand."""
    return message(escape(told(error, language)))
