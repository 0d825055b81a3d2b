"""Stage ``parse``: a part's files -> its documents, with the outcome of every record."""

import tempfile
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypedDict

import numpy as np

from mediswift_cs.corpora.document import Document
from mediswift_cs.corpora.documents_file import DocumentsWriter, document_line
from mediswift_cs.corpora.files import describe_files
from mediswift_cs.corpora.pmc import Article, parse_articles, read_pmc
from mediswift_cs.corpora.pubmed import Deletion, read_pubmed
from mediswift_cs.corpora.selection import ARTICLE_OUTCOMES, OUTCOMES
from mediswift_cs.corpora.tar_archive import TAR_SUFFIXES, read_members
from mediswift_cs.corpora.xml_stream import CHUNK, MAX_FILE_BYTES
from mediswift_cs.errors import DataError
from mediswift_cs.prepare.config import PmcSettings, PubmedSettings
from mediswift_cs.prepare.parts import Part
from mediswift_cs.prepare.tasks import Result, digest_of, save_array
from mediswift_cs.storage.write import atomic_file

# The last column of events: an index into OUTCOMES, or this.
DELETION = -1


class FileEntry(TypedDict):
    """A file and what identifies its content."""

    path: str
    bytes: int
    md5: str


class ParseResult(Result):
    """What was read.

    ``retracted_articles`` are (id, version): an earlier version must not stay in their place.
    """

    files: list[FileEntry]
    quarantined: list[dict[str, str]]
    retracted_articles: list[tuple[str, int]]


def parse_part(
    part: Part, settings: PubmedSettings | PmcSettings, documents: Path, events: Path | None
) -> ParseResult:
    """Write the documents and, for PubMed, ``events`` (int32 [n, 3]: PMID, version, outcome).

    A file that cannot be used is quarantined with all that it holds; the others go on.
    """
    reader = _PubmedPart(settings) if isinstance(settings, PubmedSettings) else _PmcPart(settings)
    with atomic_file(documents) as temporary, DocumentsWriter(temporary) as writer:
        for path, name in part.files:
            reader.read(path, name, writer)
    if events is not None:
        save_array(events, np.array(reader.events, np.int32).reshape(-1, 3))
    return {
        "counts": {name: n for name, n in reader.counts.items() if n},
        "files": reader.files,
        "quarantined": reader.quarantined,
        "retracted_articles": reader.retracted_articles,
        "content": digest_of(part.kind, reader.files, reader.quarantined, settings.options()),
    }


class _Pending:
    """The documents of one file, which count when all of it has been read."""

    def __init__(self, writer: DocumentsWriter) -> None:
        self._writer = writer
        # A file beyond this size waits on disk.
        self._spool = tempfile.SpooledTemporaryFile(max_size=16 << 20)  # noqa: SIM115

    def write(self, document: Document) -> None:
        self._spool.write(document_line(document))

    def commit(self) -> None:
        self._spool.seek(0)
        for line in self._spool:
            self._writer.write_line(line)
        self._spool.close()


class _Reader(ABC):
    """What both kinds of part have: sums, the list of files, and the quarantine."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.files: list[FileEntry] = []
        self.quarantined: list[dict[str, str]] = []
        self.events: list[tuple[int, int, int]] = []
        self.retracted_articles: list[tuple[str, int]] = []

    def describe(self, path: Path, name: str) -> bool:
        """Note size and md5; returns whether they are those of the ``.md5`` file beside it."""
        try:
            (file,) = describe_files([(path, name)], quiet=True)
        except DataError as error:
            self.quarantine(path, name, error)
            return False
        self.files.append({"path": name, "bytes": file.num_bytes, "md5": file.md5})
        return True

    def quarantine(self, path: Path, name: str, error: DataError) -> None:
        """Note a file that is not used; the reason names no folder of this machine."""
        reason = str(error).replace(str(path), path.name)
        self.quarantined.append({"file": name, "reason": reason})

    @abstractmethod
    def read(self, path: Path, name: str, writer: DocumentsWriter) -> None:
        """Add one file."""


class _PubmedPart(_Reader):
    def __init__(self, settings: PubmedSettings) -> None:
        super().__init__()
        self._selection = settings.selection()

    def read(self, path: Path, name: str, writer: DocumentsWriter) -> None:
        counts: Counter[str] = Counter()
        events: list[tuple[int, int, int]] = []
        pending = _Pending(writer)
        if not self.describe(path, name):
            return
        try:
            for item in read_pubmed(path):
                if isinstance(item, Deletion):
                    events.append((item.pmid, item.version, DELETION))
                    continue
                outcome = self._selection.outcome(item)
                counts[outcome] += 1
                if item.pmid is not None:
                    events.append((item.pmid, item.version, OUTCOMES.index(outcome)))
                if outcome == "kept":
                    pending.write(item.to_document(name))
        except DataError as error:
            self.quarantine(path, name, error)
            return
        pending.commit()
        self.counts += counts
        self.events += events


class _PmcPart(_Reader):
    def __init__(self, settings: PmcSettings) -> None:
        super().__init__()
        self._selection = settings.selection()
        self._text_options = settings.text_options()

    def read(self, path: Path, name: str, writer: DocumentsWriter) -> None:
        if not self.describe(path, name):
            return
        if not path.name.endswith(TAR_SUFFIXES):
            articles = read_pmc(path, text_options=self._text_options)
            self._add(articles, path, name, writer)
            return
        try:
            for member, content in read_members(path, max_bytes=MAX_FILE_BYTES):
                shown = f"{name}:{PurePosixPath(member)}"
                if isinstance(content, DataError):
                    self.quarantine(path, shown, content)
                    continue
                place = PurePosixPath(shown)
                articles = parse_articles(_pieces(content), place, self._text_options)
                self._add(articles, path, shown, writer)
        except DataError as error:
            self.quarantine(path, name, error)

    def _add(
        self, articles: Iterable[Article], path: Path, name: str, writer: DocumentsWriter
    ) -> None:
        """All articles of a file or member, or none if it is damaged somewhere."""
        pending = _Pending(writer)
        counts: Counter[str] = Counter()
        retracted: list[tuple[str, int]] = []
        try:
            for article in articles:
                outcome = self._selection.outcome(article)
                assert outcome in ARTICLE_OUTCOMES
                counts[outcome] += 1
                if outcome == "kept":
                    pending.write(article.to_document(name))
                if article.id and article.is_retracted and not self._selection.retracted:
                    retracted.append((article.id, article.version))
        except DataError as error:
            self.quarantine(path, name, error)
            return
        pending.commit()
        self.counts += counts
        self.retracted_articles += retracted


def _pieces(content: bytes) -> Iterator[bytes]:
    """As from a file: the parser's bounds are looked at between two pieces."""
    for start in range(0, len(content), CHUNK):
        yield content[start : start + CHUNK]
