"""``python -m theater.cli``: the command, where it is not on the path."""

import sys

from theater.cli.main import main

sys.exit(main())
