#!/usr/bin/env python
"""PubMed XML -> documents: the same as ``mediswift documents``.

python data_preprocessing/pubmed_to_documents.py --help
"""

import sys

from mediswift_cs.cli import main

if __name__ == "__main__":
    sys.exit(main(["documents", *sys.argv[1:]]))
