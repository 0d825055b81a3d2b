"""The simple commands of a block of shell."""

import re
import shlex
from collections.abc import Iterator

SEPARATORS = re.compile(r"[;&|]+")
REDIRECTION = re.compile(r"[<>]+&?")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
HEREDOC = re.compile(r"<<-?\s*['\"]?(\w+)['\"]?")
# What may stand before a command, and what is none.
PREFIXES = ("if", "then", "else", "do", "while", "until", "time", "!", "{", "(", "nice", "sudo")
NO_COMMANDS = ("for", "done", "fi", "}", ")")


def logical_lines(text: str) -> Iterator[str]:
    """Lines with those that go on in the next one, by a backslash or an open quote, joined."""
    lines = iter(text.splitlines())
    for line in lines:
        joined = line
        while joined.endswith("\\") or not _is_closed(joined):
            following = next(lines, None)
            assert following is not None, f"a command that does not end: {joined}"
            joined = f"{joined.removesuffix(chr(92))}{'' if line.endswith(chr(92)) else chr(10)}"
            joined += following
            line = following
        yield joined
        if found := HEREDOC.search(joined):
            for body in lines:
                if body.strip() == found[1]:
                    break


def _is_closed(text: str) -> bool:
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return True


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command, without redirections, assignments and the shell's own words."""
    for line in logical_lines(text):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
        lexer.whitespace_split = True
        words: list[str] = []
        is_target = False
        for token in lexer:
            if SEPARATORS.fullmatch(token):
                yield from _command(words)
                words = []
            elif REDIRECTION.fullmatch(token):
                is_target = True
                # The 2 of 2>.
                if words and words[-1].isdigit():
                    words.pop()
            elif is_target:
                is_target = False
            else:
                words.append(token)
        yield from _command(words)


def _command(words: list[str]) -> Iterator[list[str]]:
    while words and (words[0] in PREFIXES or ASSIGNMENT.fullmatch(words[0])):
        words = words[1:]
    if words and words[0] not in NO_COMMANDS:
        yield words
