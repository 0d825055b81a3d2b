"""``mediswift convert``: options, one call, and what it prints."""

import argparse
import re
import time
from collections.abc import Sequence

from mediswift_cs import arguments
from mediswift_cs.endings import exit_code_of
from mediswift_cs.errors import ConfigError

HELP = """Convert a checkpoint: .mdl to a Hugging Face folder, or back.

The direction and the shape of the model are found from the files. A killed conversion leaves
nothing under TARGET; the same command starts it again.

examples:
  mediswift convert model_dir/checkpoint_400.mdl export --tokenizer data/pubmed/tokenizer.json
  mediswift convert checkpoint.mdl export --tokenizer gpt2/ --dtype bfloat16 --keep-masks
  mediswift convert export start.mdl
"""

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``mediswift convert``."""
    parser.add_argument(
        "source", type=arguments.path, help=".mdl file, or Hugging Face GPT-2 folder"
    )
    parser.add_argument("target", type=arguments.path, help="folder, or .mdl file, to be made")
    arguments.add_params_of_checkpoint(parser)
    arguments.add_tokenizer(parser, default="that of the training data, or of the folder")
    parser.add_argument("--no-tokenizer", action="store_true", help="write no tokenizer files")
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="number format of the weights (default: as they are stored)",
    )
    parser.add_argument(
        "--max-shard-size",
        default="5GB",
        help="largest weights file, as 5GB or 300MB (default 5GB)",
    )
    parser.add_argument(
        "--keep-masks", action="store_true", help="write sparsity masks beside the weights"
    )
    parser.add_argument(
        "--peft-adapter",
        action="store_true",
        help="write a prefix soft prompt as a PEFT adapter, not as tokens of the vocabulary",
    )
    parser.add_argument(
        "--check-sparsity", action="store_true", help="print the fraction of zeros of each weight"
    )
    parser.add_argument(
        "--allow-nan", action="store_true", help="convert NaN and infinite numbers too"
    )
    parser.add_argument(
        "--verify",
        action=argparse.BooleanOptionalAction,
        help="compare logits of both sides (default: below 1e9 parameters)",
    )
    parser.add_argument(
        "--verify-text", type=arguments.path, help="text to compare on (default: our own)"
    )
    parser.add_argument("--license", help="licence of the weights, for the model card")
    parser.add_argument(
        "--dry-run", action="store_true", help="print files, tensors and bytes, write nothing"
    )


def run(args: argparse.Namespace) -> int:
    """Convert, or print the plan; returns 0."""
    from mediswift_cs.checkpoints import convert as conversion
    from mediswift_cs.checkpoints import dry_run
    from mediswift_cs.params.load import find_params_file

    options = conversion.ConvertOptions(
        params=None if args.params is None else find_params_file(args.params),
        tokenizer=args.tokenizer,
        has_tokenizer=not args.no_tokenizer,
        dtype=args.dtype,
        max_shard_bytes=parse_size(args.max_shard_size),
        keep_masks=args.keep_masks,
        peft_adapter=args.peft_adapter,
        allow_nan=args.allow_nan,
        verify=args.verify,
        verify_text=args.verify_text,
        licence=args.license,
    )
    if args.dry_run:
        print(dry_run.describe(args.source, args.target, options))
        return 0
    started = time.monotonic()
    result = conversion.convert(args.source, args.target, options)
    for message in result.messages:
        print(message)
    if args.check_sparsity:
        if result.sparsity is not None:
            print(result.sparsity.to_text())
        else:
            print("sparsity: counted for exports only; see mediswift inspect")
    seconds = time.monotonic() - started
    print(f"wrote {result.target}: {result.num_bytes:,} bytes of tensors in {seconds:.1f} s")
    return 0


def parse_size(text: str) -> int:
    """``300MB`` -> 300,000,000; ConfigError for what is no size."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]i?B)?", text.strip(), re.IGNORECASE)
    if match is None or float(match[1]) <= 0:
        raise ConfigError(
            f"--max-shard-size: got {text!r}, allowed: a number of bytes with KB, MB, GB, KiB, MiB "
            f"or GiB, as 300MB"
        )
    return int(float(match[1]) * _UNITS[(match[2] or "").upper()])


def main(argv: Sequence[str] | None = None) -> int:
    """``python -m mediswift_cs.checkpoints``: the same as ``mediswift convert``."""
    parser = argparse.ArgumentParser(
        prog="python -m mediswift_cs.checkpoints",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    args = parser.parse_args(argv)
    return exit_code_of(lambda: run(args), ends_process=argv is None)
