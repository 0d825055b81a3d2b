"""``mediswift run``: run.py from any folder."""

from mediswift_cs.run import DESCRIPTION, add_arguments, run

__all__ = ["HELP", "add_arguments", "run"]

HELP = DESCRIPTION.replace("run.py", "mediswift run")
