"""Soft prompts as tokens of the exported tokenizer: any client's plain text meets the prompt."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

from mediswift_cs.checkpoints.convert import ConvertOptions, VerificationError, convert
from mediswift_cs.checkpoints.verify import verify_files
from mediswift_cs.errors import CheckpointError
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.tokens.tokenizer import (
    fingerprint,
    load_tokenizer,
    save_tokenizer,
    vocab_size,
)

from .small_checkpoints import (
    NUM_VIRTUAL_TOKENS,
    UNVERIFIED,
    VOCAB_SIZE,
    bits_equal,
    build_decoder,
    continue_ids,
    load_model,
    save,
    save_prompted,
    state_of,
    trained_with_prompt,
)

VIRTUAL = list(range(VOCAB_SIZE, VOCAB_SIZE + NUM_VIRTUAL_TOKENS))
NAMES = "".join(f"<|soft_{i}|>" for i in range(NUM_VIRTUAL_TOKENS))
# Of different lengths, so that a batch is padded.
TEXTS = ["Background: Chronic kidney disease", "Serum", "The outcome occurred in 38 of 206"]
NUM_NEW = 16


@pytest.fixture(scope="module", params=["prefix", "infix"])
def position(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trained(position: str, tokenizer_file: Path) -> DecoderLanguageModel:
    return trained_with_prompt(position, load_tokenizer(tokenizer_file))


@pytest.fixture
def options(tokenizer_file: Path) -> ConvertOptions:
    return replace(UNVERIFIED, has_tokenizer=True, tokenizer=tokenizer_file)


@pytest.fixture
def export(
    tmp_path: Path, trained: DecoderLanguageModel, position: str, options: ConvertOptions
) -> Path:
    source = save_prompted(tmp_path / "a.mdl", trained, position)
    convert(source, tmp_path / "export", options)
    return tmp_path / "export"


def prompted_ids(ids: list[int], position: str) -> list[int]:
    return [*VIRTUAL, *ids] if position == "prefix" else [*ids, *VIRTUAL]


def as_sent(texts: list[str], position: str) -> list[str]:
    """What a client sends: plain text, or text with an infix prompt written behind it."""
    return texts if position == "prefix" else [text + NAMES for text in texts]


def our_texts(model: DecoderLanguageModel, file: Path, position: str | None) -> list[str]:
    tokenizer = load_tokenizer(file)
    texts = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        start = prompted_ids(ids, position) if position else ids
        texts.append(tokenizer.decode(continue_ids(model, start, NUM_NEW)))
    return texts


@torch.no_grad()
def test_logits_of_a_left_padded_batch(
    export: Path, trained: DecoderLanguageModel, position: str, tokenizer_file: Path
) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(export)
    model: Any = AutoModelForCausalLM.from_pretrained(export).eval()
    ours = load_tokenizer(tokenizer_file)
    for add_special_tokens in (True, False):
        batch = tokenizer(
            as_sent(TEXTS, position),
            padding=True,
            return_tensors="pt",
            add_special_tokens=add_special_tokens,
        )
        mask = batch.attention_mask
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        logits = model(**batch, position_ids=positions).logits
        for row, text in enumerate(TEXTS):
            ids = prompted_ids(ours.encode(text).ids, position)
            expected = trained(torch.tensor([ids]))[0, -1]
            difference = float((logits[row, -1, :VOCAB_SIZE] - expected).abs().max())
            if add_special_tokens or position == "infix":
                assert batch.input_ids[row][mask[row] == 1].tolist() == ids
                assert difference < 1e-4
            else:
                # Control: without the post-processor the prompt is lost, and that shows.
                assert difference > 1e-1
    assert int(mask.sum(1).min()) < mask.shape[1], "the texts have different lengths"
    assert mask[:, -1].all(), "padded on the left"


def test_texts_of_batches_and_pipelines(
    export: Path, trained: DecoderLanguageModel, position: str, tokenizer_file: Path
) -> None:
    expected = our_texts(trained, tokenizer_file, position)
    # Control: each text is another one without the prompt.
    without = our_texts(trained, tokenizer_file, None)
    assert all(one != other for one, other in zip(expected, without, strict=True))
    limits = {"max_new_tokens": NUM_NEW, "min_new_tokens": NUM_NEW, "do_sample": False}
    tokenizer: Any = AutoTokenizer.from_pretrained(export)
    model: Any = AutoModelForCausalLM.from_pretrained(export)
    batch = tokenizer(as_sent(TEXTS, position), padding=True, return_tensors="pt")
    output = model.generate(**batch, **limits)[:, batch.input_ids.shape[1] :]
    assert tokenizer.batch_decode(output, skip_special_tokens=True) == expected
    generate: Any = pipeline("text-generation", model=str(export))
    chats = [[{"role": "user", "content": text}] for text in TEXTS]
    for sent in (as_sent(TEXTS, position), chats):
        found = generate(sent, batch_size=3, return_full_text=False, **limits)
        assert [one[0]["generated_text"] for one in found] == expected


@torch.no_grad()
def test_vectors_for_servers_that_take_embeddings(
    export: Path, trained: DecoderLanguageModel, position: str, tokenizer_file: Path
) -> None:
    vectors = load_file(export / "soft_prompt.safetensors")["prompt_embeddings"]
    assert trained.soft_prompt is not None
    assert bits_equal(vectors, trained.soft_prompt.weight.detach())
    model: Any = AutoModelForCausalLM.from_pretrained(export).eval()
    rows = model.get_input_embeddings().weight
    assert bits_equal(rows[VOCAB_SIZE:], vectors)
    ids = load_tokenizer(tokenizer_file).encode(TEXTS[0]).ids
    parts = [vectors, rows[ids]] if position == "prefix" else [rows[ids], vectors]
    logits = model(inputs_embeds=torch.cat(parts)[None]).logits[0, -1, :VOCAB_SIZE]
    expected = trained(torch.tensor([prompted_ids(ids, position)]))[0, -1]
    assert float((logits - expected).abs().max()) < 1e-4
    swapped = model(inputs_embeds=torch.cat(parts[::-1])[None]).logits[0, -1, :VOCAB_SIZE]
    assert float((swapped - expected).abs().max()) > 1e-1


def test_saved_again_by_transformers_it_comes_back(
    export: Path, tmp_path: Path, tokenizer_file: Path
) -> None:
    again = tmp_path / "again"
    AutoModelForCausalLM.from_pretrained(export).save_pretrained(again)
    AutoTokenizer.from_pretrained(export).save_pretrained(again)
    for folder in (export, again):
        back = tmp_path / f"{folder.name}.mdl"
        convert(folder, back, replace(UNVERIFIED, verify=True))
        first, second = load_model(tmp_path / "a.mdl"), load_model(back)
        assert first.keys() == second.keys()
        assert all(bits_equal(first[key], second[key]) for key in first)
        assert fingerprint(folder) == fingerprint(tokenizer_file)
    assert load_tokenizer(export).get_vocab() == load_tokenizer(tokenizer_file).get_vocab()


def test_a_tokenizer_that_loses_the_prompt_is_noticed(
    export: Path, tmp_path: Path, position: str
) -> None:
    source, file = tmp_path / "a.mdl", export / "tokenizer.json"
    passed, _ = verify_files(source, export, "float32", None, None)
    assert passed
    text = file.read_text(encoding="utf-8")
    content = json.loads(text)
    if position == "prefix":
        content["post_processor"] = None
    else:
        # The names are read as text.
        names = [t for t in content["added_tokens"] if not t["content"].startswith("<|soft_1")]
        content["added_tokens"] = names
    file.write_text(json.dumps(content), encoding="utf-8")
    passed, line = verify_files(source, export, "float32", None, None)
    assert passed is False
    assert "loses the soft prompt" in line
    with pytest.raises(VerificationError, match="loses the soft prompt"):
        convert(export, tmp_path / "back.mdl", replace(UNVERIFIED, verify=True))
    assert not (tmp_path / "back.mdl").exists()


def test_plain_text_of_a_model_without_a_prompt(tmp_path: Path, options: ConvertOptions) -> None:
    assert options.tokenizer is not None
    model, own = build_decoder(), load_tokenizer(options.tokenizer)
    convert(save(tmp_path / "a.mdl", state_of(model)), tmp_path / "export", options)
    generate: Any = pipeline("text-generation", model=str(tmp_path / "export"))
    found = generate(TEXTS, max_new_tokens=NUM_NEW, do_sample=False, batch_size=3)
    for text, one in zip(TEXTS, found, strict=True):
        ids, num_ids = own.encode(text).ids, vocab_size(own)
        for _ in range(NUM_NEW):
            # A row without a token is never generated.
            ids.append(int(model(torch.tensor([ids]))[0, -1, :num_ids].argmax()))
            if ids[-1] == own.token_to_id("<|endoftext|>"):
                break
        assert one[0]["generated_text"] == own.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("with_gap", [False, True])
def test_every_row_has_a_name(tmp_path: Path, with_gap: bool, options: ConvertOptions) -> None:
    """CTranslate2 takes no model whose rows are more than the tokenizer's ids."""
    assert options.tokenizer is not None
    if with_gap:
        content = json.loads(options.tokenizer.read_text(encoding="utf-8"))
        vocab = content["model"]["vocab"]
        last = max(vocab, key=lambda token: int(vocab[token]))
        vocab[last] += 5
        options = replace(options, tokenizer=tmp_path / "tokenizer.json")
        (tmp_path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert options.tokenizer is not None
    own = load_tokenizer(options.tokenizer)
    assert len(own.get_vocab()) == vocab_size(own) - 5 * with_gap < VOCAB_SIZE
    source = save(tmp_path / "a.mdl", state_of(build_decoder()))
    convert(source, tmp_path / "export", options)
    tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "export")
    assert sorted(tokenizer.get_vocab().values()) == list(range(VOCAB_SIZE))
    assert tokenizer("Serum creatinine").input_ids == own.encode("Serum creatinine").ids
    generation = json.loads((tmp_path / "export" / "generation_config.json").read_text())
    unused = sorted(set(range(VOCAB_SIZE)) - set(own.get_vocab().values()))
    assert generation["suppress_tokens"] == unused
    assert tokenizer.decode(unused, skip_special_tokens=True) == ""
    # To whoever reads the tokenizer for data, it is the one of the training.
    assert fingerprint(tmp_path / "export") == fingerprint(options.tokenizer)
    convert(tmp_path / "export", tmp_path / "back.mdl", UNVERIFIED)
    first, second = load_model(source), load_model(tmp_path / "back.mdl")
    assert all(bits_equal(first[key], second[key]) for key in first)


