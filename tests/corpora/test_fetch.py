"""Fetching from a server of the test's own, with faults."""

import errno
import hashlib
import http.client
import ssl
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.cli import main
from mediswift_cs.corpora.download import Downloader, Remote
from mediswift_cs.corpora.fetch import KEY_EXAMPLE, fetch_pmc, fetch_pubmed
from mediswift_cs.errors import ConfigError, DataError

NAMES = [f"pubmed26n{n:04}.xml.gz" for n in range(1, 6)]
CONTENT = {name: hashlib.sha512(name.encode()).digest() * 5000 for name in NAMES}


class Server(ThreadingHTTPServer):
    """Serves ``files``; ``faults`` holds, for a path, what goes wrong with the next requests.

    ``versions`` are headers of a path that name its version; ``knows_if_range``: they are compared.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.faults, self.requests = {}, {}, []
        self.versions, self.knows_if_range = {}, True
        self.num_active = self.most_active = 0
        self.lock = threading.Lock()
        self.address = f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, request: pytest.FixtureRequest, client_address: Any) -> None:
        # A client that hangs up is what some tests are about.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        with self.server.lock:
            self.server.num_active += 1
            self.server.most_active = max(self.server.most_active, self.server.num_active)
        try:
            self.answer()
        finally:
            with self.server.lock:
                self.server.num_active -= 1

    def answer(self) -> None:
        server = self.server
        start = int((self.headers["Range"] or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        server.requests.append((self.path, start))
        queue = server.faults.get(self.path)
        fault = queue.pop(0) if queue else None
        data = server.files.get(self.path)
        if data is None or isinstance(fault, int):
            self.reply(fault or 404, b"", {"Retry-After": "0"})
            return
        if start and start >= len(data):
            self.reply(416, b"")
            return
        if fault == "other bytes":
            data = bytes(len(data))
        headers = dict(server.versions.get(self.path, {}))
        if self.path.endswith(".xml"):
            headers["ETag"] = f'"{hashlib.md5(server.files[self.path]).hexdigest()}"'
        asked = self.headers["If-Range"]
        if asked and server.knows_if_range and asked not in headers.values():
            start = 0
        part = data[start:] if fault != "no ranges" else data
        status = 206 if start and fault != "no ranges" else 200
        cut = {"cut": len(part) // 2, "wrong length": len(part)}.get(fault)
        if fault == "wrong length":
            headers["Content-Length"] = str(len(part) + 1000)
        self.reply(status, part, headers, cut)

    def reply(self, status: Any, data: Any, headers: Any = None, cut: Any = None) -> None:
        self.send_response(status)
        headers = {"Content-Length": str(len(data)), **(headers or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


@pytest.fixture
def server() -> Any:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


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


QUICK = {"pause": 0.01, "num_attempts": 4, "timeout": 5.0}


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
        (["other bytes"] * 9, "md5 is .*, expected"),
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


def test_pmc_by_a_list(server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(1, 4):
        server.files[f"/PMC{n}.1/PMC{n}.1.xml"] = f"<article>{n}</article>".encode()
    server.faults["/PMC2.1/PMC2.1.xml"] = ["other bytes"]
    listing = tmp_path / "list.csv"
    listing.write_text(
        "Bucket,Key\n"
        + "".join(f"b,PMC{n}.1/PMC{n}.1.{k}\n" for n in range(1, 4) for k in ("xml", "pdf"))
    )
    arguments = ["fetch", "pmc", "--list", str(listing), "--address", server.address]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert "3 fetched, 0 already there" in capsys.readouterr().out
    assert (tmp_path / "out/PMC2.1/PMC2.1.xml").read_text() == "<article>2</article>"
    server.files["/list.txt"] = b"PMC1.1/PMC1.1.xml\n"
    counts = fetch_pmc(tmp_path / "out", server.address + "list.txt", address=server.address)
    assert counts == Counter(fetched=0, already_there=1)


@pytest.mark.parametrize("key", ["../x.xml", "/etc/x.xml", "a/../../x.xml", "a//b.xml", "a\\b.xml"])
def test_no_key_leaves_the_folder(server: Any, tmp_path: Path, key: Any) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text(f"PMC1.xml\n{key}\n")
    with pytest.raises(DataError, match=r"line 2 of .*list\.txt has .* no key of a bucket"):
        fetch_pmc(tmp_path / "out", str(listing), address=server.address)
    assert not (tmp_path / "out").exists()


def test_what_a_key_looks_like_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listing = tmp_path / "list.txt"
    listing.write_text("PMC1\nPMC2\n")
    assert main(["fetch", "pmc", "--list", str(listing), "--output", str(tmp_path / "out")]) == 2
    with pytest.raises(SystemExit):
        main(["fetch", "--help"])
    shown = capsys.readouterr()
    assert KEY_EXAMPLE in shown.err
    assert KEY_EXAMPLE in shown.out


def test_no_more_connections_than_allowed(server: Any, tmp_path: Path) -> None:
    keys = [f"PMC{n}.xml" for n in range(40)]
    server.files.update({f"/{key}": b"<article/>" * 20_000 for key in keys})
    listing = tmp_path / "list.txt"
    listing.write_text("\n".join(keys))
    downloader = Downloader(num_connections=2, **QUICK)
    fetch_pmc(tmp_path / "out", str(listing), address=server.address, downloader=downloader)
    # The server may still be at the end of an answer when the next request is there.
    assert 1 <= server.most_active <= 4
    with pytest.raises(ConfigError, match="connections must be from 1 to 32, got 100"):
        Downloader(num_connections=100)


def test_only_http(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must begin with https:// or http://"):
        fetch_pubmed(tmp_path, address="file:///etc", downloader=Downloader(**QUICK))
