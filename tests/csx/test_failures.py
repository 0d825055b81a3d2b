"""Models that must not pass, and what is said of them. Each one is compiled for real."""

import sys
from pathlib import Path

import pytest

from mediswift_cs.csx.check import Verdict, validate
from mediswift_cs.csx.report import report, text
from mediswift_cs.params.load import LoadedParams, load_params

PROGRAM = Path(__file__).parent / "broken_trace.py"
SOURCE = PROGRAM.read_text().splitlines()


@pytest.fixture(scope="module")
def small() -> LoadedParams:
    overrides = [f"trainer.init.model.{key}" for key in ("num_hidden_layers=1", "vocab_size=512")]
    return load_params("mediswift_tiny_75.yaml", overrides, check_data="none")


def compile_broken(kind: str, params: LoadedParams, folder: Path) -> Verdict:
    command = [sys.executable, str(PROGRAM), kind]
    return validate(params, mode="train", model_dir=folder, trace_command=command)


def test_control_the_same_program_passes_with_a_sound_model(
    small: LoadedParams, tmp_path: Path
) -> None:
    verdict = compile_broken("none", small, tmp_path)
    assert verdict.failure is None
    assert verdict.graphs["training"].num_operations > 500


@pytest.mark.parametrize(
    ("kind", "operation", "code"),
    [
        ("no_lowering", "torch.aten.erfinv", "torch.erfinv(weight)"),
        ("branch", "aten::_local_scalar_dense", "loss * 2 if loss > 3 else loss"),
        pytest.param("item", "aten::_local_scalar_dense", "loss.item()", marks=pytest.mark.slow),
        ("boolean_index", "aten::nonzero", "weight[weight > 0]"),
        ("wrong_shape", "torch.matmul", "torch.matmul(weight, weight)"),
        pytest.param("conv1d", "cirh.Convolution", "functional.conv1d", marks=pytest.mark.slow),
        pytest.param("float64", "cirh.Cast", "weight.double()", marks=pytest.mark.slow),
    ],
)
def test_operation_and_line_are_named(
    kind: str, operation: str, code: str, small: LoadedParams, tmp_path: Path
) -> None:
    verdict = compile_broken(kind, small, tmp_path)
    assert verdict.failure is not None
    assert not verdict.passed
    assert verdict.failure["operation"] == operation
    number = next(index for index, line in enumerate(SOURCE, start=1) if code in line)
    assert verdict.failure["location"] == f"{PROGRAM}:{number}"
    assert code in verdict.failure["source"]
    printed = text(report(small, verdict))
    assert "FAILED" in printed
    assert "PASSED" not in printed
    assert operation in printed
    assert f"{PROGRAM}:{number}" in printed
    if kind in ("branch", "item", "boolean_index"):
        assert "torch.where" in verdict.failure["hint"]
    assert not Path("ltc_unsupported.graph").exists()


def test_empty_cirh_fails_although_the_compiler_said_0(small: LoadedParams, tmp_path: Path) -> None:
    verdict = compile_broken("swallowed_status", small, tmp_path)
    assert verdict.failure is not None
    assert "wrote no CIRH for the training graph" in verdict.failure["message"]
    (empty,) = tmp_path.rglob("cirh.mlir")
    assert empty.stat().st_size == 0


def test_a_graph_without_the_masks_fails(small: LoadedParams, tmp_path: Path) -> None:
    verdict = compile_broken("dropped_masks", small, tmp_path)
    assert verdict.failure is not None
    assert verdict.failure["message"].startswith(
        "the training graph tells the compiler of 0 sparse tensors, allowed: 18 for 6 masks"
    )


def test_a_crash_of_the_compiler_fails(small: LoadedParams, tmp_path: Path) -> None:
    verdict = compile_broken("crash", small, tmp_path)
    assert verdict.failure is not None
    assert (
        verdict.failure["message"]
        == "the compiler ended with signal 6 while compiling the training graph"
    )


def test_a_program_that_says_nothing_fails(small: LoadedParams, tmp_path: Path) -> None:
    verdict = validate(small, mode="train", model_dir=tmp_path, trace_command=["true"])
    assert verdict.failure is not None
    assert "no CIRH for the training graph" in verdict.failure["message"]


def test_other_params_than_those_asked_for_fail(small: LoadedParams, tmp_path: Path) -> None:
    """A result that another validation wrote proves nothing of this one."""
    verdict = compile_broken("other_params", small, tmp_path)
    assert verdict.failure is not None
    assert "read other params than those that were asked for" in verdict.failure["message"]
