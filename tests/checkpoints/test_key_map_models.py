"""The one map, against the models of both sides."""

import pytest
from transformers import GPT2Config, GPT2LMHeadModel

from mediswift_cs.checkpoints import key_map
from mediswift_cs.checkpoints.hf_config import describe_architecture
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.params.decoder import ModelParams

from .section import SECTION
from .test_key_map import architecture


@pytest.mark.parametrize("tied", [True, False])
def test_names_and_shapes_are_those_of_both_models(tied: bool) -> None:
    shape = architecture(share_embedding_weights=tied)
    rules = list(key_map.rules(shape, num_added_tokens=0))
    theirs = GPT2LMHeadModel(GPT2Config(**describe_architecture(shape))).state_dict()
    if tied:
        del theirs["lm_head.weight"]
    assert [rule.hf_name for rule in rules] == list(theirs)
    assert {r.hf_name: r.hf_shape for r in rules} == {k: tuple(v.shape) for k, v in theirs.items()}
    ours = DecoderLanguageModel(ModelParams(**SECTION, share_embedding_weights=tied)).state_dict()
    parts = {part.name: part.shape for rule in rules for part in rule.parts}
    aliases = {alias: rule.parts[0].shape for rule in rules for alias in rule.aliases}
    assert {**parts, **aliases} == {k: tuple(v.shape) for k, v in ours.items()}
    assert not parts.keys() & aliases.keys()


@pytest.mark.parametrize(
    "flag", ["use_projection_bias_in_attention", "use_ffn_bias_in_attention", "use_ffn_bias"]
)
def test_absent_biases_are_zeros_of_transformers(flag: str) -> None:
    shape = architecture(**{flag: False})
    ours = DecoderLanguageModel(ModelParams(**SECTION, **{flag: False})).state_dict()
    rules = list(key_map.rules(shape, num_added_tokens=0))
    names = {part.name for rule in rules for part in rule.parts} - {None}
    names |= {alias for rule in rules for alias in rule.aliases}
    assert names == set(ours)
    theirs = GPT2LMHeadModel(GPT2Config(**describe_architecture(shape))).state_dict()
    assert {rule.hf_name for rule in rules} == theirs.keys() - {"lm_head.weight"}


def test_number_of_parameters_is_transformers() -> None:
    for tied in (True, False):
        shape = architecture(share_embedding_weights=tied)
        model = GPT2LMHeadModel(GPT2Config(**describe_architecture(shape)))
        assert shape.num_parameters == model.num_parameters()
