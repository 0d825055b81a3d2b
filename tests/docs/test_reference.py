"""The pages that are made at each build: every command, every key, every module is there."""

import re
from pathlib import Path

import pytest

from mediswift_cs.cli import command_names
from mediswift_cs.params.section import PositiveCount, Section

from .hooks import hook

REPOSITORY = Path(__file__).parents[2]
PLACE = re.compile(r"<!-- made here: (\w+)((?: [\w.]+)*) -->")

params_reference = hook("params_reference")
commands_reference = hook("commands_reference")
links = hook("links")
lists = hook("lists")
modules = hook("modules")


def without_meaning(section: type[Section], path: str) -> list[str]:
    return [f"{path}.{key.name}" for key in params_reference.keys(section) if not key.meaning]


def test_every_key_has_a_meaning() -> None:
    found = list(params_reference.sections())
    num_keys = sum(len(keys) for _, _, keys in found)
    assert num_keys > 200
    assert [name for path, section, _ in found for name in without_meaning(section, path)] == []


def test_a_key_without_a_meaning_is_found() -> None:
    class Lacking(Section):
        """A section of which one key says nothing."""

        said: PositiveCount = 1
        """What it is."""
        unsaid: PositiveCount = 1

    assert without_meaning(Lacking, "trainer") == ["trainer.unsaid"]


def test_keys_that_are_ours() -> None:
    ours = {
        f"{path}.{key.name}"
        for path, _, keys in params_reference.sections()
        for key in keys
        if key.is_ours
    }
    prompt, loop = "trainer.init.model.soft_prompt", "trainer.init.torch"
    data = "trainer.fit.train_dataloader.tokenizer_sha256"
    assert {prompt, f"{prompt}.position", loop, f"{loop}.tf32", data} <= ours
    assert not {"trainer.init.model.vocab_size", "trainer.init.loop.max_steps"} & ours


def test_page_of_keys() -> None:
    page = params_reference.params_keys()
    assert "| `num_heads` | a whole number, at least 1 | `12` | " in page
    assert "| `EleutherEvalHarness` | a mapping or null | `null` | " in page
    assert "None" not in page
    # Each row has as many cells as the head of its table.
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {6}
    anchors = re.findall(r"\{ #([\w-]+) \}", page)
    assert len(anchors) == len(set(anchors)) > 20
    assert set(re.findall(r"\]\(#([\w-]+)\)", page)) <= set(anchors)


def test_page_of_commands() -> None:
    page = commands_reference.commands()
    shown = re.findall(r"^#{3,4} (mediswift .+)$", page, re.MULTILINE)
    assert {name.split()[1] for name in shown} == set(command_names())
    assert "mediswift pubmedqa artificial" in shown
    assert page.count("usage: ") == len(shown)
    assert max(map(len, page.splitlines())) < 120


def test_places_name_what_can_be_made() -> None:
    made = {}
    for page in sorted((REPOSITORY / "docs" / "reference").rglob("*.md")):
        (place,) = PLACE.findall(page.read_text(encoding="utf-8"))
        made[page.stem] = place
    assert {name for name, _ in made.values()} == {"commands", "params", "modules"}
    names = [name for kind, names in made.values() if kind == "modules" for name in names.split()]
    found = [module for name in names for module in modules.modules_of(name)]
    assert len(found) == len(set(found)) > 50
    assert "mediswift_cs.checkpoints.convert" in found
    with pytest.raises(FileNotFoundError):
        modules.modules_of("no_such_module")


@pytest.mark.parametrize(
    ("source", "uri", "link", "expected"),
    [
        ("docs/params.md", "params.md", "data.md#shards", "data.md#shards"),
        ("docs/tutorials/a.md", "tutorials/a.md", "../data.md", "../data.md"),
        ("docs/index.md", "index.md", "../CONTRIBUTING.md", "contributing.md"),
        ("docs/tutorials/a.md", "tutorials/a.md", "../../CHANGELOG.md", "../changelog.md"),
        ("CHANGELOG.md", "changelog.md", "docs/serving.md", "serving.md"),
        ("docs/params.md", "params.md", "../params/mediswift_xl_75.yaml", None),
        ("docs/params.md", "params.md", "../no_such_file.yaml", "../no_such_file.yaml"),
        ("docs/params.md", "params.md", "../../outside.md", "../../outside.md"),
        ("docs/params.md", "params.md", "https://keepachangelog.com", "https://keepachangelog.com"),
        ("docs/params.md", "params.md", "#seeds", "#seeds"),
    ],
)
def test_links_that_leave_docs(source: str, uri: str, link: str, expected: str | None) -> None:
    kept: list[str] = []
    text = links.with_links(f"See [this]({link}).", source, uri, kept.append)
    if expected is None:
        name = link.removeprefix("../")
        assert text == f"See [this](files/{name})."
        assert kept == [name]
    else:
        assert text == f"See [this]({expected})."
        assert kept == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two of them:\n1. one\n2. two", "Two of them:\n\n1. one\n2. two"),
        ("Two:\n- one\n  more\n- two", "Two:\n\n- one\n  more\n- two"),
        ("### Added\n- one", "### Added\n- one"),
        ("Two:\n\n- one", "Two:\n\n- one"),
        ("```text\nTwo:\n- one\n```", "```text\nTwo:\n- one\n```"),
    ],
)
def test_lists_below_a_paragraph(text: str, expected: str) -> None:
    assert lists.with_lists(text) == expected
