"""Abstracts with nested tags and MathML are whole, against another parser."""

import gzip
import re
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from mediswift_cs.corpora.pubmed import Record, read_pubmed
from mediswift_cs.corpora.sample import UPDATE

LABELS = re.compile("^[A-Z /&-]+: ", re.MULTILINE)
# White space, and what MathML draws: the fraction bar, the root and its brackets.
DRAWN = re.compile(r"[\s/√()]+")


def bare(text: str) -> Any:
    return DRAWN.sub("", unicodedata.normalize("NFC", text))


def abstracts_by_elementtree(path: Path, wanted: Any) -> Any:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        for _, element in ElementTree.iterparse(file):
            if element.tag == "PubmedArticle":
                pmid = int(element.findtext("MedlineCitation/PMID"))
                if pmid in wanted:
                    sections = element.iterfind("MedlineCitation/Article/Abstract/AbstractText")
                    yield pmid, list(sections)
                element.clear()


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        (UPDATE, {31993508, 33403765}),
        ("pubmed6.xml", {30108519}),
        ("pubmed7.xml", {29963580}),
    ],
)
def test_whole(sample_files: Any, shared_data: Path, file: Any, wanted: Any) -> None:
    path = sample_files.get(file, shared_data / "pubmed_xml" / "biopython_entrez" / file)
    ours = {r.pmid: r for r in read_pubmed(path) if isinstance(r, Record) and r.pmid in wanted}
    expected = {}
    for pmid, sections in abstracts_by_elementtree(path, wanted):
        expected[pmid] = sections
        assert any(len(section) for section in sections), "no nested tag: nothing is shown"
    assert ours.keys() == expected.keys() == wanted
    for pmid, sections in expected.items():
        text = LABELS.sub("", ours[pmid].abstract)
        whole = bare("".join("".join(section.itertext()) for section in sections))
        assert len(whole) > 300
        if any(e.tag.endswith("mmultiscripts") for section in sections for e in section.iter()):
            # 3He: what stands before comes first in ours.
            assert sorted(bare(text)) == sorted(whole)
        else:
            # Indices and exponents that would be read as one are marked.
            assert re.sub(r"[_^()]", "", bare(text)) == re.sub(r"[_^()]", "", whole)
        # Control: the text up to the first nested tag, as naive readers take it, is not whole.
        assert bare("".join(section.text or "" for section in sections)) != whole
