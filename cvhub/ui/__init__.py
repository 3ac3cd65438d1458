"""The page: one module a tab, and the frame that all tabs share. Gradio is imported here and nowhere else."""

import os

from cvhub.ui.public import is_public

if is_public():  # read when the Hub's library is imported, which would lend the machine's own token to any visitor
    os.environ.setdefault("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
