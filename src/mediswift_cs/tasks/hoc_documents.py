"""The abstracts of Hallmarks of Cancer, sentence by sentence, in the three forms they come in.

JSON lines, a data set that ``datasets`` reads, or the authors' corpus: ``text/PMID.txt`` and
``labels/PMID.txt``. A text file has one sentence a line. A label file has one ``<`` for each
sentence, followed by its labels, ``Hallmark--subclass ANDHallmark--subclass``, or by nothing (or
``NULL``).
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mediswift_cs.corpora.data_set import DataSet
from mediswift_cs.errors import DataError
from mediswift_cs.storage.read import check_keys, check_strings, read_json_lines, read_text
from mediswift_cs.tasks.hoc import LABELS, HallmarksDocument

DOCUMENTS_FILE = "hoc_docs.jsonl"
TEXT_FOLDER, LABELS_FOLDER = "text", "labels"


def read_documents(path: Path) -> dict[str, HallmarksDocument]:
    """The authors' corpus (a folder with ``text`` and ``labels``), or JSON lines: by PMID.

    JSON lines are ``hoc_docs.jsonl`` or the folder that holds it; each has pmid, sentences and
    sentence_labels (one list of labels a sentence).

    Raises:
        DataError: unreadable, an unknown label, or labels that do not go with the sentences.
    """
    if (path / TEXT_FOLDER).is_dir() and (path / LABELS_FOLDER).is_dir():
        return _read_corpus(path)
    path = path / DOCUMENTS_FILE if path.is_dir() else path
    documents = _by_pmid(read_json_lines(path))
    if not documents:
        raise DataError(f"{path} holds no document")
    return documents


def read_dataset(name: str, config: str | None) -> dict[str, HallmarksDocument]:
    """The documents of a data set with columns pmid, sentences and sentence_labels, by PMID.

    Any local file or folder that ``datasets`` reads will do as well; no code of a data set is run.

    Raises:
        DataError: unreadable, an unknown label, or labels that do not go with the sentences.
    """
    rows = enumerate(DataSet(name=name, config=config).rows(), start=1)
    # A column that a row does not have is None there.
    return _by_pmid(
        (f"data set {name}, row {number}", {k: v for k, v in row.items() if v is not None})
        for number, row in rows
    )


def _by_pmid(contents: Iterable[tuple[str, Any]]) -> dict[str, HallmarksDocument]:
    documents: dict[str, HallmarksDocument] = {}
    for where, content in contents:
        document = make_document(content, where)
        if document.pmid in documents:
            raise DataError(f"{where} repeats PMID {document.pmid}, allowed: once")
        documents[document.pmid] = document
    return documents


def make_document(content: Any, where: str) -> HallmarksDocument:
    """A checked document from a JSON object; DataError where it is none."""
    content = check_keys(content, ("pmid", "sentences", "sentence_labels"), where)
    pmid, lists = content["pmid"], content["sentence_labels"]
    if not isinstance(pmid, str | int) or isinstance(pmid, bool):
        raise DataError(f"{where}: pmid: got {pmid!r:.80}, allowed: a string or a number")
    sentences = check_strings(content["sentences"], f"{where}: sentences")
    if not isinstance(lists, list):
        raise DataError(f"{where}: sentence_labels: got {lists!r:.80}, allowed: a list of lists")
    labels = tuple(frozenset(check_strings(x, f"{where}: sentence_labels")) for x in lists)
    document = HallmarksDocument(pmid=str(pmid), sentences=sentences, sentence_labels=labels)
    stated = document.labels
    if content.get("labels") is not None:
        stated = frozenset(check_strings(content["labels"], f"{where}: labels"))
    if unknown := sorted((document.labels | stated) - set(LABELS)):
        raise DataError(f"{where}: got label {unknown[0]!r}, allowed: {', '.join(LABELS)}")
    if len(sentences) != len(labels):
        raise DataError(
            f"{where}: got {len(labels)} lists of labels for {len(sentences)} sentences"
        )
    if stated != document.labels:
        raise DataError(f"{where}: the labels of PMID {pmid} are not those of its sentences")
    return document


def _read_corpus(folder: Path) -> dict[str, HallmarksDocument]:
    paths = sorted((folder / TEXT_FOLDER).glob("*.txt"))
    if not paths:
        raise DataError(f"{folder / TEXT_FOLDER} holds no *.txt file")
    return _by_pmid((str(path), _read_corpus_document(path)) for path in paths)


def _read_corpus_document(text_path: Path) -> dict[str, Any]:
    label_path = text_path.parent.parent / LABELS_FOLDER / text_path.name
    text, labels = read_text(text_path), read_text(label_path)
    sentences = [line.strip() for line in text.split("\n") if line.strip()]
    # What is before the first "<" belongs to no sentence.
    entries = labels.split("<")[1:]
    if len(entries) != len(sentences):
        raise DataError(
            f"labels in {label_path}: got those of {len(entries)} sentences, allowed: those of the "
            f"{len(sentences)} in {text_path}"
        )
    return {
        "pmid": text_path.stem,
        "sentences": sentences,
        "sentence_labels": [_hallmarks(entry) for entry in entries],
    }


def _hallmarks(entry: str) -> list[str]:
    names = (part.split("--")[0].strip().lower() for part in entry.split("AND"))
    return sorted({name for name in names if name not in ("", "null")})
