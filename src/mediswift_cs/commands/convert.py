"""``mediswift convert``: checkpoints to Hugging Face and back."""

from mediswift_cs.checkpoints.command_line import HELP, add_arguments, run

__all__ = ["HELP", "add_arguments", "run"]
