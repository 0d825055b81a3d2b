"""What a params file asks for, as counts: sparse weights, tokens of the run, FLOPs."""

from collections import Counter
from dataclasses import replace
from math import prod
from typing import NamedTuple

from mediswift_cs.flops import DecoderShape, Flops, num_kept, whole_sequences
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


def final_level(params: Params) -> float:
    """The fraction of zeros in the sparse weights when the run ends; 0 for a dense one."""
    init = params.trainer.init
    if init.sparsity is None:
        return 0.0
    update = init.sparsity.update
    # The rules of params see to it that one of them is there where the level changes.
    end = init.loop.max_steps or (update.stop if update else None) or 0
    return init.sparsity.level_after(end)


def kept_weights(params: Params, *, as_dense: bool = False) -> dict[str, int]:
    """Name of each projection matrix -> how many weights the masks keep in the end.

    All are kept ``as_dense``.
    """
    level = 0.0 if as_dense else final_level(params)
    patterns = _patterns(params)
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
    return _sequences_a_step(params) * sequence_length(params)


def _sequences_a_step(params: Params) -> int:
    init, fit = params.trainer.init, params.trainer.fit
    # On CSX the batch is split by the compiler, elsewhere it is a part of an accumulated one.
    num_batches = 1 if init.backend_type == "CSX" else init.loop.grad_accum_steps
    return num_batches * (fit.train_dataloader.batch_size if fit else 1)


def weights_train(params: Params) -> bool:
    """False where the run trains a soft prompt and leaves all weights as they are."""
    return params.trainer.init.model.trainable != "soft_prompt"


def decoder_shape(params: Params, *, as_dense: bool) -> DecoderShape:
    """What the operations of the model depend on; ``as_dense`` leaves the masks out."""
    model = params.trainer.init.model
    level = 0.0 if as_dense else final_level(params)
    return DecoderShape(
        num_hidden_layers=model.num_hidden_layers,
        hidden_size=model.hidden_size,
        num_heads=model.num_heads,
        vocab_size=model.vocab_size,
        sequence_length=sequence_length(params),
        **_kept_of(_matrix_sizes(params), level),
    )


def training_flops(
    params: Params,
    num_tokens: int,
    *,
    as_dense: bool = False,
    with_softmax: bool = False,
    first_step: int = 0,
) -> Flops:
    """The operations of training on ``num_tokens`` from a step on, each step at its own density.

    An update of rigl takes the gradient of every weight, the pruned ones included.

    Raises:
        ConfigError: the tokens are no whole number of sequences.
    """
    length, sparsity = sequence_length(params), params.trainer.init.sparsity
    num_sequences, a_step = whole_sequences(num_tokens, length), _sequences_a_step(params)
    shape, dense = (decoder_shape(params, as_dense=flag) for flag in (as_dense, True))
    trains = weights_train(params)
    one = shape.training_flops(with_softmax=with_softmax, weights_train=trains)
    if as_dense or sparsity is None or not sparsity.is_dynamic:
        return one * num_sequences
    end = first_step * a_step + num_sequences
    num_steps = -(-end // a_step)

    def between(first: int, last: int) -> int:
        """How many of the sequences lie in these steps."""
        return max(0, min(last * a_step, end) - max(first, first_step) * a_step)

    if sparsity.algorithm == "rigl":
        updates = [step for step in sparsity.update_steps(num_steps + 1) if step > 0]
        times = sum(between(step - 1, step) for step in updates)
        return one * num_sequences + _pruned_gradients(shape, dense) * times
    sizes = _matrix_sizes(params)
    total, begin = one * 0, 0
    for number, level in sparsity.levels(num_steps):
        now = replace(shape, **_kept_of(sizes, level))
        flops = now.training_flops(with_softmax=with_softmax, weights_train=trains)
        total += flops * between(begin, begin + number)
        begin += number
    return total


def _pruned_gradients(shape: DecoderShape, dense: DecoderShape) -> Flops:
    """What the gradients of the pruned weights cost in one sequence: as much as a forward pass."""
    fewer, all_of = shape.forward_flops(), dense.forward_flops()
    return Flops(
        projections=all_of.projections - fewer.projections,
        attention_scores=0,
        feed_forward=all_of.feed_forward - fewer.feed_forward,
        head=0,
    )


def _matrix_sizes(params: Params) -> Counter[tuple[str, int, bool]]:
    """How many projection matrices there are of each part and size, with and without a mask."""
    patterns = _patterns(params)
    return Counter(
        (_part(name), size, name in patterns)
        for name, size in kept_weights(params, as_dense=True).items()
    )


def _kept_of(sizes: Counter[tuple[str, int, bool]], level: float) -> dict[str, int]:
    """The fields of a DecoderShape that count weights, at this sparsity."""
    kept = {"num_projection_weights": 0, "num_feed_forward_weights": 0}
    for (part, size, has_mask), number in sizes.items():
        kept[part] += number * num_kept(size, level if has_mask else 0.0)
    return kept


def _part(name: str) -> str:
    return "num_projection_weights" if ".self_attn." in name else "num_feed_forward_weights"
