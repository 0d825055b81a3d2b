"""Counting and comparing CIRH."""

from pathlib import Path

import pytest

from mediswift_cs.csx.cirh import (
    GraphSummary,
    differences,
    normalised_lines,
    summarise,
)

CIRH = """#loc0 = loc(unknown)
module  {
  func @graph(%arg0: tensor<4x4xi1> {cs.min_sparsity = 7.5e-01 : f32} loc(unknown), %arg1: f32) {
    %0 = cirh.Cast %arg0 : tensor<4x4xi1> -> tensor<4x4xf32> loc(#loc20)
    %1 = cirh.Mul %0, %arg1 : tensor<4x4xf32> loc("a (b"(callsite("f"("x.py":3:0) at "g"("y":9))))
    %2 = cirh.Mul %1, %1 : tensor<4x4xf32> loc("/tmp/one/torch.mlir":7:1)
  } loc(unknown)
}
#loc20 = loc("m.fwd/aten::cirh.Div"(callsite("f"("x.py":3:0))))
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "cirh.mlir"
    file.write_text(text)
    return file


def test_operations_and_annotations_are_counted(tmp_path: Path) -> None:
    summary = summarise(write(tmp_path, CIRH))
    assert summary.operations == {"Cast": 1, "Mul": 2}
    assert summary.num_operations == 3
    assert summary.num_sparsity_hints == 1
    assert GraphSummary(**summary.to_json()) == summary


def test_locations_do_not_count(tmp_path: Path) -> None:
    lines = list(normalised_lines(write(tmp_path, CIRH)))
    assert lines == [
        "module  {",
        "  func @graph(%arg0: tensor<4x4xi1> {cs.min_sparsity = 7.5e-01 : f32}, %arg1: f32) {",
        "    %0 = cirh.Cast %arg0 : tensor<4x4xi1> -> tensor<4x4xf32>",
        "    %1 = cirh.Mul %0, %arg1 : tensor<4x4xf32>",
        "    %2 = cirh.Mul %1, %1 : tensor<4x4xf32>",
        "  }",
        "}",
    ]
    elsewhere = CIRH.replace("/tmp/one", "/home/two").replace('"x.py":3', '"x.py":4')
    before = summarise(write(tmp_path, CIRH))
    assert summarise(write(tmp_path, elsewhere)) == before
    assert summarise(write(tmp_path, CIRH.replace("4x4", "4x8"))).sha256 != before.sha256


def graph(sha256: str = "a", num_sparsity_hints: int = 3, **operations: int) -> GraphSummary:
    return GraphSummary(operations=operations, num_sparsity_hints=num_sparsity_hints, sha256=sha256)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (graph(Mul=2, Add=1), []),
        (graph(Mul=3, Add=1, sha256="b"), ["cirh.Mul: 2 before, 3 now (+1)"]),
        (graph(Mul=2, sha256="b"), ["cirh.Add: 1 before, 0 now (-1)"]),
        (
            graph(Mul=2, Add=1, Tanh=4, sha256="b"),
            ["cirh.Tanh: 0 before, 4 now (+4)"],
        ),
        (
            graph(Mul=2, Add=1, num_sparsity_hints=0, sha256="b"),
            ["min_sparsity: 3 before, 0 now"],
        ),
    ],
)
def test_each_difference_is_named(found: GraphSummary, expected: list[str]) -> None:
    assert differences(graph(Mul=2, Add=1), found) == expected


def test_a_changed_text_with_the_same_counts_is_a_difference() -> None:
    (line,) = differences(graph(Mul=2), graph(Mul=2, sha256="b"))
    assert "another order or with other shapes" in line
