"""Chromium shows the page: no request, no error, every picture, nothing wider than a phone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediswift_cs.cli import main
from mediswift_cs.pages.page import render
from mediswift_cs.replication.page import write_page

from .browser import NAMES, Browser, chromium, find_chromium
from .small_runs import write_scores

NAMES_OF_PAGES = ("report", "corpus", "claims")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.skip(f"PAGES ARE NOT LOOKED AT: none of {', '.join(NAMES)} is installed")
    with chromium(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def pages(toy_run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of each kind, with long words."""
    folder = tmp_path_factory.mktemp("pages")
    other = folder / ("long_name_of_a_run_" * 8)
    other.mkdir()
    (other / "metrics.jsonl").write_text((toy_run / "metrics.jsonl").read_text())
    label = "a_label_of_many_letters_" * 4
    scores = write_scores(folder / "scores", other / "checkpoint_1.mdl", label=label)
    command = ["report", str(toy_run), str(other), "--scores", str(scores)]
    assert main([*command, "--output", str(folder / "report.html")]) == 0
    rows = [("word" * 30, 123_456), ("b", 1)]
    corpus = render(
        "mediswift_cs.prepare",
        "corpus.html.jinja",
        **dict.fromkeys(("totals", "unlisted", "lengths", "years", "journals", "licences"), rows),
        title="Corpus",
        quarantined=[{"file": "f" * 200, "reason": "<b>"}],
        counts={"parse": dict(rows)},
        num_shown_journals=30,
    )
    (folder / "corpus.html").write_text(corpus)
    recorded = Path(__file__).parents[2] / "docs" / "reproduce.claims.json"
    write_page(folder / "claims.html", json.loads(recorded.read_text()))
    return {name: folder / f"{name}.html" for name in NAMES_OF_PAGES}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", NAMES_OF_PAGES)
def test_a_page_asks_for_nothing_and_fits(
    browser: Browser, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    seen = browser.look(pages[name], width, scheme)
    own = [one for one in seen.requests if not one.startswith("data:")]
    assert own == [pages[name].as_uri()]
    assert seen.messages == []
    assert seen.scroll_width == width
    assert seen.pictures == ([32] if name == "report" else [])
    assert seen.background == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(18, 22, 26)")


def test_bars_are_as_long_as_their_numbers(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    names = ("totals", "unlisted", "lengths", "years", "licences")
    page.write_text(
        render(
            "mediswift_cs.prepare",
            "corpus.html.jinja",
            **{name: [] for name in names},
            title="Corpus",
            quarantined=[],
            counts={},
            journals=[("a name of some words", 1000), ("b", 500), ("c", 10)],
            num_shown_journals=30,
        )
    )
    for width in (400, 1400):
        bars = browser.look(page, width, "light").bars
        assert [length / bars[0][0] for length, _ in bars] == pytest.approx(
            [1, 0.5, 0.01], abs=0.02
        )
        assert all(overhang <= 0 for _, overhang in bars)


def test_control_what_a_page_must_not_do_is_seen(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        "<img src=http://127.0.0.1:9/a.png><script>console.log(1)</script>"
        "<div style='width:900px'>wide</div>"
    )
    seen = browser.look(page, 400, "light")
    assert "http://127.0.0.1:9/a.png" in seen.requests
    assert seen.messages
    assert seen.scroll_width > 400
    assert seen.pictures == [0]
