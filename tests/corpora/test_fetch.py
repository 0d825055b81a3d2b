"""Fetching from a server with faults."""

import errno
import hashlib
import http.client
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.download import Downloader, Remote
from mediswift_cs.corpora.fetch import fetch_pubmed
from mediswift_cs.errors import ConfigError, DataError

from .server import QUICK

NAMES = [f"pubmed26n{n:04}.xml.gz" for n in range(1, 6)]
CONTENT = {name: hashlib.sha512(name.encode()).digest() * 5000 for name in NAMES}


@pytest.fixture
def pubmed(server: Any) -> Any:
    for folder, names in (("baseline", NAMES[:3]), ("updatefiles", NAMES[3:])):
        links = "".join(f'<a href="{name}">x</a><a href="{name}.md5">y</a>' for name in names)
        links += '<a href="../../etc/passwd">z</a><a href="../pubmed26n9999.xml.gz">z</a>'
        server.files[f"/{folder}/"] = links.encode()
        for name in names:
            md5 = hashlib.md5(CONTENT[name]).hexdigest()
            server.files[f"/{folder}/{name}"] = CONTENT[name]
            server.files[f"/{folder}/{name}.md5"] = f"MD5({name})= {md5}\n".encode()
    return server


def fetched(output: Path) -> Any:
    return {p.relative_to(output).as_posix() for p in output.rglob("*") if p.is_file()}


def test_pubmed(pubmed: Any, tmp_path: Path) -> None:
    counts = fetch_pubmed(tmp_path, address=pubmed.address, downloader=Downloader(**QUICK))
    assert counts == Counter(fetched=5, already_there=0)
    expected = {f"baseline/{n}" for n in NAMES[:3]} | {f"updatefiles/{n}" for n in NAMES[3:]}
    assert fetched(tmp_path) == expected
    assert (tmp_path / "baseline" / NAMES[0]).read_bytes() == CONTENT[NAMES[0]]
    again = fetch_pubmed(tmp_path, address=pubmed.address, downloader=Downloader(**QUICK))
    assert again == Counter(fetched=0, already_there=5)


@pytest.mark.parametrize(
    "fault", [503, 429, "cut", "wrong length", "other bytes", "no ranges", "cut twice"]
)
def test_faults_that_pass(pubmed: Any, tmp_path: Path, fault: Any) -> None:
    path = f"/baseline/{NAMES[1]}"
    pubmed.faults[path] = ["cut", "cut"] if fault == "cut twice" else [fault]
    if fault == "no ranges":
        pubmed.faults[path] = ["cut", "no ranges"]
    counts = fetch_pubmed(tmp_path, address=pubmed.address, downloader=Downloader(**QUICK))
    assert counts["fetched"] == 5
    assert (tmp_path / "baseline" / NAMES[1]).read_bytes() == CONTENT[NAMES[1]]
    assert not [name for name in fetched(tmp_path) if name.endswith(".part")]
    starts = [start for requested, start in pubmed.requests if requested == path]
    size = len(CONTENT[NAMES[1]])
    expected = {
        "cut": [0, size // 2],
        "cut twice": [0, size // 2, size // 2 + (size - size // 2) // 2],
    }
    assert starts == expected.get(fault, starts)
    assert len(starts) > 1


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ([503] * 9, "HTTP 503 Service Unavailable, 4 attempts"),
        ([404], "HTTP 404 Not Found"),
        (["other bytes"] * 9, "md5: got .*, allowed"),
    ],
)
def test_faults_that_stay_stop_that_file_only(
    pubmed: Any, tmp_path: Path, faults: Any, message: str
) -> None:
    path = f"/baseline/{NAMES[1]}"
    pubmed.faults[path] = list(faults)
    with pytest.raises(DataError, match=rf"1 of 5 files could not be fetched.*{message}"):
        fetch_pubmed(tmp_path, address=pubmed.address, downloader=Downloader(**QUICK))
    assert len(fetched(tmp_path)) == 4
    assert f"baseline/{NAMES[1]}" not in fetched(tmp_path)
    # A 404 is not asked for again.
    assert [p for p, _ in pubmed.requests].count(path) == (1 if faults == [404] else 4)


def test_a_partial_file_of_an_earlier_run_is_resumed(pubmed: Any, tmp_path: Path) -> None:
    part = tmp_path / "baseline" / f"{NAMES[0]}.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[NAMES[0]][:1000])
    fetch_pubmed(
        tmp_path, address=pubmed.address, folders=["baseline"], downloader=Downloader(**QUICK)
    )
    assert (f"/baseline/{NAMES[0]}", 1000) in pubmed.requests
    assert part.with_suffix("").read_bytes() == CONTENT[NAMES[0]]


def test_a_partial_file_that_does_not_fit_is_dropped(pubmed: Any, tmp_path: Path) -> None:
    part = tmp_path / "baseline" / f"{NAMES[0]}.part"
    part.parent.mkdir()
    for wrong in (b"x" * 1000, b"x" * 10_000_000):
        part.write_bytes(wrong)
        part.with_suffix("").unlink(missing_ok=True)
        fetch_pubmed(
            tmp_path, address=pubmed.address, folders=["baseline"], downloader=Downloader(**QUICK)
        )
        assert part.with_suffix("").read_bytes() == CONTENT[NAMES[0]]


