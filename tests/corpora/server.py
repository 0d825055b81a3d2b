"""A server of files on this machine, with faults."""

import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

# Options of a Downloader for which nobody waits.
QUICK = {"pause": 0.01, "num_attempts": 4, "timeout": 5.0}


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
