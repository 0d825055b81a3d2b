"""The tokenizer of an exported model: found, checked against the checkpoint, and written."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from mediswift_cs.checkpoints.source import Checkpoint
from mediswift_cs.errors import CheckpointError, DataError
from mediswift_cs.tokens import manifest
from mediswift_cs.tokens.fingerprint_check import check_trained_with
from mediswift_cs.tokens.tokenizer import EOS, fingerprint_of, load_tokenizer, vocab_size

UNUSED_TOKEN = "<|unused_{}|>"
VIRTUAL_TOKEN = "<|soft_{}|>"


@dataclass(frozen=True, kw_only=True)
class ModelTokenizer:
    """A tokenizer that fits a checkpoint."""

    path: Path
    tokenizer: Tokenizer
    sha256: str

    @property
    def eos_id(self) -> int:
        """Id of ``<|endoftext|>``."""
        return int(self.tokenizer.token_to_id(EOS))


def find_tokenizer(checkpoint: Checkpoint, given: Path | None) -> ModelTokenizer:
    """The given tokenizer, or else the one beside the training data that the params name.

    Raises:
        CheckpointError: there is none, or the model was trained with another one.
    """
    path = given or _beside_training_data(checkpoint)
    if path is None:
        raise CheckpointError(
            f"the tokenizer of {checkpoint.path} is not known here: give --tokenizer FOLDER "
            f"(or tokenizer.json), or --no-tokenizer to leave it out"
        )
    tokenizer = load_tokenizer(path)
    sha256, size = fingerprint_of(tokenizer), checkpoint.architecture.vocab_size
    what = f"tokenizer {path} has fingerprint"
    check_trained_with(sha256, checkpoint.tokenizer_sha256, what, checkpoint.path)
    if vocab_size(tokenizer) > size:
        raise CheckpointError(
            f"tokenizer {path} has {vocab_size(tokenizer)} ids, allowed: at most the vocab_size "
            f"{size} of {checkpoint.path}"
        )
    return ModelTokenizer(path=path, tokenizer=tokenizer, sha256=sha256)


def training_manifest(checkpoint: Checkpoint) -> manifest.Manifest | None:
    """The manifest of the training data, where the params name a folder that is here."""
    section: Any = checkpoint.params or {}
    for key in ("trainer", "fit", "train_dataloader"):
        section = section.get(key) if isinstance(section, dict) else None
    folder = section.get("data_dir") if isinstance(section, dict) else None
    if isinstance(folder, list):
        folder = folder[0] if folder else None
    if not isinstance(folder, str):
        return None
    try:
        return manifest.read_manifest(Path(folder))
    except DataError:
        # Usual on another machine than the training one; the caller says what it does without.
        return None


def _beside_training_data(checkpoint: Checkpoint) -> Path | None:
    manifest = training_manifest(checkpoint)
    if manifest is None:
        return None
    path = manifest.folder / manifest.tokenizer.file
    return path if path.is_file() else None


def write_tokenizer(
    found: ModelTokenizer, folder: Path, checkpoint: Checkpoint, num_added_tokens: int
) -> None:
    """Write tokenizer.json, tokenizer_config.json and special_tokens_map.json.

    Virtual tokens become special tokens ``<|soft_0|>`` ... right after the model's vocabulary.
    """
    architecture = checkpoint.architecture
    text = found.tokenizer.to_str(pretty=True)
    if num_added_tokens:
        text = _with_added_tokens(text, architecture.vocab_size, num_added_tokens)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    special = {"bos_token": EOS, "eos_token": EOS, "pad_token": EOS, "unk_token": EOS}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": architecture.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
        # The default adds token_type_ids, which GPT-2 takes for words and adds to the text.
        "model_input_names": ["input_ids", "attention_mask"],
        **special,
    }
    _write_json(folder / "tokenizer_config.json", config)
    _write_json(folder / "special_tokens_map.json", special)


def virtual_tokens(num_virtual_tokens: int) -> list[str]:
    """Names of the virtual tokens, in order."""
    return [VIRTUAL_TOKEN.format(index) for index in range(num_virtual_tokens)]


def _with_added_tokens(text: str, model_vocab_size: int, num_added_tokens: int) -> str:
    tokenizer = Tokenizer.from_str(text)
    # Ids are given in order, so the model's unused rows need names first.
    names = [UNUSED_TOKEN.format(i) for i in range(vocab_size(tokenizer), model_vocab_size)]
    names += virtual_tokens(num_added_tokens)
    tokenizer.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in names]
    )
    for index, name in enumerate(virtual_tokens(num_added_tokens)):
        if tokenizer.token_to_id(name) != model_vocab_size + index:
            raise CheckpointError(
                f"the tokenizer cannot give {name} the id {model_vocab_size + index}: its "
                f"vocabulary has gaps, or has that token already"
            )
    return str(tokenizer.to_str(pretty=True))


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