def test_a_full_vocabulary_needs_no_names(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({"<|endoftext|>": 0, "[UNK]": 1}, unk_token="[UNK]"))
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.add_tokens([f"word{i}" for i in range(VOCAB_SIZE - 2)])
    save_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    source = save(tmp_path / "a.mdl", state_of(build_decoder()))
    options = replace(UNVERIFIED, has_tokenizer=True, tokenizer=tmp_path / "tokenizer.json")
    convert(source, tmp_path / "export", options)
    exported = Tokenizer.from_file(str(tmp_path / "export" / "tokenizer.json"))
    assert exported.get_vocab() == tokenizer.get_vocab()
    generation = json.loads((tmp_path / "export" / "generation_config.json").read_text())
    assert "suppress_tokens" not in generation


def test_a_token_of_the_same_name_is_refused(tmp_path: Path, tokenizer_file: Path) -> None:
    tokenizer = load_tokenizer(tokenizer_file)
    size = vocab_size(tokenizer)
    tokenizer.add_tokens([f"<|unused_{size + 3}|>"])
    save_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    source = save(tmp_path / "a.mdl", state_of(build_decoder()))
    options = replace(UNVERIFIED, has_tokenizer=True, tokenizer=tmp_path / "tokenizer.json")
    with pytest.raises(CheckpointError, match=rf"got the token '<\|unused_{size + 3}\|>'"):
        convert(source, tmp_path / "export", options)
    assert not (tmp_path / "export").exists()


