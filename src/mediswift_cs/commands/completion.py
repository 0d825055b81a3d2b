"""``mediswift completion``: a script with which a shell completes this command."""

import argparse
import re
from collections.abc import Iterator

from mediswift_cs import arguments

HELP = """Print a script with which a shell completes commands, options, files and params files.

The script is complete in itself: a press of Tab starts no Python. Print it anew after an upgrade of
this package.

examples:
  bash  mkdir -p ~/.local/share/bash-completion/completions
        mediswift completion bash > ~/.local/share/bash-completion/completions/mediswift
        (without the package bash-completion: into a file that ~/.bashrc sources)
  zsh   mkdir -p ~/.zfunc && mediswift completion zsh > ~/.zfunc/_mediswift
        (~/.zshrc has, before its compinit: fpath+=~/.zfunc)
  fish  mediswift completion fish > ~/.config/fish/completions/mediswift.fish
  any   of a shell that runs: eval "$(mediswift completion bash)"; the same with zsh;
        mediswift completion fish | source
"""

SHELLS = ("bash", "zsh", "fish")

# How each shell lists the files for the word at the cursor.
FILE = {
    # shtab's own would split a name at its spaces.
    "bash": "_mediswift_file",
    "zsh": "_files",
    "fish": "(__fish_complete_path (commandline -ct))",
    "preamble": {"bash": '_mediswift_file() {\n  compgen -f -- "$1"\n}\n'},
}


def _params_file() -> dict[str, object]:
    """How each shell lists the shipped params files, and the files that may be one's own."""
    from mediswift_cs.params.load import shipped_files

    names = " ".join(shipped_files())
    bash = (
        f"_mediswift_params_file() {{\n  compgen -W '{names}' -- \"$1\"\n"
        "  compgen -f -X '!*.yaml' -- \"$1\"\n  compgen -f -X '!*.yml' -- \"$1\"\n"
        '  compgen -d -- "$1"\n}\n'
    )
    zsh = (
        "_mediswift_params_file() {\n"
        f"  _alternative 'shipped:shipped params file:({names})' "
        "'own:params file:_files -g \"*.(yaml|yml)\"'\n}\n"
    )
    return {
        "bash": "_mediswift_params_file",
        "zsh": "_mediswift_params_file",
        "fish": f"{names} {FILE['fish']}",
        "preamble": {"bash": bash, "zsh": zsh},
    }


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and positional of a parser and of its sub-commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for sub_parser in action.choices.values():
                yield from _actions(sub_parser)


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script for a shell, in which each option completes what its type reads."""
    import shtab

    complete = {
        arguments.path: FILE,
        arguments.path_text: FILE,
        arguments.params_file: _params_file(),
    }
    for action in _actions(parser):
        if isinstance(action, argparse._SubParsersAction):
            # What the help leaves out, shtab would leave out as well.
            action.help = "command"
        elif action.type in complete:
            action.complete = complete[action.type]  # type: ignore[attr-defined]
    text = str(shtab.complete(parser, shell))
    # Of several values shtab's zsh completes the first one: "(*)" is no spec of all that follow.
    return re.sub(r'"\(\*\)::?', '"*:', text) if shell == "zsh" else text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the one argument, the shell that the script is for."""
    parser.add_argument("shell", choices=SHELLS)


def run(args: argparse.Namespace) -> int:
    """Print the script; returns 0."""
    print(script(args.parser, args.shell))
    return 0
