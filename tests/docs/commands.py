"""The documented commands: which are run, where, and why the others are not.

python -m tests.docs.commands
"""

from collections import Counter

from .pages import RUNNABLE, Block, Page, all_pages
from .shell import commands

KINDS = ("run", "run elsewhere", "not run")


def kind_of(block: Block) -> str:
    """One of KINDS."""
    if block.is_run:
        return "run"
    return "run elsewhere" if block.run_in else "not run"


def shown(block: Block) -> list[str]:
    """Each command of the block in a line; Python by its first line."""
    if block.language == "python":
        return [f"(Python) {block.text.splitlines()[0]}"]
    return [" ".join(words) for words in commands(block.text)]


def table(pages: list[Page]) -> str:
    """Each command below the place of its block and what is done with it; then the numbers."""
    lines, counts = [], Counter[str]()
    for block in (block for page in pages for block in page.blocks):
        if block.language in RUNNABLE:
            kind = kind_of(block)
            counts[kind] += 1
            why = f" in {block.run_in}" if block.run_in else f": {block.reason}"
            lines.append(f"{block.place} {kind}{'' if block.is_run else why}")
            lines += [f"    {line}" for line in shown(block)]
    return "\n".join([*lines, ", ".join(f"{counts[kind]} blocks {kind}" for kind in KINDS)])


if __name__ == "__main__":
    print(table(all_pages()))
