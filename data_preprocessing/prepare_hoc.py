#!/usr/bin/env python
"""Task examples for fine-tuning: the same as ``mediswift hoc``.

python data_preprocessing/prepare_hoc.py --help
"""

import sys

from mediswift_cs.cli import main

if __name__ == "__main__":
    sys.exit(main(["hoc", *sys.argv[1:]]))
