"""Stage ``parse``: a part's files -> its documents and every record's outcome; then which count."""

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel

from mediswift_cs.corpora.data_set import DataSet
from mediswift_cs.corpora.document import Document, SourceEntry, recorded_name
from mediswift_cs.corpora.documents_file import DocumentsWriter, document_line
from mediswift_cs.corpora.files import describe_files
from mediswift_cs.corpora.latest import KEPT, SUPERSEDED, LatestRecords
from mediswift_cs.corpora.pmc import Article, parse_articles, read_pmc
from mediswift_cs.corpora.pubmed import Deletion, Record, read_pubmed
from mediswift_cs.corpora.selection import OUTCOMES
from mediswift_cs.corpora.tar_archive import TAR_SUFFIXES, read_members
from mediswift_cs.corpora.xml_stream import CHUNK, MAX_FILE_BYTES
from mediswift_cs.errors import DataError
from mediswift_cs.prepare.config import Kind, PmcSettings, PubmedSettings
from mediswift_cs.prepare.parts import NamedFile, Part
from mediswift_cs.prepare.tasks import Result, digest_of, save_array
from mediswift_cs.storage.write import atomic_file

# The last column of events: an index into OUTCOMES, or this.
DELETION = -1

_KEPT = OUTCOMES.index("kept")
_RETRACTED = OUTCOMES.index("retracted")

Item = Record | Deletion | Article | Document


class Quarantined(BaseModel, frozen=True):
    """A file that is not used, and why; the reason names no folder of this machine."""

    file: str
    reason: str

    @classmethod
    def of(cls, error: DataError, path: Path, name: str) -> "Quarantined":
        """A file at ``path`` that is called ``name``."""
        reason = str(error).replace(str(path), path.name)
        return cls(file=recorded_name(name), reason=recorded_name(reason))


class ParseResult(Result):
    """What became of a part's records.

    Attributes:
        kind: of the part.
        files: the input files.
        first_files: by outcome, the first file with a record that it became of.
        unlisted_elements: names of elements that were read as text because the reader does not know
            them, in articles that are kept, and how often.
        retracted_articles: (id, version): an earlier version must not stay in their place.
    """

    kind: Kind
    files: list[SourceEntry]
    quarantined: list[Quarantined]
    first_files: dict[str, str]
    unlisted_elements: dict[str, int]
    retracted_articles: list[tuple[str, int]]

    @property
    def may_change(self) -> bool:
        """What was wrong with a file, an unplugged disk or an old .md5, may have been mended."""
        return bool(self.quarantined)


class ResolveResult(Result):
    """Which records count; ``deletions``: PMIDs listed in DeleteCitation, and found before it."""

    deletions: dict[str, int]


def describe_part(part: Part) -> tuple[list[SourceEntry], list[NamedFile], list[Quarantined]]:
    """What identifies a part's files; the files to read, and those that cannot be.

    A file is read if its md5 is that of the ``.md5`` file beside it.
    """
    entries, usable, quarantined = [SourceEntry(path=each) for each in part.addresses], [], []
    for path, name in part.files:
        try:
            entries += [file.entry() for file in describe_files([(path, name)], quiet=True)]
            usable.append((path, name))
        except DataError as error:
            quarantined.append(Quarantined.of(error, path, name))
    return entries, usable, quarantined


def parse_part(
    part: Part,
    settings: PubmedSettings | PmcSettings | DataSet,
    documents: Path,
    events: Path | None,
) -> ParseResult:
    """Write the documents and, for PubMed, ``events`` (int32 [n, 3]: PMID, version, outcome).

    A file that cannot be used is quarantined with all that it holds; the others go on. A data set
    counts as one file.
    """
    entries, usable, quarantined = describe_part(part)
    reader = PartReader(settings)
    with atomic_file(documents) as temporary, DocumentsWriter(temporary) as writer:
        if isinstance(settings, DataSet):
            if not quarantined:
                reader.read_data_set(settings, writer)
        else:
            for path, name in usable:
                reader.read(path, name, writer)
    quarantined += reader.quarantined
    if events is not None:
        save_array(events, np.array(reader.events, np.int32).reshape(-1, 3))
    identity = [[asdict(each) for each in entries], [each.model_dump() for each in quarantined]]
    return ParseResult(
        kind=part.kind,
        counts={name: n for name, n in reader.counts.items() if n},
        files=entries,
        quarantined=quarantined,
        retracted_articles=reader.retracted_articles,
        first_files=reader.first_files,
        unlisted_elements=dict(reader.unlisted),
        content=digest_of(part.kind, *identity, settings.options()),
    )


def _line(item: Record | Article | Document, name: str) -> bytes:
    return document_line(item if isinstance(item, Document) else item.to_document(name))


def _outcome_of_own(document: Document) -> str:
    return "kept" if document.text.strip() else "empty_text"


