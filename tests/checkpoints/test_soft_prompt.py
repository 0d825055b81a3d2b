"""Soft prompts in the export: the same logits and the same generated tokens as ours."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.checkpoints.verify import verify_files
from mediswift_cs.errors import CheckpointError
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.tokens.tokenizer import load_tokenizer, vocab_size

from .small_checkpoints import (
    NUM_VIRTUAL_TOKENS,
    UNVERIFIED,
    VOCAB_SIZE,
    bits_equal,
    build_decoder,
    load_model,
    save,
    state_of,
)

VIRTUAL = list(range(VOCAB_SIZE, VOCAB_SIZE + NUM_VIRTUAL_TOKENS))


def decoder(position: str, *, tied: bool = True) -> DecoderLanguageModel:
    changes = {"num_virtual_tokens": NUM_VIRTUAL_TOKENS, "position": position}
    return build_decoder(
        name="mediswift_finetuning", soft_prompt=changes, share_embedding_weights=tied
    )


def with_prompt(path: Path, position: str, *, tied: bool = True) -> tuple[Path, torch.Tensor]:
    model = decoder(position, tied=tied)
    noted = {"num_virtual_tokens": NUM_VIRTUAL_TOKENS, "position": position, "init": "random"}
    section = {
        "name": "mediswift_finetuning",
        "share_embedding_weights": tied,
        "soft_prompt": noted,
    }
    assert model.soft_prompt is not None
    source = save(path, state_of(model), section, soft_prompt=noted)
    return source, model.soft_prompt.weight.detach().clone()


def our_logits(ids: list[int], prompt: torch.Tensor, *, tied: bool = True) -> torch.Tensor:
    """Our own decoder, its prompt's rows replaced by these."""
    model = decoder("infix", tied=tied)
    assert model.soft_prompt is not None
    model.soft_prompt.weight.data.copy_(prompt)
    logits: torch.Tensor = model(torch.tensor([ids]))[0]
    return logits


def our_generation(
    ids: list[int], prompt: torch.Tensor, num_tokens: int, *, num_ids: int = VOCAB_SIZE
) -> list[int]:
    """Greedy, of the first ``num_ids``: a row without a token is never generated."""
    tokens = list(ids)
    for _ in range(num_tokens):
        tokens.append(int(our_logits(tokens, prompt)[-1, :num_ids].argmax()))
    return tokens[len(ids) :]


@torch.no_grad()
def test_prefix_is_a_peft_adapter(tmp_path: Path) -> None:
    source, prompt = with_prompt(tmp_path / "a.mdl", "prefix")
    convert(source, tmp_path / "export", replace(UNVERIFIED, peft_adapter=True))
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "export")
    model = PeftModel.from_pretrained(base, tmp_path / "export" / "soft_prompt").eval()
    ids = [5, 17, 200, 3, 88]
    logits = model(input_ids=torch.tensor([ids])).logits[0]
    expected = our_logits(VIRTUAL + ids, prompt)
    assert float((logits - expected).abs().max()) < 1e-5
    # Control: without the prompt the text is read differently.
    plain = our_logits(ids, prompt)
    assert float((logits[NUM_VIRTUAL_TOKENS:] - plain).abs().max()) > 1e-2
    inputs = torch.tensor([ids])
    generated = model.generate(
        input_ids=inputs,
        attention_mask=torch.ones_like(inputs),
        max_new_tokens=12,
        do_sample=False,
        # As in the model card: peft 0.21 counts wrongly otherwise with transformers 5.
        use_cache=False,
    )[0].tolist()
    assert generated[-12:] == our_generation(VIRTUAL + ids, prompt, 12)


@torch.no_grad()
@pytest.mark.parametrize("tied", [True, False])
def test_infix_is_added_tokens(tmp_path: Path, tied: bool) -> None:
    source, prompt = with_prompt(tmp_path / "a.mdl", "infix", tied=tied)
    convert(source, tmp_path / "export", UNVERIFIED)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "export").eval()
    ids = [5, 17, 200, *VIRTUAL, 3, 88]
    logits = model(input_ids=torch.tensor([ids])).logits[0]
    assert logits.shape[1] == VOCAB_SIZE + NUM_VIRTUAL_TOKENS
    expected = our_logits(ids, prompt, tied=tied)
    assert float((logits[:, :VOCAB_SIZE] - expected).abs().max()) < 1e-5
    elsewhere = [5, 17, 200, 3, 88, *VIRTUAL]
    assert (
        float((logits[:, :VOCAB_SIZE] - our_logits(elsewhere, prompt, tied=tied)).abs().max())
        > 1e-2
    )


