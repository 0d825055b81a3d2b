"""The result of ``--validate_only`` as a block of text and as JSON."""

from typing import Any

from mediswift_cs.csx.check import Verdict
from mediswift_cs.csx.watched_trace import EVALUATION, TRAINING
from mediswift_cs.params.load import LoadedParams
from mediswift_cs.params.training_cost import (
    decoder_shape,
    num_training_tokens,
    sparse_groups,
    training_flops,
    weights_train,
)
from mediswift_cs.params.weights import num_parameters

PROVED = {
    TRAINING: (
        "the whole training step (forward, backward, clipping, loss scaling, sparsity, optimizer, "
        "schedule) traces and lowers to CIRH at its real size and batch shape"
    ),
    EVALUATION: "the evaluation step with its metrics traces and lowers to CIRH",
}
NOT_PROVED = "kernel matching, memory and placement: the cluster's compile server does these"
DATA = {
    "synthetic": "the data folder is absent: zeros of the same shape stood in for it",
    "read": "the data was read: batches of one shape, int32",
}


def report(loaded: LoadedParams, verdict: Verdict) -> dict[str, Any]:
    """Everything that is known, as plain data."""
    params = loaded.params
    tokens = num_training_tokens(params)
    flops: dict[str, Any] = {"tokens": tokens}
    for kind, as_dense in (("dense", True), ("sparse", False)):
        shape = decoder_shape(params, as_dense=as_dense)
        total = shape.training_flops(weights_train=weights_train(params)).total
        flops[f"{kind}_per_sequence"] = total
        flops[f"{kind}_run"] = (
            None if tokens is None else training_flops(params, tokens, as_dense=as_dense).total
        )
    return {
        "params": str(loaded.source),
        "params_sha256": verdict.params_sha256,
        "passed": verdict.passed,
        "failure": verdict.failure,
        "proved": [PROVED[graph] for graph in verdict.graphs] if verdict.passed else [],
        "not_proved": not_proved(verdict),
        "cerebras_pytorch": verdict.trace.get("cerebras_pytorch"),
        "wall_seconds": round(verdict.wall_seconds, 2),
        "peak_bytes": verdict.peak_bytes,
        "num_parameters": verdict.trace.get("num_parameters")
        or num_parameters(params.trainer.init.model),
        "data": verdict.trace.get("data"),
        "batches": verdict.trace.get("batches"),
        "sparsity": [
            {**group._asdict(), "sparsity": group.sparsity, "algorithm": sparsity.algorithm}
            for group in sparse_groups(params)
            if (sparsity := params.trainer.init.sparsity)
        ],
        "training_flops": flops,
        "graphs": {graph: summary.to_json() for graph, summary in verdict.graphs.items()},
        "artifacts": verdict.artifacts,
    }


def not_proved(verdict: Verdict) -> list[str]:
    """What a pass says nothing about."""
    lines = [NOT_PROVED]
    if verdict.passed:
        if TRAINING not in verdict.graphs:
            lines.append("the training step: --mode train compiles it")
        if EVALUATION not in verdict.graphs:
            lines.append("the evaluation step: --mode eval compiles it")
    if "synthetic" in (verdict.trace.get("data") or {}).values():
        lines.append("the data: its folder is absent here")
    return lines


def text(found: dict[str, Any]) -> str:
    """The report that is printed at the end of a validation."""
    title = "PASSED" if found["passed"] else "FAILED"
    rows = [("compiles for CSX", f"{title}  {found['params']}")]
    rows.append(("params sha256", found["params_sha256"]))
    if found["failure"] is not None:
        rows += failure_rows(found["failure"])
    rows += [("proved", line) for line in found["proved"]]
    rows += [("not proved", line) for line in found["not_proved"]]
    for graph, how in (found["data"] or {}).items():
        rows.append((f"{graph} data", DATA[how]))
    for graph, batches in (found["batches"] or {}).items():
        shape = " x ".join(map(str, next(iter(batches["shapes"].values()))))
        last = batches["last_batch"]
        rows.append((f"{graph} batch", f"{shape}, int32; an incomplete last one is {last}"))
    memory = found["peak_bytes"] / 1e9
    rows.append(("wall time", f"{found['wall_seconds']:.1f} s, peak memory {memory:.2f} GB"))
    rows.append(("parameters", f"{found['num_parameters']:,}"))
    rows += sparsity_rows(found["sparsity"])
    rows += flops_rows(found["training_flops"])
    for graph, summary in found["graphs"].items():
        rows += graph_rows(graph, summary)
    rows += [("artifact", path) for path in found["artifacts"].values()]
    rows.append(("cerebras-pytorch", str(found["cerebras_pytorch"])))
    return "\n".join(f"{label:<18} {value}" for label, value in rows)


def failure_rows(failure: dict[str, Any]) -> list[tuple[str, str]]:
    """What went wrong, where, and what to do."""
    rows = [("reason", failure["message"])]
    for label, key in (("operation", "operation"), ("in", "location"), ("code", "source")):
        if failure[key]:
            rows.append((label, failure[key]))
    if failure["hint"]:
        rows.append(("hint", failure["hint"]))
    return rows


_HOW = {"static": "", "set": ", set", "rigl": ", rigl", "gmp": " at the end of the run, gmp"}


def sparsity_rows(groups: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """One row for each pattern of param_filter."""
    if not groups:
        return [("sparsity", "none, every weight is dense")]
    return [
        (
            "sparsity",
            f"{group['sparsity']:.4f} in {group['num_matrices']} matrices of {group['pattern']}: "
            f"{group['num_zeros']:,} zeros of {group['num_weights']:,}{_HOW[group['algorithm']]}",
        )
        for group in groups
    ]


def flops_rows(flops: dict[str, Any]) -> list[tuple[str, str]]:
    """Training FLOPs of the matrix products."""
    dense, sparse = flops["dense_per_sequence"], flops["sparse_per_sequence"]
    per_sequence = f"{dense:.4e} dense, {sparse:.4e} sparse a sequence ({dense / sparse:.2f}x)"
    rows = [("training FLOPs", per_sequence)]
    if flops["tokens"]:
        rows.append(
            (
                "",
                f"{flops['dense_run']:.3e} dense, {flops['sparse_run']:.3e} sparse over "
                f"{flops['tokens']:,} tokens",
            )
        )
    return rows


def graph_rows(graph: str, summary: dict[str, Any]) -> list[tuple[str, str]]:
    """The operations of one graph, several on a line."""
    # The longest name stands by itself at the end, so that the columns stay narrow.
    by_length = sorted(summary["operations"].items(), key=lambda item: len(item[0]) > 16)
    counts = [f"{name} {count}" for name, count in by_length]
    total = sum(summary["operations"].values())
    lines = [counts[start : start + 5] for start in range(0, len(counts), 5)]
    head = f"{total:,} operations, {summary['num_sparsity_hints']} sparsity annotations"
    rows = [(f"{graph} CIRH", head), ("", f"sha256 {summary['sha256']}")]
    return rows + [("", "".join(f"{cell:<20}" for cell in line).rstrip()) for line in lines]
