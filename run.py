"""Train, evaluate or compile: python run.py --help."""

import sys

from mediswift_cs.run import main

if __name__ == "__main__":
    sys.exit(main())
