"""Settings and the files that they name."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.prepare.config import load_settings

from .conftest import (
    prepare,
)

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dedup": {"treshold": 0.5}},
            r"dedup.treshold: no such setting, there are: exact, near, threshold, .*, got 0\.5",
        ),
        ({"outptu": 1}, r"outptu: no such setting, there are: output, fetch, .*, got 1"),
        (
            {"clean": {"x": 1}},
            r"clean.x: no such setting, there are: boilerplate, dehyphenate, got",
        ),
        ({"pmc": {"inputs": "data"}}, r"pmc.inputs: must be a list, such as \[.*\], got 'data'"),
        ({"pmc": {"licences": "other"}}, "pmc.licences: must be a list"),
        ({"pmc": {"inputs": [3]}}, "pmc.inputs.0: must be a path, got 3"),
        ({"pmc": {"tables": "maybe"}}, "pmc.tables: must be true or false, got 'maybe'"),
        ({"pmc": {"citations": "keep"}}, "pmc.citations: must be 'brackets' or 'drop', got 'keep'"),
        ({"pmc": {"files_per_part": 1.5}}, "pmc.files_per_part: must be a whole number, got 1.5"),
        ({"dedup": {"threshold": "x"}}, "dedup.threshold: must be a number, got 'x'"),
        ({"dedup": 3}, "dedup: must be a mapping of settings, got 3"),
        ({"engine": None}, "engine: must be a mapping of settings, got null"),
        ({"output": None}, "output: must be a path, got null"),
        ({"dedup": {"threshold": 2}}, "dedup threshold: got 2.*, allowed: above 0, at most 1"),
        ({"dedup": {"threshold": 0.99}}, r"dedup threshold 0\.99 is too high for num_perm 128"),
        ({"pmc": {"licences": ["free"]}}, "pmc.licences.0: must be 'commercial'"),
        (
            {"pubmed": {"inputs": []}, "pmc": {"inputs": []}},
            "no input: set pubmed.inputs, pmc.inputs or",
        ),
        ({"engine": {"scheduler": "tcp://x:1"}}, "engine.scheduler needs engine.name: dask"),
        ({"fetch": {"pmc": "data/pmc"}}, "fetch.pmc needs fetch.pmc_list"),
        ({"hdf5": {"val_fraction": 1}}, "hdf5.val_fraction: must be less than 1, got 1"),
    ],
)
def test_wrong_settings(settings_file: Callable[..., Path], changes: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_settings(settings_file(**changes))


@pytest.mark.parametrize(
    ("section", "name", "content", "message"),
    [
        ("guard", "texts", "[1]", r"bad\.json: got \[1\], allowed: a JSON object"),
        (
            "guard",
            "texts",
            "{",
            r"bad\.json is not JSON, line 1, column 2: Expecting property name",
        ),
        ("guard", "texts", '{"1": {"CONTEXTS": "text"}}', r"bad\.json is no benchmark file"),
        (
            "guard",
            "texts",
            '{"1": {"CONTEXTS": ["too short"]}}',
            "no text of benchmark .* has the 13",
        ),
        ("guard", "pmid_files", "PMC12", r"line 1 of .*bad\.json: got 'PMC12', allowed: a PMID"),
        ("tokenizer", "path", "{}", r"bad\.json is not a tokenizer\.json"),
        ("tokenizer", "path", None, r"tokenizer .*bad\.json does not exist"),
    ],
)
def test_files_of_late_stages_are_read_first(
    settings_file: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    section: Any,
    name: str,
    content: Any,
    message: str,
) -> None:
    bad = tmp_path / "bad.json"
    if content is not None:
        bad.write_text(content)
    path = settings_file(**{section: {name: str(bad) if name == "path" else [str(bad)]}})
    assert prepare(path) == 2
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert "parse:" not in err
    assert prepare(path, "--stage", "parse") == 0


def test_the_shipped_settings_are_valid() -> None:
    settings = load_settings(REPOSITORY / "data_preprocessing/configs/pubmed_pmc.yaml")
    assert settings.pmc.licences == ("commercial",)
    assert settings.guard.pmids
