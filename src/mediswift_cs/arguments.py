"""Options that several commands share, each with one type, one default and one wording."""

import argparse
import difflib
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

# A parser, or a group of options in its help.
Options = argparse._ActionsContainer


class Parser(argparse.ArgumentParser):
    """A parser that names what a mistyped command, choice or option looks most like."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As every parser, but unknown options are refused before their values are looked at.

        Else the value of one would be taken for the positional argument of the command.
        """
        given = list(sys.argv[1:] if args is None else args)
        own = given[: given.index("--")] if "--" in given else given
        for word in own if self._subparsers is None else ():
            option = word.partition("=")[0]
            if option.startswith("--") and not self._begins_one(option):
                self.error(f"unrecognized arguments: {option}")
        return super().parse_known_args(given, namespace)

    def _begins_one(self, option: str) -> bool:
        """Whether it is an option, or the beginning of one, which argparse takes for it."""
        return any(known.startswith(option) for known in self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message with a suggestion; exit code 2."""
        known = [str(choice) for action in self._actions for choice in action.choices or ()]
        known += self._option_string_actions
        got = re.search(r"(?:invalid choice: '|unrecognized arguments: )([^'\s]+)", message)
        if got and (guess := difflib.get_close_matches(got[1], known, n=1)):
            message += f"; did you mean {guess[0]}?"
        super().error(message)


def path(text: str) -> Path:
    """A path. Empty text is what a shell leaves of an unset variable, and no current folder.

    Raises:
        ArgumentTypeError: the text is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("got '', allowed: a path (. is the current folder)")
    return Path(text)


def path_text(text: str) -> str:
    """A path that stays text: ``{fold}`` may stand in it, or a name or an address in its place."""
    path(text)
    return text


def params_file(text: str) -> str:
    """A params file: its path, or the bare name of a shipped one."""
    path(text)
    return text


def add_documents(parser: Options, *, required: bool) -> None:
    """``DOCS``: documents files or folders of them, at least one where they are ``required``."""
    parser.add_argument(
        "documents",
        nargs="+" if required else "*",
        type=path,
        metavar="DOCS",
        help="a .jsonl.zst file, or a folder",
    )


def add_output(parser: Options, what: str = "a new folder") -> None:
    """``--output``, and ``--overwrite`` to replace what another call made there."""
    parser.add_argument("--output", required=True, type=path, help=what)
    add_overwrite(parser, "an existing output")


def add_overwrite(parser: Options, what: str) -> None:
    """``--overwrite``: replace what another call made."""
    parser.add_argument("--overwrite", action="store_true", help=f"replace {what}")


def add_tokenizer(parser: Options, default: str = "") -> None:
    """``--tokenizer``, in any form that ``tokens.tokenizer.load_tokenizer`` takes.

    It is required, unless words say what is taken by ``default``.
    """
    what = "a tokenizer.json, or a folder of GPT-2's"
    what = f"{what} (default: {default})" if default else what
    parser.add_argument("--tokenizer", required=not default, type=path, help=what)


def add_params_of_checkpoint(parser: Options) -> None:
    """``--params``, for a checkpoint of another program."""
    parser.add_argument(
        "--params",
        type=params_file,
        help="params file of the model, or the bare name of a shipped one, where the checkpoint "
        "does not hold its own",
    )


def add_max_sequence_length(parser: Options, default: int | None = None) -> None:
    """``--max-sequence-length``, required where there is no default."""
    parser.add_argument(
        "--max-sequence-length",
        required=default is None,
        type=int,
        default=default,
        help="tokens a sample" if default is None else "tokens (default: %(default)s)",
    )


def add_val_fraction(parser: Options, what: str = "share of val", default: float = 0.05) -> None:
    """``--val-fraction``, the share of the documents that goes to the validation split."""
    parser.add_argument(
        "--val-fraction", type=float, default=default, help=f"{what} (default: %(default)s)"
    )


def add_sample(parser: Options) -> None:
    """``--sample``: real PubMed records in the place of files of one's own."""
    parser.add_argument(
        "--sample",
        action="store_true",
        help="30,000 real records of 2020 (fetched once with pip, 57 MB)",
    )


def add_own_input(parser: Options) -> None:
    """``--input``: files of one's own in the place of that sample."""
    parser.add_argument(
        "--input", type=path, help="PubMed XML of your own in place of the fetched sample"
    )


def add_seed(parser: Options, what: str, default: int | None = None) -> None:
    """``--seed`` of what is drawn."""
    parser.add_argument("--seed", type=int, default=default, help=what)


def add_data_set(parser: Options, what: str) -> None:
    """``--dataset``: what the package `datasets` reads."""
    parser.add_argument("--dataset", type=path_text, metavar="NAME_OR_PATH", help=what)


def add_data_set_config(parser: Options, default: str | None = None) -> None:
    """``--dataset-config``: which configuration of the data set is read."""
    what = "where the data set has several" if default is None else "default: %(default)s"
    parser.add_argument("--dataset-config", default=default, metavar="NAME", help=what)


def add_columns(parser: Options, of_id: str) -> None:
    """``--text-column`` and ``--id-column``; ``of_id`` says what the second is without."""
    parser.add_argument("--text-column", default="text", help="default: %(default)s")
    parser.add_argument("--id-column", help=of_id)


def add_limit(parser: Options, what: str) -> None:
    """``--limit``: stop early, for a first try."""
    parser.add_argument("--limit", type=int, metavar="N", help=what)


def add_overrides(parser: Options, metavar: str, text: str) -> None:
    """``--set``: values in the place of those of a params file, collected in ``overrides``."""
    parser.add_argument(
        "--set", dest="overrides", metavar=metavar, action="append", default=[], help=text
    )


def add_sweep(parser: Options) -> None:
    """``--sweep``: one run for each value of a key; each time it is given is in ``sweep``."""
    parser.add_argument(
        "--sweep",
        action="append",
        metavar="KEY.PATH=V1,V2",
        help="one run for each value of a key, each in a folder of its own in model_dir; then a "
        "table of the held-out losses, and the best value where the values enclose it",
    )


def add_threads(parser: Options) -> None:
    """``--threads``, for what computes on the CPU."""
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads (default: OMP_NUM_THREADS, else as many as cores are idle)",
    )


class VersionAction(argparse.Action):
    """``--version``: looked up when it is asked for, and no sooner."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(nargs=0, **settings)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        """Print the versions and end."""
        from mediswift_cs.packages import versions

        print(", ".join(f"{name} {version}" for name, version in versions().items()))
        sys.exit(0)
