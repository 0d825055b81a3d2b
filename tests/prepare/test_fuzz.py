"""Mutated records and files: no crash, and every record that is read has one outcome."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediswift_cs.corpora.documents_file import DocumentsWriter, read_documents
from mediswift_cs.prepare.config import PmcSettings, PubmedSettings
from mediswift_cs.prepare.parse import PartReader

from .conftest import article, article_set, record

BITS = [b"<", b">", b"</", b"&", b"&amp;", b"&#0;", b"\xff", b"\x00", b"]]>", b"<!--", b"<i>", b'"']
BITS += [b"PMID", b"<AbstractText>", b"</Article>", b"<DeleteCitation>", b"9" * 30, b"-1", b""]
BITS += [b"<PubmedArticle/>", b"<article/>", b"<front/>", b"<body>", b"<sup>", b"\xe2\x80\xae"]
PUBMED = article_set(*(record(n) for n in range(1, 5))).encode()
PMC = f"<pmc-articleset>{article(1, 1)}{article(2, 2)}</pmc-articleset>".encode()


@st.composite
def mutated(draw: Any, original: Any) -> Any:
    """A file with one to five places of it replaced, cut out or doubled."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from((0, 0, 1, 4, 30, 300)))
        data[start : start + length] = draw(
            st.one_of(
                st.sampled_from(BITS),
                st.binary(max_size=8),
                st.just(bytes(data[start : start + length]) * 2),
            )
        )
    return bytes(data)


def parsed(reader: Any, data: Any, folder: Path) -> Any:
    """Read a part of one file; its outcomes, after checking that they add up."""
    path = folder / "mutated.xml"
    path.write_bytes(data)
    with DocumentsWriter(folder / "out.jsonl.zst") as writer:
        reader.read(path, path.name, writer)
    documents = list(read_documents(folder / "out.jsonl.zst"))
    assert len(documents) == reader.counts["kept"] == writer.num_documents
    assert len(reader.quarantined) <= 1
    if reader.quarantined:
        assert not reader.counts
        assert "\n" not in reader.quarantined[0].reason
    for document in documents:
        assert document.text == document.text.strip()
        assert document.text.encode()
    return reader.counts


ONE_THOUSAND = settings(
    max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("fuzz")


def both_happen(was_quarantined: Any) -> Any:
    """Control, that the mutations matter: some files are refused and some are read."""
    return min(was_quarantined[True], was_quarantined[False]) > 50


def test_mutated_pubmed_files(folder: Path) -> None:
    was_quarantined = Counter()

    @ONE_THOUSAND
    @given(data=mutated(PUBMED))
    def read(data: Any) -> None:
        reader = PartReader(PubmedSettings())
        counts = parsed(reader, data, folder)
        # Records without a PMID and books have no event; all others have one.
        num_records = sum(1 for event in reader.events if event[2] >= 0)
        assert counts.total() == num_records + counts["no_pmid"] + counts["book"]
        was_quarantined[bool(reader.quarantined)] += 1

    read()
    assert both_happen(was_quarantined), was_quarantined


def test_mutated_pmc_files(folder: Path) -> None:
    was_quarantined = Counter()

    @ONE_THOUSAND
    @given(data=mutated(PMC))
    def read(data: Any) -> None:
        reader = PartReader(PmcSettings())
        parsed(reader, data, folder)
        was_quarantined[bool(reader.quarantined)] += 1

    read()
    assert both_happen(was_quarantined), was_quarantined


def test_cuts_everywhere(folder: Path) -> None:
    random_ = random.Random(0)
    for _ in range(200):
        end = random_.randrange(len(PUBMED) - 1)
        reader = PartReader(PubmedSettings())
        assert not parsed(reader, PUBMED[:end], folder)
        assert reader.quarantined
