"""A documented command goes through the argument parser of the program that it names."""

import argparse
import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs import cli, run
from mediswift_cs.errors import MediSwiftError
from mediswift_cs.params.load import load_params, shipped_files
from mediswift_cs.sweep.values import parse_sweep

from .pages import REPOSITORY
from .runner import environment

PYTHON = re.compile(r"(?:.*/)?python(?:3(?:\.\d+)?)?")
# It stands for options that are told elsewhere.
ELLIPSIS = "..."
ADDRESS = "HOST:PORT"
NEVER_PARSED = 97
# Other programs are started as they would be, and end where they have read their arguments.
DRIVER = f"""
import argparse, os, runpy, sys
real = argparse.ArgumentParser.parse_args
def parse_args(*given):
    real(*given)
    os._exit(0)
argparse.ArgumentParser.parse_args = parse_args
del sys.argv[0]
if sys.argv[0] == "-m":
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    sys.path.insert(0, os.path.dirname(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")
os._exit({NEVER_PARSED})
"""


class Parsed(BaseException):
    """Raised in the place of doing what was asked for."""

    def __init__(self, namespace: argparse.Namespace) -> None:
        self.namespace = namespace


@contextmanager
def only_parsing() -> Iterator[None]:
    real = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, *given: Any) -> argparse.Namespace:
        raise Parsed(real(self, *given))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
        yield


def problem_of(words: Sequence[str], *, checks_values: bool = True) -> str | None:
    """What is wrong with a command; None: nothing, or it is none of this package's.

    The values that it gives to keys of a params file need no check where it is run: they may be
    wrong on purpose.
    """
    words = [word.replace(ADDRESS, "host:443") for word in words if word != ELLIPSIS]
    program, arguments = Path(words[0]).name, words[1:]
    if program == "torchrun":
        is_script = [word.endswith(".py") for word in arguments]
        rest = arguments[is_script.index(True) :]
        return problem_of(["python", *rest], checks_values=checks_values)
    if program == "make":
        return problem_of_make(arguments)
    if program == "mediswift":
        return _problem(lambda: cli.main(arguments), checks_values)
    if not PYTHON.fullmatch(program) or not arguments:
        return None
    if arguments[0] == "run.py":
        return _problem(lambda: run.main(arguments[1:]), checks_values)
    if arguments[0] == "-m":
        ours = arguments[1].startswith("mediswift_cs")
        return _problem_elsewhere(tuple(arguments)) if ours else None
    if arguments[0].startswith("-"):
        return None
    script = REPOSITORY / arguments[0]
    if not script.is_file():
        return f"{arguments[0]} is no file of the checkout"
    return _problem_elsewhere((str(script), *arguments[1:]))


def _problem(call: Callable[[], int], checks_values: bool) -> str | None:
    printed = io.StringIO()
    try:
        with only_parsing(), redirect_stderr(printed), redirect_stdout(printed):
            call()
    except Parsed as parsed:
        return _problem_of_values(parsed.namespace) if checks_values else None
    except SystemExit as ended:
        # Those of --help and --version have the code 0.
        return printed.getvalue().strip().splitlines()[-1] if ended.code else None
    return "the program never read its arguments"


@cache
def _problem_elsewhere(arguments: tuple[str, ...]) -> str | None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == NEVER_PARSED:
        return "the program never read its arguments"
    return done.stderr.strip().splitlines()[-1] if done.returncode else None


def _problem_of_values(given: argparse.Namespace) -> str | None:
    """A key that a shipped params file does not have, or a value that it does not take there."""
    file = getattr(given, "params", getattr(given, "file", None))
    name = str(file).removeprefix("params/")
    if name not in shipped_files() or not hasattr(given, "overrides"):
        return None
    overrides = run.collect_overrides(given) if hasattr(given, "device") else given.overrides
    swept = parse_sweep(given.sweep) if getattr(given, "sweep", None) else None
    variants = [[f"{swept.key}={value.text}"] for value in swept.values] if swept else [[]]
    try:
        for variant in variants:
            load_params(name, [*overrides, *variant], check_data="none")
    except MediSwiftError as error:
        return str(error)
    return None


def problem_of_key(key: str) -> str | None:
    """Whether a params file may have the key."""
    try:
        load_params("mediswift_tiny_75.yaml", [f"{key}=null"], check_data="none")
    except MediSwiftError as error:
        return str(error) if "unknown key" in str(error) else None
    return None


def problem_of_make(arguments: Sequence[str]) -> str | None:
    known = re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    unknown = [word for word in arguments if "=" not in word and word not in known]
    return f"the Makefile has no target {', '.join(unknown)}" if unknown else None


def problem_of_mention(words: Sequence[str]) -> str | None:
    """What is wrong with a command of ours in a sentence, where options may be left out."""
    parser = cli.build_parser()
    known = list(parser._option_string_actions)
    for word in words[1:]:
        if parser._subparsers is None or word.startswith("-") or not word.islower():
            break
        (subparsers,) = parser._subparsers._group_actions
        choices: dict[str, argparse.ArgumentParser] = dict(subparsers.choices or {})
        if word not in choices:
            return f"there is no command {word}"
        parser = choices[word]
        known += parser._option_string_actions
    options = [word.partition("=")[0] for word in words if word.startswith("--")]
    unknown = [word for word in options if not any(name.startswith(word) for name in known)]
    return f"unknown: {' '.join(unknown)}" if unknown else None
