"""PubMed files -> ``docs.jsonl.zst`` and ``docs.manifest.json``."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mediswift_cs import __version__
from mediswift_cs.corpora.document import recorded_name
from mediswift_cs.corpora.documents_file import (
    SUFFIXES,
    DocumentsWriter,
    manifest_path,
    read_documents_manifest,
    read_lines,
)
from mediswift_cs.corpora.files import InputFile, describe_files, find_files
from mediswift_cs.corpora.latest import DELETED, KEPT, LatestRecords
from mediswift_cs.corpora.pubmed import SUFFIXES as PUBMED_SUFFIXES
from mediswift_cs.corpora.pubmed import Deletion, Record, read_pubmed
from mediswift_cs.corpora.selection import OUTCOMES, Selection
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.made import check_same, no_output_of_ours
from mediswift_cs.storage.write import atomic_file, write_json

# Another one where the same records give other texts.
FORMAT_VERSION = 2


def write_documents(
    inputs: Sequence[Path],
    output: Path,
    *,
    selection: Selection | None = None,
    limit: int | None = None,
    overwrite: bool = False,
) -> tuple[dict[str, Any], bool]:
    """Read PubMed files and folders in the order of their names; write one documents file.

    An ``output`` that the same inputs, settings and package version made is left as it is.

    Args:
        output: ends in ``.jsonl.zst``; appears only when it is complete.
        limit: stop after this number of records (not documents).
        overwrite: replace an ``output`` that was made otherwise.

    Returns:
        The manifest, and whether it was made now (False: it was already there).

    Raises:
        ConfigError: the name of ``output`` or ``limit`` is not allowed.
        DataError: an input is unusable, nothing is left of it, or ``output`` cannot be written.
    """
    selection = selection or Selection()
    if not output.name.endswith(SUFFIXES[0]):
        raise ConfigError(f"the name of the documents file must end in {SUFFIXES[0]}, got {output}")
    if limit is not None and limit < 1:
        raise ConfigError(f"limit must be at least 1 record, got {limit}")
    files = describe_files(find_files(inputs, PUBMED_SUFFIXES))
    planned = {
        "format_version": FORMAT_VERSION,
        "package_version": __version__,
        "sources": [file.entry() for file in files],
        "options": {**asdict(selection), "limit": limit},
    }
    if output.exists() and not overwrite:
        return _existing(output, planned), False
    with atomic_file(output) as temporary:
        outcomes, deletions = _write(files, temporary, selection, limit)
        manifest_path(output).unlink(missing_ok=True)
    manifest = {
        **planned,
        "counts": {"records_read": outcomes.total(), **outcomes},
        "deletions": dict(deletions),
        "output": {"path": recorded_name(output.name), "bytes": output.stat().st_size},
    }
    write_json(manifest_path(output), manifest, ensure_ascii=False)
    return manifest, True


def _existing(output: Path, planned: dict[str, Any]) -> dict[str, Any]:
    found = read_documents_manifest(output)
    if found is None:
        raise no_output_of_ours(output, manifest_path(output).name)
    different = [name for name in planned if found.get(name) != planned[name]]
    if found.get("output", {}).get("bytes") != output.stat().st_size:
        different.append("size")
    check_same(output, different)
    return found


def _write(
    files: Sequence[InputFile], path: Path, selection: Selection, limit: int | None
) -> tuple[Counter[str], Counter[str]]:
    """Returns the records by :data:`OUTCOMES`; PMIDs to delete, and those read before."""
    outcomes, deletions = Counter(dict.fromkeys(OUTCOMES, 0)), Counter(listed=0, found=0)
    latest = LatestRecords()
    with DocumentsWriter(path) as writer:
        for source, item in _items(files, limit):
            if isinstance(item, Deletion):
                deletions["listed"] += 1
                deletions["found"] += latest.delete(item.pmid, item.version)
            else:
                outcome = _outcome(item, selection, latest)
                outcomes[outcome] += 1
                if outcome == "kept":
                    writer.write(item.to_document(source))
    _drop_lines(path, latest.status, outcomes)
    if not outcomes["kept"]:
        reasons = ", ".join(f"{name} {n}" for name, n in outcomes.items() if n)
        raise DataError(
            f"no usable document in {outcomes.total()} records of {len(files)} files"
            + (f": {reasons}" if reasons else "")
        )
    return outcomes, deletions


def _items(
    files: Sequence[InputFile], limit: int | None
) -> Iterator[tuple[str, Record | Deletion]]:
    """The content of all files, each with the name of its file, up to ``limit`` records."""
    num_records = 0
    total = sum(file.num_bytes for file in files)
    with tqdm(total=total, desc="read", unit="B", unit_scale=True, disable=None) as progress:
        for file in files:
            for item in read_pubmed(file.path, progress.update):
                yield file.name, item
                if isinstance(item, Record):
                    num_records += 1
                    if num_records == limit:
                        return


def _outcome(record: Record, selection: Selection, latest: LatestRecords) -> str:
    outcome = selection.outcome(record)
    if record.pmid is None:
        return outcome
    if latest.is_superseded(record.pmid, record.version):
        return "superseded"
    # A record that is left out still takes the place of the one before it: a retraction must not
    # leave the older text in.
    latest.add(record.pmid, record.version, written=outcome == "kept")
    return outcome


def _drop_lines(path: Path, status: bytearray, outcomes: Counter[str]) -> None:
    """Write the file again without the lines that later records or deletions took back."""
    num_deleted = status.count(DELETED)
    num_superseded = len(status) - status.count(KEPT) - num_deleted
    if not num_deleted + num_superseded:
        return
    outcomes["deleted"] += num_deleted
    outcomes["superseded"] += num_superseded
    outcomes["kept"] -= num_deleted + num_superseded
    with atomic_file(path) as temporary, DocumentsWriter(temporary) as writer:
        for line, kept in zip(read_lines(path), status, strict=True):
            if kept == KEPT:
                writer.write_line(line)
