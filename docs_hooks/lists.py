"""Lists as GitHub reads them: one may follow a paragraph without an empty line between."""

import re
from collections.abc import Iterator

ITEM = re.compile(r"(?:\d+\.|[-*]) \S")
FENCE = re.compile(r"\s*(?:```|~~~)")


def with_lists(text: str) -> str:
    """A page with an empty line before each list that begins right below a paragraph."""
    return "\n".join(_lines(text))


def _lines(text: str) -> Iterator[str]:
    above = ""
    in_fence = False
    for line in text.split("\n"):
        in_fence ^= bool(FENCE.match(line))
        is_paragraph = above.strip() and not above.startswith((" ", "#"))
        if not in_fence and ITEM.match(line) and is_paragraph and not ITEM.match(above):
            yield ""
        yield line
        above = line
