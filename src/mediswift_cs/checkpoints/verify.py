"""Proof that an export is the same model: logits of both sides on the same text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call  # type: ignore[attr-defined]
from torch.nn import functional
from transformers import AutoModelForCausalLM, GPT2Config, GPT2Model
from transformers.utils.logging import disable_progress_bar

from mediswift_cs import tuning
from mediswift_cs.checkpoints import number_formats
from mediswift_cs.checkpoints.architecture import Architecture
from mediswift_cs.checkpoints.hf_config import describe_architecture
from mediswift_cs.checkpoints.hf_folder import (
    HuggingFaceModel,
    puts_prompt_in_place,
    read_huggingface,
)
from mediswift_cs.checkpoints.mdl import MdlFile
from mediswift_cs.checkpoints.names import (
    HEAD,
    LAYERS,
    POSITION_EMBEDDINGS,
    SOFT_PROMPT,
    WORD_EMBEDDINGS,
)
from mediswift_cs.checkpoints.sample_text import sample_ids
from mediswift_cs.checkpoints.source import Checkpoint, read_checkpoint
from mediswift_cs.checkpoints.verify_bits import stored_numbers
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.progress import progress

# Two implementations in float32 may differ by so much, relative to the largest logit above 1.
TOLERANCE = 1e-5
# Rows of the head that are multiplied at a time where the model is streamed.
_HEAD_ROWS = 8192


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The outcome of a comparison.

    Attributes:
        max_difference: largest absolute difference of two logits.
        largest_logit: largest absolute logit.
        num_positions: tokens that were compared.
        is_streamed: whether transformers ran the layers one at a time, for want of memory.
        note: what was not compared.
    """

    max_difference: float
    largest_logit: float
    num_positions: int
    is_streamed: bool
    note: str = ""

    @property
    def tolerance(self) -> float:
        """The largest difference of logits that counts as the same."""
        return TOLERANCE * max(1.0, self.largest_logit)

    @property
    def passed(self) -> bool:
        """Whether the two sides agree (NaN does not)."""
        return self.max_difference <= self.tolerance

    def to_text(self) -> str:
        """The outcome as one line for a terminal."""
        how = "one layer at a time" if self.is_streamed else "whole"
        return (
            f"verified: {'the same' if self.passed else 'NOT THE SAME'} - logits of "
            f"{self.num_positions} tokens differ by at most {self.max_difference:.2e}, allowed "
            f"{self.tolerance:.2e} (transformers' model loaded {how}{self.note})"
        )


def verify(
    checkpoint: Checkpoint,
    folder: HuggingFaceModel,
    token_ids: Sequence[int],
    *,
    dtype: str,
    is_streamed: bool | None = None,
) -> Verification:
    """Compare the decoder of a ``.mdl`` file with transformers on a Hugging Face folder.

    Both run in float32 on the weights as they are in ``dtype``, the soft prompt in its place.

    Args:
        token_ids: the text, ids of the model's vocabulary.
        is_streamed: run transformers layer by layer; None does where memory is short.
    """
    if is_streamed is None:
        needed = 4 * checkpoint.architecture.num_parameters
        is_streamed = 2 * needed > tuning.available_memory()
    ids = with_virtual_tokens(checkpoint, token_ids)
    with torch.no_grad():
        ours = DecoderReader(checkpoint, dtype).logits(ids)
        theirs = _streamed_logits(folder, ids) if is_streamed else _whole_logits(folder, ids)
    name = checkpoint.architecture.nonlinearity
    return Verification(
        max_difference=float((ours - theirs).abs().max()),
        largest_logit=float(theirs.abs().max()),
        num_positions=len(ids),
        is_streamed=is_streamed,
        note="" if name == "gelu" else f"; {name} replaced by gelu on both sides",
    )


