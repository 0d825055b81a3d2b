"""The same decoder over new tokens only, and what only training or a CSX changes in it."""

import math
from typing import Any

import pytest
import torch

from mediswift_cs.model import attention
from mediswift_cs.model import decoder as decoder_module
from mediswift_cs.model.decoder import DecoderLanguageModel, PositionEmbedding, initialize
from mediswift_cs.params.schema import InitializerParams, ModelParams

TOY: dict[str, Any] = {
    "name": "mediswift",
    "vocab_size": 97,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_heads": 4,
    "filter_size": 48,
    "max_position_embeddings": 24,
    "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}


def make_decoder(**changes: Any) -> DecoderLanguageModel:
    torch.manual_seed(0)
    decoder = DecoderLanguageModel(ModelParams(**{**TOY, **changes}))
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return decoder.eval()


def random_ids(length: int) -> torch.Tensor:
    return torch.randint(0, 97, (2, length), dtype=torch.int32)


@torch.no_grad()
@pytest.mark.parametrize("step", [1, 3])
def test_tokens_one_after_the_other_get_the_logits_of_all_at_once(step: int) -> None:
    decoder, ids = make_decoder(), random_ids(16)
    caches = decoder.new_caches()
    assert len(caches) == 2
    states = [decoder.hidden_states(ids[:, :10], caches=caches)]
    for start in range(10, 16, step):
        end = start + step
        positions = torch.arange(start, end).expand(2, -1)
        visible = torch.ones(16, 16, dtype=torch.bool).tril()[start:end, :end].expand(2, -1, -1)
        new = ids[:, start:end]
        states.append(
            decoder.hidden_states(new, positions=positions, caches=caches, visible=visible)
        )
    logits = decoder.lm_head(torch.cat(states, dim=1))
    torch.testing.assert_close(logits, decoder(ids), atol=1e-5, rtol=1e-5)
    # Control: without the cached tokens, or at other positions, it is another text.
    alone = decoder.hidden_states(ids[:, 10:], positions=torch.arange(10, 16).expand(2, -1))
    moved = decoder.hidden_states(ids, positions=torch.arange(1, 17).expand(2, -1))
    for other in (decoder.lm_head(alone), decoder.lm_head(moved)[:, 10:]):
        assert (other - decoder(ids)[:, 10:]).abs().max() > 1e-2


@torch.no_grad()
def test_a_cache_keeps_what_it_is_given() -> None:
    cache = attention.LayerCache()
    first, second = torch.randn(2, 1, 2, 3, 4), torch.randn(2, 1, 2, 1, 4)
    cache.extend(first[0], first[1])
    key, value = cache.extend(second[0], second[1])
    assert torch.equal(key, torch.cat([first[0], second[0]], dim=2))
    assert torch.equal(value, torch.cat([first[1], second[1]], dim=2))


@torch.no_grad()
@pytest.mark.parametrize(
    "rate", ["dropout_rate", "attention_dropout_rate", "embedding_dropout_rate"]
)
def test_each_dropout_is_there_in_training_alone(rate: str) -> None:
    none = {"dropout_rate": 0.0, "attention_dropout_rate": 0.0, "embedding_dropout_rate": 0.0}
    decoder, ids = make_decoder(**{**none, rate: 0.5}), random_ids(12)
    assert torch.equal(decoder(ids), make_decoder(**none)(ids))
    decoder.train()
    assert not torch.equal(decoder(ids), decoder(ids))
    still = make_decoder(**none).train()
    assert torch.equal(still(ids), still(ids)), "control"


@torch.no_grad()
def test_dropout_of_a_layer_is_in_both_its_branches() -> None:
    layer = make_decoder(dropout_rate=1.0).transformer_decoder.layers[0]
    states = torch.randn(2, 5, 32)
    assert not torch.equal(layer(states), states)
    layer.train()
    assert torch.equal(layer(states), states), "both branches are dropped whole"


@torch.no_grad()
def test_explicit_attention_drops_weights_and_computes_the_softmax_as_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    query, key, value = (torch.randn(1, 2, 6, 8) for _ in range(3))
    plain = attention.explicit_attention(query, key, value, 0.0, softmax_in_float32=True)
    assert not torch.equal(
        attention.explicit_attention(query, key, value, 0.5, softmax_in_float32=True), plain
    )
    half = [t.bfloat16() for t in (query, key, value)]
    formats: list[torch.dtype] = []
    softmax = torch.nn.functional.softmax

    def noted(scores: torch.Tensor, dim: int) -> torch.Tensor:
        formats.append(scores.dtype)
        return softmax(scores, dim=dim)

    # A CPU's softmax computes in float32 in any case, so that the values say nothing.
    monkeypatch.setattr(torch.nn.functional, "softmax", noted)
    exact = attention.explicit_attention(*half, 0.0, softmax_in_float32=True)
    coarse = attention.explicit_attention(*half, 0.0, softmax_in_float32=False)
    assert exact.dtype == coarse.dtype == torch.bfloat16
    assert formats == [torch.float32, torch.bfloat16]
    bias = attention.causal_bias(query, 3)
    assert bias.shape == (1, 2, 3, 3)
    expected = [[0.0, -math.inf, -math.inf], [0.0, 0.0, -math.inf], [0.0, 0.0, 0.0]]
    assert bias[0, 1].tolist() == expected


class OnGpu(torch.Tensor):
    """A tensor in the CPU's memory that says it is on a GPU."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda")


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cpu", ("fused_attention", (0.25, None))),
        ("cuda", ("fused_attention", (0.25, None))),
        ("meta", ("explicit_attention", (0.25, False))),
    ],
)
def test_hosts_fuse_attention_and_any_other_device_gets_it_written_out(
    device: str, expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []

    def note(name: str) -> None:
        def attend(query: torch.Tensor, *others: Any) -> torch.Tensor:
            taken.append((name, others[2:]))
            return query

        monkeypatch.setattr(attention, name, attend)

    note("fused_attention")
    note("explicit_attention")
    layer = attention.SelfAttention(8, 2, 0.25, True, True, softmax_in_float32=False)
    states = torch.randn(1, 3, 8)
    if device == "cuda":
        states = states.as_subclass(OnGpu)
    else:
        layer, states = layer.to(device), states.to(device)
    assert layer(states).shape == (1, 3, 8)
    assert taken == [expected]


def test_recomputed_layers_have_the_same_gradients_and_only_training_recomputes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, again, ids = make_decoder(), make_decoder(), random_ids(12)
    again.transformer_decoder.recompute = True
    recomputed: list[torch.nn.Module] = []
    checkpoint = decoder_module.checkpoint

    def note(layer: torch.nn.Module, states: torch.Tensor, *, use_reentrant: bool) -> Any:
        # The other way loses gradients where nothing below the layer is trained.
        assert not use_reentrant
        recomputed.append(layer)
        return checkpoint(layer, states, use_reentrant=use_reentrant)

    monkeypatch.setattr(decoder_module, "checkpoint", note)
    assert torch.equal(plain(ids), again(ids))
    plain.train()(ids).square().mean().backward()
    assert recomputed == []
    again.train()(ids).square().mean().backward()
    assert recomputed == list(again.transformer_decoder.layers)
    for ours, theirs in zip(again.parameters(), plain.parameters(), strict=True):
        assert ours.grad is not None
        assert torch.equal(ours.grad, theirs.grad)


@torch.no_grad()
def test_constant_positions_are_the_same_positions() -> None:
    embedding = PositionEmbedding(24, 8)
    ids = random_ids(10)
    expected = embedding(ids)
    given: list[torch.Tensor] = []

    def constant(positions: torch.Tensor) -> torch.Tensor:
        given.append(positions)
        return positions

    embedding.as_constant = constant
    assert torch.equal(embedding(ids), expected.expand(2, -1, -1))
    assert given[0].tolist() == list(range(10))


def test_every_weight_is_drawn_by_its_own_initializer() -> None:
    normal = {"name": "normal", "mean": 0.0}
    config = ModelParams(
        **TOY
        | {
            "vocab_size": 2000,
            "hidden_size": 64,
            "filter_size": 256,
            "share_embedding_weights": False,
            "use_bias_in_output": True,
            "embedding_initializer": {**normal, "std": 3.0},
            "initializer": {**normal, "std": 0.5},
            "output_layer_initializer": {**normal, "std": 0.02},
            "soft_prompt": {"num_virtual_tokens": 20, "init": "random"},
            "name": "mediswift_finetuning",
        }
    )
    torch.manual_seed(0)
    decoder = DecoderLanguageModel(config)
    layer = decoder.transformer_decoder.layers[1]
    expected = {
        decoder.embedding_layer.word_embeddings.weight: 3.0,
        decoder.embedding_layer.position_embeddings.embed.weight: 3.0,
        decoder.lm_head.weight: 0.5,
        layer.self_attn.proj_q_dense_layer.weight: 0.5,
        layer.self_attn.proj_output_dense_layer.weight: 0.02,
        layer.ffn.ffn[0].linear_layer.weight: 0.5,
        layer.ffn.ffn[1].linear_layer.weight: 0.02,
        decoder.soft_prompt.weight: 3.0,  # type: ignore[union-attr]
    }
    for weight, std in expected.items():
        assert float(weight.std()) == pytest.approx(std, rel=0.1)
    biases = [p for name, p in decoder.named_parameters() if name.endswith("bias")]
    assert not any(bool(bias.any()) for bias in biases)


def test_a_cut_normal_distribution_keeps_to_its_limits() -> None:
    torch.manual_seed(0)
    weight = torch.empty(20_000)
    cut = InitializerParams(name="truncated_normal", mean=0.5, std=1.0, a=-1.0, b=1.5)
    initialize(weight, cut)
    assert -1.0 <= float(weight.min()) < -0.95
    assert 1.45 < float(weight.max()) <= 1.5
    # What lies beyond the limits is not drawn, rather than moved onto them.
    assert int((weight == -1.0).sum()) + int((weight == 1.5).sum()) < 20
    initialize(weight, InitializerParams(name="normal", mean=2.0, std=1.0))
    assert float(weight.mean()) == pytest.approx(2.0, abs=0.05)
