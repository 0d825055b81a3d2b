"""The tokenizer of an exported model: found, checked against the checkpoint, and written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, processors

from mediswift_cs.checkpoints.record import Position
from mediswift_cs.checkpoints.source import Checkpoint
from mediswift_cs.errors import CheckpointError, DataError
from mediswift_cs.tokens import manifest
from mediswift_cs.tokens.model_tokenizer import load_model_tokenizer
from mediswift_cs.tokens.tokenizer import (
    EOS,
    UNUSED_TOKEN,
    VIRTUAL_TOKEN,
    fingerprint_of,
)


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
    size = checkpoint.architecture.vocab_size
    tokenizer = load_model_tokenizer(
        path, checkpoint.tokenizer_sha256, num_rows=size, trained=checkpoint.path
    )
    return ModelTokenizer(path=path, tokenizer=tokenizer, sha256=fingerprint_of(tokenizer))


def training_manifest(checkpoint: Checkpoint) -> manifest.Manifest | None:
    """The manifest of the training data, where the params name a folder that is here."""
    folder = training_folder(checkpoint.params)
    if folder is None:
        return None
    try:
        return manifest.read_manifest(folder)
    except DataError:
        # Usual on another machine than the training one; the caller says what it does without.
        return None


def training_folder(params: Mapping[str, Any] | None) -> Path | None:
    """The data_dir of training as params name it, the first of several; None without one."""
    section: Any = params
    for key in ("trainer", "fit", "train_dataloader", "data_dir"):
        section = section.get(key) if isinstance(section, dict) else None
    name = section[0] if isinstance(section, list) and section else section
    return Path(name) if isinstance(name, str) else None


def _beside_training_data(checkpoint: Checkpoint) -> Path | None:
    found = training_manifest(checkpoint)
    if found is None:
        return None
    path = found.folder / found.tokenizer.file
    return path if path.is_file() else None


def tokenizer_files(
    found: ModelTokenizer, checkpoint: Checkpoint, num_added_tokens: int
) -> dict[str, dict[str, Any]]:
    """tokenizer.json, tokenizer_config.json and special_tokens_map.json, by name.

    Every row of the model has a name: virtual tokens are the special tokens ``<|soft_0|>`` ...
    right after the model's vocabulary. A prefix prompt is put before each text by the tokenizer;
    an infix prompt is put behind the messages of a chat.
    """
    architecture, prompt = checkpoint.architecture, checkpoint.soft_prompt
    tokenizer = _with_names(found, architecture.vocab_size, num_added_tokens)
    names = virtual_tokens(num_added_tokens)
    special = {"bos_token": EOS, "eos_token": EOS, "pad_token": EOS, "unk_token": EOS}
    if names and prompt and prompt.position == "prefix":
        tokenizer.post_processor = processors.TemplateProcessing(
            single=[*names, "$A"],
            pair=[*names, "$A", "$B"],
            special_tokens=[(name, tokenizer.token_to_id(name)) for name in names],
        )
        # llama.cpp's converter takes the first token of a template for a missing [CLS] token, and
        # then puts the BOS token before each text.
        special["cls_token"] = EOS
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": architecture.max_position_embeddings,
        "clean_up_tokenization_spaces": False,
        # A batch is continued at its right end.
        "padding_side": "left",
        # The default adds token_type_ids, which GPT-2 takes for words and adds to the text.
        "model_input_names": ["input_ids", "attention_mask"],
        **special,
    }
    if names and prompt:
        config["chat_template"] = chat_template(names, prompt.position)
    return {
        "tokenizer.json": json.loads(tokenizer.to_str()),
        "tokenizer_config.json": config,
        "special_tokens_map.json": special,
    }


def virtual_tokens(num_virtual_tokens: int) -> list[str]:
    """Names of the virtual tokens, in order."""
    return [VIRTUAL_TOKEN.format(index) for index in range(num_virtual_tokens)]


def chat_template(names: Sequence[str], position: Position) -> str:
    """A chat's messages, one after the other, with the virtual tokens in their place."""
    messages = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tokens = "{{ '" + "".join(names) + "' }}"
    return tokens + messages if position == "prefix" else messages + tokens


def _with_names(found: ModelTokenizer, model_vocab_size: int, num_added_tokens: int) -> Tokenizer:
    """The tokenizer with a special token for each id of the model that has none."""
    content = json.loads(found.tokenizer.to_str())
    vocab, taken = content["model"]["vocab"], set(found.tokenizer.get_vocab().values())
    names = {i: UNUSED_TOKEN.format(i) for i in range(model_vocab_size) if i not in taken}
    names |= dict(enumerate(virtual_tokens(num_added_tokens), model_vocab_size))
    if known := sorted(found.tokenizer.get_vocab().keys() & names.values()):
        raise CheckpointError(
            f"tokenizer {found.path}: got the token {known[0]!r}, allowed: none of this name, "
            f"which the export gives to another id"
        )
    if isinstance(vocab, dict):
        # There, a token may have any id; one that is added alone has the next.
        vocab |= {name: token for token, name in names.items()}
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    content["added_tokens"] += [
        {"id": token, "content": name, "special": True, **flags} for token, name in names.items()
    ]
    content["added_tokens"].sort(key=lambda token: token["id"])
    return Tokenizer.from_str(json.dumps(content))
