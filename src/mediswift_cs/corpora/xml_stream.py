"""What every XML reader shares: bytes in bounded amounts, no entities, errors, and inline text."""

import gzip
import re
import zlib
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path, PurePath
from typing import IO, Any

from lxml import etree

from mediswift_cs.corpora.cleaning import clean_line
from mediswift_cs.corpora.mathml import MATH, local_name, math_text
from mediswift_cs.errors import DataError
from mediswift_cs.progress import advance_bytes

# A bound on one file's decompressed size. PubMed's files have 0.1 to 0.4 GB, PMC's sets a few.
MAX_FILE_BYTES = 16 << 30
# Bounds on one record or article: of its text, and of its elements and attributes, which take more
# memory than text, up to 300 bytes each. Articles of PMC have 0.1 MB and 10,000 of them.
MAX_RECORD_BYTES = 32 << 20
MAX_RECORD_MARKUP = 1 << 20

PARSER_OPTIONS: dict[str, Any] = {
    "load_dtd": False,
    "no_network": True,
    # Keeps libxml2's limits: 256 levels, 10 MB for one text.
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}

# Bytes that are decompressed and parsed at a time.
CHUNK = 1 << 16
_PIECE = 1 << 12
_LONGEST_START = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"

_UNDEFINED_ENTITY = re.compile(r"Entity '([^']{1,80})' not defined")


