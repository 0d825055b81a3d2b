"""The options that all commands share which lay out examples for a soft prompt."""

import argparse
from typing import TYPE_CHECKING

from mediswift_cs import arguments

if TYPE_CHECKING:
    from mediswift_cs.tasks.prompt_data import Lengths, PromptSettings
    from mediswift_cs.tokens.manifest import Manifest


def add_prompt_arguments(
    parser: "argparse.ArgumentParser | argparse._ArgumentGroup", num_virtual_tokens: int = 9
) -> None:
    """The options of a prompt data set."""
    parser.add_argument(
        "--tokenizer",
        required=True,
        type=arguments.path,
        help="a tokenizer.json, or a folder of GPT-2's",
    )
    parser.add_argument(
        "--max-sequence-length", type=int, default=1024, help="tokens (default: %(default)s)"
    )
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
    parser.add_argument("--output", required=True, type=arguments.path, help="a new folder")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


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
