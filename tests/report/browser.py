"""Chromium without a window, over its pipe: what a page asks for, says and measures."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 120


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Seen:
    """One view of a page."""

    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    scroll_width: int = 0
    pictures: list[int] = field(default_factory=list)
    bars: list[list[float]] = field(default_factory=list)
    """The width of each bar, and how far it reaches out of the box that it scrolls in."""
    background: str = ""
    screenshot: bytes = b""


class Browser:
    """A process of Chromium and the messages to and from it."""

    def __init__(self, process: "subprocess.Popen[bytes]", write: int, read: int) -> None:
        self.process, self._write = process, write
        self._read = os.fdopen(read, "rb", buffering=0)
        self._rest = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self.events.append(answer)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = self._read.read(1 << 16)
            assert chunk, "Chromium has ended"
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def look(self, page: Path, width: int, scheme: str) -> Seen:
        """Open a page at a width in CSS pixels, in a light or dark theme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        theme = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=theme)
        self.events.clear()
        self.call("Page.navigate", url=page.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())
        seen = Seen(
            scroll_width=self._value("document.documentElement.scrollWidth"),
            pictures=self._value("[...document.images].map(i => i.naturalWidth)"),
            bars=self._value(
                "[...document.querySelectorAll('.bar')].map(b => [b.getBoundingClientRect().width,"
                "b.getBoundingClientRect().right"
                " - b.closest('.scroll').getBoundingClientRect().right])"
            ),
            background=self._value("getComputedStyle(document.body).backgroundColor"),
        )
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        seen.screenshot = base64.b64decode(shot["data"])
        for event in self.events:
            params = event["params"]
            if event["method"] == "Network.requestWillBeSent":
                seen.requests.append(params["request"]["url"])
            elif event["method"] == "Log.entryAdded":
                seen.messages.append(params["entry"]["text"])
            elif event["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
                seen.messages.append(json.dumps(params))
        return seen

    def _value(self, expression: str) -> Any:
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"][
            "value"
        ]


@contextmanager
def chromium(program: str, folder: Path) -> Iterator[Browser]:
    """A browser whose profile lies in a folder."""
    to_child, from_child = os.pipe(), os.pipe()

    def place() -> None:
        # The pipe of --remote-debugging-pipe: read from 3, written to 4.
        read, write = os.dup(to_child[0]), os.dup(from_child[1])
        os.dup2(read, 3)
        os.dup2(write, 4)

    process = subprocess.Popen(
        [
            *(
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ),
            *("--remote-debugging-pipe", "--no-first-run", "--disable-background-networking"),
            *("--hide-scrollbars", f"--user-data-dir={folder}", "about:blank"),
        ],
        preexec_fn=place,
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_child[0])
    os.close(from_child[1])
    try:
        yield Browser(process, to_child[1], from_child[0])
    finally:
        process.kill()
        process.wait(SECONDS)
        os.close(to_child[1])
