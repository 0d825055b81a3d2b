"""Settings that come from outside, as values of known types or one sentence that says why not."""

import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mediswift_cs.errors import CheckpointError
from mediswift_cs.params.plain import find_odd_values
from mediswift_cs.params.problem import Path as KeyPath
from mediswift_cs.params.problem import describe, dotted, spell
from mediswift_cs.storage.read import parse_json

Model = TypeVar("Model", bound=BaseModel)

# Keys of whatever spelling that tell of another design than GPT-2's, unless they ask for nothing.
_OTHER_DESIGNS = re.compile(
    r"alibi(?!_implementation)|rotary|(^|_)rope(_|$)|^position_embedding_type$|relative_|sliding|"
    r"rms_?norm|qk_norm|multi_query|key_value_heads|kv_heads|parallel_(attn|residual)|softcap|"
    r"(^|_)moe(_|$)|expert|add_cross_attention|is_encoder_decoder|pruned_heads|quantization|"
    r"^auto_map$"
)
_NEUTRAL: tuple[Any, ...] = (None, False, {}, [])
_MAX_SHOWN = 500


def parse_object(text: bytes, where: str) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        CheckpointError: it is no JSON object, says a key twice, or has values that are none of
            JSON's (NaN) or no Unicode text.
    """
    content = parse_json(
        text,
        where,
        CheckpointError,
        object_pairs_hook=partial(_unique, where),
        parse_constant=partial(_no_constant, where),
    )
    if not isinstance(content, dict):
        raise CheckpointError(f"{where}: got {spell(content)}, allowed: a JSON object")
    check_plain(content, where)
    return content


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; CheckpointError as of :func:`parse_object`, or unreadable."""
    try:
        return parse_object(path.read_bytes(), str(path))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error


def _unique(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise CheckpointError(f"{where}: the key {spell(twice)} is written twice")
    return content


def _no_constant(where: str, name: str) -> Any:
    raise CheckpointError(f"{where}: {name} is no number of JSON")


def check_plain(content: Any, where: str) -> None:
    """Raise CheckpointError unless ``content`` is what JSON can hold, with finite numbers."""
    for path, value, allowed in (*find_odd_values(content), *_not_finite(content, ())):
        # A leaf of a .mdl file that is no plain data knows what it was saved as.
        kind = getattr(value, "type_name", None)
        got = f"a {kind}" if kind else spell(value)
        raise CheckpointError(f"{dotted(path)} in {where}: got {got}, allowed: {allowed}")


def _not_finite(node: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any, str]]:
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _not_finite(value, (*path, key))
    elif isinstance(node, float) and not math.isfinite(node):
        yield path, node, "a finite number"


def typed(model: type[Model], content: Mapping[str, Any], where: str) -> Model:
    """The settings of ``model`` in ``content``; CheckpointError with the first that is wrong."""
    try:
        return model.model_validate(dict(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0])
        if first["type"] == "missing":
            raise CheckpointError(f"{where} does not say {key}") from error
        field = model.model_fields[key]
        raise CheckpointError(
            f"{key} in {where}: got {content[key]!r:.{_MAX_SHOWN}}, allowed: "
            f"{describe(field.annotation, field.metadata)}"
        ) from error


def refuse_other_designs(
    content: Mapping[str, Any], covered: Mapping[str, tuple[Any, ...]], where: str
) -> None:
    """Raise CheckpointError for a key that asks for something that GPT-2 does not do.

    Args:
        covered: keys that are known, with the values at which they ask for nothing.
    """
    for key, value in content.items():
        neutral = covered.get(key)
        if neutral is None and not _OTHER_DESIGNS.search(key.lower()):
            continue
        allowed = neutral or _NEUTRAL
        if value is not None and value not in allowed:
            raise CheckpointError(
                f"{where} has {dotted((key,))} {value!r:.{_MAX_SHOWN}}, which GPT-2 in "
                f"transformers does not have; allowed: {', '.join(map(repr, allowed))}"
            )
