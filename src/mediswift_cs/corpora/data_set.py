"""Texts of the user's own: a column of anything that ``datasets`` reads, as a stream."""

import hashlib
import zlib
from collections.abc import Iterator
from glob import escape, has_magic
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pydantic import BaseModel, Field
from zstandard import ZstdError

from mediswift_cs.corpora.document import Document, check_unicode, recorded_name
from mediswift_cs.corpora.pmid import parse_pmid
from mediswift_cs.errors import DataError

# Reader of `datasets` by the end of a single file's name.
_READERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet"}
_COMPRESSIONS = (".zst", ".gz")


class DataSet(BaseModel, extra="forbid", frozen=True):
    """Which column of which data set.

    Attributes:
        name: a ``.jsonl``, ``.json`` or ``.parquet`` file (JSON also .gz or .zst), a folder of such
            files, or the name of a data set on the Hub. Code that comes with it is never run.
        config: configuration of the data set, where it has several.
        split: the data set's own split to read.
        id_column: column whose value decides the split of a document; without it, the text does, so
            that equal texts are on one side. An id ``pubmed:123`` says which article it is.
        limit: read the first rows only.
    """

    name: str | None = None
    config: str | None = None
    split: str = "train"
    text_column: str = "text"
    id_column: str | None = None
    limit: int | None = Field(default=None, ge=1)

    @property
    def shown_name(self) -> str:
        """Its name without the folders of this machine."""
        path = Path(self.name or "")
        return recorded_name(path.name) if path.exists() else str(self.name)

    def options(self) -> dict[str, Any]:
        """The settings that decide what is read, as JSON."""
        return self.model_dump() | {"name": self.name and self.shown_name}

    def find_files(self) -> tuple[list[Path], list[str]]:
        """Its local files, and the addresses (which name the revision) of the others.

        Raises:
            DataError: not found, or without that split.
        """
        data_files = self._open().config.data_files
        if not data_files or self.split not in data_files:
            allowed = ", ".join(map(str, data_files)) if data_files else "none"
            raise DataError(f"data set {self.name} has no split {self.split!r}, it has: {allowed}")
        files = list(map(str, data_files[self.split]))
        local = [Path(file) for file in files if not urlparse(file).scheme]
        return local, [file for file in files if urlparse(file).scheme]

    def read(self) -> Iterator[Document]:
        """A document (maybe without text) for each row.

        Raises:
            DataError: unreadable, without a column, or with something else than text in it.
        """
        for number, row in enumerate(self.rows(), start=1):
            where = f"row {number} of {self.name}"
            for column in (self.text_column, self.id_column):
                if column is not None and column not in row:
                    raise DataError(
                        f"data set {self.name} has no column {column!r}, it has: {', '.join(row)}"
                    )
            text = row[self.text_column] if row[self.text_column] is not None else ""
            if not isinstance(text, str):
                raise DataError(
                    f"column {self.text_column!r} of {where}: got {type(text).__name__}, "
                    f"allowed: a string"
                )
            check_unicode(text, f"the text of {where}")
            name = self._id(row, text, where)
            check_unicode(name, f"the id of {where}")
            kind, _, number_in_pubmed = name.partition(":")
            yield Document(
                id=name,
                text=text,
                source=self.shown_name,
                pmid=parse_pmid(number_in_pubmed) if kind == "pubmed" else None,
            )
            if number == self.limit:
                return

    def rows(self) -> Iterator[dict[str, Any]]:
        """All columns of each row of the data set.

        Raises:
            DataError: not found, or not readable.
        """
        import datasets

        damages = (OSError, EOFError, ValueError, zlib.error, ZstdError)
        builder = self._open()
        try:
            yield from builder.as_streaming_dataset(split=self.split)
        except (*damages, datasets.exceptions.DatasetsError) as error:
            raise DataError(f"cannot read data set {self.name}: {_first_line(error)}") from error

    def _open(self) -> Any:
        import datasets

        if not self.name:
            raise DataError("data set: got an empty name, allowed: a file, a folder, or a name")
        path = Path(self.name)
        arguments: dict[str, Any] = {"path": self.name, "name": self.config}
        suffixes = [s for s in path.suffixes if s not in _COMPRESSIONS]
        reader = _READERS.get(suffixes[-1] if suffixes else "")
        # The Hub would be asked for it again and again.
        if reader is not None and not path.exists():
            raise DataError(f"data set {path} does not exist: no such file")
        if path.is_file():
            if reader is None:
                raise DataError(
                    f"cannot tell the format of {path}: allowed are {', '.join(_READERS)} "
                    f"(JSON also with {' or '.join(_COMPRESSIONS)})"
                )
            arguments = {"path": reader, "data_files": [escape(str(path))]}
        elif path.is_dir() and has_magic(str(path)):
            raise DataError(
                f"data set {path}: got a folder with [, * or ? in its path, which `datasets` takes "
                "for a pattern, allowed: one without"
            )
        if "trust_remote_code" in signature(datasets.load_dataset_builder).parameters:
            # Before datasets 4, which refuses code by itself with a RuntimeError.
            arguments["trust_remote_code"] = False
        try:
            return datasets.load_dataset_builder(**arguments)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            raise DataError(f"cannot open data set {self.name}: {_first_line(error)}") from error

    def _id(self, row: dict[str, Any], text: str, where: str) -> str:
        if self.id_column is None:
            return f"text:{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"
        value = row[self.id_column]
        if not isinstance(value, str | int) or value == "":
            raise DataError(f"column {self.id_column!r} of {where}: got {value!r}, allowed: an id")
        return str(value)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
