"""Arms of equal training FLOPs, the plan, and what the command refuses."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from mediswift_cs.cli import main
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import examine
from mediswift_cs.replication.experiment import Experiment
from mediswift_cs.replication.replicate import Options, _begin_folder, experiment_of
from mediswift_cs.replication.scales import (
    DENSE,
    SCALES,
    SHORT,
    SMALL,
    SPARSE,
    TUNED_ARMS,
    TUNED_MASKED,
    TUNED_SPARSE,
    num_weights,
    training_flops,
)


def experiment(scale: str = "hour", planted: float = 1.0) -> Experiment:
    return experiment_of(
        Options(scale=scale, output=Path("out"), seed=1, host="torch", num_jobs=2, planted=planted)
    )


@pytest.mark.parametrize("scale", ["hour", "night"])
def test_controls_have_the_training_flops_of_the_sparse_arm(scale: str) -> None:
    found = SCALES[scale]
    target = training_flops(found.size_of(SPARSE), SPARSE.sparsity)
    for arm in (SHORT, SMALL):
        size = found.size_of(arm)
        assert training_flops(size) == pytest.approx(target, rel=0.001), arm.name
        assert size.hidden_size % size.num_heads == 0
    assert found.size_of(SMALL).num_tokens == found.size.num_tokens
    assert found.size_of(SHORT).hidden_size == found.size.hidden_size
    # Control: the dense arm itself has nearly twice as many.
    assert training_flops(found.size_of(DENSE)) > 1.9 * target


def test_training_flops_of_each_arm_are_those_of_its_params() -> None:
    one = experiment("night")
    facts = one.sizes()
    for arm in one.scale.arms:
        if arm.method == "static":
            flops = training_flops(one.scale.size_of(arm), arm.sparsity)
            assert facts[arm.name]["flops"] == flops, arm.name
    found = {arm.method: facts[arm.name]["flops"] for arm in one.scale.dynamic_arms}
    # RigL takes whole gradients at its updates, and pruning begins dense.
    static = facts[SPARSE.name]["flops"]
    assert found["set"] == static < found["rigl"] < found["gmp"] < facts[DENSE.name]["flops"]


def test_masks_that_change_are_trained_by_the_host_that_has_them() -> None:
    one = experiment("night")
    assert {arm.method for arm in one.scale.dynamic_arms} == {"set", "rigl", "gmp"}
    for arm in one.scale.arms:
        assert one.host_of(arm) == ("torch" if arm.method == "static" else "cerebras"), arm.name
    assert not experiment("hour").scale.dynamic_arms


def test_a_token_and_m_star_of_the_design() -> None:
    micro, tiny = SCALES["hour"], SCALES["night"]
    assert training_flops(micro.size) / micro.size.num_tokens == pytest.approx(7.08e6, rel=1e-3)
    ratio = num_weights(tiny.size_of(SMALL), sparsity=0.0) / num_weights(tiny.size, 0.75)
    assert ratio == pytest.approx(1.70, abs=0.02)


@pytest.mark.parametrize("scale", SCALES)
def test_params_of_every_arm_are_accepted(scale: str) -> None:
    one = experiment(scale)
    for arm in one.scale.arms:
        raw = one.pretraining_params(arm, 0.01, 101)
        params, problems = examine(raw)
        assert params is not None, problems
        init = params.trainer.init
        assert init.seed == 101
        sparsity = 0.0 if init.sparsity is None else init.sparsity.sparsity
        method = "static" if init.sparsity is None else init.sparsity.algorithm
        assert method == arm.method
        # The level of gradual pruning changes.
        if method == "gmp":
            assert init.sparsity is not None
            assert init.sparsity.level_after(one.scale.size.max_steps) == arm.sparsity
        else:
            assert sparsity == arm.sparsity
        factor = init.optimizer.AdamW.adjust_learning_rate.decoder_kernel  # type: ignore[union-attr]
        correction = 1 / (1 - sparsity) if arm.is_corrected else 1.0
        assert factor * init.model.hidden_size == pytest.approx(16 * correction)
        embeddings = init.model.embedding_initializer
        assert (embeddings.std, embeddings.a, embeddings.b) == pytest.approx((0.1, -0.2, 0.2))
    for tuned in TUNED_ARMS:
        params, problems = examine(one.tuning_params(tuned, 0.01, 101))
        assert params is not None, problems
        init = params.trainer.init
        assert (init.sparsity is not None) == tuned.keeps_masks
        assert init.model.embedding_initializer.std == pytest.approx(0.1)
        # Where the masks go, the factor goes with them.
        factor = init.optimizer.AdamW.adjust_learning_rate.decoder_kernel  # type: ignore[union-attr]
        assert factor == (4.0 if tuned == TUNED_MASKED else 1.0)


def test_planted_error_moves_the_sparse_arm_alone() -> None:
    best = {arm.name: 0.01 for arm in SCALES["hour"].arms if arm.rate_of is None}
    wrong = experiment(planted=8.0)
    rates = {arm.name: wrong.rate_of(arm, best) for arm in wrong.scale.arms}
    assert rates.pop(SPARSE.name) == 0.08
    assert set(rates.values()) == {0.01}


def test_seeds_of_two_replications_are_apart() -> None:
    one = experiment()
    other = experiment_of(
        Options(scale="night", output=Path("out"), seed=2, host="torch", num_jobs=1)
    )
    assert not {one.sweep_seed, *one.seeds} & {other.sweep_seed, *other.seeds}
    assert one.sweep_seed not in one.seeds


def test_each_job_has_a_folder_of_its_own() -> None:
    one = experiment("night")
    rates = dict.fromkeys((arm.name for arm in one.scale.arms), 0.01)
    jobs = [one.pretraining(arm, r, s) for arm in one.scale.arms for r in (1, 2) for s in one.seeds]
    jobs += [one.tuning(tuned, r, s, rates) for tuned in TUNED_ARMS for r in (1, 2) for s in (1, 2)]
    assert len({job.folder for job in jobs}) == len(jobs)
    # What fine-tuning starts from stays on the disk; what a sweep left does not.
    assert one.pretraining(SPARSE, 0.01, one.seeds[0]).keeps_checkpoint
    assert not one.pretraining(SPARSE, 0.01, one.sweep_seed).keeps_checkpoint
    assert not one.tuning(TUNED_SPARSE, 0.01, one.seeds[0], rates).keeps_checkpoint


def test_dry_run_prints_the_plan_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = ["replicate", "--scale", "hour", "--jobs", "2", "--output", str(output)]
    assert main([*arguments, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "in all                             115" in told
    assert "dense, smaller" in told
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--jobs", "0"], "--jobs: got 0, allowed: 1 or more"),
        (["--seed", "-1"], "--seed: got -1, allowed: 0 or more"),
        (["--input", "nowhere.xml"], "--input: got nowhere.xml, which is not there"),
    ],
)
def test_bad_options_are_one_sentence(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = ["replicate", "--scale", "smoke", "--output", str(output)]
    assert main([*arguments, *options]) == 2
    assert message in capsys.readouterr().err
    assert not output.exists()


def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["replicate", "--scale", "smoke", "--output", str(tmp_path)]) == 2
    assert "which is no replication" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_killed_before_its_settings_were_whole_it_can_be_started_again(tmp_path: Path) -> None:
    (tmp_path / "settings.json.partial-1-00000000").write_text("{")
    options = Options(scale="smoke", output=tmp_path, seed=1, host="torch", num_jobs=1)
    _begin_folder(options)
    assert (tmp_path / "settings.json").exists()
    # The same replication again, and not another one.
    _begin_folder(options)
    with pytest.raises(ConfigError, match="seed 1 and not 2"):
        _begin_folder(replace(options, seed=2))


def test_one_of_scale_and_render_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises((SystemExit, argparse.ArgumentError)):
        main(["replicate"])
    assert "--scale --render" in capsys.readouterr().err
