"""Jobs in processes, and the sweep that decides which of them there are."""

import json
import multiprocessing
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.errors import DataError
from mediswift_cs.replication.experiment import REPORTED, Experiment
from mediswift_cs.replication.jobs import OUTCOME_FILE, Job, Runner, outcome
from mediswift_cs.replication.replicate import MAX_WIDENINGS, Replication
from mediswift_cs.replication.scales import DENSE, SCALES, SHORT
from mediswift_cs.steps import StepError


def runner(num_jobs: int = 2) -> Runner:
    return Runner(num_jobs=num_jobs, is_fresh=False, total_flops=4.0)


def job(folder: Path, *calls: Any, **settings: Any) -> Job:
    return Job(folder=folder, calls=calls, flops=1.0, **settings)


def test_each_is_done_once_and_says_how_far_it_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    made = [tmp_path / f"made{number}" for number in range(3)]
    jobs = [
        job(tmp_path / str(number), partial(os.mkdir, path), partial(int, 0))
        for number, path in enumerate(made)
    ]
    one = runner()
    one.run(jobs)
    assert [outcome(each.folder)["exit_code"] for each in jobs] == [0, 0, 0]
    told = capfd.readouterr().out
    assert " 75%  " in told
    assert "GFLOP/s" in told
    assert "min left" in told
    # They would fail now, as the folders are there.
    one.run(jobs)
    assert capfd.readouterr().out == ""


def test_the_time_left_counts_what_an_earlier_call_did(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    begun = Runner(num_jobs=1, is_fresh=False, total_flops=4.0, done_flops=2.0)
    begun.run([job(tmp_path / "a", partial(int, 0))])
    assert " 75%  " in capfd.readouterr().out
    one = Experiment(scale=SCALES["smoke"], seed=1, host="torch", folder=tmp_path)
    assert Replication(one, 1).runner.done_flops == 1.0
    assert outcome(tmp_path / "a")["flops"] == 1.0


def test_a_failure_is_one_sentence_with_its_log(tmp_path: Path) -> None:
    failing = job(
        tmp_path / "a", partial(print, "error: no such thing", file=None), partial(int, 2)
    )
    with pytest.raises(StepError, match=r"output\.log: exit code 2: error: no such thing") as found:
        runner().run([failing])
    assert found.value.exit_code == 2
    assert not failing.is_done


def test_exit_code_1_is_a_result_of_a_sweep_alone(tmp_path: Path) -> None:
    diverged = job(tmp_path / "a", partial(int, 1), may_diverge=True)
    runner().run([diverged])
    assert outcome(diverged.folder)["exit_code"] == 1
    with pytest.raises(StepError, match="exit code 1"):
        runner().run([job(tmp_path / "b", partial(int, 1))])


def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="the process ended, perhaps for want of memory"):
        runner().run([job(tmp_path / "a", partial(os._exit, 9))])


def test_calls_after_a_failure_are_left_out(tmp_path: Path) -> None:
    failing = job(tmp_path / "a", partial(int, 130), partial(os.mkdir, tmp_path / "made"))
    with pytest.raises(StepError) as found:
        runner().run([failing])
    assert found.value.exit_code == 130
    assert not (tmp_path / "made").exists()


def test_a_process_for_each_job_of_a_host_that_needs_it(tmp_path: Path) -> None:
    jobs = [job(tmp_path / n, partial(int, 0)) for n in "ab"]
    Runner(num_jobs=1, is_fresh=True, total_flops=2.0).run(jobs)
    assert all(each.is_done for each in jobs)


def test_checkpoints_that_nobody_starts_from_are_removed(tmp_path: Path) -> None:
    jobs = [job(tmp_path / n, partial(int, 0), keeps_checkpoint=n == "a") for n in "ab"]
    for each in jobs:
        each.folder.mkdir()
        (each.folder / "checkpoint_3.mdl").write_bytes(b"")
    runner().run(jobs)
    assert [path.parent.name for path in tmp_path.rglob("*.mdl")] == ["a"]


