#!/usr/bin/env python
"""Documents -> HDF5 shards: the same as ``mediswift shards``.

python data_preprocessing/documents_to_hdf5.py --help
"""

import sys

from mediswift_cs.cli import main

if __name__ == "__main__":
    sys.exit(main(["shards", *sys.argv[1:]]))
