"""The documentation site: builds strictly, shows every page, and asks nothing of another host."""

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from .hooks import hook

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
links = hook("links")

NEEDED = ("mkdocs", "material", "mkdocstrings")
needs_mkdocs = pytest.mark.skipif(
    any(find_spec(name) is None for name in NEEDED),
    reason="NOT RUN: the strict build needs requirements/docs.txt; `make docs` does it",
)


class _Loader(yaml.SafeLoader):
    """mkdocs.yml names a function of Python, which is of no interest here."""


_Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    settings = yaml.load((REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), _Loader)
    assert isinstance(settings, dict)
    return settings


def pages_in(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    entries = nav.values() if isinstance(nav, dict) else nav
    return [page for entry in entries for page in pages_in(entry)]


def test_every_page_is_in_the_navigation_once(config: dict[str, Any]) -> None:
    pages = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    assert sorted(pages_in(config["nav"])) == sorted([*pages, *links.PAGES.values()])
    # Control.
    assert pages_in([{"A": "a.md"}, {"B": [{"C": "c.md"}, "d.md"]}]) == ["a.md", "c.md", "d.md"]


def test_what_makes_the_build_strict(config: dict[str, Any]) -> None:
    assert config["strict"] is True
    for of in ("nav", "links"):
        assert set(config["validation"][of].values()) == {"warn"}


# What a browser fetches by itself; links that a reader follows are none of it. Material draws
# mermaid with a script of another host.
FOREIGN = re.compile(
    r"""!\[[^\]]*\]\(\s*<?(?:https?:)?//\S+|<(?:img|script|link|iframe|video|source)\b[^>]*//[^>]*>"""
    r"""|^```\s*mermaid|@import|url\(['"]?(?:https?:)?//""",
    re.MULTILINE,
)


def test_no_page_asks_another_host(config: dict[str, Any]) -> None:
    files = [*DOCS.rglob("*.md"), *DOCS.rglob("*.css"), *map(REPOSITORY.joinpath, links.PAGES)]
    texts = {file.name: file.read_text(encoding="utf-8") for file in files}
    assert {name: found for name, text in texts.items() if (found := FOREIGN.findall(text))} == {}
    assert config["theme"]["font"] is False
    assert "extra_javascript" not in config
    assert "analytics" not in config.get("extra", {})


@pytest.mark.parametrize(
    "text",
    [
        "![a](https://example.org/a.png)",
        "![a](//example.org/a.png)",
        'x <img alt="a" src="https://example.org/a.png">',
        '<script src="//example.org/a.js"></script>',
        "```mermaid\ngraph\n```",
        "a { background: url(https://example.org/a.png) }",
    ],
)
def test_what_asks_another_host_is_found(text: str) -> None:
    assert FOREIGN.search(text)


class Requests(HTMLParser):
    """What a browser would fetch from another host for one page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        wanted = "href" if tag == "link" else "src"
        if tag == "a" or given.get("rel") in ("canonical", "next", "prev"):
            return
        if re.match(r"(https?:)?//", given.get(wanted) or ""):
            self.found.append(f"{tag} {given[wanted]}")


def build(folder: Path, site: Path) -> "subprocess.CompletedProcess[str]":
    # Not --quiet, which counts no warnings.
    command = [sys.executable, "-m", "mkdocs", "build", "-d", str(site)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@needs_mkdocs
def test_strict_build(tmp_path: Path) -> None:
    built = build(REPOSITORY, tmp_path / "site")
    assert built.returncode == 0, built.stdout + built.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        requests = Requests()
        requests.feed(page.read_text(encoding="utf-8"))
        assert requests.found == [], page
    # Control.
    requests = Requests()
    requests.feed('<link rel="stylesheet" href="https://a.b/c"><a href="https://a.b">x</a>')
    assert requests.found == ["link https://a.b/c"]


@needs_mkdocs
def test_a_broken_link_or_anchor_ends_the_build(tmp_path: Path) -> None:
    for name in ("docs", "docs_hooks", "src"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=ignored)
    for name in ("mkdocs.yml", *links.PAGES):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    with (tmp_path / "docs" / "plan.md").open("a", encoding="utf-8") as page:
        page.write("\n[a](no_such_page.md) [b](data.md#no-such-section) [c](../no_such_file.txt)\n")
    built = build(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    for name in ("no_such_page.md", "no-such-section", "no_such_file.txt"):
        assert name in built.stderr + built.stdout
    assert "Aborted with 3 warnings in strict mode" in built.stderr + built.stdout