def test_an_adapter_is_for_a_prefix_alone(tmp_path: Path, trained: Any, position: str) -> None:
    adapter = replace(UNVERIFIED, peft_adapter=True)
    plain = save(tmp_path / "plain.mdl", state_of(build_decoder()))
    with pytest.raises(CheckpointError, match="which has no soft prompt, allowed: one with a pre"):
        convert(plain, tmp_path / "export", adapter)
    source = save_prompted(tmp_path / "a.mdl", trained, position)
    if position == "infix":
        with pytest.raises(CheckpointError, match="which has an infix soft prompt, allowed: one"):
            convert(source, tmp_path / "export", adapter)
        return
    convert(source, tmp_path / "export", adapter)
    config = json.loads((tmp_path / "export/soft_prompt/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == ".."
    assert not (tmp_path / "export/soft_prompt.safetensors").exists()


@pytest.mark.parametrize("damage", [None, 2, True, "3"])
def test_damaged_notes_are_refused(export: Path, tmp_path: Path, damage: Any) -> None:
    file = export / "config.json"
    config = json.loads(file.read_text())
    config["mediswift_cs"]["num_added_tokens"] = damage
    file.write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"num_added_tokens of .*, allowed: 0 or 3"):
        convert(export, tmp_path / "back.mdl", UNVERIFIED)
