"""Finding the ``model`` section in params of ModelZoo's layouts."""

from typing import Any


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
