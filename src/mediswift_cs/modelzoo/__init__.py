"""MediSwift inside Cerebras ModelZoo: models, data processors, command line.

Importing this package imports nothing of ModelZoo's; :func:`register` does.
"""


def register() -> None:
    """Add our models and data processors to ModelZoo's registry; again is fine.

    Raises:
        ConfigError: ModelZoo cannot be imported, or another plug-in has taken one of our names.
    """
    import importlib

    from mediswift_cs.modelzoo import hook, registration

    registration.require_modelzoo()
    hook.install()
    importlib.import_module("cerebras.modelzoo.registry")
