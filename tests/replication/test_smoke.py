"""``mediswift replicate --scale smoke``: stopped, killed, finished; then with a planted error."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.checkpoints.model_dir import newest_checkpoint
from mediswift_cs.replication.experiment import CHOSEN, REPORTED, Experiment
from mediswift_cs.replication.jobs import OUTCOME_FILE, Runner
from mediswift_cs.replication.scales import SCALES

from ..processes import alive_in_session
from .records import write_records

COMMAND = (sys.executable, "-m", "mediswift_cs.cli", "replicate", "--scale", "smoke", "--jobs", "2")
# Of the whole, on two cores that others use as well.
SECONDS = 1500
# Eight times the best rate is within the noise of models this small.
PLANTED = 32.0
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * SECONDS)]


def start(output: Path, *options: str) -> "subprocess.Popen[str]":
    """In a session of its own, so that its children can be found."""
    records = output.parent / "records.xml"
    return subprocess.Popen(
        [*COMMAND, "--output", str(output), "--input", str(records), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def stop_after(output: Path, number: int, what: signal.Signals) -> tuple[int, str]:
    """Start it, and stop it once so many runs have ended; exit code and what it said."""
    process = start(output)
    end = time.monotonic() + SECONDS
    while len(list(output.rglob(OUTCOME_FILE))) < number and time.monotonic() < end:
        assert process.poll() is None, process.communicate()[0][-3000:]
        time.sleep(0.2)
    process.send_signal(what)
    told, _ = process.communicate(timeout=300)
    end = time.monotonic() + 60
    while (alive := alive_in_session(process.pid)) and time.monotonic() < end:
        time.sleep(0.2)
    assert not alive, alive
    return process.returncode, told


def finish(output: Path, *options: str) -> tuple[str, dict[str, Any]]:
    process = start(output, *options)
    told, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, told[-3000:]
    return told, json.loads((output / "claims.json").read_text())


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a replication was interrupted once and killed once, and then finished."""
    output = tmp_path_factory.mktemp("replication") / "out"
    write_records(output.parent / "records.xml")
    code, told = stop_after(output, 3, signal.SIGINT)
    assert code == 130, told
    assert told.endswith("error: stopped; give the same command again to go on\n")
    assert "Traceback" not in told
    done = {path: path.read_bytes() for path in output.rglob(OUTCOME_FILE)}
    code, told = stop_after(output, len(done) + 6, signal.SIGKILL)
    assert code == -signal.SIGKILL, told
    assert all(path.read_bytes() == content for path, content in done.items())
    finish(output)
    return output


def test_every_claim_has_a_verdict_and_its_numbers(stopped: Path) -> None:
    content = json.loads((stopped / "claims.json").read_text())
    assert [claim["claim"] for claim in content["claims"]] == [f"C{n}" for n in range(1, 10)]
    for claim in content["claims"]:
        assert claim["verdict"] in ("held", "refuted", "not shown")
        assert claim["parts"] or claim["missing"]
    assert content["seeds"] == [101, 102, 103, 104]
    flops = {name: arm["flops"] for name, arm in content["arms"].items()}
    sparse = flops["75% sparse, corrected"]
    # Of few steps: one more or less is a few percent.
    assert flops["dense, shorter"] == pytest.approx(sparse, rel=0.03)
    assert flops["dense, smaller"] == pytest.approx(sparse, rel=0.005)
    assert flops["dense"] > 1.3 * sparse
    assert (stopped / "claims.html").read_text().startswith("<!doctype html>")


def test_what_is_reported_is_of_the_half_that_chose_no_rate(stopped: Path) -> None:
    content = json.loads((stopped / "claims.json").read_text())
    rates = {name: sweep["rate"] for name, sweep in content["sweeps"].items()}
    experiment = Experiment(scale=SCALES["smoke"], seed=1, host="torch", folder=stopped)
    for arm in experiment.scale.arms:
        told, rate = content["arms"][arm.name], experiment.rate_of(arm, rates)
        for half, is_told in ((REPORTED, True), (CHOSEN, False)):
            bits = [experiment.bits_per_byte(arm, rate, seed, half) for seed in experiment.seeds]
            assert (told["bits_per_byte"] == bits) == is_told, arm.name


def test_given_again_it_computes_nothing_and_says_the_same(stopped: Path) -> None:
    before = (stopped / "claims.json").read_bytes()
    done = {path: path.stat().st_mtime_ns for path in stopped.rglob(OUTCOME_FILE)}
    finish(stopped)
    assert {path: path.stat().st_mtime_ns for path in stopped.rglob(OUTCOME_FILE)} == done
    assert (stopped / "claims.json").read_bytes() == before


