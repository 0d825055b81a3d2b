"""Killed conversions: nothing under the target's name, and the next one starts again."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from mediswift_cs import cli
from mediswift_cs.checkpoints import convert as conversion
from mediswift_cs.checkpoints.blocks import Block, write_blocks
from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.errors import DataError
from mediswift_cs.storage.lock import only_process

from .small_checkpoints import UNVERIFIED

SLOW = """
import itertools, sys, time
from mediswift_cs.checkpoints import convert
plain = convert.write_blocks
def slow(blocks, num_bytes):
    plain(itertools.islice(blocks, 9), num_bytes)
    open(sys.argv[3], "w").close()
    time.sleep(60)
convert.write_blocks = slow
from mediswift_cs.checkpoints.command_line import main
sys.exit(main([*sys.argv[1:3], "--no-tokenizer", "--no-verify"]))
"""


def leftovers(target: Path) -> list[Path]:
    return [path for path in target.parent.iterdir() if target.name in path.name and path != target]


def stop_in_the_middle(source: Path, target: Path, mark: Path, number: signal.Signals) -> int:
    """Send a signal when some blocks are written; returns the exit code."""
    process = subprocess.Popen([sys.executable, "-c", SLOW, str(source), str(target), str(mark)])
    deadline = time.monotonic() + 60
    while not mark.exists():
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    return process.wait()


@pytest.mark.parametrize("back", [False, True], ids=["to_folder", "to_mdl"])
def test_killed_conversion_starts_again(sparse: Path, tmp_path: Path, back: bool) -> None:
    source, target, fresh = sparse, tmp_path / "target", tmp_path / "fresh"
    if back:
        convert(sparse, tmp_path / "hf", UNVERIFIED)
        source, target, fresh = tmp_path / "hf", tmp_path / "target.mdl", tmp_path / "fresh.mdl"
    stop_in_the_middle(source, target, tmp_path / "mark", signal.SIGKILL)
    assert not target.exists()
    assert leftovers(target)
    result = convert(source, target, UNVERIFIED)
    assert not leftovers(target)
    expected = convert(source, fresh, UNVERIFIED)
    assert result.sparsity == expected.sparsity
    pairs = [(target, fresh)] if back else [(target / p.name, p) for p in fresh.iterdir()]
    for path, other in pairs:
        assert path.read_bytes() == other.read_bytes(), path.name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_conversion_leaves_nothing(
    sparse: Path, tmp_path: Path, number: signal.Signals
) -> None:
    target = tmp_path / "export"
    # 130 and 143, as shells report them.
    assert stop_in_the_middle(sparse, target, tmp_path / "mark", number) == 128 + number
    assert not target.exists()
    assert not leftovers(target)


def test_leftovers_of_other_targets_stay(sparse: Path, tmp_path: Path) -> None:
    """A star in a name is that name's, not a pattern."""
    stop_in_the_middle(sparse, tmp_path / "export", tmp_path / "mark", signal.SIGKILL)
    others = leftovers(tmp_path / "export")
    convert(sparse, tmp_path / "*", UNVERIFIED)
    assert leftovers(tmp_path / "export") == others


def test_two_at_once_are_refused(
    sparse: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    argv = ["convert", str(sparse), str(tmp_path / "export"), "--no-tokenizer", "--no-verify"]
    codes = []

    def meanwhile(blocks: Iterable[Block], num_bytes: int) -> None:
        monkeypatch.setattr(conversion, "write_blocks", write_blocks)
        codes.append(cli.main(argv))
        write_blocks(blocks, num_bytes)

    monkeypatch.setattr(conversion, "write_blocks", meanwhile)
    convert(sparse, tmp_path / "export", UNVERIFIED)
    assert codes == [2]
    assert "is running" in capsys.readouterr().err
    assert (tmp_path / "export" / "config.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"sparse.mdl", "export"}


def test_a_target_that_appears_meanwhile_is_left_alone(
    sparse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "export"

    def meanwhile(blocks: Iterable[Block], num_bytes: int) -> None:
        write_blocks(blocks, num_bytes)
        target.mkdir()
        (target / "precious").write_text("x")

    monkeypatch.setattr(conversion, "write_blocks", meanwhile)
    with pytest.raises(conversion.CheckpointError, match="exists already"):
        convert(sparse, target, replace(UNVERIFIED, keep_masks=True))
    assert [path.name for path in target.iterdir()] == ["precious"]
    assert not leftovers(target)


def test_a_removed_lock_locks_nobody_out(tmp_path: Path) -> None:
    lock = tmp_path / "lock"

    def hold() -> Iterator[None]:
        with only_process(lock, "is running", is_kept=False):
            yield

    first = hold()
    next(first)
    with pytest.raises(DataError, match="is running"), only_process(lock, "is running"):
        pass
    first.close()
    assert not lock.exists()
    with only_process(lock, "is running"):
        assert lock.exists()
    assert lock.exists()


def test_a_conversion_gives_the_same_bytes_at_any_time(sparse: Path, tmp_path: Path) -> None:
    convert(sparse, tmp_path / "hf", UNVERIFIED)
    first, later = tmp_path / "first.mdl", tmp_path / "later.mdl"
    convert(tmp_path / "hf", first, UNVERIFIED)
    # HDF5 counts seconds.
    time.sleep(1.1)
    convert(tmp_path / "hf", later, UNVERIFIED)
    assert first.read_bytes() == later.read_bytes()
