"""`python -m cvhub` is the command `cvhub`."""

import sys

from cvhub.cli import main

sys.exit(main())
