import fnmatch
import re
from typing import Any

import pytest

from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.params.recipes import model_params
from mediswift_cs.params.weights import num_parameters, weights
from mediswift_cs.sizes import SIZES, SPARSE_WEIGHTS

# Tied, vocabulary 50,257.
NUM_PARAMETERS = {"med": 355_871_744, "large": 590_310_912, "xl": 1_315_723_264}

SMALL: dict[str, Any] = {
    "name": "mediswift",
    "vocab_size": 31,
    "hidden_size": 8,
    "num_heads": 2,
    "num_hidden_layers": 2,
    "filter_size": 20,
    "max_position_embeddings": 5,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "untied": {"share_embedding_weights": False},
    "output bias": {"use_bias_in_output": True},
    "no projection bias": {"use_projection_bias_in_attention": False},
    "no attention output bias": {"use_ffn_bias_in_attention": False},
    "no feed-forward bias": {"use_ffn_bias": False},
}


@pytest.mark.parametrize("name", NUM_PARAMETERS)
def test_totals(name: str) -> None:
    model = model_params(SIZES[name])
    assert num_parameters(model) == NUM_PARAMETERS[name]
    assert num_parameters(model.model_copy(update={"vocab_size": 50258})) != NUM_PARAMETERS[name]


@pytest.mark.parametrize("variant", VARIANTS)
def test_names_and_shapes_are_those_of_the_decoder(variant: str) -> None:
    """The oracle is the torch model itself."""
    pytest.importorskip("torch", reason="the oracle is the torch model itself")
    from mediswift_cs.model.pretraining import MediSwiftModel

    model = ModelParams.model_validate({**SMALL, **VARIANTS[variant]})
    decoder = MediSwiftModel(model)
    shapes = {name: tuple(tensor.shape) for name, tensor in decoder.state_dict().items()}
    assert {weight.name: weight.shape for weight in weights(model)} == shapes
    assert num_parameters(model) == sum(p.numel() for p in decoder.parameters())
    # Control: another variant has other keys or another number of parameters.
    other = ModelParams.model_validate({**SMALL, "num_hidden_layers": 1})
    assert {weight.name for weight in weights(other)} != set(shapes)


def test_kinds_are_what_the_names_say() -> None:
    model = ModelParams.model_validate({**SMALL, "use_bias_in_output": True})
    for weight in weights(model):
        is_norm = ".norm" in weight.name or "ln_f" in weight.name
        assert (weight.kind == "norm") == is_norm
        assert (weight.kind == "embedding") == ("embedding_layer" in weight.name)
        assert (weight.kind == "head") == (weight.name == "model.lm_head.weight")
        if not is_norm:
            assert (weight.kind == "bias") == weight.name.endswith(".bias")


def test_the_sparse_weights_are_six_a_layer() -> None:
    model = ModelParams.model_validate(SMALL)
    patterns = [re.compile(fnmatch.translate(pattern)) for pattern in SPARSE_WEIGHTS]
    sparse = [w for w in weights(model) if any(p.match(w.name) for p in patterns)]
    assert [w for w in weights(model) if w.kind == "projection"] == sparse
    assert len(sparse) == 6 * model.num_hidden_layers
