"""What ``python -m mediswift_cs.modelzoo`` runs: ModelZoo's own commands, with our models.

ModelZoo's autorestart spawns processes that import the main module again under another name, and
each of them needs the models. So the hook is installed at import, not in main().
"""

import argparse
import sys
from collections.abc import Sequence

from mediswift_cs.errors import MediSwiftError
from mediswift_cs.modelzoo import hook
from mediswift_cs.modelzoo.registration import require_modelzoo

hook.install()

DESCRIPTION = """Run a command of Cerebras ModelZoo with MediSwift's models registered.

examples:
  python -m mediswift_cs.modelzoo cszoo model info mediswift
  python -m mediswift_cs.modelzoo cszoo fit params.yaml --target_device CPU
  python -m mediswift_cs.modelzoo run CPU --params params.yaml --mode train
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Hand ``argv`` over to ModelZoo; returns 0 or 2 (wrong input), other failures raise."""
    parser = argparse.ArgumentParser(
        prog="python -m mediswift_cs.modelzoo",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("cszoo", "run"), help="ModelZoo's CLI, or its run.py")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="handed over to ModelZoo unchanged"
    )
    args = parser.parse_args(argv)
    try:
        require_modelzoo()
        hand_over(args.command, args.arguments)
    except MediSwiftError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def hand_over(command: str, arguments: Sequence[str]) -> None:
    """Call ModelZoo's entry point; it reads its arguments from ``sys.argv``."""
    if command == "cszoo":
        from cerebras.modelzoo.cli.main import main as cszoo

        sys.argv = ["cszoo", *arguments]
        cszoo()
    else:
        from cerebras.modelzoo.common.run_utils import run

        sys.argv = ["run.py", *arguments]
        run()


if __name__ == "__main__":
    sys.exit(main())
