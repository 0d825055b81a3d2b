"""The one map; without torch."""

import pytest

from mediswift_cs.checkpoints import key_map
from mediswift_cs.checkpoints.architecture import Architecture
from mediswift_cs.checkpoints.hf_config import describe_architecture, read_architecture
from mediswift_cs.checkpoints.names import WORD_EMBEDDINGS
from mediswift_cs.errors import CheckpointError

from .section import SECTION


def architecture(**changes: object) -> Architecture:
    return Architecture.of({**SECTION, **changes}, "params")


def test_only_queries_of_another_scale_have_a_factor() -> None:
    # Attention without 1/sqrt(d_head): transformers divides by it, so the queries are multiplied.
    unscaled = architecture(attention_type="dot_product")
    for shape, expected in ((architecture(), 1.0), (unscaled, unscaled.query_factor(0))):
        for rule in key_map.rules(shape, num_added_tokens=0):
            of_queries = expected if ".attn.c_attn." in rule.hf_name else 1.0
            first, *others = (part.factor for part in rule.parts)
            assert (first, set(others) - {1.0}) == (of_queries, set()), rule.hf_name
    assert unscaled.query_factor(0) > 1.5


def test_config_round_trip() -> None:
    shape = architecture(share_embedding_weights=False, layer_norm_epsilon=1e-6)
    back = read_architecture(describe_architecture(shape), "config.json")
    # transformers has no "same as dropout_rate" for the embeddings.
    assert back == architecture(
        share_embedding_weights=False, layer_norm_epsilon=1e-6, embedding_dropout_rate=0.0
    )


def test_left_over_and_missing_are_named() -> None:
    with pytest.raises(CheckpointError, match="2 tensors of x have no rule, first: b"):
        key_map.check_consumed(["a", "c", "b"], ["a"], "x")
    with pytest.raises(CheckpointError, match="x has no tensor a"):
        key_map.check_present({}, {"a": (1,)}, "x")
    with pytest.raises(CheckpointError, match=r"a in x has shape \[2\], allowed: \[1\]"):
        key_map.check_present({"a": (2,)}, {"a": (1,)}, "x")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model_type", "llama"),
        ("activation_function", "swish"),
        ("n_head", 5),
        ("n_embd", None),
        ("n_embd", "wide"),
        ("n_layer", 2.5),
        ("n_layer", True),
        ("n_head", 0),
        ("vocab_size", float("inf")),
        ("n_inner", [4]),
        ("n_positions", "x"),
        ("attn_pdrop", None),
        ("resid_pdrop", "x"),
        ("layer_norm_epsilon", float("nan")),
        pytest.param("initializer_range", 10**400, id="huge"),
    ],
)
def test_other_models_are_refused_by_key(key: str, value: object) -> None:
    config = {**describe_architecture(architecture()), key: value}
    with pytest.raises(CheckpointError, match=str(value)):
        read_architecture(config, "config.json")


def test_each_tensor_is_made_of_its_own_parts() -> None:
    """The order of a join, and the layer that a part is from: shapes alone do not tell them."""
    rules = {rule.hf_name: rule for rule in key_map.rules(architecture(), num_added_tokens=0)}
    for index in range(2):
        cs, hf = f"transformer_decoder.layers.{index}", f"transformer.h.{index}"
        attention = [f"{cs}.self_attn.proj_{name}_dense_layer" for name in "qkv"]
        expected = {
            "ln_1": [f"{cs}.norm1"],
            "attn.c_attn": attention,
            "attn.c_proj": [f"{cs}.self_attn.proj_output_dense_layer"],
            "ln_2": [f"{cs}.norm3"],
            "mlp.c_fc": [f"{cs}.ffn.ffn.0.linear_layer"],
            "mlp.c_proj": [f"{cs}.ffn.ffn.1.linear_layer"],
        }
        for name, parts in expected.items():
            for kind in ("weight", "bias"):
                rule = rules[f"{hf}.{name}.{kind}"]
                assert [part.name for part in rule.parts] == [f"{p}.{kind}" for p in parts]
                assert rule.is_transposed == (kind == "weight" and not name.startswith("ln_"))


@pytest.mark.parametrize("num_added_tokens", [1, 3])
def test_added_tokens_follow_the_vocabulary(num_added_tokens: int) -> None:
    shape = architecture(share_embedding_weights=False)
    rules = {r.hf_name: r for r in key_map.rules(shape, num_added_tokens=num_added_tokens)}
    width, rows = shape.hidden_size, shape.vocab_size + num_added_tokens
    words, head = rules["transformer.wte.weight"], rules["lm_head.weight"]
    assert [part.name for part in words.parts] == [WORD_EMBEDDINGS, key_map.SOFT_PROMPT]
    assert [part.name for part in head.parts] == [key_map.HEAD, None]
    assert words.hf_shape == head.hf_shape == (rows, width)
    assert words.parts[1].shape == head.parts[1].shape == (num_added_tokens, width)


def test_the_first_left_over_is_the_first_by_name() -> None:
    found = [f"tensor.{index:02}" for index in range(30)]
    with pytest.raises(CheckpointError, match=r"30 tensors of x have no rule, first: tensor\.00"):
        key_map.check_consumed(reversed(found), ["absent"], "x")


def test_every_dimension_of_a_shape_counts() -> None:
    with pytest.raises(CheckpointError, match=r"a in x has shape \[2, 3\], allowed: \[2, 4\]"):
        key_map.check_present({"a": (2, 3)}, {"a": (2, 4)}, "x")
