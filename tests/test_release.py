"""The version and its date stand in three places, which agree."""

import configparser
import datetime
import re
from pathlib import Path

import pytest
import yaml

from mediswift_cs import __version__

REPOSITORY = Path(__file__).parents[1]
# "## 0.2.0 - 2026-11-26"; what is not released yet stands above.
_ENTRY = re.compile(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d\d-\d\d)$", re.MULTILINE)


def stated(folder: Path) -> dict[str, tuple[str, str | None]]:
    """Version and date by place, as the files of a checkout say them."""
    citation = yaml.safe_load((folder / "CITATION.cff").read_text(encoding="utf-8"))
    setup = configparser.ConfigParser()
    setup.read(folder / "setup.cfg", encoding="utf-8")
    version = setup["metadata"]["version"]
    if version == "attr: mediswift_cs.__version__":
        version = __version__
    entries = _ENTRY.findall((folder / "CHANGELOG.md").read_text(encoding="utf-8"))
    assert entries, "CHANGELOG.md has no entry of a version with a date"
    return {
        "__version__": (__version__, None),
        "setup.cfg": (version, None),
        "CITATION.cff": (str(citation["version"]), str(citation["date-released"])),
        "CHANGELOG.md": entries[0],
    }


def disagreements(folder: Path) -> list[str]:
    """What two places say differently."""
    places = stated(folder)
    versions = {version for version, _ in places.values()}
    dates = {date for _, date in places.values() if date is not None}
    return [
        f"{what}: {places}"
        for what, said in (("version", versions), ("date", dates))
        if len(said) > 1
    ]


def test_the_places_of_the_version_agree() -> None:
    assert not disagreements(REPOSITORY)
    datetime.date.fromisoformat(stated(REPOSITORY)["CITATION.cff"][1] or "")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("CITATION.cff", f"\nversion: {__version__}", "\nversion: 9.9.9"),
        ("CITATION.cff", "\ndate-released: 20", "\ndate-released: 19"),
        ("setup.cfg", "attr: mediswift_cs.__version__", "9.9.9"),
        ("CHANGELOG.md", f"\n## {__version__} - ", "\n## 9.9.9 - "),
        ("CHANGELOG.md", f"\n## {__version__} - 20", f"\n## {__version__} - 19"),
    ],
)
def test_control_one_other_place_is_seen(name: str, old: str, new: str, tmp_path: Path) -> None:
    for each in ("CITATION.cff", "setup.cfg", "CHANGELOG.md"):
        text = (REPOSITORY / each).read_text(encoding="utf-8")
        if each == name:
            assert old in text
            text = text.replace(old, new, 1)
        (tmp_path / each).write_text(text, encoding="utf-8")
    assert disagreements(tmp_path)


def test_the_citation_has_what_citing_needs() -> None:
    """By the format's own schema where it is installed: cffconvert --validate."""
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    assert citation["license"] == setup["metadata"]["license"]
    (paper,) = citation["references"]
    assert "2403.00952" in paper["url"]
    assert all(author["family-names"] and author["given-names"] for author in paper["authors"])