class PartReader:
    """Reads a part's files and keeps what :func:`parse_part` returns of them."""

    def __init__(self, settings: PubmedSettings | PmcSettings | DataSet) -> None:
        self.counts: Counter[str] = Counter()
        self.quarantined: list[Quarantined] = []
        self.events: list[tuple[int, int, int]] = []
        self.retracted_articles: list[tuple[str, int]] = []
        self.first_files: dict[str, str] = {}
        self.unlisted: Counter[str] = Counter()
        self._settings = settings
        self._limit = math.inf if settings.limit is None else settings.limit
        self._outcome: Callable[[Any], str] = _outcome_of_own
        self._keeps_retracted = False
        if not isinstance(settings, DataSet):
            selection = settings.selection()
            self._outcome, self._keeps_retracted = selection.outcome, selection.retracted

    def read_data_set(self, data_set: DataSet, writer: DocumentsWriter) -> None:
        """Add the rows of a data set."""
        self._add(data_set.read(), Path(str(data_set.name)), data_set.shown_name, writer)

    def read(self, path: Path, name: str, writer: DocumentsWriter) -> None:
        """Add the records of one file."""
        try:
            if not isinstance(self._settings, PmcSettings):
                self._add(read_pubmed(path), path, name, writer)
                return
            options = self._settings
            if not path.name.lower().endswith(TAR_SUFFIXES):
                self._add(read_pmc(path, text_options=options), path, name, writer)
                return
            for member, content in read_members(path, max_bytes=MAX_FILE_BYTES):
                if self._num_left() <= 0:
                    return
                place = PurePosixPath(f"{name}:{PurePosixPath(member)}")
                if isinstance(content, DataError):
                    self.quarantined.append(Quarantined.of(content, path, str(place)))
                    continue
                # As from a file: the parser's bounds are looked at between two pieces.
                pieces = (content[i : i + CHUNK] for i in range(0, len(content), CHUNK))
                self._add(parse_articles(pieces, place, options), path, str(place), writer)
        except DataError as error:
            self.quarantined.append(Quarantined.of(error, path, name))

    def _add(self, items: Iterator[Item], path: Path, name: str, writer: DocumentsWriter) -> None:
        """All records of a file or member, or none if it is damaged somewhere."""
        counts: Counter[str] = Counter()
        events: list[tuple[int, int, int]] = []
        retracted: list[tuple[str, int]] = []
        unlisted: Counter[str] = Counter()
        # A file beyond this size waits on disk.
        with tempfile.SpooledTemporaryFile(max_size=16 << 20) as pending:
            try:
                for item in self._up_to_limit(items):
                    if isinstance(item, Deletion):
                        events.append((item.pmid, item.version, DELETION))
                        continue
                    outcome = self._outcome(item)
                    counts[outcome] += 1
                    if outcome == "kept":
                        pending.write(_line(item, name))
                        unlisted.update(item.unlisted if isinstance(item, Article) else {})
                    if isinstance(item, Record):
                        if item.pmid is not None:
                            events.append((item.pmid, item.version, OUTCOMES.index(outcome)))
                    elif isinstance(item, Article) and item.id and item.is_retracted:
                        retracted.append((item.id, item.version))
            except DataError as error:
                self.quarantined.append(Quarantined.of(error, path, name))
                return
            pending.seek(0)
            for line in pending:
                writer.write_line(line)
        self.counts += counts
        self.events += events
        self.retracted_articles += [] if self._keeps_retracted else retracted
        self.unlisted += unlisted
        for outcome in counts:
            self.first_files.setdefault(outcome, recorded_name(name))

    def _num_left(self) -> float:
        return self._limit - self.counts.total()

    def _up_to_limit(self, items: Iterator[Item]) -> Iterator[Item]:
        left = self._num_left()
        while left > 0 and (item := next(items, None)) is not None:
            yield item
            left -= not isinstance(item, Deletion)


def resolve_parts(
    events: Sequence[Path], statuses: Sequence[Path], retracted_output: Path
) -> ResolveResult:
    """Decide which record of each PMID counts.

    Args:
        events: the parts' events in the order in which PubMed's files apply.
        statuses: where to write, for each part, uint8 [num_documents]: KEPT, SUPERSEDED or DELETED.
        retracted_output: where to write the PMIDs (int32) whose record that counts is of a
            retracted article.
    """
    latest, counts = LatestRecords(), Counter[str]()
    deletions = Counter(listed=0, found=0)
    retracted: set[int] = set()
    # For each document of a part its line in `latest`, -1 if it was superseded beforehand.
    lines: list[npt.NDArray[np.int64]] = []
    for path in events:
        of_part: list[int] = []
        for pmid, version, outcome in np.load(path).tolist():
            if outcome == DELETION:
                deletions["listed"] += 1
                if latest.delete(pmid, version):
                    deletions["found"] += 1
                    retracted.discard(pmid)
                continue
            is_superseded = latest.is_superseded(pmid, version)
            if is_superseded:
                counts[OUTCOMES[outcome]] -= 1
                counts["superseded"] += 1
            else:
                latest.add(pmid, version, written=outcome == _KEPT)
                (retracted.add if outcome == _RETRACTED else retracted.discard)(pmid)
            if outcome == _KEPT:
                of_part.append(-1 if is_superseded else len(latest.status) - 1)
        lines.append(np.array(of_part, np.int64))
    for path, of_part_lines in zip(statuses, lines, strict=True):
        save_array(path, _status(latest, of_part_lines, counts))
    save_array(retracted_output, np.array(sorted(retracted), np.int32))
    return ResolveResult(counts=dict(counts), deletions=dict(deletions))


def _status(
    latest: LatestRecords, lines: npt.NDArray[np.int64], counts: Counter[str]
) -> npt.NDArray[np.uint8]:
    status = np.full(len(lines), SUPERSEDED, np.uint8)
    was_added = lines >= 0
    status[was_added] = np.frombuffer(bytes(latest.status), np.uint8)[lines[was_added]]
    later = np.bincount(status[was_added], minlength=3)
    counts["kept"] -= int(later[1] + later[2])
    counts["superseded"] += int(later[1])
    counts["deleted"] += int(later[2])
    assert later[KEPT] == (status == KEPT).sum()
    return status
