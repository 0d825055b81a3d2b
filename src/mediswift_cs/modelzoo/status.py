"""What ``mediswift modelzoo status`` tells."""

from importlib.util import find_spec
from pathlib import Path

from mediswift_cs.modelzoo import registration, site_hook, stand_in


def find_modelzoo() -> str:
    """Where ModelZoo lies, or how to get it."""
    spec = find_spec("cerebras.modelzoo") if registration.is_found() else None
    if spec is None or spec.origin is None:
        return f"not found; {registration.HOW_TO_INSTALL}"
    return str(Path(spec.origin).parent)


def format_status() -> str:
    """Lines of ``what: state``; imports nothing of ModelZoo."""
    missing = registration.missing_packages()
    hook = "enabled" if site_hook.is_active() else "disabled; mediswift modelzoo enable"
    real = find_spec(stand_in.PACKAGE) is not None
    names = ", ".join(model.name for model in registration.MODELS)
    return "\n".join(
        [
            f"ModelZoo: {find_modelzoo()}",
            f"packages it needs: {'missing ' + ', '.join(missing) if missing else 'all there'}",
            f"bigcode_eval: {'installed' if real else 'not installed; a stand-in is used'}",
            f"hook for the stock cszoo: {hook} ({site_hook.site_file()})",
            f"models: {names}",
        ]
    )