def with_virtual_tokens(checkpoint: Checkpoint, token_ids: Sequence[int]) -> list[int]:
    """The ids with those of the soft prompt before them (prefix) or in their middle (infix)."""
    prompt, shape = checkpoint.soft_prompt, checkpoint.architecture
    if prompt is None:
        return list(token_ids[: shape.max_position_embeddings])
    virtual = range(shape.vocab_size, shape.vocab_size + prompt.num_virtual_tokens)
    text = list(token_ids[: shape.max_position_embeddings - len(virtual)])
    middle = 0 if prompt.position == "prefix" else len(text) // 2
    return [*text[:middle], *virtual, *text[middle:]]


class DecoderReader:
    """Our decoder on a ``.mdl`` file, one layer in memory at a time."""

    def __init__(self, checkpoint: Checkpoint, dtype: str) -> None:
        self.checkpoint, self.dtype = checkpoint, dtype
        shape = checkpoint.architecture
        self.config = ModelParams(
            name="mediswift",
            vocab_size=shape.vocab_size,
            hidden_size=shape.hidden_size,
            num_hidden_layers=shape.num_hidden_layers,
            num_heads=shape.num_heads,
            filter_size=shape.filter_size,
            max_position_embeddings=shape.max_position_embeddings,
            layer_norm_epsilon=shape.layer_norm_epsilon,
            use_projection_bias_in_attention=shape.use_projection_bias_in_attention,
            use_ffn_bias_in_attention=shape.use_ffn_bias_in_attention,
            use_ffn_bias=shape.use_ffn_bias,
            dropout_rate=0.0,
            attention_dropout_rate=0.0,
            embedding_dropout_rate=0.0,
        )

    def logits(self, ids: Sequence[int]) -> Tensor:
        """[tokens, vocab_size] of the token after each of ``ids``."""
        shape = self.checkpoint.architecture
        # Without numbers of its own: each module is given those that it needs when it runs.
        with torch.device("meta"):
            model = DecoderLanguageModel(self.config).eval()
        with MdlFile(self.checkpoint.path) as file:
            # The rows of the text's own tokens stand for the whole table.
            rows = {
                "word_embeddings.weight": torch.stack([self._row(file, token) for token in ids]),
                "position_embeddings.embed.weight": self._read(
                    file, POSITION_EMBEDDINGS, slice(0, len(ids))
                ),
            }
            numbers = torch.arange(len(ids), dtype=torch.int32)[None]
            states: Tensor = functional_call(model.embedding_layer, rows, (numbers,))
            layers = model.transformer_decoder.layers
            for index, layer in enumerate(progress("verify", "layers", layers, stays=False)):
                states = self._run(file, layer, f"{LAYERS}.{index}", states)
            states = self._run(file, model.ln_f, "transformer_decoder.norm", states)[0]
            head = WORD_EMBEDDINGS if shape.share_embedding_weights else HEAD
            blocks = [
                functional_call(model.lm_head, {"weight": self._read(file, head, rows)}, (states,))
                for rows in _blocks(shape.vocab_size)
            ]
            return torch.cat(blocks, dim=1)

    def _run(self, file: MdlFile, module: nn.Module, prefix: str, states: Tensor) -> Tensor:
        """A module of the decoder on its weights, which are let go at once."""
        weights = {n: self._read(file, f"{prefix}.{n}") for n, _ in module.named_parameters()}
        mapped: Tensor = functional_call(module, weights, (states,))
        return mapped

    def _row(self, file: MdlFile, token: int) -> Tensor:
        first_virtual = self.checkpoint.architecture.vocab_size
        if token < first_virtual:
            return self._read(file, WORD_EMBEDDINGS, slice(token, token + 1))[0]
        row = token - first_virtual
        return self._read(file, SOFT_PROMPT, slice(row, row + 1))[0]

    def _read(self, file: MdlFile, name: str, rows: slice = slice(None)) -> Tensor:
        # Our decoder's attention is scaled, whatever the checkpoint's is.
        bits = stored_numbers(file, self.checkpoint, name, rows, self.dtype)
        return torch.from_numpy(number_formats.decode(bits, self.dtype))


def _blocks(num_rows: int) -> Iterator[slice]:
    for start in range(0, num_rows, _HEAD_ROWS):
        yield slice(start, min(start + _HEAD_ROWS, num_rows))


