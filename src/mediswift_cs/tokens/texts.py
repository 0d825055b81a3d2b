"""Where texts come from: documents files, or any data set that ``datasets`` reads."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mediswift_cs.corpora import documents_file
from mediswift_cs.corpora.document import check_unicode
from mediswift_cs.corpora.files import InputFile, describe_files, find_files
from mediswift_cs.errors import DataError
from mediswift_cs.tokens.manifest import SourceEntry

# Reader of `datasets` by the end of a single file's name.
_READERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
_COMPRESSIONS = (".zst", ".gz")


@dataclass(frozen=True, slots=True)
class Text:
    """A text and the id that decides its split."""

    id: str
    text: str


@dataclass(frozen=True, kw_only=True)
class TextSource:
    """Texts with what identifies them.

    Attributes:
        entries: the inputs, for the manifest.
        read: makes a new iterator over all texts.
        options: settings that change what is read, for the manifest.
        manifests: what the documents stage recorded of the inputs.
        num_expected: number of texts where it is known beforehand.
    """

    entries: tuple[SourceEntry, ...]
    read: Callable[[], Iterator[Text]]
    options: Mapping[str, Any] = field(default_factory=dict)
    manifests: tuple[Mapping[str, Any], ...] = ()
    num_expected: int | None = None

    def __iter__(self) -> Iterator[Text]:
        for text in self.read():
            check_unicode(text.text, f"text of document {text.id}")
            yield text


def source_entries(files: Iterable[InputFile]) -> tuple[SourceEntry, ...]:
    """What a manifest says of input files."""
    return tuple(SourceEntry(**file.entry()) for file in files)


def texts_of_documents(paths: Iterable[Path]) -> Iterator[Text]:
    """The texts of documents files, in their order."""
    for path in paths:
        for document in documents_file.read_documents(path):
            yield Text(document.id, document.text)


def documents_source(inputs: Sequence[Path]) -> TextSource:
    """Texts of ``*.jsonl.zst`` files that ``mediswift documents`` wrote, or of folders of them.

    Raises:
        DataError: an input does not exist or cannot be read.
    """
    files = describe_files(find_files(inputs, documents_file.SUFFIXES))
    found = [documents_file.read_documents_manifest(file.path) for file in files]
    manifests = tuple(manifest for manifest in found if manifest is not None)
    numbers = [int(manifest["counts"]["kept"]) for manifest in manifests]

    return TextSource(
        entries=source_entries(files),
        read=partial(texts_of_documents, [file.path for file in files]),
        manifests=manifests,
        num_expected=sum(numbers) if len(numbers) == len(files) else None,
    )


def dataset_source(
    name_or_path: str,
    *,
    text_column: str = "text",
    id_column: str | None = None,
    config: str | None = None,
    split: str = "train",
) -> TextSource:
    """Read one column as a stream; nothing is copied into the cache of ``datasets``.

    Args:
        name_or_path: a ``.jsonl``, ``.json`` or ``.parquet`` file (JSON also .gz or .zst), a folder
            of such files, or the name of a data set on the Hub. Code that comes with a data set is
            never run.
        id_column: column whose value decides the split of a document; without it, the text does, so
            that equal texts are on one side.
        config: configuration of the data set, where it has several.
        split: the data set's own split to read.

    Raises:
        DataError: not found, not readable, or without that split.
    """
    builder, path = _builder(name_or_path, config), Path(name_or_path)
    data_files = builder.config.data_files
    if not data_files or split not in data_files:
        allowed = ", ".join(map(str, data_files)) if data_files else "none"
        raise DataError(f"data set {name_or_path} has no split {split!r}, it has: {allowed}")

    return TextSource(
        entries=_entries(list(map(str, data_files[split]))),
        read=partial(_texts, builder, name_or_path, split, text_column, id_column),
        options={
            # The manifest names no folder of this machine.
            "dataset": path.name if path.exists() else name_or_path,
            "dataset_config": config,
            "dataset_split": split,
            "text_column": text_column,
            "id_column": id_column,
        },
    )


def _builder(name_or_path: str, config: str | None) -> Any:
    import datasets

    if not name_or_path:
        raise DataError("data set: got an empty name, allowed: a file, a folder, or a name")
    path = Path(name_or_path)
    arguments: dict[str, Any] = {"path": name_or_path, "name": config}
    suffixes = [s for s in path.suffixes if s not in _COMPRESSIONS]
    reader = _READERS.get(suffixes[-1] if suffixes else "")
    # The Hub would be asked for it again and again.
    if reader is not None and not path.exists():
        raise DataError(f"data set {name_or_path} does not exist: no such file")
    if path.is_file():
        if reader is None:
            raise DataError(
                f"cannot tell the format of {path}: allowed are {', '.join(_READERS)} "
                f"(JSON also with {' or '.join(_COMPRESSIONS)})"
            )
        arguments = {"path": reader, "data_files": [str(path)]}
    if "trust_remote_code" in signature(datasets.load_dataset_builder).parameters:
        # Before datasets 4, which refuses code by itself with a RuntimeError.
        arguments["trust_remote_code"] = False
    try:
        return datasets.load_dataset_builder(**arguments)
    except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"cannot open data set {name_or_path}: {_first_line(error)}") from error


def _entries(data_files: list[str]) -> tuple[SourceEntry, ...]:
    """Local files with size and md5; remote ones by their address, which names the revision."""
    local = [Path(file) for file in data_files if not urlparse(file).scheme]
    described = describe_files([(path, path.name) for path in local])
    remote = [file for file in data_files if urlparse(file).scheme]
    return (*source_entries(described), *(SourceEntry(path=file) for file in remote))


def _texts(
    builder: Any, name: str, split: str, text_column: str, id_column: str | None
) -> Iterator[Text]:
    rows = enumerate(_rows(builder, name, split), start=1)
    for number, row in rows:
        for column in (text_column, id_column):
            if column is not None and column not in row:
                raise DataError(
                    f"data set {name} has no column {column!r}, it has: {', '.join(row)}"
                )
        text = row[text_column] if row[text_column] is not None else ""
        if not isinstance(text, str):
            raise DataError(
                f"column {text_column!r} of row {number} of {name} is "
                f"{type(text).__name__}, expected a string"
            )
        yield Text(_id(row, id_column, text, f"row {number} of {name}"), text)


def _rows(builder: Any, name: str, split: str) -> Iterator[dict[str, Any]]:
    import datasets

    try:
        yield from builder.as_streaming_dataset(split=split)
    except (OSError, EOFError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(f"cannot read data set {name}: {_first_line(error)}") from error


def _id(row: dict[str, Any], id_column: str | None, text: str, where: str) -> str:
    if id_column is None:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16)
        return f"text:{digest.hexdigest()}"
    value = row[id_column]
    if not isinstance(value, str | int) or value == "":
        raise DataError(f"column {id_column!r} of {where} is {value!r}, expected an id")
    return str(value)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def read_rows(
    name_or_path: str, *, config: str | None = None, split: str = "train"
) -> Iterator[dict[str, Any]]:
    """All columns of a data set as a stream; the arguments are :func:`dataset_source`'s.

    Raises:
        DataError: not found, or not readable.
    """
    yield from _rows(_builder(name_or_path, config), name_or_path, split)
