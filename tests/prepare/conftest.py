"""A small corpus with everything in it that a stage has to notice."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mediswift_cs.cli import main
from mediswift_cs.corpora.documents_file import read_documents
from mediswift_cs.prepare.config import PrepareSettings
from mediswift_cs.prepare.documents import write_documents

RECORD = """<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID><Article>
<Journal><JournalIssue><PubDate><Year>{year}</Year></PubDate></JournalIssue></Journal>
<ArticleTitle>{title}</ArticleTitle><Abstract><AbstractText>{abstract}</AbstractText></Abstract>
<Language>{language}</Language><PublicationTypeList><PublicationType>{kind}</PublicationType>
</PublicationTypeList></Article><MedlineJournalInfo><MedlineTA>J Mice</MedlineTA>
</MedlineJournalInfo></MedlineCitation></PubmedArticle>"""
ARTICLE = """<article xmlns:xlink="http://www.w3.org/1999/xlink" article-type="research-article">
<front><article-meta><article-id pub-id-type="pmid">{pmid}</article-id>
<article-id pub-id-type="pmc">{pmc}</article-id><title-group><article-title>{title}</article-title>
</title-group><permissions><license xlink:href="http://creativecommons.org/licenses/{licence}/4.0/"/>
</permissions><abstract><p>{abstract}</p></abstract></article-meta></front>
<body><sec><title>Results</title><p>{body}</p></sec></body></article>"""


def prose(seed: int, num_words: Any = 80) -> Any:
    numbers = np.random.default_rng(seed).integers(0, 400, num_words)
    return " ".join(f"word{n}" for n in numbers) + "."


def record(
    pmid: Any,
    *,
    version: Any = 1,
    title: Any = None,
    abstract: Any = None,
    kind: Any = "Journal Article",
    year: Any = 2000,
    language: Any = "eng",
) -> Any:
    return RECORD.format(
        pmid=pmid,
        version=version,
        title=f"Title {pmid}." if title is None else title,
        abstract=prose(pmid) if abstract is None else abstract,
        kind=kind,
        year=year + pmid % 20,
        language=language,
    )


def article(pmc: Any, pmid: Any, *, licence: Any = "by", seed: int | None = None) -> Any:
    seed = pmid if seed is None else seed
    return ARTICLE.format(
        pmc=pmc,
        pmid=pmid,
        licence=licence,
        title=f"Title {pmid}.",
        abstract=prose(seed),
        body=prose(seed + 10_000, 300),
    )


def deletion(*pmids: int) -> str:
    inner = "".join(f'<PMID Version="1">{pmid}</PMID>' for pmid in pmids)
    return f"<DeleteCitation>{inner}</DeleteCitation>"


def article_set(*records: Any) -> Any:
    return f"<PubmedArticleSet>{''.join(records)}</PubmedArticleSet>"


def near_copy(pmid: Any) -> Any:
    """The abstract of ``pmid`` with one other word."""
    words = prose(pmid, 200).split()
    return " ".join([*words[:100], "other", *words[101:]])


BOOK = "<PubmedBookArticle><BookDocument/></PubmedBookArticle>"
# In the shipped list, so it is blocked.
BENCHMARK_PMID = 7497757


def write_inputs(folder: Path) -> None:
    pubmed, pmc = folder / "pubmed", folder / "pmc"
    pubmed.mkdir(parents=True)
    pmc.mkdir()
    first = [record(pmid) for pmid in range(1, 60)]
    first += [
        record(100, kind="Retracted Publication"),
        record(101, kind="Published Erratum"),
        record(102, title="Same.", abstract=prose(1)),
        record(103, title="Exact.", abstract=prose(103)),
        record(104, title="EXACT", abstract=prose(103).upper()),
        record(105, title="Near.", abstract=prose(105, 200)),
        record(106, title="Near.", abstract=near_copy(105)),
        record(BENCHMARK_PMID, title="Blocked.", abstract=prose(107)),
        record(108, title="Blocked.", abstract=prose(107)),
        record(109, title="Copy.", abstract=f"Before it. {prose(900)} After it."),
    ]
    second = [
        record(2, title="Revised."),
        record(3, kind="Retracted Publication"),
        deletion(4),
    ]
    third = [record(pmid) for pmid in range(200, 260)]
    for name, records in (("0001", first), ("0002", second), ("0003", third)):
        (pubmed / f"pubmed20n{name}.xml").write_text(article_set(*records))
    articles = {
        "a": article(1, 5),
        "b": article(2, 6, licence="by-nc"),
        "c": article(3, 3),
        "d": article(4, 300),
        "e": article(5, BENCHMARK_PMID),
        "f": article(6, 301, seed=300),
    }
    for name, text in articles.items():
        (pmc / f"{name}.nxml").write_text(text)
    (folder / "bench.jsonl").write_text(json.dumps({"text": prose(900)}) + "\n")


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("corpus")
    write_inputs(folder)
    return folder


@pytest.fixture
def copied(inputs: Path, tmp_path: Path) -> Path:
    """The inputs, for a test to change."""
    return Path(shutil.copytree(inputs, tmp_path / "inputs"))


def corpus_settings(inputs: Path, output: Path) -> Any:
    """Settings of a run over what write_inputs wrote."""
    return {
        "output": str(output),
        "pubmed": {"inputs": [str(inputs / "pubmed")]},
        "pmc": {"inputs": [str(inputs / "pmc")], "files_per_part": 4},
        "guard": {"texts": [str(inputs / "bench.jsonl")]},
        "tokenizer": {"vocab_size": 500},
        "hdf5": {"max_sequence_length": 64, "val_fraction": 0.2},
        "engine": {"workers": 1},
    }


@pytest.fixture
def settings_file(inputs: Path, tmp_path: Path) -> Any:
    """Writes the settings, with changes by section, and returns their path."""

    def write(**changes: Any) -> Any:
        content = corpus_settings(inputs, tmp_path / "out")
        for name, value in changes.items():
            content[name] = {**content.get(name, {}), **value} if isinstance(value, dict) else value
        path = tmp_path / "settings.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    return write


def contents(output: Path) -> dict[str, bytes]:
    """Everything in an output folder but the work in progress."""
    return {
        path.relative_to(output).as_posix(): path.read_bytes()
        for path in sorted(output.rglob("*"))
        if path.is_file() and path.relative_to(output).parts[0] != "work"
    }


def prepare(path: Path, *options: Any) -> Any:
    return main(["prepare", "--config", str(path), *map(str, options)])


def ids(output: Path) -> Any:
    return [d.id for p in sorted((output / "documents").glob("*.zst")) for d in read_documents(p)]


def manifest_of(output: Path) -> Any:
    return json.loads((output / "manifest.json").read_text())


def nonzero(counts: Any) -> Any:
    return {name: number for name, number in counts.items() if number}


@pytest.fixture(scope="session")
def expected(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The output of an uninterrupted run of one worker."""
    folder = tmp_path_factory.mktemp("expected")
    settings = corpus_settings(inputs, folder / "out")
    (folder / "settings.yaml").write_text(json.dumps(settings))
    assert prepare(folder / "settings.yaml") == 0
    return folder / "out"


