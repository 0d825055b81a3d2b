from pathlib import Path

import pytest

from mediswift_cs.corpora.sample import (
    BASELINE,
    UPDATE,
    SampleNotFetchedError,
    download_sample,
)

RECORD = """<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID><Article>
<ArticleTitle>{title}</ArticleTitle>{abstract}<Language>{language}</Language>
<PublicationTypeList><PublicationType>{kind}</PublicationType></PublicationTypeList>
</Article></MedlineCitation></PubmedArticle>"""


def record(
    pmid,
    *,
    version=1,
    title="A title.",
    abstract="Some text.",
    language="eng",
    kind="Journal Article",
):
    if abstract and not abstract.startswith("<"):
        abstract = f"<AbstractText>{abstract}</AbstractText>"
    abstract = f"<Abstract>{abstract}</Abstract>" if abstract else ""
    return RECORD.format(
        pmid=pmid, version=version, title=title, abstract=abstract, language=language, kind=kind
    )


def deletion(*pmids):
    inner = "".join(f'<PMID Version="1">{pmid}</PMID>' for pmid in pmids)
    return f"<DeleteCitation>{inner}</DeleteCitation>"


def article_set(*items, prolog='<?xml version="1.0" encoding="utf-8"?>'):
    return f"{prolog}\n<PubmedArticleSet>{''.join(items)}</PubmedArticleSet>"


@pytest.fixture
def pubmed_file(tmp_path):
    """Writes a PubMed file of the given records and returns its path."""

    def write(*items, name="pubmed20n0001.xml"):
        path = tmp_path / name
        path.write_text(article_set(*items), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def sample_files() -> dict[str, Path]:
    """The two large real files, fetched once; the tests that need them skip loudly without.

    Only where they cannot be fetched: a file with another sum is a failure.
    """
    try:
        return {name: download_sample(name=name) for name in (BASELINE, UPDATE)}
    except SampleNotFetchedError as error:
        pytest.skip(f"the sample PubMed files cannot be had: {error}")
