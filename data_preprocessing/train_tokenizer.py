#!/usr/bin/env python
"""Documents -> tokenizer.json: the same as ``mediswift tokenizer``.

python data_preprocessing/train_tokenizer.py --help
"""

import sys

from mediswift_cs.cli import main

if __name__ == "__main__":
    sys.exit(main(["tokenizer", *sys.argv[1:]]))
