"""The command ``componentize-py``, as a file that a child process can run."""

import sys

from componentize_py import script

sys.exit(script())
