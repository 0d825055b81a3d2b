"""Links of pages to files of the checkout that are no pages of the site."""

import posixpath
import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Files at the top that the site has as pages.
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
# Where the site keeps a copy of what else a page links to.
FILES = "files"

LINK = re.compile(r"(\]\()([^)\s#:]+)((?:#[^)\s]*)?\))")


def target_in_site(source: str, link: str) -> str | None:
    """Where the site has what a page links to, from the top of the site; None: where it says.

    Args:
        source: the page's file, from the top of the checkout, such as ``docs/params.md``.
        link: the link as it is written there.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(source), link))
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    if path in PAGES:
        return PAGES[path]
    # What is not there stays as it is, and the strict build refuses it.
    return f"{FILES}/{path}" if not path.startswith("..") and (ROOT / path).is_file() else None


def with_links(text: str, source: str, uri: str, keep: Callable[[str], object]) -> str:
    """A page's text with its links as they are within the site.

    Args:
        text: Markdown.
        source: its file, from the top of the checkout.
        uri: the page, from the top of the site's sources, such as ``tutorials/own_data.md``.
        keep: called with each file, from the top of the checkout, that the site must have.
    """

    def replaced(match: re.Match[str]) -> str:
        target = target_in_site(source, match[2])
        if target is None:
            return match[0]
        if target.startswith(f"{FILES}/"):
            keep(target.removeprefix(f"{FILES}/"))
        here = posixpath.relpath(target, posixpath.dirname(uri) or ".")
        return f"{match[1]}{here}{match[3]}"

    return LINK.sub(replaced, text)
