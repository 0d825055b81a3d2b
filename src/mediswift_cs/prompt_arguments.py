"""The options that all commands share which lay out examples for a soft prompt."""

import argparse
from typing import TYPE_CHECKING

from mediswift_cs import arguments

if TYPE_CHECKING:
    from mediswift_cs.tasks.prompt_data import Lengths, PromptSettings
    from mediswift_cs.tokens.manifest import Manifest


def add_prompt_arguments(parser: arguments.Options, num_virtual_tokens: int = 9) -> None:
    """Add the options of a data set of prompts."""
    arguments.add_tokenizer(parser)
    arguments.add_max_sequence_length(parser, default=1024)
    parser.add_argument(
        "--num-virtual-tokens",
        type=int,
        default=num_virtual_tokens,
        help="length of the soft prompt; 0: none (default: %(default)s)",
    )
    parser.add_argument(
        "--position",
        default="infix",
        help="of the soft prompt: infix, before the answer, or prefix (default: %(default)s)",
    )
    parser.add_argument(
        "--loss-on", default="target", help="target, or all tokens (default: %(default)s)"
    )
    parser.add_argument(
        "--vocab-size", type=int, help="the model's; default: the tokenizer's number of ids"
    )
    arguments.add_output(parser)


def prompt_settings(args: argparse.Namespace) -> "PromptSettings":
    """The settings that the options give."""
    from mediswift_cs.tasks.prompt_data import PromptSettings

    return PromptSettings(
        max_sequence_length=args.max_sequence_length,
        num_virtual_tokens=args.num_virtual_tokens,
        position=args.position,
        loss_on=args.loss_on,
        vocab_size=args.vocab_size,
    )


def print_result(manifest: "Manifest", lengths: "Lengths") -> None:
    """What was written, the longest example and how much was cut."""
    print(lengths.summary())
    print(", ".join(f"{number} {name}" for name, number in manifest.counts.items()))
    print(manifest.folder)
