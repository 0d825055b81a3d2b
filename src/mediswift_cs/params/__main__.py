"""Keep the shipped params files equal to the table of sizes.

example: python -m mediswift_cs.params --check
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mediswift_cs.endings import exit_code_of
from mediswift_cs.params.recipes import check_or_write


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0; 1 if ``--check`` found a difference; 2 for wrong input."""
    parser = argparse.ArgumentParser(
        prog="python -m mediswift_cs.params",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="exit 1 if a file is stale")
    action.add_argument("--write", action="store_true", help="render the files anew")
    parser.add_argument("--root", type=Path, help="the checkout (default: this package's own)")
    args = parser.parse_args(argv)
    return exit_code_of(
        lambda: check_or_write(write_files=args.write, root=args.root), ends_process=argv is None
    )


if __name__ == "__main__":
    sys.exit(main())
