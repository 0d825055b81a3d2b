"""The ``mediswift`` command: finds the sub-command; a user error is one line and exit code 2."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mediswift_cs.endings import exit_code_of
from mediswift_cs.storage.parent import end_with_parent

# The rest is imported where it is used: Ctrl-C is a traceback until main has begun.
if TYPE_CHECKING:
    import argparse


def command_names() -> list[str]:
    """The sub-commands, one for each module of :mod:`mediswift_cs.commands`."""
    import pkgutil

    from mediswift_cs import commands

    return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


def build_parser() -> "argparse.ArgumentParser":
    """The parser with every sub-command; imports nothing heavy."""
    import argparse
    import importlib

    from mediswift_cs.arguments import Parser, VersionAction

    modules = {
        name: importlib.import_module(f"mediswift_cs.commands.{name}") for name in command_names()
    }
    helps = {name: module.HELP.splitlines()[0] for name, module in modules.items()}
    parser = Parser(
        prog="mediswift",
        usage="mediswift [-h] [--version] COMMAND ...",
        description="Sparse biomedical language models: data, training, checkpoints.",
        epilog=_by_purpose(helps),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action=VersionAction, help="this package's, Python's, torch's and Cerebras's"
    )
    # Not in the help, of which the epilog lists them by purpose.
    subparsers = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", prog="mediswift", help=argparse.SUPPRESS
    )
    for name, module in modules.items():
        subparser = subparsers.add_parser(
            name,
            help=helps[name],
            description=module.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
        # The whole one, which `mediswift completion` describes to a shell.
        subparser.set_defaults(run=module.run, parser=parser)
    return parser


def _by_purpose(helps: dict[str, str]) -> str:
    """The commands with the first line of each one's help, in groups."""
    from mediswift_cs.commands import PURPOSES

    known = {name for names in PURPOSES.values() for name in names}
    groups = {**PURPOSES, "others": tuple(name for name in helps if name not in known)}
    lines = []
    for purpose, names in groups.items():
        if names:
            lines += [f"{purpose}:", *(f"  {name:<11} {helps[name]}" for name in names), ""]
    return "\n".join([*lines, "mediswift COMMAND --help says more about one of them."])


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``mediswift argv``; returns 0, 1 (the job failed), 2 (wrong input) or 130 (Ctrl-C)."""

    def job() -> int:
        args = build_parser().parse_args(argv)
        return int(args.run(args))

    if argv is None:
        end_with_parent()
    return exit_code_of(job, ends_process=argv is None)


if __name__ == "__main__":
    sys.exit(main())