ETAGS = [{"ETag": '"1-5e"'}, {"ETag": '"2-5e"'}]
DATES = [{"Last-Modified": f"Sun, 0{day} Nov 2026 10:00:00 GMT"} for day in (1, 8)]
WEAK = [{"ETag": 'W/"1"'}] * 2


def interrupted(server: Any, folder: Path, versions: Any) -> Any:
    """A file of which half came before it broke off, and that is another one by now."""
    old, new = (name.encode() * 50_000 for name in ("old", "new"))
    server.files["/a.gz"], server.versions["/a.gz"] = old, versions[0]
    server.faults["/a.gz"] = ["cut"]
    remote = Remote(address=server.address + "a.gz", path=folder / "a.gz")
    with pytest.raises(DataError, match="cut short at 75000 of 150000 bytes, 1 attempts"):
        Downloader(num_attempts=1).fetch([remote])
    assert (folder / "a.gz.part").read_bytes() == old[:75_000]
    server.files["/a.gz"], server.versions["/a.gz"] = new, versions[1]
    return remote, old, new


@pytest.mark.parametrize("knows_if_range", [True, False])
@pytest.mark.parametrize("versions", [ETAGS, DATES, [ETAGS[0], {}], WEAK, [{}, {}]])
def test_pieces_of_two_versions_are_never_joined(
    server: Any, tmp_path: Path, versions: Any, knows_if_range: Any
) -> None:
    server.knows_if_range = knows_if_range
    remote, _, new = interrupted(server, tmp_path, versions)
    Downloader(**QUICK).fetch([remote])
    assert remote.path.read_bytes() == new
    assert fetched(tmp_path) == {"a.gz"}


def test_a_partial_file_of_unknown_version_is_fetched_anew(server: Any, tmp_path: Path) -> None:
    remote, _, new = interrupted(server, tmp_path, ETAGS)
    (tmp_path / "a.gz.part.etag").unlink()
    Downloader(**QUICK).fetch([remote])
    assert remote.path.read_bytes() == new
    assert server.requests[-1] == ("/a.gz", 0)


@pytest.mark.parametrize("versions", [ETAGS, DATES])
@pytest.mark.parametrize("knows_if_range", [True, False])
def test_the_same_version_is_resumed(
    server: Any, tmp_path: Path, versions: Any, knows_if_range: Any
) -> None:
    server.knows_if_range = knows_if_range
    remote, old, _ = interrupted(server, tmp_path, versions)
    server.files["/a.gz"], server.versions["/a.gz"] = old, versions[0]
    server.faults["/a.gz"] = ["cut"]
    Downloader(**QUICK).fetch([remote])
    assert remote.path.read_bytes() == old
    assert server.requests == [("/a.gz", 0), ("/a.gz", 75_000), ("/a.gz", 112_500)]
    assert fetched(tmp_path) == {"a.gz"}


def fail_once(monkeypatch: pytest.MonkeyPatch, name: str, error: Any) -> Any:
    """One call of a method of the standard library's connections raises ``error``."""
    owner = http.client.HTTPResponse if name == "read" else http.client.HTTPConnection
    real, errors = getattr(owner, name), [error]

    def method(*args: Any, **options: Any) -> Any:
        if errors:
            raise errors.pop()
        return real(*args, **options)

    monkeypatch.setattr(owner, name, method)
    return errors


@pytest.mark.parametrize(
    "error",
    [
        ssl.SSLEOFError(8, "EOF occurred in violation of protocol"),
        OSError(errno.ENETUNREACH, "Network is unreachable"),
        TimeoutError("timed out"),
        ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
        http.client.IncompleteRead(b""),
    ],
)
@pytest.mark.parametrize("name", ["request", "getresponse", "read"])
def test_errors_of_the_connection_pass(
    server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, error: Any
) -> None:
    server.files["/a"] = b"content"
    remote = Remote(address=server.address + "a", path=tmp_path / "a")
    for action in (lambda: Downloader(**QUICK).fetch([remote]), lambda: text_of(server)):
        errors = fail_once(monkeypatch, name, error)
        action()
        assert not errors
    assert remote.path.read_bytes() == b"content"
    # The last one is told, as the connection's.
    fail_once(monkeypatch, name, error)
    once = Downloader(num_attempts=1)
    with pytest.raises(DataError, match=r"^http://[0-9.:]+/a: .*, 1 attempts$") as caught:
        once.text(server.address + "a")
    assert "cannot write" not in str(caught.value)


def text_of(server: Any) -> None:
    assert Downloader(**QUICK).text(server.address + "a") == "content"


def test_errors_of_the_local_files_do_not_pass(server: Any, tmp_path: Path) -> None:
    server.files["/a"] = b"content"
    remote = Remote(address=server.address + "a", path=tmp_path / "a")
    (tmp_path / "a.part").mkdir()
    with pytest.raises(DataError, match=r"cannot write .*/a: "):
        Downloader(**QUICK).fetch([remote])
    assert len(server.requests) == 1


def test_only_http(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must begin with https:// or http://"):
        fetch_pubmed(tmp_path, address="file:///etc", downloader=Downloader(**QUICK))
