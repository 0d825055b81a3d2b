"""What every XML reader shares: bytes in bounded amounts, no entities, errors, and inline text."""

import gzip
import zlib
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path, PurePath
from typing import IO, Any

from lxml import etree

from mediswift_cs.corpora.cleaning import clean_line
from mediswift_cs.errors import DataError

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
_LONGEST_START = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"

_MATHML = "{http://www.w3.org/1998/Math/MathML}"
# A second form of the same formula (TeX, content MathML); the first child of semantics is the one
# that is shown.
_ANNOTATIONS = frozenset({f"{_MATHML}annotation", f"{_MATHML}annotation-xml"})


@contextmanager
def xml_errors(path: PurePath) -> Iterator[None]:
    """Turn what goes wrong while the block reads ``path`` into DataError."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is cut short or not a gzip file: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except etree.XMLSyntaxError as error:
        raise DataError(f"{path} is not well-formed XML: {clean_line(str(error.msg))}") from error


def read_chunks(
    path: Path, on_bytes: Callable[[int], object] | None, max_bytes: int
) -> Generator[bytes, None, None]:
    """The content of a file, decompressed where it is gzip, up to ``max_bytes``.

    Args:
        on_bytes: called with the number of bytes of the file each time that some were read.

    Raises:
        DataError: there is more.
    """
    with path.open("rb") as raw:
        magic = raw.read(len(_GZIP_MAGIC))
        raw.seek(0)
        stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if magic == _GZIP_MAGIC else raw  # type: ignore[assignment]
        position = num_bytes = 0
        while chunk := stream.read(CHUNK):
            num_bytes += len(chunk)
            if num_bytes > max_bytes:
                raise DataError(f"{path} has more than the {max_bytes} bytes allowed, decompressed")
            yield chunk
            if on_bytes is not None:
                on_bytes(raw.tell() - position)
                position = raw.tell()


def read_start(chunks: Iterator[bytes], path: PurePath, roots: Collection[str]) -> bytes:
    """The bytes up to some place after the root's tag, once that has been looked at.

    A parser of its own, since one that watches for every element's start is slow.

    Raises:
        DataError: no root near the start, another root, or entities of the file's own.
    """
    parser = etree.XMLPullParser(events=("start",), resolve_entities=False, **PARSER_OPTIONS)
    expected = " or ".join(f"<{root}>" for root in roots)
    start = b""
    for chunk in chunks:
        start += chunk
        parser.feed(chunk)
        for _, root in parser.read_events():
            if root.tag not in roots:
                raise DataError(
                    f"{path} is other XML: its root is <{root.tag}>, expected {expected}"
                )
            dtd = root.getroottree().docinfo.internalDTD
            if dtd is not None and any(True for _ in dtd.iterentities()):
                raise DataError(f"{path} defines entities of its own, which NLM's files never do")
            return start
        if len(start) > _LONGEST_START:
            raise DataError(f"{path} has no {expected} in its first {len(start)} bytes")
    raise DataError(f"{path} holds no XML element, expected {expected}")


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
        roots: what the outermost element may be; the elements are one, or stand below the last.
        are_alone: nothing else may stand beside them.
        kind: what a file is called whose elements are in their places.

    Raises:
        DataError: not well-formed, cut short, another root, entities of the file's own, an
            element in another place, or a record that is too large.
    """

    def check_place(element: etree._Element) -> None:
        parent = element.getparent()
        is_other = are_alone and element.tag not in tags
        if parent is not None and (is_other or parent.tag != roots[-1]):
            raise DataError(f"{path} has <{element.tag}> in <{parent.tag}>, which is not {kind}")

    with xml_errors(path):
        start = read_start(chunks, path, roots)
        # "internal" makes a reference to an undefined entity an error (False would keep it as a
        # node); read_start refuses files that define any, so nothing is ever expanded.
        parser = etree.XMLPullParser(
            events=("end",), tag=tuple(tags), resolve_entities="internal", **PARSER_OPTIONS
        )
        num_bytes = num_markup = 0
        for chunk in chain([start], chunks):
            parser.feed(chunk)
            num_records = 0
            for element in _ended(parser, check_place):
                num_records += 1
                yield element
            # One < a tag and one = an attribute, whatever else they stand for.
            num_bytes = 0 if num_records else num_bytes + len(chunk)
            num_markup = 0 if num_records else num_markup + chunk.count(b"<") + chunk.count(b"=")
            _check_size(path, num_bytes, num_markup)
        root = parser.close()
        yield from _ended(parser, check_place)
        for element in root:
            check_place(element)


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
        if child.tag == f"{_MATHML}math":
            parts.append(math_text(child))
        else:
            _collect(child, parts)
        if child.tail:
            parts.append(child.tail)


def math_text(element: etree._Element) -> str:
    """A MathML element on one line: R² is ``R2``, as PubMed shows ``<sup>`` in plain text.

    White space between the elements is layout, except in mtext. What an element draws itself
    (fraction bar, root sign, fences) is written out and prescripts come first, since otherwise 1/2
    would read 12, and ³He would read He3.
    """
    if element.tag in _ANNOTATIONS:
        return ""
    name = str(element.tag).removeprefix(_MATHML)
    if name in ("mtext", "ms"):
        return element_text(element)
    children = [math_text(child) for child in element]
    if name == "mfrac":
        return "/".join(children)
    if name == "msqrt":
        return f"√({''.join(children)})"
    if name == "mfenced":
        return f"{element.get('open', '(')}{','.join(children)}{element.get('close', ')')}"
    if name == "mmultiscripts":
        names = [str(child.tag).removeprefix(_MATHML) for child in element]
        start = names.index("mprescripts") if "mprescripts" in names else len(names)
        children = children[start:] + children[:start]
    return (element.text or "").strip() + "".join(children)
