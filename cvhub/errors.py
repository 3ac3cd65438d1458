"""What cvhub says when it can't do what was asked: one sentence, for a person."""


class CvhubError(Exception):
    """A failure with one clear sentence that names the value and what was expected.

    The command line prints the sentence and exits; the page shows it where the result would stand.
    """


def one_line(error: BaseException) -> str:
    """What a library raised, cut to fit a sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:160].rstrip(".")
