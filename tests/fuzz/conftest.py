"""The guard measures memory as Linux tells it; elsewhere these tests are left out."""

import sys

collect_ignore_glob = [] if sys.platform == "linux" else ["*.py"]
