"""``mediswift params``: list, show and validate params files, and render the shipped ones."""

import argparse
from typing import get_args

from mediswift_cs import arguments
from mediswift_cs.params.run_options import CheckData

HELP = """List, show and validate params files.

examples:
  mediswift params list
  mediswift params show mediswift_xl_75.yaml > my.yaml
  mediswift params validate my.yaml --set trainer.init.loop.max_steps=20
  mediswift params check           are the shipped files what the table of sizes says?
  mediswift params write           render them anew"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The action, the file and the overrides."""
    parser.add_argument("action", choices=("list", "show", "validate", "check", "write"))
    parser.add_argument(
        "file",
        nargs="?",
        type=arguments.params_file,
        help="for show and validate: a path or a shipped name",
    )
    arguments.add_overrides(
        parser, "KEY=VALUE", "for validate: replace a value; may be given several times"
    )
    parser.add_argument(
        "--check-data",
        choices=get_args(CheckData),
        default="none",
        help="for validate: also check the data folders of these dataloaders (default: none)",
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the action; returns 0, or 1 if check found a difference."""
    from mediswift_cs.errors import ConfigError
    from mediswift_cs.params.load import find_params_file, load_params, shipped_files
    from mediswift_cs.storage.read import read_text

    takes_file = args.action in ("show", "validate")
    if takes_file and args.file is None:
        raise ConfigError(f"mediswift params {args.action}: got no file, allowed: a path or a name")
    if not takes_file and args.file is not None:
        raise ConfigError(f"mediswift params {args.action}: got {args.file!r}, allowed: no file")
    if args.action == "list":
        print("\n".join(shipped_files()))
    elif args.action == "show":
        print(read_text(find_params_file(args.file), ConfigError), end="")
    elif args.action == "validate":
        loaded = load_params(args.file, args.overrides, check_data=args.check_data)
        for note in loaded.notes:
            print(note)
        print(f"{loaded.source}: no problem found")
    else:
        from mediswift_cs.params.recipes import check_or_write

        return check_or_write(write_files=args.action == "write")
    return 0
