"""Files over HTTP: resumed where they broke off, checked, tried again with growing pauses."""

import http.client
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mediswift_cs import __version__
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.progress import progress, ticking
from mediswift_cs.storage.checksums import md5_of
from mediswift_cs.storage.write import atomic_file, sync

_CHUNK = 1 << 18
_LONGEST_PAUSE = 60.0
# Small files that are read as a whole: listings, sums and lists.
_LARGEST_TEXT = 256 << 20
_MD5 = re.compile(r"\b[0-9a-f]{32}\b", re.IGNORECASE)
# Worth another try; any other 4xx is final.
_PASSING = frozenset((408, 425, 429, 500, 502, 503, 504))
_RANGE_NOT_SATISFIABLE = 416


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file to fetch.

    Attributes:
        md5_address: of a small file with its md5; None: the server's ETag is taken where it is one.
    """

    address: str
    path: Path
    md5_address: str | None = None


@dataclass(frozen=True, kw_only=True)
class Downloader:
    """How files are fetched.

    Attributes:
        num_connections: files at a time (NLM asks for few).
        num_attempts: of each file.
        pause: seconds before the second attempt; twice as long before each further one.
        timeout: seconds without a byte.
    """

    num_connections: int = 3
    num_attempts: int = 6
    pause: float = 1.0
    timeout: float = 60.0
    # Of all connections: not exact, as they do not wait for one another.
    _received: Counter[str] = field(default_factory=Counter)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if not 1 <= self.num_connections <= 32:
            raise ConfigError(f"connections: got {self.num_connections}, allowed: 1 to 32")
        if self.num_attempts < 1:
            raise ConfigError(f"attempts: got {self.num_attempts}, allowed: 1 or more")

    def fetch(self, files: Sequence[Remote]) -> Counter[str]:
        """Fetch what is not there yet; a file appears only when it is whole and its sum is right.

        Returns:
            Numbers of files ``fetched`` and ``already_there``.

        Raises:
            DataError: some could not be had (all others were tried).
        """
        counts: Counter[str] = Counter(fetched=0, already_there=0)
        failed: list[str] = []
        with ThreadPoolExecutor(self.num_connections) as pool:
            jobs = [pool.submit(self._fetch_one, file) for file in files]
            try:
                with progress("fetch", "files", total=len(jobs)) as bar, self._telling_rate(bar):
                    for job in as_completed(jobs):
                        try:
                            counts["fetched" if job.result() else "already_there"] += 1
                        except DataError as error:
                            failed.append(str(error))
                        bar.update()
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        if failed:
            failed.sort()
            raise DataError(
                f"{len(failed)} of {len(files)} files could not be fetched, start again to try "
                f"them: {'; '.join(failed[:3])}"
            )
        return counts

    def _telling_rate(self, bar: Any) -> AbstractContextManager[None]:
        """While the block runs, the bar also says how many bytes a second arrive."""
        begun, before = time.monotonic(), self._received["bytes"]

        def look() -> None:
            rate = (self._received["bytes"] - before) / (time.monotonic() - begun)
            bar.set_postfix_str(f"{rate / 2**20:.1f} MiB/s", refresh=False)

        return ticking(bar, look)

    def text(self, address: str) -> str:
        """Fetch a small file and return it as text.

        Raises:
            ConfigError: not an http or https address.
            DataError: it cannot be had.
        """
        text: str = self._attempts(address, lambda: self._read_text(address))
        return text

    def _read_text(self, address: str) -> str:
        with self._open(address, {}) as response:
            data = _read(response, _LARGEST_TEXT + 1)
            if len(data) > _LARGEST_TEXT:
                raise DataError(f"{address} has more than {_LARGEST_TEXT} bytes")
            return data.decode("utf-8", errors="replace")

    def _fetch_one(self, file: Remote) -> bool:
        md5 = None
        if file.md5_address is not None:
            match = _MD5.search(self.text(file.md5_address))
            if match is None:
                raise DataError(f"{file.md5_address} holds no md5 sum")
            md5 = match[0].lower()
        if file.path.is_file() and (md5 is None or md5_of(file.path) == md5):
            return False
        try:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            self._attempts(file.address, lambda: self._get(file, md5))
        except OSError as error:
            raise DataError(f"cannot write {file.path}: {error.strerror or error}") from error
        return True

    def _attempts(self, address: str, attempt: Callable[[], Any]) -> Any:
        """Its result; an OSError is a local file's, which another attempt would not mend."""
        pause = self.pause
        for number in range(1, self.num_attempts + 1):
            try:
                return attempt()
            except urllib.error.HTTPError as error:
                reason, wait = f"HTTP {error.code} {error.reason}", _retry_after(error)
                error.close()
                if error.code not in _PASSING:
                    raise DataError(f"{address}: {reason}") from error
            except _PassingError as error:
                reason, wait = str(error), 0.0
            if number < self.num_attempts and self._stop.wait(
                min(max(pause, wait), _LONGEST_PAUSE)
            ):
                break
            pause *= 2
        raise DataError(f"{address}: {reason}, {self.num_attempts} attempts")

    def _open(self, address: str, more_headers: dict[str, str]) -> Any:
        if urlsplit(address).scheme not in ("http", "https"):
            raise ConfigError(f"address {address} must begin with https:// or http://")
        headers = {"User-Agent": f"mediswift_cs/{__version__}", "Accept-Encoding": "identity"}
        request = urllib.request.Request(address, headers=headers | more_headers)
        with _connection():
            return urllib.request.urlopen(request, timeout=self.timeout)

    def _get(self, file: Remote, md5: str | None) -> None:
        part = file.path.with_name(f"{file.path.name}.part")
        started = _noted_version(part)
        # The pieces of two versions of a file must not be joined: its version or sum has to tell.
        can_resume = part.is_file() and bool(started or md5)
        start = part.stat().st_size if can_resume else 0
        headers = {}
        if start:
            headers["Range"] = f"bytes={start}-"
            if started:
                headers["If-Range"] = started
        try:
            response = self._open(file.address, headers)
        except urllib.error.HTTPError as error:
            if error.code != _RANGE_NOT_SATISFIABLE:
                raise
            error.close()
            # All of it is there already, or it is another file's beginning.
            _remove(part)
            raise _PassingError("the partial file did not fit") from error
        with response:
            is_resumed = response.status == http.client.PARTIAL_CONTENT
            version = _version(response.headers)
            # Not every server knows If-Range.
            if is_resumed and md5 is None and version != started:
                _remove(part)
                raise _PassingError("the file changed while it was fetched")
            if not is_resumed:
                _remove(part)
                _note_version(part, version)
            expected = (start if is_resumed else 0) + int(response.headers["Content-Length"] or -1)
            with part.open("ab" if is_resumed else "wb") as output:
                while chunk := _read(response, _CHUNK):
                    output.write(chunk)
                    self._received["bytes"] += len(chunk)
                    if self._stop.is_set():
                        raise DataError("stopped")
            etag = (response.headers["ETag"] or "").strip('"')
        num_bytes = part.stat().st_size
        if num_bytes < expected:
            raise _PassingError(f"cut short at {num_bytes} of {expected} bytes")
        wanted = md5 or (etag.lower() if _MD5.fullmatch(etag) else None)
        if wanted is not None and (found := md5_of(part)) != wanted:
            _remove(part)
            raise _PassingError(f"md5: got {found}, allowed: {wanted}")
        _note_of(part).unlink(missing_ok=True)
        # Not atomic_file's: a part outlives its process, so that the next one can go on with it.
        sync(part)
        part.replace(file.path)


