"""ModelZoo's muP keys: each is refused with a reason of its own, or asks for nothing."""

from typing import Any

import pytest

from mediswift_cs.params.decoder import MUP, NOT_COVERED
from mediswift_cs.params.load import examine
from mediswift_cs.params.optimizer import AdjustLearningRateParams
from mediswift_cs.params.schema import ModelParams

ASKED: dict[str, Any] = {
    "attention_logits_alpha": 2.0,
    "embeddings_scale": 10.0,
    "lr_adjustment_groups": {"embedding": {"scale": 2.0}},
    "mup_base_filter_size": 256,
    "mup_base_hidden_size": 64,
    "output_logits_alpha": 0.5,
    "output_logits_scale": 0.5,
    "scale_output_logits_by_d": False,
    "scale_qk_dot_by_d": True,
}


def test_every_key_has_its_reason() -> None:
    mup = {key for key in NOT_COVERED if key.startswith("mup_") or "logits_alpha" in key}
    assert mup < MUP.keys() == ASKED.keys()
    assert MUP.keys() <= NOT_COVERED.keys()


@pytest.mark.parametrize(("key", "value"), ASKED.items())
def test_one_sentence_each(tiny: dict[str, Any], key: str, value: Any) -> None:
    tiny["trainer"]["init"]["model"][key] = value
    (problem,) = examine(tiny)[1]
    line = problem.line("mine.yaml")
    assert line.startswith(f"trainer.init.model.{key}: got ")
    assert f"{key} is a key of ModelZoo that MediSwift does not cover: {MUP[key]} (in" in line
    assert "\n" not in line
    # The neutral value asks for nothing.
    tiny["trainer"]["init"]["model"][key] = NOT_COVERED[key][0]
    assert examine(tiny)[1] == []


def test_control_other_keys_have_no_reason(tiny: dict[str, Any]) -> None:
    tiny["trainer"]["init"]["model"]["rotary_dim"] = 8
    (problem,) = examine(tiny)[1]
    assert problem.hint.endswith("does not cover")


def test_what_the_reasons_name_is_there() -> None:
    for name in ("initializer", "output_layer_initializer"):
        assert name in ModelParams.model_fields
    groups = {"decoder_attention", "decoder_input_ffn", "decoder_output_ffn"}
    assert groups <= AdjustLearningRateParams.model_fields.keys()
