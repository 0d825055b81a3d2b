"""Inputs that mean harm: named, quarantined, nothing written elsewhere, memory bounded."""

import gzip
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.cli import main
from mediswift_cs.corpora.pubmed import read_pubmed
from mediswift_cs.corpora.tar_archive import read_members
from mediswift_cs.errors import DataError
from mediswift_cs.prepare.config import PmcSettings, PrepareSettings, load_settings
from mediswift_cs.prepare.parse import parse_part
from mediswift_cs.prepare.parts import find_parts

from .conftest import article, article_set, record

BOMB = (
    '<!DOCTYPE article [<!ENTITY a "'
    + "x" * 1000
    + '">'
    + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 100}">' for n in range(8))
    + "]>"
)


def add(archive: Any, name: str, data: Any = b"", **changes: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in changes.items():
        setattr(member, key, value)
    archive.addfile(member, io.BytesIO(data))


@pytest.fixture
def hostile(tmp_path: Path) -> Any:
    """Good inputs with hostile ones among them."""
    pubmed, pmc = tmp_path / "in" / "pubmed", tmp_path / "in" / "pmc"
    pubmed.mkdir(parents=True)
    pmc.mkdir()
    good = article_set(*(record(pmid) for pmid in range(1, 30)))
    (pubmed / "pubmed20n0001.xml").write_text(good)
    bomb = good.replace("Title 1.", "&i;")
    (pubmed / "pubmed20n0002.xml").write_text(
        BOMB.replace("DOCTYPE article", "DOCTYPE PubmedArticleSet") + bomb
    )
    external = '<!DOCTYPE article [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    (pmc / "external.nxml").write_text(external + article(1, 401).replace("Title 401.", "&x;"))
    (pmc / "bomb.nxml").write_text(BOMB + article(2, 402).replace("Title 402.", "&i;"))
    (pmc / "bad\nutf8 \u202e.nxml").write_bytes(article(3, 403).encode().replace(b"T", b"\xff"))
    (pmc / "deep.nxml").write_text("<article>" + "<sec>" * 100_000)
    (pmc / "good.nxml").write_text(article(4, 404))
    with tarfile.open(pmc / "archive.tar.gz", "w:gz") as archive:
        add(archive, "ok/PMC5.nxml", article(5, 405).encode())
        add(archive, "../../escaped.nxml", article(6, 406).encode())
        add(archive, "/tmp/absolute.nxml", article(7, 407).encode())
        add(archive, "link.nxml", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "hard.nxml", type=tarfile.LNKTYPE, linkname="ok/PMC5.nxml")
        add(archive, "fifo.nxml", type=tarfile.FIFOTYPE)
        add(archive, "damaged.nxml", b"<article><front>")
        add(archive, "ok/PMC8.nxml", article(8, 408).encode())
        add(archive, "ok/figure.jpg", b"\xff\xd8")
    (pmc / "cut.tar.gz").write_bytes((pmc / "archive.tar.gz").read_bytes()[:-200])
    return tmp_path


def test_all_of_it_is_quarantined_by_name(hostile: Any) -> None:
    settings = {
        "output": str(hostile / "out"),
        "pubmed": {"inputs": [str(hostile / "in" / "pubmed")]},
        "pmc": {"inputs": [str(hostile / "in" / "pmc")]},
        "tokenizer": {"vocab_size": 300},
        "hdf5": {"max_sequence_length": 64, "val_fraction": 0},
        "engine": {"workers": 1},
    }
    path = hostile / "settings.yaml"
    path.write_text(json.dumps(settings))
    outside = {p for p in hostile.rglob("*") if "out" not in p.relative_to(hostile).parts}
    assert main(["prepare", "--config", str(path)]) == 1
    after = {p for p in hostile.rglob("*") if "out" not in p.relative_to(hostile).parts}
    assert after == outside
    assert not Path("/tmp/absolute.nxml").exists()
    output = load_settings(path).output
    manifest = json.loads((output / "manifest.json").read_text())
    reasons = {each["file"]: each["reason"] for each in manifest["quarantined"]}
    expected = {
        "pubmed20n0002.xml": "entit",
        "external.nxml": "entit",
        "bomb.nxml": "entit",
        "bad\nutf8 \u202e.nxml": "Invalid bytes",
        "deep.nxml": "Excessive depth",
        "archive.tar.gz:../../escaped.nxml": "not below the archive's root",
        "archive.tar.gz:/tmp/absolute.nxml": "not below the archive's root",
        "archive.tar.gz:link.nxml": "a link or device",
        "archive.tar.gz:hard.nxml": "a link or device",
        "archive.tar.gz:fifo.nxml": "a link or device",
        "archive.tar.gz:damaged.nxml": "not well-formed",
        "cut.tar.gz": "cut short",
    }
    for name, reason in expected.items():
        assert reason in reasons[name], name
    kept = {name for name in reasons if not name.startswith("cut.tar.gz")}
    assert kept == {name for name in expected if name != "cut.tar.gz"}
    counts = manifest["stages"]
    assert counts["parse pubmed"]["kept"] == 29
    # good.nxml, two of the archive, and what of the cut one came before the cut.
    assert counts["parse pmc"]["kept"] >= 3
    assert counts["dedup"]["kept"] == 29 + 3
    # File names of the outside do not become ours.
    names = {p.name for p in output.rglob("*")}
    assert all(name.isascii() and name.isprintable() for name in names)


MEASURE = """
import resource, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from mediswift_cs.errors import DataError
from mediswift_cs.corpora.{module} import {function} as read
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    for item in read(Path(sys.argv[1]), text_options=None):
        pass
    print("no error")
except DataError as error:
    print(error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def measured(path: Path, module: Any, function: Any) -> Any:
    """What reading says, and by how many MB the memory grew, in a process of its own."""
    code = MEASURE.format(module=module, function=function)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    message, megabytes = done.stdout.splitlines()
    return message, int(megabytes)


@pytest.mark.parametrize(
    ("start", "unit", "message"),
    [
        ("<article><body>", "<p><i>x</i></p>", "more than the 1048576 tags and attributes allowed"),
        ("<article><body>", "<i/>x", "more than the 1048576 tags and attributes allowed"),
        ("<article><body><p>", "x" * 63 + "<i/>", "a record of more than the 33554432 bytes"),
        ("<article><body>", "<p>", "Excessive depth"),
        ("<article><body><p>", "x" * 64, "Text node too long"),
        ('<article><body><p a="', "x" * 64, "a record of more than"),
    ],
)
def test_a_gigabyte_of_xml_in_a_small_gzip(
    tmp_path: Path, start: Any, unit: Any, message: str
) -> None:
    path = tmp_path / "a.nxml"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(start.encode())
        block = unit.encode() * (8_000_000 // len(unit))
        for _ in range(1_000_000_000 // len(block)):
            file.write(block)
    assert path.stat().st_size < 20_000_000
    said, megabytes = measured(path, "pmc", "read_pmc")
    assert message in said
    assert megabytes < 400


def test_a_gzip_bomb_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "pubmed20n0001.xml.gz"
    path.write_bytes(gzip.compress(b"<PubmedArticleSet>" + b"<DeleteCitation/>" * 2_000_000))
    assert path.stat().st_size < 200_000
    with pytest.raises(DataError, match="more than the 1000000 bytes allowed, decompressed"):
        list(read_pubmed(path, max_bytes=1_000_000))
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        add(archive, "PMC1.nxml", bytes(5_000_000))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="more than the 1000000 bytes allowed, decompressed"):
        list(read_members(path, max_bytes=1_000_000))


def test_a_large_member_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        add(archive, "large.nxml", b"x" * 5000)
        add(archive, "small.nxml", b"y")
    found = dict(read_members(path, max_bytes=1 << 20, max_member_bytes=1000))
    assert "of 5000 bytes, allowed are 1000" in str(found["large.nxml"])
    assert found["small.nxml"] == b"y"


def test_a_member_of_an_archive_is_bounded_as_a_file_is(tmp_path: Path) -> None:
    large = article(1, 1).replace("<body>", "<body>" + f"<p>{'word ' * 300_000}</p>" * 8)
    many = article(2, 2).replace("<body>", "<body>" + "<p/>" * 1_100_000)
    results = []
    for name, text in (("large", large), ("many", many)):
        folder = tmp_path / name
        folder.mkdir()
        with tarfile.open(folder / "a.tar", "w") as archive:
            add(archive, "a.nxml", text.encode())
        (folder / "a.nxml").write_text(text)
        results += [parse_file(folder / file) for file in ("a.tar", "a.nxml")]
    (in_tar, alone), (many_in_tar, many_alone) = results[:2], results[2:]
    assert in_tar.counts == alone.counts == {"kept": 1}, "12 MB are not too many"
    assert not in_tar.quarantined
    for result in (many_in_tar, many_alone):
        assert "tags and attributes allowed" in result.quarantined[0].reason


def parse_file(path: Path) -> Any:
    """The result of stage parse for one file of PMC."""
    (part,) = find_parts(PrepareSettings(output=path, pmc=PmcSettings(inputs=(path,))))
    return parse_part(part, PmcSettings(), path.with_suffix(".jsonl.zst"), None)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_of_an_archive_are_bounded(tmp_path: Path, kind: Any) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        add(archive, "header", b"x" * (2 << 20), type=kind)
        add(archive, "a.nxml", b"<article/>")
    with pytest.raises(DataError, match="a header of 2097152 bytes, allowed are 1048576"):
        list(read_members(path, max_bytes=1 << 30))


def test_damage_is_not_taken_for_the_end_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(3):
            add(archive, f"{number}.nxml", b"<article/>")
    content = bytearray(path.read_bytes())
    assert len(list(read_members(path, max_bytes=1 << 30))) == 3
    content[1024:1030] = b"damage"
    path.write_bytes(content)
    with pytest.raises(DataError, match="no tar archive, or cut short: bad checksum"):
        list(read_members(path, max_bytes=1 << 30))


def test_a_link_is_no_way_out(tmp_path: Path) -> None:
    """A link where an output is to be is replaced, not followed."""
    path = tmp_path / "settings.yaml"
    (tmp_path / "pubmed.xml").write_text(article_set(*(record(n) for n in range(1, 9))))
    settings = {
        "output": str(tmp_path / "out"),
        "pubmed": {"inputs": [str(tmp_path / "pubmed.xml")]},
        "tokenizer": {"vocab_size": 300},
        "hdf5": {"max_sequence_length": 16, "val_fraction": 0},
        "engine": {"workers": 1},
    }
    path.write_text(json.dumps(settings))
    (tmp_path / "out").mkdir()
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "out" / "manifest.json").symlink_to(tmp_path / "victim")
    assert main(["prepare", "--config", str(path)]) == 2, "no earlier run made it"
    (tmp_path / "out" / "work").mkdir()
    (tmp_path / "out" / "work" / "lock").touch()
    assert main(["prepare", "--config", str(path)]) == 0
    assert (tmp_path / "victim").read_text() == "mine"
