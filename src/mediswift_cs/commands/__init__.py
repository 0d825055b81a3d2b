"""One sub-command of ``mediswift`` a file.

Each module has ``HELP``, ``add_arguments(parser)`` and ``run(args) -> exit code`` and imports
only the standard library at its top, so that ``mediswift --help`` answers at once.
"""

# What commands are for: the groups of ``mediswift --help``, in the order of the work.
PURPOSES = {
    "to begin with": ("demo", "doctor", "completion", "modelzoo", "plan", "flops", "params"),
    "data": ("fetch", "prepare", "documents", "tokenizer", "shards"),
    "tasks to fine-tune on": ("classify", "pubmedqa", "hoc"),
    "training": ("run",),
    "models and results": ("report", "evaluate", "ask", "inspect", "convert", "replicate"),
}
