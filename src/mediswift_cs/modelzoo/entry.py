"""What ``python -m mediswift_cs.modelzoo`` runs: ModelZoo's own commands, with our models.

ModelZoo's autorestart spawns processes that import the main module again under another name, and
each of them needs the models. So the hook is installed at import, not in main().
"""

import argparse
import sys
from collections.abc import Sequence

from mediswift_cs.endings import exit_code_of
from mediswift_cs.modelzoo import hook
from mediswift_cs.modelzoo.registration import require_modelzoo

hook.install()

DESCRIPTION = """Run a command of Cerebras ModelZoo with MediSwift's models registered.

examples:
  python -m mediswift_cs.modelzoo cszoo model info mediswift
  python -m mediswift_cs.modelzoo cszoo fit params.yaml --target_device CPU

run in the place of cszoo is ModelZoo's older run.py, which it calls deprecated.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Hand ``argv`` over to ModelZoo; returns 0 or 2 (wrong input), other failures raise."""
    parser = argparse.ArgumentParser(
        prog="python -m mediswift_cs.modelzoo",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=("cszoo", "run"), help="ModelZoo's CLI")
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, help="handed over to ModelZoo unchanged"
    )
    args = parser.parse_args(argv)
    return exit_code_of(lambda: hand_over(args.command, args.arguments), ends_process=argv is None)


def hand_over(command: str, arguments: Sequence[str]) -> int:
    """Call ModelZoo's entry point, which reads its arguments from ``sys.argv``; returns 0.

    Raises:
        ConfigError: ModelZoo cannot be used.
    """
    require_modelzoo()
    if command == "cszoo":
        from cerebras.modelzoo.cli.main import main as start
    else:
        from cerebras.modelzoo.common.run_utils import run as start
    sys.argv = ["cszoo" if command == "cszoo" else "run.py", *arguments]
    start()
    return 0


if __name__ == "__main__":
    sys.exit(main())
