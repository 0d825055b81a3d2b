"""Each message that the troubleshooting page quotes stands in the code."""

import ast
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "troubleshooting.md"
# A heading that is a message and nothing else; `...` stands for what is filled in.
HEADING = re.compile(r"^### `(.+)`$", re.MULTILINE)
# What logging fills in.
HOLE = re.compile(r"%[sdg]|%\.\d+[efg]|%,d")
LEAST_MESSAGES = 30
# Shorter words would be found anywhere.
LEAST_LETTERS = 11


def quoted(page: str) -> list[str]:
    return HEADING.findall(page)


def texts_of(source: str) -> set[str]:
    """The texts in a module but for its docstrings, with `...` for what is filled in."""
    tree = ast.parse(source)
    docstrings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (
                part.value if isinstance(part, ast.Constant) else "..." for part in node.values
            )
            found.add("".join(map(str, parts)))
        elif isinstance(node, ast.Constant) and node not in docstrings:
            found.add(HOLE.sub("...", str(node.value)))
    return found


def unknown(messages: list[str], texts: set[str]) -> list[str]:
    return [message for message in messages if not any(message in text for text in texts)]


@pytest.fixture(scope="module")
def texts() -> set[str]:
    files = (REPOSITORY / "src").rglob("*.py")
    return {text for file in files for text in texts_of(file.read_text(encoding="utf-8"))}


def test_every_message_stands_in_the_code(texts: set[str]) -> None:
    messages = quoted(PAGE.read_text(encoding="utf-8"))
    assert len(messages) >= LEAST_MESSAGES
    assert unknown(messages, texts) == []
    assert len(set(messages)) == len(messages)
    short = [m for m in messages if len(m.replace("...", "").strip()) < LEAST_LETTERS]
    assert short == []


def test_a_message_that_changed_is_found(texts: set[str]) -> None:
    # Control: one word is another, and one is a docstring only.
    stale = ["a walk goes on with finite numbers only", "Base of everything that a user can mend"]
    page = "".join(f"### `{message}`\n\n**Means:** x\n\n" for message in stale)
    assert unknown(quoted(page), texts) == stale


def test_what_is_filled_in_is_a_hole() -> None:
    source = """def f(x):
    'Only this.'
    raise E(f"{x} is bad: " f"got {x!r}", "step %d of %s")
"""
    found = texts_of(source)
    assert {"... is bad: got ...", "step ... of ..."} <= found
    assert "Only this." not in found
