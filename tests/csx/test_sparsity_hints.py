"""How often the compiler is told of a mask depends on what else has the weight's shape."""

from pathlib import Path

import pytest

from mediswift_cs.csx.check import validate
from mediswift_cs.params.load import load_params

SMALL = [f"trainer.init.model.{key}" for key in ("num_hidden_layers=1", "vocab_size=512")]
NUM_MASKS = 6
ADAMW = "trainer.init.optimizer.AdamW"
SPARSITY = "trainer.init.sparsity"


@pytest.mark.parametrize(
    ("overrides", "hints_per_mask"),
    [
        ([], 3),
        ([f"{ADAMW}.amsgrad=true"], 4),
        pytest.param([f"{ADAMW}.correct_bias=false"], 3, marks=pytest.mark.slow),
        ([f"{SPARSITY}.sparsity=0"], 3),
        pytest.param([f"{SPARSITY}.init_method=topk"], 3, marks=pytest.mark.slow),
        pytest.param([f"{SPARSITY}.param_filter=null"], 3, marks=pytest.mark.slow),
    ],
)
def test_annotations_of_a_mask(overrides: list[str], hints_per_mask: int, tmp_path: Path) -> None:
    loaded = load_params("mediswift_tiny_75", [*SMALL, *overrides], check_data="none")
    verdict = validate(loaded, mode="train", model_dir=tmp_path)
    assert verdict.failure is None, verdict.failure
    assert verdict.graphs["training"].num_sparsity_hints == hints_per_mask * NUM_MASKS
