import threading
from pathlib import Path
from typing import Any

import pytest

from .server import Server

RECORD = """<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID><Article>
<ArticleTitle>{title}</ArticleTitle>{abstract}<Language>{language}</Language>
<PublicationTypeList><PublicationType>{kind}</PublicationType></PublicationTypeList>
</Article></MedlineCitation></PubmedArticle>"""


def record(
    pmid: Any,
    *,
    version: Any = 1,
    title: Any = "A title.",
    abstract: Any = "Some text.",
    language: Any = "eng",
    kind: Any = "Journal Article",
) -> Any:
    if abstract and not abstract.startswith("<"):
        abstract = f"<AbstractText>{abstract}</AbstractText>"
    abstract = f"<Abstract>{abstract}</Abstract>" if abstract else ""
    return RECORD.format(
        pmid=pmid, version=version, title=title, abstract=abstract, language=language, kind=kind
    )


def deletion(*pmids: Any) -> Any:
    inner = "".join(f'<PMID Version="1">{pmid}</PMID>' for pmid in pmids)
    return f"<DeleteCitation>{inner}</DeleteCitation>"


def article_set(*items: Any, prolog: Any = '<?xml version="1.0" encoding="utf-8"?>') -> Any:
    return f"{prolog}\n<PubmedArticleSet>{''.join(items)}</PubmedArticleSet>"


@pytest.fixture
def pubmed_file(tmp_path: Path) -> Any:
    """Writes a PubMed file of the given records and returns its path."""

    def write(*items: Any, name: str = "pubmed20n0001.xml") -> Any:
        path = tmp_path / name
        path.write_text(article_set(*items), encoding="utf-8")
        return path

    return write


@pytest.fixture
def server() -> Any:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
