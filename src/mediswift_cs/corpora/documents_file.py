"""Documents on disk: zstd JSON lines, which ``datasets`` reads too, and their manifest."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import IO, Any, Self

import zstandard

from mediswift_cs.corpora.document import Document, recorded_name
from mediswift_cs.errors import DataError
from mediswift_cs.progress import advance
from mediswift_cs.storage.read import check_keys, check_type, parse_json, read_json_object

SUFFIXES = (".jsonl.zst", ".jsonl")
# Of what `mediswift documents` and `prepare` write: another one where the same inputs and settings
# give other documents, or where the manifest is another one.
FORMAT_VERSION = 3

_NAMES = tuple(field.name for field in fields(Document))
_FIELDS = frozenset(_NAMES)
_TEXTS = frozenset(("licence", "licence_class", "journal"))
_TUPLES = frozenset(("language", "publication_types"))
_LEVEL = 3
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_CHUNK = 1 << 17


def document_line(document: Document) -> bytes:
    """A document as a line of JSON, with its line end."""
    content = {name: getattr(document, name) for name in _NAMES}
    content["source"] = recorded_name(document.source)
    for name in _TEXTS:
        # Empty rather than null: `datasets` takes the type of a column from the first megabytes,
        # and PubMed's old records state no licence.
        content[name] = content[name] or ""
    line = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return line.encode("utf-8") + b"\n"


class DocumentsWriter:
    """Appends documents to a new ``.jsonl.zst`` file; the same documents give the same bytes."""

    def __init__(self, path: Path) -> None:
        self.num_documents = 0
        self._stream: Any = zstandard.ZstdCompressor(level=_LEVEL).stream_writer(path.open("wb"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, document: Document) -> None:
        """Append one document as one line."""
        self.write_line(document_line(document))

    def write_line(self, line: bytes) -> None:
        """Append a line that another documents file holds."""
        self._stream.write(line)
        self.num_documents += 1


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file of JSON lines, zstd or plain, each with its line end.

    Raises:
        DataError: unreadable, cut short, or damaged.
    """
    try:
        with path.open("rb") as file:
            rest, position, size = b"", 0, path.stat().st_size
            for chunk in _decompressed(file, path) if _is_zstd(file) else _plain(file):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line + b"\n"
                # Of the task that reads the file, nearly all.
                advance((file.tell() - position) / max(1, size))
                position = file.tell()
            if rest.strip():
                yield rest + b"\n"
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except zstandard.ZstdError as error:
        raise DataError(f"{path} is no zstd file, or a damaged one: {error}") from error


def _is_zstd(file: IO[bytes]) -> bool:
    magic = file.read(len(_ZSTD_MAGIC))
    file.seek(0)
    return magic == _ZSTD_MAGIC


def _plain(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, _CHUNK), b"")


def _decompressed(file: IO[bytes], path: Path) -> Iterator[bytes]:
    # Frame by frame with decompressobj: zstandard's stream reader takes a file that is cut short
    # for one that ends there.
    decompressor = zstandard.ZstdDecompressor()
    frame: Any = None
    for read in _plain(file):
        chunk = read
        while chunk:
            frame = frame or decompressor.decompressobj()
            yield frame.decompress(chunk)
            chunk = frame.unused_data
            if frame.eof:
                frame = None
    if frame is not None:
        raise DataError(f"{path} is cut short: its zstd stream has no end")


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of one file, in its order.

    Raises:
        DataError: as :func:`read_lines`, or a line is not a document.
    """
    for number, line in enumerate(read_lines(path), start=1):
        yield parse_document(line, number, path)


def parse_document(line: bytes, number: int, path: Path) -> Document:
    """The document of one line; ``number`` and ``path`` say where it stands, in errors.

    Raises:
        DataError: the line is not a document.
    """
    content = parse_json(line, str(path), line=number)
    if not isinstance(content, dict):
        raise DataError(f"line {number} of {path} is no JSON object")
    for name in ("id", "text"):
        if not isinstance(content.get(name), str):
            raise DataError(
                f"line {number} of {path} has no string {name!r}: for texts of other "
                "columns, use `mediswift documents --dataset FILE --text-column NAME`"
            )
    known: dict[str, Any] = {"source": path.name}
    for name, value in content.items():
        if name in _TEXTS:
            known[name] = value or None
        elif name in _TUPLES and isinstance(value, list):
            known[name] = tuple(value)
        elif name in _FIELDS:
            known[name] = value
    return Document(**known)


def manifest_path(documents: Path) -> Path:
    """``docs.manifest.json`` for ``docs.jsonl.zst``."""
    name = documents.name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return documents.with_name(f"{name}.manifest.json")


def read_documents_manifest(documents: Path) -> dict[str, Any] | None:
    """The manifest beside a documents file, None when it has none.

    Raises:
        DataError: it is there but unreadable.
    """
    path = manifest_path(documents)
    if not path.is_file():
        return None
    content = read_json_object(path)
    where = f"{path} is no manifest of `mediswift documents`: counts"
    check_keys(check_type(dict[str, int], content.get("counts"), where), ("kept",), where)
    return content


def is_guarded(manifest: Mapping[str, Any] | None) -> bool:
    """Whether a documents file's manifest says that the articles of benchmarks were kept out."""
    options = (manifest or {}).get("options")
    guard = options.get("guard") if isinstance(options, dict) else None
    return isinstance(guard, dict) and guard.get("pmids") is True
