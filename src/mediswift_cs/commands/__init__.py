"""One sub-command of ``mediswift`` a file.

Each module has ``HELP``, ``add_arguments(parser)`` and ``run(args) -> exit code`` and imports
only the standard library at its top, so that ``mediswift --help`` answers at once.
"""
