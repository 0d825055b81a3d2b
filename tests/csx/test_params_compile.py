"""Every shipped params file compiles, to the graph that is recorded."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from mediswift_cs.csx.check import Verdict, validate
from mediswift_cs.csx.cirh import GraphSummary, differences
from mediswift_cs.params.load import load_params, shipped_files
from mediswift_cs.params.weights import num_parameters

GOLDEN = Path(__file__).parent / "golden"
REFRESH = "python tests/csx/refresh_golden.py"
FILES = list(shipped_files())
PRETRAINING = [name for name in FILES if "/" not in name]
QUICK = {
    "mediswift_tiny_dense.yaml",
    "mediswift_tiny_75.yaml",
    "mediswift_tiny_75_supar.yaml",
    "mediswift_xl_75.yaml",
    "finetuning/mediswift_tiny_pubmedqa.yaml",
}

# What ModelZoo 2.10's own GPT-3 lowers to, sparse training step: the operations that are known to
# have kernels for this kind of model.
# fmt: off
KNOWN_OPERATIONS = {
    "Add", "Arange", "BroadcastInDim", "Cast", "Clamp", "Compare", "Concat", "Const", "Cos",
    "Div", "DotGeneral", "Gather", "Gelu", "GeluGrad", "L2Norm", "LayerNorm", "LayerNormGrad",
    "MatMul", "Mul", "Reciprocal", "Reduce", "Reshape", "ScatterNd", "Select", "Softmax",
    "SparseSoftmaxCrossEntropyWithLogits", "Sqrt", "Sub", "Transpose",
}
# What cerebras.pytorch.sparse adds to choose what a method drops and grows: a sort of each matrix
# in the place of its static mask.
PRUNING = {"Abs", "And", "Scatter", "Slice", "TopK"}
OPERATIONS_OF = {
    "static": set[str](),
    "set": PRUNING | {"Or", "RandomUniform"},
    "rigl": PRUNING | {"Or"},
    "gmp": PRUNING,
}
# fmt: on


def marked(names: list[str]) -> list[object]:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


@pytest.fixture(scope="module")
def compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, "Future[Verdict]"]]:
    """The verdict on each file that the chosen tests ask for; two are compiled at a time."""
    of_tests = (item for item in request.session.items if item.path == request.path)
    calls = (
        item.callspec.params
        for item in of_tests
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
    )
    names = dict.fromkeys(call["name"] for call in calls if "name" in call)
    with ThreadPoolExecutor(2) as pool:
        yield {
            name: pool.submit(
                validate,
                load_params(name, check_data="none"),
                mode="train_and_eval",
                model_dir=tmp_path_factory.mktemp("compiled"),
            )
            for name in names
        }
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", marked(PRETRAINING))
def test_pretraining_graphs_are_the_recorded_ones(
    name: str, compiled: dict[str, "Future[Verdict]"]
) -> None:
    verdict = compiled[name].result()
    assert verdict.failure is None, verdict.failure
    loaded = load_params(name, check_data="none")
    assert verdict.trace["num_parameters"] == num_parameters(loaded.params.trainer.init.model)
    sparsity = loaded.params.trainer.init.sparsity
    added = OPERATIONS_OF[sparsity.algorithm if sparsity else "static"]
    # Exactly those of the method: a dynamic file whose graph lacks them has masks that stay.
    assert set(verdict.graphs["training"].operations) - KNOWN_OPERATIONS == added

    golden = json.loads((GOLDEN / f"{Path(name).stem}.json").read_text())
    assert verdict.trace["cerebras_pytorch"] == golden["cerebras_pytorch"], REFRESH
    assert verdict.graphs.keys() == golden["graphs"].keys()
    for graph, found in verdict.graphs.items():
        changes = differences(GraphSummary(**golden["graphs"][graph]), found)
        assert not changes, "\n".join(
            [f"the {graph} graph of {name} changed:", *changes, f"if that is meant: {REFRESH}"]
        )


@pytest.mark.parametrize("name", marked([name for name in FILES if "/" in name]))
def test_finetuning_params_compile(name: str, compiled: dict[str, "Future[Verdict]"]) -> None:
    verdict = compiled[name].result()
    assert verdict.failure is None, verdict.failure
    assert verdict.graphs["training"].num_sparsity_hints == 0, "fine-tuning is dense"
    assert verdict.graphs.keys() == {"training", "evaluation"}


def test_every_pretraining_file_is_recorded() -> None:
    recorded = {file.stem for file in GOLDEN.glob("*.json")}
    assert recorded == {Path(name).stem for name in PRETRAINING}


def test_records_of_sparse_files_hold_three_annotations_a_mask() -> None:
    for file in GOLDEN.glob("*.json"):
        golden = json.loads(file.read_text())
        layers = load_params(
            f"{file.stem}.yaml", check_data="none"
        ).params.trainer.init.model.num_hidden_layers
        expected = 0 if file.stem.endswith("dense") else 3 * 6 * layers
        assert golden["graphs"]["training"]["num_sparsity_hints"] == expected, file.name
