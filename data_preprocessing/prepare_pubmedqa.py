#!/usr/bin/env python
"""Task examples for fine-tuning: the same as ``mediswift pubmedqa``.

python data_preprocessing/prepare_pubmedqa.py --help
"""

import sys

from mediswift_cs.cli import main

if __name__ == "__main__":
    sys.exit(main(["pubmedqa", *sys.argv[1:]]))
