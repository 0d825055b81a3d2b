"""Links between the pages, to files and to sections, lead somewhere; so do pictures."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from .pages import INLINE, REPOSITORY, Page, all_pages

IMAGE = re.compile(r"!\[[^\]]*\]\(\s*<?([^\s)>]+)>?[^)]*\)")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^\s)>]+)>?[^)]*\)")
DEFINITION = re.compile(r"^\s*\[[^\]]+\]:\s+(\S+)", re.MULTILINE)
TAG = re.compile(r"<(?:img|a)\s[^>]*?(?:src|href)=\"([^\"]+)\"")
ANCHOR = re.compile(r"(?:<a\s[^>]*?(?:id|name)=\"|\{:?\s*#)([\w-]+)")
# A module or a folder of the source, as ``storage/read.py`` or ``storage/``.
SOURCE = re.compile(r"`((?:[\w-]+/)*[\w-]+\.py|(?:[\w-]+/)+)`")
# Folders that other pages name are those of results.
PAGES_OF_FOLDERS = ("docs/architecture.md", "CONTRIBUTING.md")
# llama.cpp's.
OF_OTHERS = ("convert_hf_to_gguf.py",)
ELSEWHERE = re.compile(r"[a-z]+:", re.IGNORECASE)


def prose(page: Page) -> str:
    return "\n".join(line for _, line in page.prose)


def targets(page: Page) -> list[str]:
    text = INLINE.sub("``", prose(page))
    # A picture may be what a link shows.
    links = LINK.findall(IMAGE.sub("", text))
    return [*IMAGE.findall(text), *links, *DEFINITION.findall(text), *TAG.findall(text)]


def anchors(page: Page) -> set[str]:
    """The names that GitHub gives to the headings, and those that are written out."""
    seen, found = Counter[str](), set(ANCHOR.findall(page.text))
    for line in prose(page).splitlines():
        if heading := re.fullmatch(r"#{1,6}\s+(.*?)\s*#*", line):
            shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).replace("\\", "")
            slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def problems(page: Page, root: Path = REPOSITORY) -> Iterator[str]:
    for target in targets(page):
        if ELSEWHERE.match(target):
            continue
        name, _, anchor = unquote(target).partition("#")
        file = (root / page.name).parent / name if name else root / page.name
        if not file.exists():
            yield f"{page.name}: {target}: there is no such file"
        elif anchor and file.suffix == ".md":
            there = page if not name else Page(name, file.read_text(encoding="utf-8"))
            if anchor not in anchors(there):
                yield f"{page.name}: {target}: there is no such section"


def test_links() -> None:
    pages = all_pages()
    assert sum(len(targets(page)) for page in pages) > 50
    found = [problem for page in pages for problem in problems(page)]
    assert not found, "\n".join(found)


def test_readme_has_its_picture() -> None:
    (readme,) = [page for page in all_pages() if page.name == "README.md"]
    (picture,) = IMAGE.findall(prose(readme))
    assert 0 < (REPOSITORY / picture).stat().st_size < 250_000


@pytest.mark.parametrize(
    ("text", "num_problems"),
    [
        ("[a](other.md#one-two-1), [b](#here), [c](https://a.b/c.md), `[d](no.md)`\n\n## Here", 0),
        ("[a](no_such.md)", 1),
        ("![a picture\nof two lines](no_such.png)", 1),
        ("[a](other.md#three)", 1),
        ("[a](#here)", 1),
        ("[a][b]\n\n[b]: no_such.md", 1),
        ('<img src="no_such.png">', 1),
        ("[![a](no_such.png)](no_such_either.md)", 2),
        ("```text\n[a](no_such.md)\n```", 0),
    ],
)
def test_control_a_wrong_link_is_noticed(text: str, num_problems: int, tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One, *two*\n\n## One `two`\n")
    page = Page("page.md", text)
    (tmp_path / page.name).write_text(text)
    assert len(list(problems(page, tmp_path))) == num_problems


def sources() -> set[str]:
    """The modules of this repository and the folders that they and the pages lie in."""
    folders = [REPOSITORY / name for name in ("src", "tests", "docs_hooks", "benchmarks")]
    found = [*REPOSITORY.glob("*.py"), *(path for each in folders for path in each.rglob("*.py"))]
    found += (REPOSITORY / "src").rglob("*.jinja")
    names = [path.relative_to(REPOSITORY) for path in found] + [Path("docs/index.md")]
    return {f"/{name}" for name in names} | {f"/{up}/" for name in names for up in name.parents}


def lost_sources(page: Page) -> list[str]:
    """What a page says to be of the source and is not there; the ends of paths are enough."""
    known = sources()
    return [
        f"{page.name}: {name}"
        for name in SOURCE.findall(prose(page))
        if name not in OF_OTHERS and (name.endswith(".py") or page.name in PAGES_OF_FOLDERS)
        if not any(path.endswith(f"/{name}") for path in known)
    ]


def test_modules_and_folders_that_pages_name_are_there() -> None:
    assert [line for page in all_pages() for line in lost_sources(page)] == []


def test_control_a_module_that_is_not_there_is_seen() -> None:
    text = "`params/prompt_agreement.py`, `lock.py`, `hosts/host.py`, `nowhere/`, `storage/`\n"
    assert lost_sources(Page("docs/architecture.md", text)) == [
        "docs/architecture.md: params/prompt_agreement.py",
        "docs/architecture.md: nowhere/",
    ]
    other = Page("docs/data.md", "`nowhere/` and `nowhere.py`\n")
    assert lost_sources(other) == ["docs/data.md: nowhere.py"]
