"""Killed conversions: nothing under the target's name, and the next one goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mediswift_cs.checkpoints import from_mdl, from_safetensors, workers
from mediswift_cs.checkpoints.convert import ConvertOptions, convert
from mediswift_cs.checkpoints.partial import JOURNAL_NAME, PartialFolder
from mediswift_cs.errors import CheckpointError

from .small_checkpoints import IN_PROCESS

SLOW = """
import os, sys, time
from mediswift_cs.checkpoints import from_mdl, workers
workers._SYNC_BYTES = 1
plain = from_mdl.FromMdl.run
def run(self):
    if self.name == sys.argv[3]:
        open(sys.argv[4], "w").close()
        time.sleep(60)
    return plain(self)
from_mdl.FromMdl.run = run
from mediswift_cs.checkpoints.command_line import main
sys.exit(main([*sys.argv[1:3], "--no-tokenizer", "--no-verify", "--num-workers", "0"]))
"""


def partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def kill_in_the_middle(source: Path, target: Path, mark: Path) -> None:
    """SIGKILL when the conversion reaches a tensor of the second layer."""
    command = [sys.executable, "-c", SLOW, str(source), str(target)]
    process = subprocess.Popen([*command, "transformer.h.1.mlp.c_fc.weight", str(mark)])
    deadline = time.monotonic() + 60
    while not mark.exists():
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def count_jobs(monkeypatch: pytest.MonkeyPatch, kind: type) -> list[str]:
    done: list[str] = []
    plain = kind.run

    def run(self: object) -> object:
        done.append(self.name)
        return plain(self)

    monkeypatch.setattr(kind, "run", run)
    return done


def test_killed_export_goes_on(
    sparse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "export"
    kill_in_the_middle(sparse, target, tmp_path / "mark")
    assert not target.exists()
    assert partial(target).exists()
    options = ConvertOptions(has_tokenizer=False, verify=False, num_workers=0)
    done = count_jobs(monkeypatch, from_mdl.FromMdl)
    result = convert(sparse, target, options)
    assert result.messages[0] == "went on with an interrupted conversion"
    assert "transformer.h.0.attn.c_attn.weight" not in done
    assert done[0] == "transformer.h.1.mlp.c_fc.weight"
    assert not partial(target).exists()
    assert not (target / JOURNAL_NAME).exists()
    fresh = tmp_path / "fresh"
    expected = convert(sparse, fresh, options)
    assert result.sparsity == expected.sparsity
    for path in sorted(fresh.iterdir()):
        assert (target / path.name).read_bytes() == path.read_bytes(), path.name


def test_other_options_start_anew(
    sparse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "export"
    kill_in_the_middle(sparse, target, tmp_path / "mark")
    done = count_jobs(monkeypatch, from_mdl.FromMdl)
    result = convert(sparse, target, replace(IN_PROCESS, dtype="bfloat16"))
    assert "transformer.h.0.attn.c_attn.weight" in done
    assert "went on" not in result.messages[0]


def test_interrupted_import_goes_on(
    sparse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert(sparse, tmp_path / "export", IN_PROCESS)
    convert(tmp_path / "export", tmp_path / "whole.mdl", IN_PROCESS)
    target = tmp_path / "back.mdl"
    monkeypatch.setattr(workers, "_SYNC_BYTES", 1)
    plain = from_safetensors.FromSafetensors.run

    def interrupted(self: from_safetensors.FromSafetensors) -> object:
        if self.name.endswith("layers.1.ffn.ffn.0.linear_layer.weight"):
            raise KeyboardInterrupt
        return plain(self)

    with monkeypatch.context() as patch:
        patch.setattr(from_safetensors.FromSafetensors, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            convert(tmp_path / "export", target, IN_PROCESS)
    assert not target.exists()
    done = count_jobs(monkeypatch, from_safetensors.FromSafetensors)
    convert(tmp_path / "export", target, IN_PROCESS)
    assert done[0].endswith("layers.1.ffn.ffn.0.linear_layer.weight")
    assert target.read_bytes() == (tmp_path / "whole.mdl").read_bytes()
    assert not partial(target).exists()


def test_cut_journal_line_is_done_again(sparse: Path, tmp_path: Path) -> None:
    target = tmp_path / "export"
    kill_in_the_middle(sparse, target, tmp_path / "mark")
    journal = partial(target) / JOURNAL_NAME
    lines = journal.read_text().splitlines(keepends=True)
    last = json.loads(lines[-1])["job"]
    journal.write_text("".join(lines)[:-9])
    recipe = json.loads(lines[0])
    with PartialFolder(target, recipe) as folder:
        assert last not in folder.done
        assert len(folder.done) == len(lines) - 2
    convert(sparse, target, IN_PROCESS)


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with (
        PartialFolder(tmp_path / "a", {}),
        pytest.raises(CheckpointError, match=r"another conversion to .* is running"),
    ):
        PartialFolder(tmp_path / "a", {})


ORPHANS = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
import multiprocessing, os
from mediswift_cs.checkpoints import workers
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(1, mp_context=context, initializer=workers._end_with_parent)
    print(pool.submit(os.getpid).result(), flush=True)
    time.sleep(60)
"""


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(ORPHANS)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    os.kill(worker, 0)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while Path(f"/proc/{worker}/cmdline").exists():
        if not Path(f"/proc/{worker}/cmdline").read_bytes():
            break  # ended, and waiting for its new parent to look
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)
