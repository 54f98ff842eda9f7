"""``python -m stereozero``: the same as the command ``stereozero``."""

import sys

from stereozero.cli import main

if __name__ == "__main__":
    sys.exit(main())
