"""``python -m mediswift_cs.checkpoints SOURCE TARGET``: convert a checkpoint."""

import sys

from mediswift_cs.checkpoints.command_line import main

if __name__ == "__main__":
    sys.exit(main())
