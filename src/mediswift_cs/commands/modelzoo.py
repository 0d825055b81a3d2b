"""``mediswift modelzoo``: let ModelZoo's stock ``cszoo`` see our models, or not."""

import argparse

HELP = """Make Cerebras ModelZoo's own commands see MediSwift's models.

enable writes one line into this environment's site-packages, which registers the models at the
moment that ModelZoo is imported; disable removes it. Without it, python -m mediswift_cs.modelzoo
cszoo ... does the same for one command.

examples:
  mediswift modelzoo enable && cszoo model info mediswift
  mediswift modelzoo status
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the one argument, which of three actions to carry out."""
    parser.add_argument("action", choices=("enable", "disable", "status"))


def run(args: argparse.Namespace) -> int:
    """Carry out the action; returns 0."""
    from mediswift_cs.modelzoo import site_hook

    if args.action == "enable":
        print(f"enabled: {site_hook.enable()}")
        if advice := site_hook.missing_cszoo():
            print(advice)
    elif args.action == "disable":
        removed = site_hook.disable()
        print(f"disabled: {site_hook.site_file()}" if removed else "disabled: it was not enabled")
    else:
        print(site_hook.format_status())
    return 0
