"""What a params file asks for, as counts: sparse weights, tokens of the run, FLOPs."""

from math import prod
from typing import NamedTuple

from mediswift_cs.flops import DecoderShape, num_kept
from mediswift_cs.params.schema import Params
from mediswift_cs.params.weights import matching, weights


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
    if num_steps is None or fit is None:
        return None
    # On CSX the batch is split by the compiler, elsewhere it is a part of an accumulated one.
    num_batches = 1 if init.backend_type == "CSX" else init.loop.grad_accum_steps
    return num_steps * num_batches * fit.train_dataloader.batch_size * sequence_length(params)


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
