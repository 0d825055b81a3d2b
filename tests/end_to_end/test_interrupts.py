"""Ctrl-C at every moment of a run: exit code 130 and one sentence, never a traceback."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from mediswift_cs.training.stopping import AFTER_BATCH, AFTER_STEP

from .conftest import StartRun

REPOSITORY = Path(__file__).resolve().parents[2]
LONG = (
    *("--set", "trainer.init.loop.max_steps=100000", "--set", "trainer.init.checkpoint.steps=5"),
    *("--set", "trainer.init.logging.log_steps=1", "--set", "trainer.init.loop.eval_frequency=50"),
)


def status_mask(process: "subprocess.Popen[str]", name: str) -> int:
    """A set of signals of a process, as the kernel tells it."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1], 16)
    return 0


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def wait_for_our_code(process: "subprocess.Popen[str]") -> None:
    """Until Python itself has started: before, nobody of ours could answer."""
    bit = 1 << (signal.SIGINT - 1)
    wait_until(lambda: bool(status_mask(process, "SigBlk") & bit), process)


def end(process: "subprocess.Popen[str]") -> str:
    """Interrupt the run and return what it said."""
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert "Traceback" not in output, output
    last = output.strip().splitlines()[-1]
    assert last == "interrupted" or "Give the same command again to go on" in last, output
    return output


def check_checkpoints(model_dir: Path) -> None:
    assert not list(model_dir.glob("*.partial-*"))
    for path in model_dir.glob("checkpoint_*.mdl"):
        with h5py.File(path) as file:
            assert file.attrs["__SUCCESS__"]


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> None:
    """As users start it: the process starts itself again."""
    monkeypatch.delenv("MEDISWIFT_DEFAULT_ALLOCATOR")


def test_before_and_after_the_process_starts_itself_again(start_run: StartRun, tuned: None) -> None:
    process = start_run("--model_dir", "out", *LONG)
    wait_for_our_code(process)
    end(process)

    process = start_run("--model_dir", "out", *LONG)

    def is_second() -> bool:
        try:
            return b"MALLOC_TOP_PAD_" in Path(f"/proc/{process.pid}/environ").read_bytes()
        except OSError:
            return False

    wait_until(is_second, process)
    end(process)


def test_while_torch_is_imported(start_run: StartRun, tuned: None) -> None:
    process = start_run("--model_dir", "out", *LONG)
    wait_until(lambda: "libtorch" in Path(f"/proc/{process.pid}/maps").read_text(), process)
    assert "interrupted" in end(process)


def test_while_training_it_says_at_once_what_it_waits_for(
    start_run: StartRun, tmp_path: Path
) -> None:
    process = start_run("--model_dir", "out", *LONG)
    wait_until((tmp_path / "out/checkpoint_5.mdl").exists, process)
    output = end(process)
    assert f"SIGINT: {AFTER_STEP}; once more to end at once" in output
    assert "stopped at step" in output
    check_checkpoints(tmp_path / "out")


def write_more_samples(folder: Path) -> Path:
    """So many that an evaluation takes minutes."""
    import numpy as np

    from mediswift_cs.tokens.hdf5 import ShardWriter

    folder.mkdir()
    attributes = {"tokenizer_sha256": "a" * 64, "vocab_size": 64}
    writer = ShardWriter(
        folder, max_sequence_length=16, samples_per_shard=200_000, attributes=attributes
    )
    writer.write(np.ones((200_000, 3, 16), np.int32))
    writer.close()
    return folder


def test_an_evaluation_is_given_up(start_run: StartRun, tmp_path: Path) -> None:
    data = write_more_samples(tmp_path / "large")
    # Checkpoints are due on other steps than evaluations: the stop needs one of its own.
    options = (
        *("--model_dir", "out", "--set", f"trainer.fit.val_dataloader.data_dir={data}"),
        *("--set", f"trainer.validate.val_dataloader.data_dir={data}"),
        *("--set", "trainer.init.loop.eval_frequency=4"),
        *("--set", "trainer.init.checkpoint.steps=3", "--set", "trainer.init.logging.log_steps=1"),
    )
    process = start_run(*options)
    metrics = tmp_path / "out/metrics.jsonl"
    wait_until(lambda: metrics.exists() and '"step": 4,' in metrics.read_text(), process)
    time.sleep(0.5)
    begun = time.monotonic()
    output = end(process)
    assert time.monotonic() - begun < 20
    assert f"SIGINT: {AFTER_BATCH}" in output
    assert "stopped at step 4 of 12" in output
    assert (tmp_path / "out/checkpoint_4.mdl").exists()
    check_checkpoints(tmp_path / "out")
    # The next run begins with the evaluation; --mode eval can be stopped as well.
    process = start_run("--mode", "eval", *options)
    log = tmp_path / "out/run.log"
    wait_until(lambda: "evaluating" in log.read_text(), process)
    time.sleep(0.5)
    assert end(process).strip().endswith("interrupted")


@pytest.mark.parametrize("command", ["mediswift_cs.cli params list", "mediswift_cs.params --check"])
def test_a_command_that_is_starting(command: str) -> None:
    """Blocked from the start, as after the process has started itself again."""
    code = (
        "import os, runpy, signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(10))
def test_at_a_random_moment(start_run: StartRun, tmp_path: Path, tuned: None, number: int) -> None:
    seed = int(os.environ.get("MEDISWIFT_TEST_SEED", time.time_ns() % 10_000))
    seconds = random.Random(seed + number).uniform(0, 6)
    process = start_run("--model_dir", "out", *LONG)
    wait_for_our_code(process)
    time.sleep(seconds)
    print(f"after {seconds:.3f} s (MEDISWIFT_TEST_SEED={seed})")
    end(process)
    check_checkpoints(tmp_path / "out")