def test_the_clipped_fraction_is_of_all_updates(tmp_path: Path) -> None:
    one = Experiment(scale=SCALES["smoke"], seed=1, host="torch", folder=tmp_path)
    folder = one.pretraining(DENSE, 0.01, 101).folder
    folder.mkdir(parents=True)
    lines = [{"loss": 3.0, "clipped_fraction": part} for part in (0.5, 0.25, 0.0)]
    lines.insert(1, {"val_loss": 3.0})
    text = "".join(f"{json.dumps({'step': n, **line})}\n" for n, line in enumerate(lines))
    (folder / "metrics.jsonl").write_text(text)
    assert one.clipped_fraction(DENSE, 0.01, 101) == 0.25


def test_metrics_that_are_gone_are_named(tmp_path: Path) -> None:
    one = Experiment(scale=SCALES["smoke"], seed=1, host="torch", folder=tmp_path)
    done = one.pretraining(DENSE, 0.01, 101).folder
    done.mkdir(parents=True)
    (done / OUTCOME_FILE).write_text(json.dumps({"exit_code": 0, "seconds": 1, "flops": 2}))
    for value in (partial(one.bits_per_byte, half=REPORTED), one.clipped_fraction):
        with pytest.raises(DataError, match=r"seed_101: got no \w+ in its metrics\.jsonl"):
            value(DENSE, 0.01, 101)


def test_a_damaged_outcome_is_named(tmp_path: Path) -> None:
    (tmp_path / OUTCOME_FILE).write_text("{}")
    with pytest.raises(DataError, match="no outcome of a job"):
        outcome(tmp_path)
    (tmp_path / OUTCOME_FILE).write_text(json.dumps({"exit_code": 0, "seconds": 1, "flops": 2}))
    assert outcome(tmp_path)["seconds"] == 1


def test_ctrl_c_begins_no_other_job_and_leaves_no_process(tmp_path: Path) -> None:
    """A pool hands out more jobs than it has processes; sleeping jobs come to their end."""
    jobs = [job(tmp_path / str(n), partial(time.sleep, 3), partial(int, 0)) for n in range(8)]

    def interrupt() -> None:
        while len([*tmp_path.iterdir()]) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(StepError, match="give the same command again to go on") as found:
        runner().run(jobs)
    assert found.value.exit_code == 130
    assert len([*tmp_path.iterdir()]) == 2
    assert not any(each.is_done for each in jobs)
    assert not multiprocessing.active_children()
    runner().run(jobs[:3])
    assert [each.is_done for each in jobs] == [True] * 3 + [False] * 5


class Pretended:
    """A runner that only counts."""

    def __init__(self) -> None:
        self.total_flops = 0.0
        self.rounds: list[int] = []

    def run(self, jobs: list[Job]) -> None:
        self.rounds.append(len(jobs))


def swept(losses: dict[str, Any]) -> tuple[dict[str, Any], Pretended]:
    experiment = Experiment(scale=SCALES["hour"], seed=1, host="torch", folder=Path("out"))
    replication = Replication(experiment, 1)
    pretended = Pretended()
    replication.runner = pretended  # type: ignore[assignment]
    found = replication.sweep(
        "pre-training",
        [DENSE, SHORT],
        [0.01, 0.02, 0.04],
        lambda arm, rate: job(Path(f"{arm.name}{rate}"), partial(int, 0)),
        lambda arm, rate: losses[arm.name](rate),
    )
    return found, pretended


def test_a_sweep_widens_until_it_encloses_the_best_rate() -> None:
    found, pretended = swept(
        {DENSE.name: lambda r: abs(r - 0.02), SHORT.name: lambda r: abs(r - 0.081)}
    )
    assert found[DENSE.name].as_dict()["not_bracketed"] is None
    assert sorted(found[SHORT.name].losses) == pytest.approx([0.01, 0.02, 0.04, 0.08, 0.16])
    assert pretended.rounds == [6, 7, 8]
    assert pretended.total_flops == 2


def test_a_sweep_gives_up() -> None:
    found, pretended = swept({DENSE.name: lambda r: abs(r - 0.02), SHORT.name: lambda r: -r})
    assert len(pretended.rounds) == MAX_WIDENINGS + 1
    short = found[SHORT.name].as_dict()
    assert "the lowest loss is at the highest value" in short["not_bracketed"]
    assert short["rate"] == max(found[SHORT.name].losses)


def test_a_sweep_whose_runs_all_diverge_is_an_error() -> None:
    with pytest.raises(DataError, match="every run diverged"):
        swept({DENSE.name: lambda _: float("inf"), SHORT.name: lambda r: abs(r - 0.02)})
