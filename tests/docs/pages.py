"""The fenced blocks of the documentation, and what the comments above them say of running them."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
LANGUAGES = ("sh", "python", "text", "yaml", "json", "toml", "css", "mermaid")
RUNNABLE = ("sh", "python")
# What installs, fetches or changes the environment: never run here, so never without a marker.
MARKED_WORDS = ("pip", "make", "git", "docker", "curl", "apt-get", "conda")

FENCE = re.compile(r"(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[^\s`]*).*")
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>\S.*\S) -->")
RUN_IN = re.compile(r"<!-- run in (?P<path>\S+) -->")
AFTER = re.compile(r"<!-- after: (?P<page>\S+\.md) -->")
# Above a block of text: the block before it is run, and prints these lines, but for the digits of
# numbers with a fraction, which machines differ in.
PRINTED = re.compile(r"<!-- printed -->")
# A comment that seems to be meant as one of these.
LIKE_A_MARKER = re.compile(r"<!--\s*(not[ _-]?run|run|after|printed)\b.*", re.IGNORECASE)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
# A command in a block without a fence, which would escape the checks.
INDENTED_COMMAND = re.compile(r"(?: {4,}|\t)[ \t]*(?:\$ )?(mediswift|python3?|make|pip|cszoo) .*")


@dataclass(frozen=True)
class Block:
    """One fenced block: where its fence is, and why it is not run there (or which test does)."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    run_in: str | None = None
    is_printed: bool = False

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.language in RUNNABLE and self.reason is None and self.run_in is None


@dataclass
class Page:
    """A page of the documentation; `name` is its path in the checkout."""

    name: str
    text: str
    problems: list[str] = field(default_factory=list)

    @cached_property
    def blocks(self) -> list[Block]:
        return list(self._blocks())

    @cached_property
    def prose(self) -> list[tuple[int, str]]:
        """The lines outside of all fences, with their numbers."""
        inside = {
            number
            for block in self.blocks
            for number in range(block.line, block.line + block.text.count("\n") + 2)
        }
        return [
            (number, line)
            for number, line in enumerate(self.text.splitlines(), start=1)
            if number not in inside
        ]

    @property
    def after(self) -> str | None:
        """The page whose folder this one goes on in: a path in the checkout."""
        for line in self.text.splitlines()[:5]:
            if found := AFTER.fullmatch(line):
                return (Path(self.name).parent / found["page"]).as_posix()
        return None

    def _blocks(self) -> Iterator[Block]:
        lines = self.text.splitlines()
        start = 0
        while start < len(lines):
            opened = FENCE.fullmatch(lines[start])
            if not opened:
                start += 1
                continue
            end = next(
                (
                    number
                    for number in range(start + 1, len(lines))
                    if (closed := FENCE.fullmatch(lines[number]))
                    and closed["fence"].startswith(opened["fence"])
                    and not closed["language"]
                ),
                None,
            )
            if end is None:
                self.problems.append(f"{self.name}:{start + 1}: a fence that is never closed")
                return
            content = "".join(f"{line}\n" for line in lines[start + 1 : end])
            above = lines[start - 1].strip() if start else ""
            yield Block(
                self.name,
                start + 1,
                opened["language"],
                textwrap.dedent(content),
                reason=found["reason"] if (found := NOT_RUN.fullmatch(above)) else None,
                run_in=found["path"] if (found := RUN_IN.fullmatch(above)) else None,
                is_printed=bool(PRINTED.fullmatch(above)),
            )
            start = end + 1


def all_pages(root: Path = REPOSITORY) -> list[Page]:
    """README, CONTRIBUTING and everything below docs."""
    files = [root / "README.md", root / "CONTRIBUTING.md", *sorted((root / "docs").rglob("*.md"))]
    return [
        Page(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")) for file in files
    ]