@contextmanager
def xml_errors(path: PurePath) -> Iterator[None]:
    """Turn what goes wrong while the block reads ``path`` into DataError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or not a gzip file: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except RecursionError as error:
        # libxml2 allows 256 levels, for each of which Python may need several calls.
        raise DataError(f"{path} has elements in elements, too many for Python to read") from error
    except etree.XMLSyntaxError as error:
        message = clean_line(str(error.msg))
        entity = _UNDEFINED_ENTITY.search(message)
        if entity:
            message += (
                f": &{entity[1]}; is a name that a DTD defines, and no DTD is read; write the "
                "character itself"
            )
        raise DataError(f"{path} is not well-formed XML: {message}") from error


def read_chunks(path: Path, max_bytes: int) -> Generator[bytes, None, None]:
    """The content of a file, decompressed where it is gzip, up to ``max_bytes``.

    Raises:
        DataError: there is more.
    """
    with path.open("rb") as raw:
        magic = raw.read(len(GZIP_MAGIC))
        raw.seek(0)
        stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if magic == GZIP_MAGIC else raw  # type: ignore[assignment]
        position = num_bytes = 0
        while chunk := stream.read(CHUNK):
            num_bytes += len(chunk)
            if num_bytes > max_bytes:
                raise DataError(f"{path} has more than the {max_bytes} bytes allowed, decompressed")
            yield chunk
            advance_bytes(raw.tell() - position)
            position = raw.tell()


def read_start(chunks: Iterator[bytes], path: PurePath, roots: Collection[str]) -> bytes:
    """The bytes up to some place after the root's tag, once that has been looked at.

    A parser of its own, since one that watches for every element's start is slow.

    Raises:
        DataError: no root near the start, another root, or entities of the file's own.
    """
    parser = etree.XMLPullParser(events=("start",), resolve_entities=False, **PARSER_OPTIONS)
    expected = _expected(roots)
    start = b""
    for chunk in chunks:
        start += chunk
        # In small pieces, since what is behind the root's tag is parsed for nothing.
        for place in range(0, len(chunk), _PIECE):
            parser.feed(chunk[place : place + _PIECE])
            for _, root in parser.read_events():
                _check_root(root, path, roots)
                return start
        if len(start) > _LONGEST_START:
            raise DataError(f"{path} has no {expected} in its first {len(start)} bytes")
    raise DataError(f"{path} holds no XML element, allowed: {expected}")


def _check_root(root: etree._Element, path: PurePath, roots: Collection[str]) -> None:
    if local_name(root.tag) not in roots:
        raise DataError(
            f"{path} is other XML: its root is <{root.tag}>, expected {_expected(roots)}"
        )
    dtd = root.getroottree().docinfo.internalDTD
    if dtd is not None and any(True for _ in dtd.iterentities()):
        raise DataError(f"{path} defines entities of its own, which NLM's files never do")


def _expected(roots: Collection[str]) -> str:
    return " or ".join(f"<{root}>" for root in roots)


def read_records(
    chunks: Iterator[bytes],
    path: PurePath,
    *,
    roots: Sequence[str],
    tags: Collection[str],
    are_alone: bool,
    kind: str,
) -> Iterator[etree._Element]:
    """Yield the elements of ``tags``, in their order; each is freed once the next is asked for.

    Args:
        path: the name of the file in errors.
        roots: what the outermost element may be, in any namespace; the elements are the first, or
            stand below the others.
        are_alone: nothing else may stand beside them; else what does is yielded too, so that it can
            be counted.
        kind: what a file is called whose elements are in their places.

    Raises:
        DataError: not well-formed, cut short, another root, entities of the file's own, an
            element in another place, or a record that is too large.
    """
    others: list[etree._Element] = []

    check_place = _place_checker(path, tags, kind, None if are_alone else others)
    with xml_errors(path):
        start = read_start(chunks, path, roots)
        parser = _parser(tags)
        num_bytes = num_markup = 0
        for chunk in chain([start], chunks):
            parser.feed(chunk)
            num_records = 0
            for element in _ended(parser, check_place):
                num_records += 1
                yield element
            yield from _taken(others)
            # One < a tag and one = an attribute, whatever else they stand for.
            num_bytes = 0 if num_records else num_bytes + len(chunk)
            num_markup = 0 if num_records else num_markup + chunk.count(b"<") + chunk.count(b"=")
            _check_size(path, num_bytes, num_markup)
        root = parser.close()
        yield from _ended(parser, check_place)
        if local_name(root.tag) not in tags:
            for element in root:
                check_place(element)
        yield from _taken(others)


def _parser(tags: Collection[str]) -> etree.XMLPullParser:
    # "internal" makes a reference to an undefined entity an error (False would keep it as a
    # node); read_start refuses files that define any, so nothing is ever expanded.
    return etree.XMLPullParser(
        events=("end",),
        tag=tuple(f"{{*}}{tag}" for tag in tags),
        resolve_entities="internal",
        **PARSER_OPTIONS,
    )


def _place_checker(
    path: PurePath, tags: Collection[str], kind: str, others: list[etree._Element] | None
) -> Callable[[etree._Element], None]:
    """What raises for an element in a wrong place; ``others`` gets those that are no records."""

    def check(element: etree._Element) -> None:
        parent = element.getparent()
        if parent is None:
            return
        is_other = local_name(element.tag) not in tags
        is_nested = parent.getparent() is not None or local_name(parent.tag) in tags
        if is_nested or (is_other and others is None):
            raise DataError(f"{path} has <{element.tag}> in <{parent.tag}>, which is not {kind}")
        if is_other and others is not None:
            others.append(element)

    return check


def _taken(elements: list[etree._Element]) -> Iterator[etree._Element]:
    while elements:
        yield elements.pop(0)


def _ended(
    parser: etree.XMLPullParser, check_place: Callable[[etree._Element], object]
) -> Iterator[etree._Element]:
    for _, element in parser.read_events():
        check_place(element)
        yield element
        # Its own node is still the parser's; the emptied ones before it can go.
        element.clear(keep_tail=False)
        while (before := element.getprevious()) is not None:
            check_place(before)
            element.getparent().remove(before)


def _check_size(path: PurePath, num_bytes: int, num_markup: int) -> None:
    """Refuse a record that grows beyond what may be held."""
    if num_bytes > MAX_RECORD_BYTES:
        raise DataError(f"{path} has a record of more than the {MAX_RECORD_BYTES} bytes allowed")
    if num_markup > MAX_RECORD_MARKUP:
        raise DataError(
            f"{path} has a record of more than the {MAX_RECORD_MARKUP} tags and attributes allowed"
        )


def element_text(element: etree._Element) -> str:
    """All text below ``element``, joined without any space that is not in the source."""
    if not len(element):
        return element.text or ""
    parts: list[str] = []
    _collect(element, parts)
    return "".join(parts)


def _collect(element: etree._Element, parts: list[str]) -> None:
    if element.text:
        parts.append(element.text)
    for child in element:
        if child.tag == MATH:
            parts.append(math_text(child))
        else:
            _collect(child, parts)
        if child.tail:
            parts.append(child.tail)