def test_runs_of_a_seed_share_their_weights_and_their_data(stopped: Path) -> None:
    """The first batch of the dense and of the standard sparse run is the same; so is the draw."""
    import torch
    import yaml

    from mediswift_cs.params.schema import Params
    from mediswift_cs.training.hosts.torch.session import TorchSession

    models, orders = {}, {}
    for arm in ("dense", "75_sparse_standard"):
        (folder,) = (stopped / "pretraining" / arm).glob("*_seed_101")
        raw = yaml.safe_load((folder / "params.yaml").read_text())
        params = Params.model_validate(raw)
        session = TorchSession(params, "CPU", for_training=False)
        session.draw_masks()
        models[arm] = dict(session.model.named_parameters())
        assert params.trainer.fit is not None
        loader = session.make_dataloader(params.trainer.fit.train_dataloader)
        orders[arm] = next(iter(loader))["input_ids"]
    assert torch.equal(orders["dense"], orders["75_sparse_standard"])
    dense, sparse = models.values()
    num_zeros = num_weights = 0
    for name, weight in sparse.items():
        kept = weight != 0
        assert torch.equal(weight[kept], dense[name][kept]), name
        num_zeros += int((~kept).sum()) if "_layer.weight" in name else 0
        num_weights += weight.numel() if "_layer.weight" in name else 0
    assert num_zeros / num_weights == pytest.approx(0.75, abs=0.001)


def test_a_planted_error_flips_a_verdict(stopped: Path, tmp_path: Path) -> None:
    """The sparse arm at 32 times its best rate loses with every seed, and nothing else moves."""
    before = json.loads((stopped / "claims.json").read_text())
    output = tmp_path / "out"
    shutil.copytree(stopped, output)
    shutil.copy(stopped.parent / "records.xml", tmp_path)
    settings = json.loads((output / "settings.json").read_text())
    (output / "settings.json").write_text(json.dumps({**settings, "planted": PLANTED}))
    # What was fine-tuned started from the runs without the error.
    for folder in (output / "finetuning").glob("sparse_*"):
        shutil.rmtree(folder)
    _, after = finish(output, "--plant", f"{PLANTED:g}")
    assert after["planted"] == PLANTED
    assert "on purpose" in (output / "claims.html").read_text()
    losses = [
        {name: arm["bits_per_byte"] for name, arm in content["arms"].items()}
        for content in (before, after)
    ]
    right, wrong = (each.pop("75% sparse, corrected") for each in losses)
    assert all(one < other for one, other in zip(right, wrong, strict=True))
    assert losses[0] == losses[1], "control: the other arms stay"
    verdicts = [
        {claim["claim"]: claim["verdict"] for claim in content["claims"]}
        for content in (before, after)
    ]
    assert verdicts[0]["C5"] in ("held", "not shown")
    assert verdicts[1]["C5"] == "refuted"
    # Control: numbers that do not come from those runs stay; their errors and Holm's order may not.
    numbers = [
        {claim["claim"]: [part["value"] for part in claim["parts"]] for claim in content["claims"]}
        for content in (before, after)
    ]
    assert all(numbers[0][claim] == numbers[1][claim] for claim in ("C1", "C2", "C3"))
    assert numbers[0]["C3"]
    assert numbers[0]["C5"] != numbers[1]["C5"]


def test_another_seed_is_refused(stopped: Path) -> None:
    files = sorted(stopped.rglob("*"))
    process = start(stopped, "--seed", "2")
    told, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 2
    assert "holds a replication with seed 1 and not 2; allowed: another folder" in told
    assert sorted(stopped.rglob("*")) == files


@pytest.mark.cerebras
def test_an_arm_whose_masks_change_is_trained(stopped: Path) -> None:
    """In the folder of the others, whatever host they have."""
    scale = replace(SCALES["smoke"], methods=("gmp",))
    experiment = Experiment(scale=scale, seed=1, host="torch", folder=stopped)
    (arm,) = scale.dynamic_arms
    job = experiment.pretraining(arm, 2.0**-6, 101)
    Runner(num_jobs=1, is_fresh=True, total_flops=job.flops).run([job])
    assert 0 < experiment.bits_per_byte(arm, 2.0**-6, 101, REPORTED) < 8
    assert 0 <= experiment.clipped_fraction(arm, 2.0**-6, 101) <= 1
    report = json.loads(
        subprocess.run(
            [*COMMAND[:3], "inspect", str(newest_checkpoint(job.folder)), "--json"],
            capture_output=True,
            check=True,
        ).stdout
    )
    assert report["masks"]["sparsity"] == 0.75
