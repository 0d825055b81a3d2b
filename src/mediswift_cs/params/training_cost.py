"""What a params file asks for, as counts: sparse weights, tokens of the run, FLOPs; as tables."""

from math import prod
from typing import Any, NamedTuple

from mediswift_cs.flops import DecoderShape, Flops, num_kept, run_flops, shape_of_size
from mediswift_cs.params.load import load_params
from mediswift_cs.params.schema import Params
from mediswift_cs.params.weights import matching, weights
from mediswift_cs.sizes import SIZES, SPARSITY_LEVELS

PAPER_CLAIM = (
    'The paper says "2-2.5x" fewer FLOPs (quoted); above, that is the 75 % column from med to xl.'
)
FORMULA_NOTE = (
    "Computed here in closed form; these are not numbers from the paper, and nobody here has run "
    "the full training."
)


class SparseGroup(NamedTuple):
    """The weights that one pattern of param_filter makes sparse."""

    pattern: str
    num_matrices: int
    num_weights: int
    num_zeros: int

    @property
    def sparsity(self) -> float:
        """The fraction of zeros."""
        return self.num_zeros / self.num_weights


def kept_weights(params: Params, *, as_dense: bool = False) -> dict[str, int]:
    """Name of each projection matrix -> how many weights the masks keep; all, ``as_dense``."""
    sparsity = params.trainer.init.sparsity
    level = 0.0 if sparsity is None else sparsity.sparsity
    patterns = {} if as_dense else _patterns(params)
    return {
        weight.name: num_kept(prod(weight.shape), level if weight.name in patterns else 0.0)
        for weight in weights(params.trainer.init.model)
        if weight.kind == "projection"
    }


def sparse_groups(params: Params) -> list[SparseGroup]:
    """One entry a pattern, in the file's order; a weight counts for the first that names it."""
    dense, kept = kept_weights(params, as_dense=True), kept_weights(params)
    groups: dict[str, SparseGroup] = {}
    for name, pattern in _patterns(params).items():
        _, matrices, size, zeros = groups.get(pattern, SparseGroup(pattern, 0, 0, 0))
        zeros += dense[name] - kept[name]
        groups[pattern] = SparseGroup(pattern, matrices + 1, size + dense[name], zeros)
    return list(groups.values())


def sparse_weights(params: Params) -> list[str]:
    """The names of the weights that have a mask, in the order of the model's state dict."""
    patterns = _patterns(params)
    return [one.name for one in weights(params.trainer.init.model) if one.name in patterns]


def _patterns(params: Params) -> dict[str, str]:
    """Name of each sparse weight -> the first pattern that makes it sparse."""
    sparsity = params.trainer.init.sparsity
    if sparsity is None:
        return {}
    known = list(weights(params.trainer.init.model))
    if sparsity.param_filter is None:
        # cerebras.pytorch's own choice: every matrix but embeddings and the head.
        return {weight.name: "(default)" for weight in known if weight.kind == "projection"}
    patterns: dict[str, str] = {}
    for pattern in sparsity.param_filter:
        for weight in matching(pattern, known):
            patterns.setdefault(weight.name, pattern)
    return patterns


def sequence_length(params: Params) -> int:
    """Tokens a sequence: the training data's length, or all positions of the model."""
    fit = params.trainer.fit
    given = None if fit is None else fit.train_dataloader.max_sequence_length
    return given or params.trainer.init.model.max_position_embeddings


def num_training_tokens(params: Params) -> int | None:
    """Tokens of the whole run; None where its length follows from the data (num_epochs)."""
    init, fit = params.trainer.init, params.trainer.fit
    num_steps = init.loop.num_steps or init.loop.max_steps
    return None if num_steps is None or fit is None else num_steps * tokens_per_step(params)


def tokens_per_step(params: Params) -> int:
    """Tokens of one update, padding included, of params that train."""
    init, fit = params.trainer.init, params.trainer.fit
    assert fit is not None
    # On CSX the batch is split by the compiler, elsewhere it is a part of an accumulated one.
    num_batches = 1 if init.backend_type == "CSX" else init.loop.grad_accum_steps
    return num_batches * fit.train_dataloader.batch_size * sequence_length(params)


def weights_train(params: Params) -> bool:
    """False where the run trains a soft prompt and leaves all weights as they are."""
    return params.trainer.init.model.trainable != "soft_prompt"


def decoder_shape(params: Params, *, as_dense: bool = False) -> DecoderShape:
    """What the operations of the model depend on; ``as_dense`` leaves the masks out."""
    model = params.trainer.init.model
    kept = kept_weights(params, as_dense=as_dense)
    return DecoderShape(
        num_hidden_layers=model.num_hidden_layers,
        hidden_size=model.hidden_size,
        num_heads=model.num_heads,
        vocab_size=model.vocab_size,
        sequence_length=sequence_length(params),
        num_projection_weights=sum(n for name, n in kept.items() if ".self_attn." in name),
        num_feed_forward_weights=sum(n for name, n in kept.items() if ".ffn." in name),
    )


def sizes_report(num_tokens: int | None = None) -> list[dict[str, Any]]:
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

    Raises:
        ConfigError: the file is wrong, or num_tokens is no multiple of its sequence length.
    """
    loaded = load_params(name, check_data="none")
    params = loaded.params
    sparsity, length = params.trainer.init.sparsity, sequence_length(params)
    tokens = num_training_tokens(params) if num_tokens is None else num_tokens
    report: dict[str, Any] = {
        "params": str(loaded.source),
        "sparsity": 0.0 if sparsity is None else sparsity.sparsity,
        "sequence_length": length,
        "tokens": tokens,
        "with_softmax": with_softmax,
    }
    for kind in ("dense", "sparse"):
        shape = decoder_shape(params, as_dense=kind == "dense")
        training = shape.training_flops(
            with_softmax=with_softmax, weights_train=weights_train(params)
        )
        run = None if tokens is None else _counts(run_flops(training, tokens, length))
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
        f"{report['params']}: sparsity {report['sparsity']:g}, sequences of {length}, run of {run}",
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
    ratio = dense["training_per_sequence"]["total"] / sparse["training_per_sequence"]["total"]
    return "\n".join([*lines, f"dense / sparse: {ratio:.2f}x"])
