"""The decoder against the table of sizes, Hugging Face's GPT-2, and itself."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from mediswift_cs.model import attention
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.model.loss import language_model_loss, mean_loss_per_token, token_cross_entropy
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.params.schema import ModelParams
from mediswift_cs.params.weights import num_parameters, weights

from .twin import huggingface_twin

TOY = ModelParams(
    name="mediswift",
    vocab_size=211,
    hidden_size=48,
    num_hidden_layers=3,
    num_heads=4,
    filter_size=160,
    max_position_embeddings=32,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
)


def published(hidden_size: int, num_hidden_layers: int, num_heads: int) -> ModelParams:
    return ModelParams(
        name="mediswift",
        vocab_size=50257,
        hidden_size=hidden_size,
        num_hidden_layers=num_hidden_layers,
        num_heads=num_heads,
        filter_size=4 * hidden_size,
        max_position_embeddings=2048,
    )


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (published(1024, 24, 16), 355_871_744),
        (published(1536, 18, 12), 590_310_912),
        (published(2048, 24, 16), 1_315_723_264),
    ],
    ids=["med", "large", "xl"],
)
def test_number_of_parameters_is_the_published_shape(config: ModelParams, expected: int) -> None:
    with torch.device("meta"):
        model = MediSwiftModel(config)
    assert sum(p.numel() for p in model.parameters()) == expected
    assert num_parameters(config) == expected


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_listed_shapes_are_the_models(tied: bool, bias: bool) -> None:
    config = TOY.model_copy(
        update={
            "share_embedding_weights": tied,
            "use_bias_in_output": bias,
            "use_ffn_bias": bias,
            "use_projection_bias_in_attention": bias,
            "use_ffn_bias_in_attention": bias,
        }
    )
    model = MediSwiftModel(config)
    real = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {weight.name: weight.shape for weight in weights(config)} == real


@pytest.fixture
def toy() -> DecoderLanguageModel:
    """A decoder with biases and norms away from their initial values, so that each one matters."""
    torch.manual_seed(0)
    model = DecoderLanguageModel(TOY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


@torch.no_grad()
def test_logits_and_loss_equal_transformers(toy: DecoderLanguageModel) -> None:
    ids = torch.randint(0, TOY.vocab_size, (2, 20), dtype=torch.int32)
    twin = huggingface_twin(toy)
    logits = toy(ids)
    output = twin(ids.long(), labels=ids.long())
    torch.testing.assert_close(logits, output.logits, atol=1e-5, rtol=0)
    loss = language_model_loss(
        logits[:, :-1], ids[:, 1:], torch.ones_like(ids[:, 1:]), "num_tokens", loss_weight=1.0
    )
    assert abs(float(loss - output.loss)) < 1e-6

    other = huggingface_twin(toy, activation="gelu_new")(ids.long()).logits
    assert (logits - other).abs().max() > 1e-5, "control: another GELU must show"


def both_attentions() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    torch.manual_seed(1)
    query, key, value = (torch.randn(2, 3, 17, 8, requires_grad=True) for _ in range(3))
    # One sees what is visible to each query, here what is causal; the other computes in float32.
    for attend, last in ((attention.fused_attention, None), (attention.explicit_attention, True)):
        result = attend(query, key, value, 0.0, last)  # type: ignore[operator]
        (gradient,) = torch.autograd.grad(result.square().sum(), query, retain_graph=True)
        yield result, gradient


def test_fused_and_explicit_attention_agree() -> None:
    (fused, fused_gradient), (explicit, explicit_gradient) = both_attentions()
    torch.testing.assert_close(fused, explicit, atol=1e-5, rtol=0)
    torch.testing.assert_close(fused_gradient, explicit_gradient, atol=1e-5, rtol=1e-5)


def test_attention_sees_no_later_position(toy: DecoderLanguageModel) -> None:
    ids = torch.randint(0, TOY.vocab_size, (1, 16), dtype=torch.int32)
    changed = ids.clone()
    changed[0, 10] = (changed[0, 10] + 1) % TOY.vocab_size
    with torch.no_grad():
        before, after = toy(ids), toy(changed)
    assert torch.equal(before[:, :10], after[:, :10])
    assert not torch.allclose(before[:, 10:], after[:, 10:]), "control: later positions see it"


def test_whole_model_agrees_with_explicit_attention(
    toy: DecoderLanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = torch.randint(0, TOY.vocab_size, (2, 16), dtype=torch.int32)
    with torch.no_grad():
        fused = toy(ids)
        monkeypatch.setattr(attention, "fused_attention", attention.explicit_attention)
        explicit = toy(ids)
    torch.testing.assert_close(fused, explicit, atol=1e-5, rtol=0)
    assert not torch.equal(fused, explicit), "control: two computations were compared"


def test_weights_start_as_the_params_say() -> None:
    torch.manual_seed(0)
    model = DecoderLanguageModel(
        published(256, 4, 4).model_copy(update={"vocab_size": 4096, "max_position_embeddings": 64})
    )
    layer = model.transformer_decoder.layers[0]
    # Cutting a normal distribution at two sigma leaves 0.8796 of its deviation.
    left = 0.8796
    for weight, std in [
        (model.embedding_layer.word_embeddings.weight, 0.02),
        (layer.self_attn.proj_q_dense_layer.weight, 0.02),
        (layer.ffn.ffn[0].linear_layer.weight, 0.02),
    ]:
        assert float(weight.std()) == pytest.approx(left * std, rel=0.03)
        assert float(weight.abs().max()) <= 2 * std
    assert not any(
        bool(module.bias.any())
        for module in model.modules()
        if isinstance(module, nn.Linear)
        if module.bias is not None
    )


def test_every_norm_has_the_epsilon_of_the_params() -> None:
    decoder = DecoderLanguageModel(TOY.model_copy(update={"layer_norm_epsilon": 3e-3}))
    norms = [module for module in decoder.modules() if isinstance(module, nn.LayerNorm)]
    assert len(norms) == 2 * TOY.num_hidden_layers + 1
    assert {norm.eps for norm in norms} == {3e-3}


def test_head_shares_the_word_embeddings_only_when_asked() -> None:
    tied = DecoderLanguageModel(TOY)
    assert tied.lm_head.weight is tied.embedding_layer.word_embeddings.weight
    untied = DecoderLanguageModel(TOY.model_copy(update={"share_embedding_weights": False}))
    assert untied.lm_head.weight is not untied.embedding_layer.word_embeddings.weight


def test_state_has_the_names_of_modelzoo() -> None:
    names = set(MediSwiftModel(TOY.model_copy(update={"num_hidden_layers": 1})).state_dict())
    layer = "model.transformer_decoder.layers.0."
    linear = [f"self_attn.proj_{p}_dense_layer" for p in ("q", "k", "v", "output")]
    linear += ["ffn.ffn.0.linear_layer", "ffn.ffn.1.linear_layer", "norm1", "norm3"]
    expected = {f"{layer}{name}.{part}" for name in linear for part in ("weight", "bias")}
    expected |= {
        f"model.{n}.{p}" for n in ("transformer_decoder.norm", "ln_f") for p in ("weight", "bias")
    }
    expected |= {
        "model.embedding_layer.word_embeddings.weight",
        "model.embedding_layer.position_embeddings.embed.weight",
        "model.lm_head.weight",
    }
    assert names == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_in_place_has_the_bits_of_torchs(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    logits = (5 * torch.randn(40, 1003)).to(dtype)
    labels, weights = torch.randint(0, 1003, (40,)), torch.rand(40)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    losses = token_cross_entropy(ours, labels)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        expected = nn.functional.cross_entropy(theirs, labels, reduction="none")
    assert torch.equal(losses, expected)
    (losses * weights).sum().backward()
    (expected * weights).sum().backward()
    assert ours.grad is not None
    assert ours.grad.dtype == dtype
    assert torch.equal(ours.grad, theirs.grad)
    assert not torch.equal(ours.grad, logits), "control"
    again = token_cross_entropy(ours, labels).sum()
    again.backward(retain_graph=True)
    with pytest.raises(AssertionError, match="can be used once"):
        again.backward()


def test_loss_counts_only_masked_in_tokens() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 11)
    labels = torch.randint(0, 11, (2, 5), dtype=torch.int32)
    mask = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 1, 0, 0]], dtype=torch.int32)
    kept = mask.bool()
    expected = nn.functional.cross_entropy(logits[kept], labels[kept].long())
    loss = language_model_loss(logits, labels, mask, loss_scaling="num_tokens", loss_weight=1.0)
    torch.testing.assert_close(loss, expected)

    scaled = language_model_loss(logits, labels, mask, "batch_size", 0.2)
    torch.testing.assert_close(scaled, expected * 4 / 2 * 0.2)
    torch.testing.assert_close(mean_loss_per_token(scaled, mask, "batch_size", 0.2), expected)
    everything = language_model_loss(
        logits, labels, torch.ones_like(mask), loss_scaling="num_tokens", loss_weight=1.0
    )
    assert not torch.isclose(loss, everything), "control: the mask matters"


def test_tokens_without_weight_cost_nothing() -> None:
    """Whatever their labels are: -100 stands for "none" in other tools."""
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 8)
    labels = torch.tensor([[1, 2, -100], [-100, -100, 5]], dtype=torch.int32)
    mask = torch.tensor([[1, 1, 0], [1, 0, 1]], dtype=torch.int32)
    expected = torch.nn.functional.cross_entropy(
        logits[:, :, :].flatten(0, 1), labels.flatten().long(), reduction="none"
    )
    for needs_gradient in (False, True):
        given = logits.clone().requires_grad_(needs_gradient)
        loss = language_model_loss(given, labels, mask, loss_scaling="num_tokens", loss_weight=1.0)
        assert float(loss) == pytest.approx(float(expected.sum()) / 4)
        if needs_gradient:
            loss.backward()
            assert given.grad is not None
            assert (given.grad[mask.bool() & (labels >= 0)] != 0).all()
            assert (given.grad[(mask == 0) | (labels < 0)] == 0).all()
        nothing = language_model_loss(
            given, labels, torch.zeros_like(mask), loss_scaling="num_tokens", loss_weight=1.0
        )
        assert float(nothing) == 0.0
        assert float(mean_loss_per_token(nothing, mask * 0, "batch_size", 1.0)) == 0.0
