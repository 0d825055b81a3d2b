"""What to fetch: PubMed's baseline and update files, and PMC's articles by a list."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mediswift_cs.corpora.download import Downloader, Remote
from mediswift_cs.errors import DataError
from mediswift_cs.storage.read import read_text

PUBMED_ADDRESS = "https://ftp.ncbi.nlm.nih.gov/pubmed/"
PUBMED_FOLDERS = ("baseline", "updatefiles")
PMC_ADDRESS = "https://pmc-oa-opendata.s3.amazonaws.com/"

# Of version 1 of an article.
KEY_EXAMPLE = "PMC11370360.1/PMC11370360.1.xml"

_PUBMED_NAME = re.compile(r'href="(pubmed[0-9]{2}n[0-9]{4}\.xml\.gz)"')
_XML = (".xml", ".nxml")
_SAFE_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*(?:/[A-Za-z0-9][A-Za-z0-9_.-]*)*")


def fetch_pubmed(
    output: Path,
    *,
    address: str,
    folders: Sequence[str] = PUBMED_FOLDERS,
    downloader: Downloader | None,
) -> Counter[str]:
    """Fetch the files that are not in ``output`` yet, into its folders of the same names.

    Raises:
        DataError: a listing or a file cannot be had.
    """
    downloader = downloader or Downloader()
    files = []
    for folder in folders:
        base = f"{address.rstrip('/')}/{folder}/"
        names = sorted(set(_PUBMED_NAME.findall(downloader.text(base))))
        if not names:
            raise DataError(f"{base} lists no file named as pubmed26n0001.xml.gz")
        files += [
            Remote(
                address=base + name, path=output / folder / name, md5_address=f"{base}{name}.md5"
            )
            for name in names
        ]
    return downloader.fetch(files)


def fetch_pmc(
    output: Path,
    listing: str,
    *,
    address: str,
    downloader: Downloader | None,
) -> Counter[str]:
    """Fetch the articles that a list names and that are not in ``output`` yet.

    Args:
        listing: a file or an address: keys of the bucket such as :data:`KEY_EXAMPLE`, one a line,
            or a CSV file with a column ``Key`` or ``key``; lines that name no XML file are passed
            over.

    Raises:
        DataError: the list names no article, or one outside the bucket; a file cannot be had.
    """
    downloader = downloader or Downloader()
    text = downloader.text(listing) if "://" in listing else read_text(Path(listing))
    keys = list(dict.fromkeys(_keys(text, listing)))
    if not keys:
        raise DataError(
            f"{listing} names no .xml or .nxml file: allowed are keys such as {KEY_EXAMPLE}, one a "
            "line"
        )
    files = [
        Remote(address=f"{address.rstrip('/')}/{key}", path=output / PurePosixPath(key))
        for key in keys
    ]
    return downloader.fetch(files)


def _keys(text: str, name: str) -> Iterator[str]:
    column = 0
    for number, row in enumerate(csv.reader(text.splitlines()), start=1):
        names = [cell.strip().lower() for cell in row]
        if number == 1 and "key" in names:
            column = names.index("key")
            continue
        key = row[column].strip() if column < len(row) else ""
        if not key.endswith(_XML):
            continue
        if not _SAFE_KEY.fullmatch(key):
            raise DataError(
                f"line {number} of {name} has {key[:80]!r}, which is no key of a bucket"
            )
        yield key
