"""``mediswift tokenizer``: documents -> a byte-level BPE, or GPT-2's files -> one file."""

import argparse

from mediswift_cs import arguments

HELP = """Train a byte-level BPE on documents, or take GPT-2's, as one tokenizer.json.

example:
  mediswift tokenizer data/docs.jsonl.zst --vocab-size 8192 --output data/tokenizer.json
  mediswift tokenizer --gpt2 gpt2/ --output data/tokenizer.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift tokenizer`` to its parser."""
    arguments.add_documents(parser, required=False)
    parser.add_argument(
        "--gpt2",
        type=arguments.path,
        metavar="FOLDER",
        help="do not train: a folder with vocab.json + merges.txt, or encoder.json + vocab.bpe",
    )
    parser.add_argument("--vocab-size", type=int, default=28_896, help="default: %(default)s")
    parser.add_argument(
        "--min-frequency",
        type=int,
        default=2,
        help="merge only pairs that occur so many times (default: %(default)s)",
    )
    arguments.add_limit(parser, "train on the first N documents")
    arguments.add_output(parser, "for example tokenizer.json")


def run(args: argparse.Namespace) -> int:
    """Run ``mediswift tokenizer`` with the options that were given."""
    import sys

    from mediswift_cs.errors import ConfigError
    from mediswift_cs.tokens.texts import documents_source
    from mediswift_cs.tokens.tokenizer import vocab_size
    from mediswift_cs.tokens.tokenizer_file import convert_tokenizer_file, train_tokenizer_file

    if bool(args.documents) == (args.gpt2 is not None):
        raise ConfigError("give either documents to train on, or --gpt2 FOLDER")
    if args.gpt2 is not None:
        tokenizer, is_new = convert_tokenizer_file(args.gpt2, args.output, overwrite=args.overwrite)
    else:
        tokenizer, is_new = train_tokenizer_file(
            documents_source(args.documents),
            args.output,
            vocab_size=args.vocab_size,
            min_frequency=args.min_frequency,
            limit=args.limit,
            overwrite=args.overwrite,
            show_progress=sys.stderr.isatty(),
        )
    size = vocab_size(tokenizer)
    print(f"{args.output}: {'written' if is_new else 'already there'}")
    print(f"{size:,} tokens")
    if args.gpt2 is None and size < args.vocab_size:
        print(f"{args.vocab_size - size:,} fewer than asked for: no more pairs are frequent enough")
    return 0
