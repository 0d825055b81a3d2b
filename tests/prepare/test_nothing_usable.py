"""What cannot be read is told: by outcome, by file, and never as a success."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.documents_file import read_documents
from mediswift_cs.prepare.config import PmcSettings, PrepareSettings, load_settings
from mediswift_cs.prepare.parse import parse_part
from mediswift_cs.prepare.parts import find_parts

from .conftest import article, manifest_of, prepare
from .test_hostile_input import add

REPLY = '<pmc-articleset><Reply Id="9" error="not available"/></pmc-articleset>'
MARKED = '<xref ref-type="bibr" rid="b1">12</xref>'


def write_settings(folder: Path, **pmc: Any) -> Path:
    settings = {
        "output": str(folder / "out"),
        "pmc": {"inputs": [str(folder / "in")], **pmc},
        "tokenizer": {"vocab_size": 300},
        "hdf5": {"max_sequence_length": 64, "val_fraction": 0},
        "engine": {"workers": 1},
    }
    path = folder / "settings.yaml"
    path.write_text(json.dumps(settings))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path


@pytest.mark.parametrize("stages", [(), ("--stage", "parse")])
def test_nothing_usable_is_no_success(
    folder: Path, capsys: pytest.CaptureFixture[str], stages: Any
) -> None:
    (folder / "in" / "a.xml").write_text(REPLY)
    (folder / "in" / "b.NXML").write_text(article(2, 2, licence="by-nc"))
    (folder / "in" / "c.xml").write_text("<pmc-articleset/>")
    assert prepare(write_settings(folder), *stages) == 2
    manifest = manifest_of(folder / "out")
    assert manifest["stages"]["parse pmc"] == {"licence_non_commercial": 1, "not_an_article": 1}
    assert manifest["first_files"] == {
        "licence_non_commercial": "b.NXML",
        "not_an_article": "a.xml",
    }
    (quarantined,) = manifest["quarantined"]
    assert quarantined["file"] == "c.xml"
    (error,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    for part in (
        "no usable document: ",
        "licence_non_commercial 1 (first in b.NXML)",
        "not_an_article 1 (first in a.xml)",
        "quarantined c.xml: c.xml is a set without any article",
    ):
        assert part in error
    # Mended, the same output folder is used again.
    (folder / "in" / "c.xml").write_text(article(3, 3))
    assert prepare(write_settings(folder)) == 0
    assert "tokenizer" in manifest_of(folder / "out")


def test_every_member_of_an_archive_has_an_outcome(folder: Path) -> None:
    path = folder / "in" / "a.TAR"
    with tarfile.open(path, "w") as archive:
        add(archive, "a.NXML", article(1, 1).encode())
        add(archive, "b.nxml.gz", b"\x1f\x8bdamaged")
        add(archive, "c.xml", REPLY.encode())
        add(archive, "d.xml", f"<articles>{article(4, 4)}</articles>".encode())
        add(archive, "e.tar.gz", b"")
        add(archive, "f.jpg", b"")
    (part,) = find_parts(PrepareSettings(output=path, pmc=PmcSettings(inputs=(path,))))
    result = parse_part(part, PmcSettings(), folder / "a.jsonl.zst", None)
    assert result.counts == {"kept": 2, "not_an_article": 1}
    assert [each.file for each in result.quarantined] == ["a.TAR:b.nxml.gz", "a.TAR:e.tar.gz"]
    assert len(list(read_documents(folder / "a.jsonl.zst"))) == 2


@pytest.mark.parametrize(("citations", "text"), [("brackets", "grown [12]."), ("drop", "grown.")])
def test_citations_are_a_setting(folder: Path, citations: str, text: str) -> None:
    marked = article(1, 1).replace("<body>", f"<body><p>It was grown{MARKED}.</p>")
    (folder / "in" / "a.xml").write_text(marked)
    settings = load_settings(write_settings(folder, citations=citations))
    (part,) = find_parts(settings)
    parse_part(part, settings.pmc, folder / "a.jsonl.zst", None)
    (document,) = read_documents(folder / "a.jsonl.zst")
    assert f"It was {text}" in document.text.split("\n")


def test_elements_that_are_not_listed_are_counted(folder: Path) -> None:
    odd = "<p><odd>One</odd> <odd>two</odd> <new-thing>three</new-thing>.</p>"
    (folder / "in" / "a.xml").write_text(article(1, 1).replace("<body>", f"<body>{odd}"))
    left_out = article(2, 2, licence="by-nc").replace("<body>", "<body><p><other>x</other></p>")
    (folder / "in" / "b.xml").write_text(left_out)
    assert prepare(write_settings(folder)) == 0
    assert manifest_of(folder / "out")["unlisted_elements"] == {"new-thing": 1, "odd": 2}
    page = (folder / "out" / "corpus.html").read_text()
    assert "elements read as text" in page
    assert "new-thing" in page
    (documents,) = (folder / "out" / "documents").glob("*.zst")
    assert "One two three." in next(iter(read_documents(documents))).text