def write_pubmed(
    inputs: Sequence[Path], output: Path, *, overwrite: bool = False, **sections: Any
) -> tuple[Any, bool]:
    """Documents of PubMed files; each of ``sections`` has settings."""
    pubmed = {"inputs": inputs, **sections.pop("pubmed", {})}
    settings = {"output": output, "pubmed": pubmed, "engine": {"workers": 1}, **sections}
    return write_documents(PrepareSettings.model_validate(settings), overwrite=overwrite)


def build(inputs: Sequence[Path], output: Path, **options: Any) -> Any:
    manifest, is_new = write_pubmed(inputs, output, **options)
    assert is_new
    counts = manifest["counts"]
    assert counts["records_read"] == sum(n for name, n in counts.items() if name != "records_read")
    documents = list(read_documents(output))
    assert len(documents) == counts["kept"]
    assert not list(output.parent.glob(".*"))
    return manifest, documents


def outcomes(manifest: Any) -> Any:
    return {k: v for k, v in nonzero(manifest["counts"]).items() if k != "records_read"}


@pytest.fixture
def pubmed_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a PubMed file of the given records and returns its path."""

    def write(*items: str, name: str = "pubmed20n0001.xml") -> Path:
        path = tmp_path / name
        path.write_text(article_set(*items), encoding="utf-8")
        return path

    return write


@pytest.fixture
def mixed(pubmed_file: Callable[..., Path]) -> list[Path]:
    """Two files with every reason in them."""
    first = pubmed_file(
        record(1),
        record(2, abstract=""),
        record(3, language="ger"),
        record(4, kind="Retracted Publication"),
        record(5),
        record(6, title="Old."),
        record(7, version=2, title="New."),
        record(9, title="", abstract=""),
        record(11).replace(">11<", ">x<"),
        BOOK,
        name="pubmed20n0001.xml",
    )
    second = pubmed_file(
        record(6, title="Revised."),
        record(7, version=1, title="Late."),
        record(10, title="Retracted later."),
        record(10, title="Retracted later.", kind="Retracted Publication"),
        deletion(5, 3, 1234),
        record(12, abstract=prose(1), title="Title 1."),
        record(13, abstract=prose(13, 200)),
        record(14, abstract=near_copy(13), title="Title 13."),
        record(BENCHMARK_PMID),
        name="pubmed20n0002.xml",
    )
    return [second, first]
