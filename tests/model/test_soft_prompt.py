"""Soft prompts against PEFT, and what training them alone touches."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import PromptTuningConfig, TaskType, get_peft_model
from torch import Tensor

from mediswift_cs.errors import ConfigError
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.model.finetuning import MediSwiftFineTuningModel, build_model
from mediswift_cs.model.pretraining import MediSwiftModel
from mediswift_cs.model.soft_prompt import initial_rows, text_ids
from mediswift_cs.params.decoder import ModelParams, SoftPromptParams

from .twin import huggingface_twin

VOCAB_SIZE, NUM_VIRTUAL = 97, 5


def toy(**changes: Any) -> ModelParams:
    return ModelParams(
        **{
            "name": "mediswift_finetuning",
            "vocab_size": VOCAB_SIZE,
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_heads": 4,
            "filter_size": 64,
            "max_position_embeddings": 24,
            "dropout_rate": 0.0,
            "attention_dropout_rate": 0.0,
            "soft_prompt": {"num_virtual_tokens": NUM_VIRTUAL, "position": "prefix"},
            **changes,
        }
    )


def make(**changes: Any) -> MediSwiftFineTuningModel:
    torch.manual_seed(0)
    model = build_model(toy(**changes))
    assert isinstance(model, MediSwiftFineTuningModel)
    for parameter in model.parameters():  # differences must show
        parameter.data.mul_(8).add_(0.01)
    return model.eval()


def peft_twin(decoder: DecoderLanguageModel) -> Any:
    """transformers' GPT-2 with PEFT's prompt tuning, with the weights of ``decoder``."""
    twin = huggingface_twin(decoder)
    assert decoder.soft_prompt is not None
    rows = decoder.soft_prompt.weight
    peft = get_peft_model(
        twin, PromptTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=len(rows))
    )
    peft.prompt_encoder["default"].embedding.weight.data.copy_(rows.data)
    return peft.eval()


def with_prefix(ids: Tensor, num_virtual: int = NUM_VIRTUAL) -> Tensor:
    virtual = torch.arange(VOCAB_SIZE, VOCAB_SIZE + num_virtual, dtype=torch.int32)
    return torch.cat([virtual.expand(len(ids), -1), ids], dim=1)


@torch.no_grad()
def test_prefix_equals_peft_prompt_tuning() -> None:
    model = make()
    ids = torch.randint(VOCAB_SIZE, (3, 11), dtype=torch.int32)
    expected = peft_twin(model.model)(input_ids=ids.long()).logits
    logits = model.model(with_prefix(ids))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)
    # Control: vectors put before the words once these have their positions, as if they had none.
    words = model.model.embedding_layer(ids)
    states = torch.cat([model.soft_prompt.expand(3, -1, -1), words], dim=1)
    wrong = model.model.lm_head(model.model.transformer_decoder(states))
    assert (wrong - expected).abs().max() > 1e-2


@torch.no_grad()
def test_infix_is_where_the_batch_puts_it() -> None:
    model = make()
    ids = torch.randint(VOCAB_SIZE, (1, 8), dtype=torch.int32)
    virtual = torch.arange(VOCAB_SIZE, VOCAB_SIZE + NUM_VIRTUAL, dtype=torch.int32)[None]
    infix = model.model(torch.cat([ids[:, :4], virtual, ids[:, 4:]], dim=1))
    # Before the prompt it is unseen, behind it is seen.
    torch.testing.assert_close(infix[:, :4], model.model(ids)[:, :4], atol=1e-5, rtol=0)
    model.soft_prompt.mul_(-2.0)
    changed = model.model(torch.cat([ids[:, :4], virtual, ids[:, 4:]], dim=1))
    assert (changed[:, -1] - infix[:, -1]).abs().max() > 1e-3


@torch.no_grad()
def test_word_look_up_is_untouched_by_the_prompt() -> None:
    model = make()
    ids = torch.tensor([[0, 1, VOCAB_SIZE - 1, 5]], dtype=torch.int32)
    embedded = model.model.embedding_layer(ids, model.model.soft_prompt)
    torch.testing.assert_close(embedded, model.model.embedding_layer(ids), atol=0, rtol=0)


def test_the_tied_head_never_grows() -> None:
    model = make()
    assert model.model.lm_head.weight is model.model.embedding_layer.word_embeddings.weight
    assert model.model(with_prefix(torch.zeros(1, 2, dtype=torch.int32))).shape[-1] == VOCAB_SIZE


def batch() -> dict[str, Tensor]:
    ids = with_prefix(torch.randint(VOCAB_SIZE, (4, 9), dtype=torch.int32))
    mask = torch.ones_like(ids)
    mask[:, : NUM_VIRTUAL - 1] = 0
    labels = torch.roll(ids, -1, 1).clamp(max=VOCAB_SIZE - 1)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


@pytest.mark.parametrize("trainable", ["all", "soft_prompt"])
def test_training_moves_what_is_trainable_and_nothing_else(trainable: str) -> None:
    from mediswift_cs.params.optimizer import AdamWParams
    from mediswift_cs.training.hosts.torch.optimizer import AdamW

    model = make(trainable=trainable).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = AdamW(model, AdamWParams(weight_decay=0.5))
    model(batch()).backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    optimizer.update(0.1)
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    if trainable == "soft_prompt":
        assert with_gradient == moved == {"model.soft_prompt.weight"}
    else:
        assert moved == set(before)


def test_words_that_are_not_in_the_batch_get_no_gradient_from_virtual_ids() -> None:
    model = make(share_embedding_weights=False).train()
    ids = with_prefix(torch.full((1, 3), 7, dtype=torch.int32))
    model.model(ids).square().sum().backward()
    gradient = model.model.embedding_layer.word_embeddings.weight.grad
    assert set(gradient.abs().sum(1).nonzero().flatten().tolist()) == {7}


def test_a_soft_prompt_does_not_change_how_the_decoder_is_drawn() -> None:
    torch.manual_seed(3)
    plain = MediSwiftModel(toy(name="mediswift", soft_prompt=None)).state_dict()
    torch.manual_seed(3)
    prompted = MediSwiftFineTuningModel(toy()).state_dict()
    assert set(prompted) - set(plain) == {"model.soft_prompt.weight"}
    assert all(torch.equal(value, prompted[key]) for key, value in plain.items())


@pytest.mark.usefixtures("cpu_backend")
def test_no_sparsity_of_cerebras_pytorch_takes_the_prompt() -> None:
    from cerebras.pytorch.sparse import Static

    model = make()
    Static(sparsity=0.5).sparsify_module(model)
    masked = {name.removesuffix("_mask") for name, _ in model.named_buffers()}
    assert "model.transformer_decoder.layers.0.ffn.ffn.0.linear_layer.weight" in masked
    assert "model.soft_prompt.weight" not in masked


def test_vocab_rows_are_words() -> None:
    words = torch.randn(50, 8)
    rows = initial_rows(SoftPromptParams(num_virtual_tokens=4, init="vocab"), words)
    assert all((words == row).all(1).any() for row in rows)
    assert initial_rows(SoftPromptParams(num_virtual_tokens=4), words) is None


def test_text_rows_are_the_text_repeated(shared_data: Any) -> None:
    config = SoftPromptParams(
        num_virtual_tokens=5,
        init="text",
        init_text="Hello world",
        tokenizer_file=str(shared_data / "tokenizers" / "gpt2"),
    )
    assert text_ids(config, 50257) == [15496, 995, 15496, 995, 15496]
    words = torch.randn(50257, 2)
    torch.testing.assert_close(
        initial_rows(config, words), words[[15496, 995, 15496, 995, 15496]], atol=0, rtol=0
    )
    with pytest.raises(ValueError, match="15496 is outside the model's vocabulary of 1000"):
        text_ids(config, 1000)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [([4, 9], [4, 9, 4, 9, 4]), ([7], [7] * 5), ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5])],
)
def test_ids_of_a_text_are_repeated_or_cut(
    ids: list[int], expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SoftPromptParams(
        num_virtual_tokens=NUM_VIRTUAL, init="text", init_text="words", tokenizer_file="t.json"
    )

    class Tokenizer:
        def encode(self, text: str, add_special_tokens: bool) -> SimpleNamespace:
            assert (text, add_special_tokens) == ("words", False)
            return SimpleNamespace(ids=ids)

    monkeypatch.setattr(f"{text_ids.__module__}.load_tokenizer", lambda path: Tokenizer())
    assert text_ids(config, VOCAB_SIZE) == expected
    words = torch.randn(VOCAB_SIZE, 3)
    rows = initial_rows(config, words)
    assert rows is not None
    assert torch.equal(rows, words[expected])
    assert text_ids(config, max(ids) + 1) == expected
    with pytest.raises(ConfigError, match=f"whose token {max(ids)} is outside the model's"):
        text_ids(config, max(ids))
    ids.clear()
    with pytest.raises(ConfigError, match="got 'words', which has no token, allowed: a text"):
        text_ids(config, VOCAB_SIZE)
