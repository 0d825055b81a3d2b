"""Where a model and its data must agree: how many virtual tokens, where, and with which ids."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from mediswift_cs.params.schema import ModelParams


class Disagreement(NamedTuple):
    """A setting of the prompt layout that a model and its data have differently."""

    key: str
    data: Any
    model: int | str


def prompt_disagreements(layout: Mapping[str, Any], model: ModelParams) -> list[Disagreement]:
    """What a model and the layout of its data do not agree in, the most important first.

    Args:
        layout: num_virtual_tokens, position and vocab_size, from a manifest or from shards. The
            last two matter only where the model has a soft prompt.
    """
    prompt = model.soft_prompt
    expected: dict[str, int | str] = {"num_virtual_tokens": 0}
    if prompt is not None:
        expected = {
            "num_virtual_tokens": prompt.num_virtual_tokens,
            "position": prompt.position,
            "vocab_size": model.vocab_size,
        }
    return [
        Disagreement(key, layout.get(key), value)
        for key, value in expected.items()
        if layout.get(key) != value
    ]
