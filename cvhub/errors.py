"""What cvhub says when it can't do what was asked: one sentence, for a person."""


class CvhubError(Exception):
    """A failure with one clear sentence that names the value and what was expected.

    The command line prints the sentence and exits; the page shows it where the result would stand.
    """