@torch.no_grad()
def test_infix_generation_never_yields_virtual_tokens(tmp_path: Path, tokenizer_file: Path) -> None:
    state_file, prompt = with_prompt(tmp_path / "a.mdl", "infix")
    options = replace(UNVERIFIED, has_tokenizer=True, tokenizer=tokenizer_file)
    convert(state_file, tmp_path / "export", options)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "export").eval()
    # Rows that win everywhere: without suppression they would be generated.
    model.get_input_embeddings().weight[VOCAB_SIZE:] *= 50
    large = prompt * 50
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "export")
    text = "Serum creatinine" + "".join(f"<|soft_{i}|>" for i in range(NUM_VIRTUAL_TOKENS))
    inputs = tokenizer(text, return_tensors="pt")
    assert inputs.input_ids[0].tolist()[-NUM_VIRTUAL_TOKENS:] == VIRTUAL
    ids = inputs.input_ids[0].tolist()
    output = model.generate(**inputs, max_new_tokens=12, do_sample=False, eos_token_id=None)
    num_ids = vocab_size(load_tokenizer(tokenizer_file))
    assert output[0].tolist()[len(ids) :] == our_generation(ids, large, 12, num_ids=num_ids)
    raw = model(input_ids=output).logits[0, len(ids) - 1 :].argmax(-1)
    assert bool((raw >= VOCAB_SIZE).any()), "control: a virtual token was the best one somewhere"
    decoded = tokenizer.decode(output[0], skip_special_tokens=True)
    assert decoded.startswith("Serum creatinine")
    assert "<|soft" not in decoded


@pytest.mark.parametrize(
    ("position", "peft_adapter"), [("prefix", False), ("prefix", True), ("infix", False)]
)
@pytest.mark.parametrize("tied", [True, False])
def test_round_trip_and_verification(
    tmp_path: Path, position: str, peft_adapter: bool, tied: bool
) -> None:
    source, _ = with_prompt(tmp_path / "a.mdl", position, tied=tied)
    convert(source, tmp_path / "export", replace(UNVERIFIED, peft_adapter=peft_adapter))
    passed, line = verify_files(source, tmp_path / "export", "float32", None, None)
    assert passed, line
    convert(tmp_path / "export", tmp_path / "back.mdl", UNVERIFIED)
    first, second = load_model(source), load_model(tmp_path / "back.mdl")
    assert first.keys() == second.keys()
    assert all(bits_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("other", (NUM_VIRTUAL_TOKENS, 32), "has no tensor prompt_embeddings"),
        ("prompt_embeddings", (), r"has shape \[\], allowed: \[3, 32\]"),
        ("prompt_embeddings", (2, 32), r"has shape \[2, 32\], allowed: \[3, 32\]"),
    ],
)
def test_damaged_adapters_are_refused(
    tmp_path: Path, name: str, shape: tuple[int, ...], message: str
) -> None:
    source, _ = with_prompt(tmp_path / "a.mdl", "prefix")
    convert(source, tmp_path / "export", replace(UNVERIFIED, peft_adapter=True))
    file = tmp_path / "export" / "soft_prompt" / "adapter_model.safetensors"
    save_file({name: torch.ones(shape)}, file)
    with pytest.raises(CheckpointError, match=message):
        convert(tmp_path / "export", tmp_path / "back.mdl", UNVERIFIED)


@pytest.mark.parametrize("position", [None, "prefix", "adapter", "infix"])
def test_the_example_of_the_model_card_runs(
    tmp_path: Path,
    tokenizer_file: Path,
    position: str | None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if position is None:
        source = save(tmp_path / "a.mdl", state_of(build_decoder()))
    else:
        source, _ = with_prompt(tmp_path / "a.mdl", position.replace("adapter", "prefix"))
    options = replace(
        UNVERIFIED,
        has_tokenizer=True,
        tokenizer=tokenizer_file,
        peft_adapter=position == "adapter",
    )
    convert(source, tmp_path / "export", options)
    card = (tmp_path / "export" / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(tmp_path / "export")
    exec(compile(code, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    assert printed.startswith("Insulin resistance is")
    assert "<|soft" not in printed


def test_position_must_be_known(tmp_path: Path) -> None:
    source = save(tmp_path / "a.mdl", state_of(decoder("infix")))
    with pytest.raises(CheckpointError, match="does not say its position"):
        convert(source, tmp_path / "export", UNVERIFIED)
    params = tmp_path / "params.yaml"
    section = json.dumps({"num_heads": 4, "soft_prompt": {"position": "infix"}})
    params.write_text(f"trainer: {{init: {{model: {section}}}}}")
    convert(source, tmp_path / "export", replace(UNVERIFIED, params=params))
