"""The tables of ``mediswift flops``: what training costs, dense and sparse."""

from typing import Any

from mediswift_cs.flops import Flops, run_flops, shape_of_size
from mediswift_cs.params.load import load_params
from mediswift_cs.params.training_cost import (
    decoder_shape,
    final_level,
    num_training_tokens,
    sequence_length,
    training_flops,
    weights_train,
)
from mediswift_cs.sizes import SIZES, SPARSITY_LEVELS

PAPER_CLAIM = (
    'The paper says "2-2.5x" fewer FLOPs (quoted); above, that is the 75 % column from med to xl.'
)
FORMULA_NOTE = (
    "Computed here in closed form; these are not numbers from the paper, and nobody here has run "
    "the full training."
)
_HOW = {
    "set": " (set)",
    "rigl": " (rigl, whose updates take the gradient of every weight: in the run)",
    "gmp": " at the end (gmp: less before, see the run)",
}


def sizes_report(num_tokens: int | None) -> list[dict[str, Any]]:
    """Training FLOPs of each published size at each sparsity, with and without the softmax."""
    rows = []
    for size in (size for size in SIZES.values() if size.is_published):
        tokens = size.num_tokens if num_tokens is None else num_tokens
        for with_softmax in (True, False):
            flops = {}
            for level, sparsity in SPARSITY_LEVELS.items():
                one = shape_of_size(size, sparsity).training_flops(with_softmax=with_softmax)
                flops[level] = run_flops(one, tokens, size.max_position_embeddings).total
            rows.append(
                {
                    "size": size.name,
                    "tokens": tokens,
                    "with_softmax": with_softmax,
                    "training_flops": flops,
                }
            )
    return rows


def sizes_text(rows: list[dict[str, Any]]) -> str:
    """The table of :func:`sizes_report`, one block with the softmax term and one without."""
    lines = [f"Training FLOPs of a run over {rows[0]['tokens']:,} tokens", ""]
    for with_softmax in (True, False):
        lines.append("with the softmax term" if with_softmax else "matrix products only")
        titles = ("dense" if level == "dense" else f"{level} %" for level in SPARSITY_LEVELS)
        lines.append("      " + "".join(f"{title:>20}" for title in titles))
        for row in rows:
            if row["with_softmax"] == with_softmax:
                counts = row["training_flops"]
                cells = (f"{n:.3e} ({counts['dense'] / n:.2f}x)" for n in counts.values())
                lines.append(f"{row['size']:<6}" + "".join(f"{cell:>20}" for cell in cells))
        lines.append("")
    return "\n".join([*lines, PAPER_CLAIM, FORMULA_NOTE])


def params_report(name: str, num_tokens: int | None, with_softmax: bool) -> dict[str, Any]:
    """The counts of one params file, dense and as sparse as it asks for.

    Those of a sequence are those at the end of the run, where the sparsity changes.

    Raises:
        ConfigError: the file is wrong, or num_tokens is no multiple of its sequence length.
    """
    loaded = load_params(name, check_data="none")
    params = loaded.params
    sparsity, length = params.trainer.init.sparsity, sequence_length(params)
    tokens = num_training_tokens(params) if num_tokens is None else num_tokens
    report: dict[str, Any] = {
        "params": str(loaded.source),
        "sparsity": final_level(params),
        "algorithm": None if sparsity is None else sparsity.algorithm,
        "sequence_length": length,
        "tokens": tokens,
        "with_softmax": with_softmax,
    }
    for kind in ("dense", "sparse"):
        shape = decoder_shape(params, as_dense=kind == "dense")
        training = shape.training_flops(
            with_softmax=with_softmax, weights_train=weights_train(params)
        )
        run = None
        if tokens is not None:
            counted = training_flops(
                params, tokens, as_dense=kind == "dense", with_softmax=with_softmax
            )
            run = _counts(counted)
        report[kind] = {
            "forward_per_sequence": _counts(shape.forward_flops(with_softmax=with_softmax)),
            "training_per_sequence": _counts(training),
            "training_run": run,
        }
    return report


def _counts(flops: Flops) -> dict[str, int]:
    return {**flops.by_part(), "total": flops.total}


def params_text(report: dict[str, Any]) -> str:
    """The table of :func:`params_report`."""
    length, tokens = report["sequence_length"], report["tokens"]
    dense, sparse = report["dense"], report["sparse"]
    run = "no fixed length" if tokens is None else f"{tokens:,} tokens"
    columns = ["forward/token", "training/token"] + (["training run"] if tokens else [])
    lines = [
        f"{report['params']}: sparsity {report['sparsity']:g}{_HOW.get(report['algorithm'], '')}, "
        f"sequences of {length}, run of {run}",
        f"{'':24}" + "".join(f"{title:>30}" for title in columns),
        f"{'':24}" + f"{'dense':>18}{'sparse':>12}" * len(columns),
    ]
    for part in dense["forward_per_sequence"]:
        if part == "softmax" and not report["with_softmax"]:
            continue
        cells = ""
        for key, counts in dense.items():
            if counts is not None:
                divisor = 1 if key == "training_run" else length
                cells += f"{counts[part] / divisor:>18.4e}{sparse[key][part] / divisor:>12.4e}"
        lines.append(f"{part.replace('_', ' '):<24}" + cells)
    key = "training_run" if tokens else "training_per_sequence"
    ratio = dense[key]["total"] / sparse[key]["total"]
    return "\n".join([*lines, f"dense / sparse: {ratio:.2f}x"])
