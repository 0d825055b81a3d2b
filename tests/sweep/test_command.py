"""A sweep: its runs, what is skipped and refused, its report; the runs have a stand-in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.sweep.vertex import Vertex, vertex

Sweep = Callable[..., tuple[int, str, str]]

RATE = "trainer.init.optimizer.AdamW.learning_rate"
MAX_STEPS = "trainer.init.loop.max_steps"
SEED = "trainer.init.seed"
SMALLER = (
    *("--set", "trainer.init.model.filter_size=32", "--set", f"{SEED}=3"),
    *("--set", "trainer.init.model.dropout_rate=0.5", "--set", "trainer.init.sparsity=0.5"),
)
THREE = ("--sweep", f"{RATE}=5e-4,1e-3,2e-3")
LOSSES = {"0.0005": 3.0, "0.001": 2.5, "0.002": 2.75}


@pytest.fixture(autouse=True)
def _losses(started: Any) -> None:
    started.losses = dict(LOSSES)


def option(command: tuple[str, ...], name: str) -> str:
    return command[command.index(name) + 1]


def report(tmp_path: Path) -> Any:
    return json.loads((tmp_path / "out/sweep.json").read_text())


def test_each_run_is_a_command_that_could_be_typed(
    sweep: Sweep, started: Any, tmp_path: Path, toy_file: Path
) -> None:
    start = tmp_path / "start.mdl"
    set_seed = ("--set", f"{SEED}=4", "--threads", "1", "--checkpoint_path", str(start))
    code, output, _ = sweep("CPU", *THREE, *set_seed)
    assert code == 0
    assert [option(command, "--model_dir") for command in started.commands] == [
        str(tmp_path / f"out/learning_rate_{text}") for text in LOSSES
    ]
    for command, text in zip(started.commands, LOSSES, strict=True):
        assert command[:4] == ("run", "CPU", "--params", str(toy_file))
        assert option(command, "--engine") == "torch"
        assert option(command, "--threads") == "1"
        assert option(command, "--checkpoint_path") == str(start)
        given = [command[i + 1] for i, part in enumerate(command) if part == "--set"]
        assert given == [
            f"{SEED}=4",
            "trainer.init.backend.backend_type=CPU",
            f"{RATE}={text}",
        ]
    assert "--- run 2 of 3: " in output


def test_the_report(sweep: Sweep, tmp_path: Path) -> None:
    _, output, _ = sweep(*THREE)
    found = report(tmp_path)
    assert found["key"] == RATE
    assert [run["value"] for run in found["runs"]] == [0.0005, 0.001, 0.002]
    assert [run["val_loss"] for run in found["runs"]] == [3.0, 2.5, 2.75]
    assert found["runs"][1] == {
        "value": 0.001,
        "folder": "learning_rate_0.001",
        "state": "finished",
        "step": 12,
        "val_loss": 2.5,
        "val_bits_per_byte": 2.5 / 3,
        "error": None,
    }
    assert found["lowest"] == 0.001
    best = vertex([0.0005, 0.001, 0.002], [3.0, 2.5, 2.75])
    assert isinstance(best, Vertex)
    assert found["vertex"]["rate"] == best.rate
    assert "0.001             12         2.5000         0.8333  lowest" in output
    assert f"best: {best.rate:.3g}, the vertex of the parabola in log2 through" in output
    assert (tmp_path / "out/sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_diverged_run_is_an_entry(sweep: Sweep, started: Any, tmp_path: Path) -> None:
    started.losses["0.002"] = "the loss is nan at step 3: a run goes on with finite numbers only"
    code, output, _ = sweep(*THREE)
    assert code == 0
    assert len(started.commands) == 3
    assert "0.002          diverged: the loss is nan at step 3\n" in output
    assert (
        "not bracketed: the run beside the lowest loss, at 0.002, diverged; add 0.00141" in output
    )
    found = report(tmp_path)
    assert found["runs"][2]["state"] == "diverged"
    assert found["runs"][2]["val_loss"] is None
    assert "vertex" not in found
    # It is not tried again.
    assert sweep(*THREE)[0] == 0
    assert len(started.commands) == 3


def test_where_every_run_diverges_the_job_has_failed(
    sweep: Sweep, started: Any, tmp_path: Path
) -> None:
    started.losses = dict.fromkeys(started.losses, "the loss is nan at step 3")
    code, output, _ = sweep(*THREE)
    assert code == 1
    assert "every run diverged; widen to 0.00025:" in output
    assert report(tmp_path)["lowest"] is None
    assert not (tmp_path / "out/sweep.png").exists()


def test_an_open_end_says_the_command_that_closes_it(
    sweep: Sweep, started: Any, tmp_path: Path
) -> None:
    started.losses |= {"0.002": 2.25, "0.004": 2.4}
    code, output, _ = sweep(*THREE)
    assert code == 0
    assert (
        "not bracketed: the lowest loss is at the highest value, 0.002; widen to 0.004:" in output
    )
    given = next(line for line in output.splitlines() if line.startswith("  --sweep"))
    assert report(tmp_path)["not_bracketed"]["add"] == [0.004]
    # Typed as it stands: what is there stays, in another spelling of the values too.
    _, output, _ = sweep(*given.split())
    assert output.count("is there already: finished") == 3
    assert len(started.commands) == 4
    assert "best: " in output


@pytest.mark.parametrize(
    ("found", "code", "message"),
    [
        (130, 130, "was stopped. Give the same command again to go on."),
        (2, 2, "ended with exit code 2. Give the same command again to go on."),
        # A crash has this code as well, and is no divergence.
        (1, 1, "ended with exit code 1. Give the same command again to go on."),
        (-9, 1, "ended with exit code -9. Give the same command again to go on."),
    ],
)
def test_a_run_that_does_not_end_ends_the_sweep(
    sweep: Sweep, started: Any, tmp_path: Path, found: int, code: int, message: str
) -> None:
    started.losses["0.001"] = found
    ended, _, errors = sweep(*THREE)
    assert ended == code
    assert errors == f"error: run 2 of 3 of the sweep, {RATE}=0.001, {message}\n"
    assert len(started.commands) == 2
    assert not (tmp_path / "out/sweep.json").exists()
    # The same command goes on with it, and leaves the first alone.
    started.losses["0.001"] = 2.5
    ended, output, _ = sweep(*THREE)
    assert ended == 0
    assert len(started.commands) == 4
    assert output.count("is there already") == 1


def test_a_finished_run_is_known_by_its_content(
    sweep: Sweep, started: Any, tmp_path: Path, toy_file: Path, toy_data: Path
) -> None:
    sweep(*THREE)
    # Where it says and where it lies does not count, nor another spelling of the params.
    moved = tmp_path / "moved"
    (tmp_path / "out").rename(moved)
    toy_file.write_text(json.dumps(yaml.safe_load(toy_file.read_text())))
    told = ("--set", "trainer.init.logging.log_steps=1", "--set", "trainer.init.checkpoint.steps=2")
    code, output, _ = sweep(*THREE, "--model_dir", str(moved), *told)
    assert code == 0
    assert output.count("is there already") == 3
    # What decides the result does.
    others = [
        (("--set", f"{MAX_STEPS}=20"), "params.init.loop.max_steps was 12, is 20"),
        (("--set", f"{SEED}=5"), "params.init.seed was 1, is 5"),
        (("--checkpoint_path", "a.mdl"), "checkpoint_path was None, is "),
        (("--set", "trainer.init.model.hidden_size=64", *SMALLER), "; and "),
    ]
    for others_given, message in others:
        code, _, errors = sweep(*THREE, "--model_dir", str(moved), *others_given)
        assert code == 2
        assert f"{moved}/learning_rate_0.0005 holds a run with other settings (" in errors
        assert message in errors
        assert "allowed: another --model_dir, or remove that folder" in errors
    assert len(started.commands) == 3


def test_other_data_in_the_same_folder_is_another_run(
    sweep: Sweep, started: Any, toy_data: Path
) -> None:
    sweep(*THREE)
    manifest = toy_data / "train/manifest.json"
    # Not one that can be read: which is told as such, before.
    assert not manifest.exists()
    from mediswift_cs.sweep import runs

    original = runs.find_manifest
    try:
        runs.find_manifest = lambda folder: Path(__file__)  # type: ignore[assignment]
        code, _, errors = sweep(*THREE)
    finally:
        runs.find_manifest = original
    assert code == 2
    assert f"manifests.{toy_data}/train was None, is " in errors
    assert len(started.commands) == 3


def test_a_folder_of_something_else_is_refused(sweep: Sweep, started: Any, tmp_path: Path) -> None:
    folder = tmp_path / "out/learning_rate_0.001"
    folder.mkdir(parents=True)
    (folder / "run.log").write_text("")
    code, _, errors = sweep(*THREE)
    assert (code, started.commands) == (2, [])
    assert f"{folder} holds a run that is none of a sweep" in errors
    (folder / "sweep_run.json").write_text("{}")
    assert sweep(*THREE)[0] == 2
    (folder / "sweep_run.json").write_text("[")
    assert sweep(*THREE)[0] == 2
    # What a killed process was writing is nothing.
    (folder / "sweep_run.json").unlink()
    (folder / "run.log").unlink()
    assert sweep(*THREE)[0] == 0
    code, _, errors = sweep("--sweep", "trainer.init.optimizer.AdamW.weight_decay=0,1")
    assert code == 2
    assert (
        f"holds a sweep of {RATE}, got one of trainer.init.optimizer.AdamW.weight_decay" in errors
    )


@pytest.mark.parametrize(
    ("key", "texts", "files"),
    [
        ("trainer.init.sparsity.sparsity", ("0.0", "0.5"), {"sweep.json", "sweep.png"}),
        ("trainer.init.sparsity", ("null", "0.5"), {"sweep.json"}),
        (SEED, ("1", "2"), {"sweep.json"}),
        (
            "trainer.init.schedulers",
            (
                '[{"ConstantLR": {"learning_rate": 0.5}}]',
                '[{"ConstantLR": {"learning_rate": 0.25}}]',
            ),
            {"sweep.json"},
        ),
    ],
)
def test_values_without_a_logarithm_have_a_table(
    sweep: Sweep, started: Any, tmp_path: Path, key: str, texts: tuple[str, ...], files: set[str]
) -> None:
    started.losses = {text: 2.0 + index for index, text in enumerate(texts)}
    code, output, _ = sweep("--sweep", f"{key}={','.join(texts)}")
    assert code == 0
    assert {path.name for path in (tmp_path / "out").glob("sweep.[jp]*")} == files
    assert "  lowest" in output
    assert not {"vertex", "not_bracketed"} & report(tmp_path).keys()


def test_of_several_held_out_sets_the_first_one_counts(tmp_path: Path) -> None:
    from mediswift_cs.sweep.runs import _last_evaluation

    lines = [
        {"step": 6, "val_loss_0": 2.0, "val_bits_per_byte_0": 1.0},
        {"step": 6, "val_loss_1": 9.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    found = _last_evaluation(tmp_path)
    assert (found.step, found.val_loss, found.val_bits_per_byte) == (6, 2.0, 1.0)
