"""The weights of one run as the start of another: what is changed, kept, refused and told."""

import logging
from typing import Any

import pytest
import torch

from mediswift_cs.errors import CheckpointError
from mediswift_cs.model.finetuning import MediSwiftFineTuningModel, build_model
from mediswift_cs.model.loss import mean_loss_per_token
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.model.starting_weights import SOFT_PROMPT_KEY, starting_weights
from mediswift_cs.params.schema import ModelParams

NAME = "model.transformer_decoder.layers.0.ffn.ffn.0.linear_layer.weight"
NAMES = ("logits", "labels", "loss_mask", "loss")
TOY: dict[str, Any] = {
    "name": "mediswift_finetuning",
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_heads": 2,
    "filter_size": 24,
    "max_position_embeddings": 8,
    "dropout_rate": 0.0,
    "attention_dropout_rate": 0.0,
}


def make_model(**changes: Any) -> MediSwiftFineTuningModel:
    model = build_model(ModelParams(**{**TOY, **changes}))
    assert isinstance(model, MediSwiftFineTuningModel)
    return model


def sparse_state(pruned: int) -> dict[str, torch.Tensor]:
    """The weights of a plain model, with a mask that prunes the first of one matrix."""
    state = dict(make_model().state_dict())
    mask = torch.ones(24, 16, dtype=torch.bool)
    mask.view(-1)[:pruned] = False
    return {**state, f"{NAME}_mask": mask}


def test_masks_are_applied_and_counted() -> None:
    state = sparse_state(100)
    before = {name: tensor.clone() for name, tensor in state.items()}
    start = starting_weights(make_model(), state)
    assert (start.num_woken, start.num_masked, start.num_masks) == (100, 384, 1)
    assert not start.keeps_masks
    assert not start.adds_soft_prompt
    assert f"{NAME}_mask" not in start.state
    weight = start.state[NAME].view(-1)
    assert not weight[:100].any()
    assert torch.equal(weight[100:], state[NAME].view(-1)[100:])
    assert state.keys() == before.keys()
    assert all(torch.equal(state[name], before[name]) for name in state), "the state is left as is"
    assert start.describe() == [
        "dense fine-tuning: 100 of 384 weights were pruned; they start at 0 and train from now on "
        "(1 masks dropped)"
    ]


def test_masks_may_be_the_zeros_of_a_state_without_masks() -> None:
    sparse = make_model()
    layer = sparse.get_submodule(NAME.rpartition(".")[0])
    layer.register_buffer("weight_mask", torch.ones(24, 16, dtype=torch.bool))
    masked = sparse_state(100)
    masks = {key: masked.pop(key) for key in [f"{NAME}_mask"]}
    # Zeros at other places than those of the mask.
    masked[NAME] = torch.ones(24, 16)
    masked[NAME][3, 2:7] = 0
    start = starting_weights(sparse, masked, from_zeros=True)
    assert start.state.keys() == {*masked, *masks}
    assert torch.equal(start.state[f"{NAME}_mask"], masked[NAME] != 0)
    assert starting_weights(sparse, masked, from_zeros=False).state.keys() == masked.keys()
    own = starting_weights(sparse, {**masked, **masks}, from_zeros=True)
    assert torch.equal(own.state[f"{NAME}_mask"], masks[f"{NAME}_mask"]), "they say more"
    del masked[NAME]
    assert starting_weights(sparse, masked, from_zeros=True).state.keys() == masked.keys()


def test_loading_is_torchs_own_otherwise() -> None:
    model, state = make_model(), {k: v + 1 for k, v in make_model().state_dict().items()}
    own = model.get_parameter(NAME)
    model.load_state_dict(state)
    assert model.get_parameter(NAME) is own
    assert torch.equal(own, state[NAME])
    model.load_state_dict(state, assign=True)
    assert model.get_parameter(NAME).data_ptr() == state[NAME].data_ptr()
    del state[NAME]
    assert model.load_state_dict(state, strict=False).missing_keys == [NAME]
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict(state)


def test_a_state_without_word_embeddings_is_left_to_strict_loading() -> None:
    prompted = make_model(soft_prompt={"num_virtual_tokens": 3, "init": "vocab"})
    start = starting_weights(prompted, {})
    assert start.adds_soft_prompt
    assert start.state == {}
    with pytest.raises(RuntimeError, match="Missing key"):
        prompted.load_state_dict({})


def test_frozen_weights_are_not_said_to_train() -> None:
    prompted = make_model(soft_prompt={"num_virtual_tokens": 2}, trainable="soft_prompt")
    (told, _) = starting_weights(prompted, sparse_state(100)).describe()
    assert "they start at 0 and stay there, as all weights do" in told
    assert "train" not in told


