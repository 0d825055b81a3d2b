"""Runs the blocks of a page in its order, in one folder a page, as a reader would."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .pages import REPOSITORY, Block, Page

# What of the checkout a reader of any page has in the current folder.
LINKED = ("run.py",)
# CPU time of each process; the other is for a block that waits for something.
CPU_SECONDS = 300
WALL_SECONDS = 1500
# Numbers that differ between machines.
FRACTION = re.compile(r"\d[\d,]*\.\d+(?:e[+-]?\d+)?")
RATE = re.compile(r"[\d,]+ tokens/s")
# Settings of the test suite that a reader has not.
NOT_A_READERS = ("MEDISWIFT_DEFAULT_ALLOCATOR",)


class BlockError(AssertionError):
    """A block did not end with exit code 0."""


def environment() -> dict[str, str]:
    """The tests' own environment, with its commands first on PATH and this checkout's package."""
    kept = {name: value for name, value in os.environ.items() if name not in NOT_A_READERS}
    bin_folder = str(Path(sys.executable).parent)
    python_path = [str(REPOSITORY / "src"), *filter(None, [kept.get("PYTHONPATH")])]
    return {
        **kept,
        "PATH": os.pathsep.join([bin_folder, kept["PATH"]]),
        "PYTHONPATH": os.pathsep.join(python_path),
        "MPLBACKEND": "agg",
    }


def run_block(block: Block, folder: Path) -> str:
    """Run it; returns what it printed.

    Raises:
        BlockError: it ended with another code than 0.
    """
    programs = {
        "sh": ["bash", "-euo", "pipefail", "-c", f"ulimit -t {CPU_SECONDS}\n{block.text}"],
        "python": [sys.executable, "-c", block.text],
    }
    process = subprocess.Popen(
        programs[block.language],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    try:
        printed, _ = process.communicate(timeout=WALL_SECONDS)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        raise BlockError(
            f"{block.place} ended with exit code {process.returncode}; if it cannot be run here, "
            f"say why above it: <!-- not run: REASON -->\n{block.text}\n{printed[-3000:]}"
        )
    return printed


def check_printed(block: Block, printed: str) -> None:
    """See that what a page says is printed was printed.

    Raises:
        BlockError: a line of it was not.
    """
    found = [_without_fractions(line) for line in printed.splitlines()]
    for line in filter(None, map(_without_fractions, block.text.splitlines())):
        # A log's lines have the time in front.
        if not any(other.endswith(line) for other in found):
            raise BlockError(f"{block.place} shows a line that is not printed: {line}\n{printed}")


def _without_fractions(line: str) -> str:
    return RATE.sub("N tokens/s", FRACTION.sub("N", " ".join(line.split())))


class Folders:
    """The folder of each page after its blocks; each page is run once."""

    def __init__(self, pages: dict[str, Page], root: Path) -> None:
        self._pages, self._root = pages, root
        self._done: dict[str, Path | BlockError] = {}

    def of(self, name: str) -> Path:
        """Run the page, after the one whose results it goes on with; returns its folder."""
        if name not in self._done:
            try:
                self._done[name] = self._run(self._pages[name])
            except BlockError as error:
                self._done[name] = error
        done = self._done[name]
        if isinstance(done, BlockError):
            raise done
        return done

    def _run(self, page: Page) -> Path:
        before = self.of(page.after) if page.after else None
        # The same for all pages: what a page leaves names its files by their whole paths.
        folder = self._root / "here"
        shutil.rmtree(folder, ignore_errors=True)
        if before:
            shutil.copytree(before, folder, symlinks=True)
        else:
            folder.mkdir(parents=True)
            for name in LINKED:
                (folder / name).symlink_to(REPOSITORY / name)
        printed = ""
        for block in page.blocks:
            if block.is_run:
                printed = run_block(block, folder)
            elif block.is_printed:
                check_printed(block, printed)
        return folder.rename(self._root / page.name.replace("/", "_"))


def chain(page: Page, pages: dict[str, Page]) -> Iterator[Page]:
    """The page and all that it comes after."""
    yield page
    if page.after:
        yield from chain(pages[page.after], pages)
