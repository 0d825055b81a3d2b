"""Every block that has no marker is run, page by page."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from .pages import Page, all_pages
from .runner import BlockError, Folders, chain

PAGES = {page.name: page for page in all_pages()}
WITH_BLOCKS = [name for name, page in PAGES.items() if any(block.is_run for block in page.blocks)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return Folders(PAGES, tmp_path_factory.mktemp("pages"))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_page(name: str, folders: Folders, request: pytest.FixtureRequest) -> None:
    blocks = [block for page in chain(PAGES[name], PAGES) for block in page.blocks]
    if any(" CSX " in block.text for block in blocks if block.is_run) and not find_spec("cerebras"):
        pytest.skip("needs cerebras-pytorch, which Python 3.11 alone has")
    if any("--sample" in block.text for block in blocks if block.is_run):
        request.getfixturevalue("sample_files")
    folders.of(name)


def page(*blocks: str, language: str = "sh", above: str = "") -> Page:
    return Page("a.md", "".join(f"{above}\n```{language}\n{block}\n```\n" for block in blocks))


def folders_of(tmp_path: Path, *pages: Page) -> Folders:
    return Folders({page.name: page for page in pages}, tmp_path / "pages")


@pytest.mark.parametrize(
    "planted",
    [
        page("mediswift params show no_such.yaml"),
        page("true", "mediswift params show no_such.yaml | cat"),
        page("false\ntrue"),
        page("echo $no_such_variable"),
        # Neither is installed where the tests are: it needs a marker.
        page("csctl get jobs"),
        page("raise SystemExit(3)", language="python"),
    ],
)
def test_control_a_failing_command_is_noticed(planted: Page, tmp_path: Path) -> None:
    with pytest.raises(BlockError, match=r"a\.md:\d+ ended with exit code"):
        folders_of(tmp_path, planted).of("a.md")
    marked = page("csctl get jobs", above="<!-- not run: needs a cluster -->")
    assert list(folders_of(tmp_path / "marked", marked).of("a.md").iterdir())


def shown(command: str, text: str) -> Page:
    return Page("a.md", f"```sh\n{command}\n```\n\n<!-- printed -->\n```text\n{text}\n```\n")


def test_what_a_page_shows_is_what_is_printed(tmp_path: Path) -> None:
    said = "12:30:01 step 5  loss 7.1720 lr 2.54e-04 170 tokens/s"
    for number, text in enumerate([said, "step 5 loss 6.9000 lr 3.1e-04 2,170 tokens/s"]):
        folders_of(tmp_path / str(number), shown(f"echo '{said}'", text)).of("a.md")


@pytest.mark.parametrize("text", ["step 6 loss 7.1720 lr 2.54e-04 170 tokens/s", "step 5"])
def test_control_what_is_not_printed_is_noticed(text: str, tmp_path: Path) -> None:
    said = "12:30:01 step 5 loss 7.1720 lr 2.54e-04 170 tokens/s"
    with pytest.raises(BlockError, match="shows a line that is not printed"):
        folders_of(tmp_path, shown(f"echo '{said}'", text)).of("a.md")


def test_the_blocks_of_a_page_share_a_folder_and_a_page_after_it_goes_on_there(
    tmp_path: Path,
) -> None:
    first = page("echo 1 > a; python run.py --help", "test -s a && echo $PWD >> runs")
    copy = "```python\nopen('b', 'w').write(open('a').read())\n```"
    again = "```sh\necho $PWD >> runs\n```"
    second = Page("b.md", f"<!-- after: a.md -->\n{copy}\n\n{again}\n")
    folders = folders_of(tmp_path, first, second)
    after, before = folders.of("b.md"), folders.of("a.md")
    assert (after / "b").read_text() == "1\n"
    assert not (before / "b").exists()
    # The first ran once, for both; files that name others by whole paths find them in the second.
    (place,) = (before / "runs").read_text().splitlines()
    assert (after / "runs").read_text().splitlines() == [place, place]


def test_control_a_page_after_one_that_fails_fails(tmp_path: Path) -> None:
    second = Page("b.md", "<!-- after: a.md -->\n```sh\ntrue\n```\n")
    with pytest.raises(BlockError, match=r"a\.md"):
        folders_of(tmp_path, page("false"), second).of("b.md")