def test_what_became_of_masks_and_prompt_is_told(caplog: pytest.LogCaptureFixture) -> None:
    (line,) = starting_weights(make_model(), sparse_state(0)).describe()
    assert line.startswith("dense fine-tuning: the checkpoint's 1 masks prune nothing; it was")
    assert starting_weights(make_model(), make_model().state_dict()).describe() == []

    sparse = make_model()
    layer = sparse.get_submodule(NAME.rpartition(".")[0])
    layer.register_buffer("weight_mask", torch.ones(24, 16, dtype=torch.bool))
    kept = starting_weights(sparse, sparse_state(100))
    assert (kept.num_masks, kept.keeps_masks) == (0, True)
    assert f"{NAME}_mask" in kept.state
    (line,) = kept.describe()
    assert line.startswith("sparse fine-tuning: the checkpoint's masks stay")

    prompted = make_model(soft_prompt={"num_virtual_tokens": 3, "init": "random"})
    with caplog.at_level(logging.INFO, "mediswift_cs"):
        prompted.load_state_dict(sparse_state(100))
    assert caplog.messages[-1] == "the checkpoint has no soft prompt: a new one is initialised"
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("init", ["random", "vocab"])
def test_a_prompt_is_added_only_where_there_is_none(init: str) -> None:
    model = make_model(soft_prompt={"num_virtual_tokens": 3, "init": init})
    drawn = model.state_dict()[SOFT_PROMPT_KEY].clone()
    start = starting_weights(model, make_model().state_dict())
    assert start.adds_soft_prompt
    assert torch.equal(start.state[SOFT_PROMPT_KEY], drawn) == (init == "random")
    again = starting_weights(model, {**start.state, SOFT_PROMPT_KEY: drawn + 1})
    assert not again.adds_soft_prompt
    assert torch.equal(again.state[SOFT_PROMPT_KEY], drawn + 1)
    assert model.soft_prompt is not None
    assert make_model().soft_prompt is None


@pytest.mark.parametrize(
    ("key", "shape", "message"),
    [
        (f"{NAME}_mask", (2, 2), rf"of shape \[2, 2\] and {NAME} of shape \[24, 16\]"),
        ("model.lost.weight_mask", (24, 16), r"no model\.lost\.weight"),
    ],
)
def test_a_mask_needs_its_weight(key: str, shape: tuple[int, ...], message: str) -> None:
    state = {**make_model().state_dict(), key: torch.ones(shape)}
    with pytest.raises(CheckpointError, match=message):
        starting_weights(make_model(), state)


def test_only_the_prompt_trains_where_the_params_say_so() -> None:
    prompt = {"num_virtual_tokens": 3, "init": "random"}
    alone = make_model(soft_prompt=prompt, trainable="soft_prompt")
    assert [n for n, p in alone.named_parameters() if p.requires_grad] == [SOFT_PROMPT_KEY]
    assert all(p.requires_grad for p in make_model(soft_prompt=prompt).parameters())


def test_the_name_in_the_params_chooses_the_class() -> None:
    plain = build_model(ModelParams(**{**TOY, "name": "mediswift"}))
    assert type(plain) is MediSwiftModel
    assert type(make_model()) is MediSwiftFineTuningModel


@pytest.mark.parametrize("loss_scaling", ["num_tokens", "batch_size"])
def test_metrics_see_evaluation_batches_and_the_mean_over_tokens(loss_scaling: Any) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    config = ModelParams(**{**TOY, "loss_scaling": loss_scaling, "loss_weight": 0.5})
    model = build_model(config, lambda *found: seen.append(dict(zip(NAMES, found, strict=True))))
    ids = torch.randint(0, 40, (3, 8), dtype=torch.int32)
    mask = torch.ones_like(ids)
    mask[:, 5:] = 0
    batch = {"input_ids": ids, "attention_mask": mask, "labels": ids}
    model.train()
    model(batch)
    assert seen == []
    model.eval()
    with torch.no_grad():
        loss = model(batch)
        logits = model.model(ids)
        silent = build_model(config).eval()
        silent.load_state_dict(model.state_dict())
        assert torch.equal(silent(batch), loss), "without metrics there is the loss alone"
    (found,) = seen
    picked = torch.log_softmax(logits, -1).gather(-1, ids.long()[..., None])[..., 0]
    mean = -(picked * mask).sum() / 15
    torch.testing.assert_close(found["loss"], mean)
    torch.testing.assert_close(found["logits"], logits)
    assert torch.equal(found["loss_mask"], mask)
    factor = 1.0 if loss_scaling == "num_tokens" else 15 / 3 * 0.5
    torch.testing.assert_close(loss, mean * factor)
    assert mean_loss_per_token(loss, mask, loss_scaling, 0.5) == pytest.approx(float(mean))
