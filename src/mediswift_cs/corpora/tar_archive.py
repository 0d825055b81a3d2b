"""Articles in tar archives, read as a stream: nothing is ever unpacked to disk."""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

from mediswift_cs.corpora.xml_stream import GZIP_MAGIC, MAX_RECORD_BYTES, read_chunks
from mediswift_cs.errors import DataError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
# Of members, in lower case; whether one is compressed is decided by its content.
_XML_SUFFIXES = (".nxml", ".xml", ".nxml.gz", ".xml.gz")
_ARCHIVE_SUFFIXES = (*TAR_SUFFIXES, ".zip")
# Headers that hold names and attributes of the member after them; names have 4 kB at most.
_LONG_NAME_TYPES = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_MAX_HEADER_BYTES = 1 << 20


def read_members(
    path: Path, *, max_bytes: int, max_member_bytes: int = MAX_RECORD_BYTES
) -> Iterator[tuple[str, bytes | DataError]]:
    """Yield (name, content) of the XML files of an archive, in its order.

    A member that is no plain file below the archive's root (a link, a device, an absolute name, one
    with ``..``) or that is too large comes with a DataError that says so instead of its content;
    folders and files of other kinds are passed over.

    Args:
        max_bytes: allowed size of the archive, decompressed.

    Raises:
        DataError: unreadable, cut short, or too large.
    """
    try:
        with (
            closing(read_chunks(path, max_bytes)) as chunks,
            tarfile.open(  # type: ignore[call-overload]
                fileobj=_Unpacked(chunks), mode="r|", tarinfo=_Member
            ) as archive,
        ):
            for member in archive:
                if _is_wanted(member):
                    yield member.name, _content(archive, member, path, max_member_bytes)
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        # ValueError: numbers of GNU's sparse files that are none.
        raise DataError(f"{path} is no tar archive, or cut short: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _is_wanted(member: tarfile.TarInfo) -> bool:
    """Articles, and what may hide some: links, devices and archives."""
    if member.isdir():
        return False
    name = member.name.lower()
    return name.endswith((*_XML_SUFFIXES, *_ARCHIVE_SUFFIXES)) or not member.isfile()


def _content(
    archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, max_member_bytes: int
) -> bytes | DataError:
    name = PurePosixPath(member.name)
    if not member.isfile():
        return DataError(f"{path} has {member.name!r}, which is a link or device and not a file")
    if name.is_absolute() or ".." in name.parts:
        return DataError(f"{path} has {member.name!r}, which is not below the archive's root")
    if name.name.lower().endswith(_ARCHIVE_SUFFIXES):
        return DataError(f"{path} has {member.name!r}, an archive in an archive: unpack it first")
    if member.size > max_member_bytes:
        return _too_large(path, member, f"of {member.size} bytes", max_member_bytes)
    file = archive.extractfile(member)
    assert file is not None
    content = file.read()
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(max_member_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        return DataError(f"{path} has {member.name!r}, a damaged gzip file: {error}")
    if len(content) > max_member_bytes:
        return _too_large(path, member, "of more bytes, decompressed", max_member_bytes)
    return content


def _too_large(path: Path, member: tarfile.TarInfo, size: str, max_member_bytes: int) -> DataError:
    return DataError(f"{path} has {member.name!r} {size}, allowed are {max_member_bytes}")


class _Member(tarfile.TarInfo):
    """Refuses what tarfile would pass over in silence, or take into memory whole."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Member":
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not buf.strip(b"\0"):
                raise  # The end of the archive, as tarfile takes any damaged header for.
            raise tarfile.ReadError(str(error)) from error
        if member.type in _LONG_NAME_TYPES and member.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(
                f"a header of {member.size} bytes, allowed are {_MAX_HEADER_BYTES}"
            )
        return member


class _Unpacked:
    """The chunks of a file as tarfile reads them."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; fewer at the end only."""
        parts, missing = [self._rest], size - len(self._rest)
        while missing > 0 and (chunk := next(self._chunks, b"")):
            parts.append(chunk)
            missing -= len(chunk)
        data = b"".join(parts)
        self._rest = data[size:]
        return data[:size]