def _whole_logits(folder: HuggingFaceModel, ids: Sequence[int]) -> Tensor:
    """transformers' model as its users load it, without a bar of its progress."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    model: nn.Module = AutoModelForCausalLM.from_pretrained(
        folder.folder,
        local_files_only=True,
        dtype=torch.float32,
        activation_function="gelu",
        attn_implementation=_attention(folder.architecture),
    )
    model.eval()
    size = folder.architecture.vocab_size
    if folder.adapter is None:
        logits: Tensor = model(torch.tensor([ids])).logits[0]
        return logits[:, :size]
    words = _tensor(folder, "transformer.wte.weight")
    table = torch.cat([words, _region(folder.adapter.read(), folder)])
    logits = model(inputs_embeds=table[torch.tensor([ids])]).logits[0]
    return logits[:, :size]


def _attention(shape: Architecture) -> str | None:
    """transformers' default, which however leaves out what a config says of the scaling."""
    return None if shape == shape.folded else "eager"


def _streamed_logits(folder: HuggingFaceModel, ids: Sequence[int]) -> Tensor:
    """transformers' model with one layer, whose weights are exchanged."""
    shape = folder.architecture
    config = GPT2Config(  # type: ignore[no-untyped-call]
        **{
            **describe_architecture(shape),
            "n_layer": 1,
            "activation_function": "gelu",
            "vocab_size": 1,
        },
        attn_implementation=_attention(shape),
    )
    model = GPT2Model(config).eval()  # type: ignore[no-untyped-call]
    nn.init.zeros_(model.wpe.weight)
    model.ln_f = nn.Identity()
    size = shape.vocab_size
    states = torch.stack([_word(folder, token) for token in ids])
    states = (states + _tensor(folder, "transformer.wpe.weight", 0, len(ids)))[None]
    names = list(model.h[0].state_dict())
    indices = range(shape.num_hidden_layers)
    for index in progress("verify the other side", "layers", indices, stays=False):
        prefix = f"transformer.h.{index}."
        model.h[0].attn.layer_idx = index
        model.h[0].load_state_dict({name: _tensor(folder, prefix + name) for name in names})
        states = model(inputs_embeds=states, use_cache=False).last_hidden_state
    weight, bias = (_tensor(folder, f"transformer.ln_f.{name}") for name in ("weight", "bias"))
    width, eps = shape.hidden_size, shape.layer_norm_epsilon
    states = functional.layer_norm(states[0], (width,), weight, bias, eps)
    head = "transformer.wte.weight" if shape.share_embedding_weights else HEAD
    parts = [states @ _tensor(folder, head, b.start, b.stop).T for b in _blocks(size)]
    return torch.cat(parts, dim=1)


def _word(folder: HuggingFaceModel, token: int) -> Tensor:
    size = folder.architecture.vocab_size
    if folder.adapter is not None and token >= size:
        return _region(folder.adapter.read(token - size, token - size + 1), folder)[0]
    return _tensor(folder, "transformer.wte.weight", token, token + 1)[0]


def _tensor(folder: HuggingFaceModel, name: str, start: int = 0, stop: int | None = None) -> Tensor:
    region = folder.regions[name]
    return torch.from_numpy(number_formats.decode(region.read(start, stop), region.dtype))


def _region(bits: Any, folder: HuggingFaceModel) -> Tensor:
    assert folder.adapter is not None
    return torch.from_numpy(number_formats.decode(bits, folder.adapter.dtype))


def verify_files(
    mdl: Path, folder: Path, dtype: str, params_file: Path | None, text_file: Path | None
) -> tuple[bool, str]:
    """Compare a ``.mdl`` file with a Hugging Face folder: the outcome, and a line that says it."""
    checkpoint = read_checkpoint(mdl, params_file)
    ids = sample_ids(folder, checkpoint.architecture.vocab_size, text_file)
    model = read_huggingface(folder)
    if not puts_prompt_in_place(model, ids):
        return False, f"verified: NOT THE SAME - the tokenizer of {folder} loses the soft prompt"
    result = verify(checkpoint, model, ids, dtype=dtype)
    return result.passed, result.to_text()
