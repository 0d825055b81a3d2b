"""FLOPs of a run whose density changes: the sum over its steps."""

import pytest

from mediswift_cs.cli import main
from mediswift_cs.params.load import load_params
from mediswift_cs.params.training_cost import num_training_tokens, training_flops

# tiny: 4 layers of 4 matrices of 256 x 256 and 2 of 256 x 1024, sequences of 256, 8 a step.
DENSE_MATRICES = 4 * (4 * 256 * 256 + 2 * 256 * 1024)
# Attention scores and the head: 3 passes over 4 L S^2 d and 2 S d V a sequence.
FIXED = 3 * (4 * 4 * 256**2 * 256 + 2 * 256 * 256 * 4096)


def run_total(name: str, *overrides: str, **options: int) -> int:
    params = load_params(name, overrides, check_data="none").params
    tokens = num_training_tokens(params)
    assert tokens is not None
    return training_flops(params, tokens, **options).total


def test_flops_of_a_ramp_are_summed_over_its_densities() -> None:
    # By hand: an update each 100 steps, to half and to a quarter of the weights, in 600 steps.
    ramp = [
        "trainer.init.sparsity.sparsity.values=[0, 0.5, 0.75]",
        "trainer.init.sparsity.update={freq: 100, stop: 201}",
    ]
    kept = DENSE_MATRICES * 100 + DENSE_MATRICES // 2 * 100 + DENSE_MATRICES // 4 * 400
    expected = 8 * (600 * FIXED + 3 * 2 * 256 * kept)
    found = run_total("mediswift_tiny_75_gmp", *ramp)
    assert found == expected
    # Controls: neither the level of the end, nor its mean over the updates, nor that of the start.
    dense, static = run_total("mediswift_tiny_dense"), run_total("mediswift_tiny_75")
    assert dense == 8 * 600 * (FIXED + 6 * 256 * DENSE_MATRICES)
    assert static == 8 * 600 * (FIXED + 6 * 256 * DENSE_MATRICES // 4)
    assert static < found < dense
    assert found != 8 * 600 * (FIXED + 6 * 256 * DENSE_MATRICES * (1 + 0.5 + 0.25) / 3)


def test_an_update_of_rigl_takes_the_whole_gradient_of_the_weights() -> None:
    # Updates after steps 10, 20 .. 440, each of 8 sequences: one of three passes is dense.
    extra = 44 * 8 * 2 * 256 * (DENSE_MATRICES - DENSE_MATRICES // 4)
    static = run_total("mediswift_tiny_75")
    assert run_total("mediswift_tiny_75_rigl") == static + extra
    assert run_total("mediswift_tiny_75_set") == static, "control: SET looks at no gradient"


@pytest.mark.parametrize("method", ["static", "rigl", "gmp"])
def test_the_parts_of_a_run_add_up(method: str) -> None:
    name = "mediswift_tiny_75" + (f"_{method}" if method != "static" else "")
    params = load_params(name, check_data="none").params
    step = 8 * 256
    parts = [
        training_flops(params, number * step, first_step=first).total
        for first, number in ((0, 7), (7, 100), (107, 493))
    ]
    assert sum(parts) == training_flops(params, 600 * step).total
    # Half a step of it, and what comes after it.
    half, one = (training_flops(params, number * 256).total for number in (4, 8))
    assert half * 2 == one
    longer = training_flops(params, 601 * step).total - training_flops(params, 600 * step).total
    assert longer == 8 * (FIXED + 6 * 256 * DENSE_MATRICES // 4)


def test_command_prints_the_sum_over_a_ramp(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flops", "mediswift_tiny_75_gmp.yaml"]) == 0
    printed = capsys.readouterr().out
    assert "sparsity 0.75 at the end (gmp" in printed
    ratio = run_total("mediswift_tiny_dense") / run_total("mediswift_tiny_75_gmp")
    assert f"dense / sparse: {ratio:.2f}x" in printed
    assert f"{ratio:.2f}" != "2.00", "control: that of 75 % from the start"
