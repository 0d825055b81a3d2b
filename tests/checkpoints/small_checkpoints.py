"""Small checkpoints, written by cerebras-pytorch itself where it is installed."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy

from mediswift_cs.checkpoints.convert import ConvertOptions
from mediswift_cs.checkpoints.sample_text import SAMPLE_TEXT
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.training import mdl_state

from .section import SECTION, VOCAB_SIZE

NUM_VIRTUAL_TOKENS = 3
NUM_STEPS = 300
UNVERIFIED = ConvertOptions(has_tokenizer=False, verify=False)


def build_decoder(**changes: Any) -> DecoderLanguageModel:
    """A decoder whose numbers are large enough for differences to show."""
    torch.manual_seed(3)
    model = DecoderLanguageModel(ModelParams(**{**SECTION, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
    return model


def state_of(model: DecoderLanguageModel) -> dict[str, torch.Tensor]:
    """The model's entries of a checkpoint."""
    return {f"model.{key}": value.detach() for key, value in model.state_dict().items()}


def is_sparse_weight(key: str) -> bool:
    return ".layers." in key and key.endswith("_layer.weight")


def add_masks(state: dict[str, torch.Tensor], *, fold: bool, sparsity: float = 0.75) -> None:
    """Random masks; with ``fold`` the zeros are in the weights already, as after a first step."""
    generator = torch.Generator().manual_seed(5)
    for key in [key for key in state if is_sparse_weight(key)]:
        mask = torch.rand(state[key].shape, generator=generator) >= sparsity
        state[f"{key}_mask"] = mask
        if fold:
            # Leaves -0.0 behind, as cerebras-pytorch's multiplication does.
            state[key] = state[key] * mask


def write_mdl(content: dict[str, Any], path: Path) -> None:
    """Compressed by cerebras-pytorch, or uncompressed by our loop."""
    if find_spec("cerebras") is None:
        mdl_state.write(content, path)
        return
    import cerebras.pytorch as cstorch

    cstorch.save(content, str(path))


def save(
    path: Path,
    state: dict[str, torch.Tensor],
    section: dict[str, Any] | None = None,
    *,
    params: dict[str, Any] | None = None,
    **own: Any,
) -> Path:
    """Write ``state`` as our loop does, with ``params`` or with a model section alone."""
    metadata = {
        "version": "2.10.0",
        "model_name": "MediSwiftModel",
        "params": params or {"trainer": {"init": {"model": {**SECTION, **(section or {})}}}},
    }
    content = {
        "model": state,
        "global_step": 400,
        "mediswift": {"version": "0", "rng_state": torch.get_rng_state(), **own},
        "__metadata__": [metadata],
    }
    write_mdl(content, path)
    return path


def load_model(path: Path) -> dict[str, torch.Tensor]:
    """The model part of a checkpoint, by cerebras-pytorch where it is installed."""
    if find_spec("cerebras") is None:
        return dict(mdl_state.read(path)["model"])
    import cerebras.pytorch as cstorch

    return {k: v.detach().clone() for k, v in cstorch.load(str(path))["model"].items()}


def bits_equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Equality that tells 0 from -0 and lets NaN equal itself."""
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and (one.contiguous().view(torch.uint8).equal(other.contiguous().view(torch.uint8)))
    )


def trained_with_prompt(position: str, tokenizer: Tokenizer) -> DecoderLanguageModel:
    """Trained so that with its soft prompt it goes on with one text, and without with another.

    Whoever loses the prompt gets other texts, and no small error of rounding does.
    """
    noted = {"num_virtual_tokens": NUM_VIRTUAL_TOKENS, "position": position}
    torch.manual_seed(7)
    changes = {"name": "mediswift_finetuning", "filter_size": 128, "soft_prompt": noted}
    model = DecoderLanguageModel(ModelParams(**{**SECTION, **changes}))
    virtual = torch.arange(VOCAB_SIZE, VOCAB_SIZE + NUM_VIRTUAL_TOKENS)
    reversed_text = " ".join(reversed(SAMPLE_TEXT.split()))
    with_prompt, without = (
        torch.tensor(tokenizer.encode(text).ids) for text in (SAMPLE_TEXT, reversed_text)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.006, weight_decay=0.0)
    for step in range(NUM_STEPS):
        for parameter_group in optimizer.param_groups:
            parameter_group["lr"] = 0.006 * (1 - step / NUM_STEPS)
        loss = torch.zeros(())
        for text, prompt in ((with_prompt, virtual), (without, virtual[:0])):
            starts = torch.randint(0, len(text) - 48, (8,))
            windows = torch.stack([text[start : start + 48] for start in starts])
            # Some of the source stands before an infix prompt.
            place = 0 if position == "prefix" else int(torch.randint(1, 12, ()))
            rows = prompt.expand(8, -1)
            ids = torch.cat([windows[:, :place], rows, windows[:, place:]], dim=1)
            logits = model(ids[:, :-1])
            labels = ids[:, 1:].masked_fill(ids[:, 1:] >= VOCAB_SIZE, -100)
            loss = loss + cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def save_prompted(path: Path, model: DecoderLanguageModel, position: str) -> Path:
    """A checkpoint of :func:`trained_with_prompt`."""
    noted = {"num_virtual_tokens": NUM_VIRTUAL_TOKENS, "position": position, "init": "random"}
    section = {"name": "mediswift_finetuning", "filter_size": 128, "soft_prompt": noted}
    return save(path, state_of(model), section, soft_prompt=noted)


@torch.no_grad()
def continue_ids(model: DecoderLanguageModel, ids: list[int], num_tokens: int) -> list[int]:
    """The likeliest token each time."""
    tokens = list(ids)
    for _ in range(num_tokens):
        tokens.append(int(model(torch.tensor([tokens]))[0, -1].argmax()))
    return tokens[len(ids) :]
