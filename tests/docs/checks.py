"""What is wrong with the pages, without running anything: sentences, each with its place."""

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from .pages import (
    AFTER,
    INDENTED_COMMAND,
    INLINE,
    LANGUAGES,
    LIKE_A_MARKER,
    MARKED_WORDS,
    NOT_RUN,
    PRINTED,
    REPOSITORY,
    RUN_IN,
    RUNNABLE,
    Block,
    Page,
)
from .parsers import ELLIPSIS, problem_of, problem_of_key, problem_of_mention
from .shell import commands

TEST = re.compile(r"\btests(?:/\w+)+(?:\.py)?")
# A key of which only the pattern is shown is in capitals.
SETTING = re.compile(r"--(?:set|sweep) '?([a-z][\w.]*)=")
# What a run is asked for beside training.
MODES = ("--validate_only", "--compile_only", "--sweep", "--dry-run", "--engine")


def problems_of_fences(page: Page) -> Iterator[str]:
    """A fence without a language, or with an unknown one; a command without a fence."""
    for block in page.blocks:
        if block.language not in LANGUAGES:
            yield f"{block.place}: language {block.language!r}, allowed: {', '.join(LANGUAGES)}"
    yield from page.problems
    for number, line in page.prose:
        if INDENTED_COMMAND.fullmatch(line):
            yield f"{page.name}:{number}: a command without a fence: {line.strip()}"


def problems_of_markers(page: Page) -> Iterator[str]:
    """A marker that says nothing, stands where it has no effect, or names no test of the block."""
    for block in page.blocks:
        yield from _problems_of_marker(block)
    fences = {block.line for block in page.blocks if block.language in RUNNABLE}
    shown = {
        block.line
        for before, block in pairwise(page.blocks)
        if before.is_run and block.language == "text"
    }
    for number, line in page.prose:
        text, place = line.strip(), f"{page.name}:{number}"
        if AFTER.fullmatch(text):
            if number > 5 or page.after is None:
                yield f"{place}: {text} belongs into the first five lines"
            elif not (REPOSITORY / page.after).is_file():
                yield f"{place}: there is no page {page.after}"
        elif NOT_RUN.fullmatch(text) or RUN_IN.fullmatch(text):
            if number + 1 not in fences:
                yield f"{place}: no block of {' or '.join(RUNNABLE)} below: {text}"
        elif PRINTED.fullmatch(text):
            if number + 1 not in shown:
                yield f"{place}: no block of text below that follows one that is run: {text}"
        elif LIKE_A_MARKER.match(text):
            yield f"{place}: no marker that is known: {text}"


def _problems_of_marker(block: Block) -> Iterator[str]:
    if block.reason is not None:
        if len(block.reason.split()) < 2:
            yield f"{block.place}: {block.reason!r} is no reason"
        for name in TEST.findall(block.reason):
            if not (REPOSITORY / name).exists():
                yield f"{block.place}: there is no {name}"
    if block.run_in is not None:
        file = REPOSITORY / block.run_in
        if not file.is_file() or Path(block.run_in).parts[0] != "tests":
            yield f"{block.place}: there is no test {block.run_in}"
            return
        code = file.read_text(encoding="utf-8")
        # A test that takes the code out of the page names the page.
        for word in () if Path(block.page).name in code else words_to_find(block):
            if not re.search(rf"(?<!\w){re.escape(word)}\b", code):
                yield f"{block.place}: {block.run_in} does not run {word}"
    if block.is_run and block.language == "sh":
        given = [words[0] for words in commands(block.text)]
        for word in sorted({Path(word).name for word in given} & {*MARKED_WORDS}):
            yield f"{block.place}: {word} changes or fetches something: give the block a marker"


def words_to_find(block: Block) -> Iterator[str]:
    """What a test that runs the block must name: sub-commands, modes of a run, scripts, modules."""
    if block.language == "python":
        # Only a test that reads the page can run it as it stands.
        yield Path(block.page).name
        return
    for program, *arguments in commands(block.text):
        if "--params" in arguments:
            modes = [word for word in arguments if word in MODES]
            yield from modes or ["--params"]
        elif program == "mediswift":
            yield arguments[0]
        elif program == "python":
            # A module of the package is named in full where it is run, or imported.
            name = arguments[1] if arguments[0] == "-m" else Path(arguments[0]).stem
            yield name.rpartition(".")[2]
        else:
            yield program


def problems_of_commands(page: Page) -> Iterator[str]:
    """A command that the program itself would refuse, in a block that is run or not."""
    for block in page.blocks:
        if block.language == "sh":
            for words in commands(block.text):
                if problem := problem_of(words, checks_values=not block.is_run):
                    yield f"{block.place}: {shlex.join(words)}: {problem}"


def problems_of_inline_code(page: Page) -> Iterator[str]:
    """The same of code in sentences; whole commands where they stand in a table of the README."""
    for number, line in page.prose:
        for code in INLINE.findall(line):
            try:
                (words,) = commands(code)
            except (ValueError, AssertionError):
                continue
            in_table = page.name == "README.md" and line.startswith("|") and len(words) > 2
            is_run = "--params" in words and ELLIPSIS not in words
            problem = None
            if in_table or is_run or words[0] == "make":
                problem = problem_of(words)
            elif words[0] == "mediswift":
                problem = problem_of_mention(words)
            if problem:
                yield f"{page.name}:{number}: `{code}`: {problem}"


def problems_of_settings(page: Page) -> Iterator[str]:
    """A key that no params file has, in a `--set` without its command."""
    texts = [(number, code) for number, line in page.prose for code in INLINE.findall(line)]
    texts += [(block.line, block.text) for block in page.blocks if block.language == "text"]
    for number, text in texts:
        for key in SETTING.findall(text):
            if problem := problem_of_key(key):
                yield f"{page.name}:{number}: {problem}"


CHECKS = (
    problems_of_fences,
    problems_of_markers,
    problems_of_settings,
    problems_of_commands,
    problems_of_inline_code,
)
