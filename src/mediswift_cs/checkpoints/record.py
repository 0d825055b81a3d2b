"""What stands in a checkpoint beside its tensors: this package's record, and ModelZoo's metadata.

Both readers of a ``.mdl`` file (cerebras-pytorch's and this package's) give the same nested state,
so this needs neither of them, and no torch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypedDict, TypeVar, cast, get_args

from mediswift_cs import __version__
from mediswift_cs.errors import CheckpointError
from mediswift_cs.storage.read import object_or_empty, whole_number

Position = Literal["prefix", "infix"]
_KEY = "mediswift"
_T = TypeVar("_T", dict[str, Any], str)


class SoftPromptRecord(TypedDict, total=False):
    """What is noted of a soft prompt, in the names of ``trainer.init.model.soft_prompt``."""

    num_virtual_tokens: int
    position: Position
    init: str


# What each of them may be, and the words for it.
_SOFT_PROMPT: dict[str, tuple[Callable[[Any], bool], str]] = {
    "num_virtual_tokens": (lambda value: type(value) is int and value > 0, "a number above 0"),
    "position": (lambda value: value in get_args(Position), "prefix or infix"),
    "init": (lambda value: isinstance(value, str), "a text"),
}


@dataclass(frozen=True, kw_only=True)
class Record:
    """What this package notes in a checkpoint, under the top-level key ``mediswift``.

    Attributes:
        version: the release of this package that wrote the checkpoint; None for ModelZoo's, which
            has no record.
        rng_state: torch's random state when it was saved, a tensor; None without a run to go on.
        tokenizer_sha256: fingerprint of the tokenizer that the model was trained with.
        soft_prompt: None for a model without one.
        clipping: of the updates since the last line of ``metrics.jsonl``, those whose gradients
            were clipped, and all; None where there are none, or nothing is clipped by its norm.
    """

    version: str | None = __version__
    rng_state: Any = None
    tokenizer_sha256: str | None = None
    soft_prompt: SoftPromptRecord | None = None
    clipping: tuple[int, int] | None = None

    @classmethod
    def read(cls, state: Mapping[str, Any]) -> Self:
        """The record of a checkpoint's state; without one every attribute is None.

        Raises:
            CheckpointError: an entry is of another type, so that nothing can be checked by it.
        """
        noted = _typed(state, _KEY, dict) or {}
        prompt = _typed(noted, "soft_prompt", dict)
        for key, (is_allowed, allowed) in _SOFT_PROMPT.items():
            if prompt is not None and key in prompt and not is_allowed(prompt[key]):
                raise _damaged(f"soft_prompt.{key}", prompt[key], allowed)
        return cls(
            version=_typed(noted, "version", str),
            rng_state=noted.get("rng_state"),
            tokenizer_sha256=_typed(noted, "tokenizer_sha256", str),
            soft_prompt=cast(SoftPromptRecord | None, prompt),
            clipping=_clipping(noted),
        )

    def to_state(self) -> dict[str, dict[str, Any]]:
        """The entry to be joined to the state of a checkpoint that is written."""
        content: dict[str, Any] = {"version": self.version}
        if self.rng_state is not None:
            content["rng_state"] = self.rng_state
        content["tokenizer_sha256"] = self.tokenizer_sha256
        if self.soft_prompt is not None:
            content["soft_prompt"] = dict(self.soft_prompt)
        if self.clipping is not None:
            content["clipping"] = list(self.clipping)
        return {_KEY: content}


def global_step(state: Mapping[str, Any], path: Path) -> int | None:
    """The updates that were trained before a checkpoint was saved; None where it does not say.

    Raises:
        CheckpointError: something else stands for the number.
    """
    return whole_number(state, "global_step", f"the checkpoint {path}", CheckpointError)


def stored_metadata(state: Mapping[str, Any]) -> dict[str, Any]:
    """ModelZoo's ``__metadata__`` of the last phase (version, model name, params), {} without."""
    metadata = state.get("__metadata__")
    return object_or_empty(metadata[-1]) if isinstance(metadata, list) and metadata else {}


def stored_params(state: Mapping[str, Any]) -> dict[str, Any]:
    """The params that a checkpoint was made with, {} where it does not keep them."""
    return object_or_empty(stored_metadata(state).get("params"))


def find_model_section(params: Any) -> dict[str, Any] | None:
    """The ``model`` section in params of ModelZoo's layouts, old and new; None without one."""
    if not isinstance(params, dict):
        return None
    trainer = params.get("trainer")
    if isinstance(trainer, list):
        # A list of phases; the checkpoint is of the last one.
        return find_model_section(trainer[-1]) if trainer else None
    init = trainer.get("init") if isinstance(trainer, dict) else None
    section = init.get("model") if isinstance(init, dict) else params.get("model")
    return section if isinstance(section, dict) else None


def _typed(mapping: Mapping[str, Any], key: str, kind: type[_T]) -> _T | None:
    value = mapping.get(key)
    if value is None or isinstance(value, kind):
        return value
    raise _damaged(key, value, "a text" if kind is str else "a mapping")


def _clipping(noted: Mapping[str, Any]) -> tuple[int, int] | None:
    match noted.get("clipping"):
        case None:
            return None
        case [clipped, updates] if type(clipped) is type(updates) is int and (
            0 <= clipped <= updates
        ):
            return clipped, updates
        case other:
            raise _damaged("clipping", other, "numbers of updates: clipped ones, and all")


def _damaged(key: str, value: object, allowed: str) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint's record is damaged: {key}: got {value!r:.80}, allowed: {allowed}"
    )