class _PassingError(Exception):
    """What came is not the file, or nothing came; it may be the next time."""


@contextmanager
def _connection() -> Iterator[None]:
    """Tells what opening and reading a connection raises from the errors of local files."""
    try:
        yield
    except urllib.error.HTTPError:
        raise
    # TLS errors and URLError are OSErrors.
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise _PassingError(" ".join(str(reason).split()) or type(reason).__name__) from error


def _read(response: Any, num_bytes: int) -> bytes:
    with _connection():
        data: bytes = response.read(num_bytes)
    return data


def _version(headers: Any) -> str:
    """What the server names this version of a file by, empty where that is not exact."""
    etag: str = headers["ETag"] or ""
    # A weak one stands for files whose bytes may differ.
    return etag if etag and not etag.startswith("W/") else headers["Last-Modified"] or ""


def _note_of(part: Path) -> Path:
    """The file that keeps the version which a partial file is the beginning of."""
    return part.with_name(f"{part.name}.etag")


def _noted_version(part: Path) -> str:
    note = _note_of(part)
    text = note.read_text(encoding="latin-1").strip() if note.is_file() else ""
    # It is sent as a header.
    return text if text.isprintable() else ""


def _note_version(part: Path, version: str) -> None:
    if version:
        with atomic_file(_note_of(part)) as temporary:
            temporary.write_text(version, encoding="latin-1")


def _remove(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note_of(part).unlink(missing_ok=True)


def _retry_after(error: urllib.error.HTTPError) -> float:
    text = error.headers.get("Retry-After") or "" if error.headers else ""
    return float(text) if text.isascii() and text.isdigit() else 0.0
