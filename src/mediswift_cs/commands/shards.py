"""``mediswift shards``: documents -> HDF5 shards for training."""

import argparse

from mediswift_cs import arguments

HELP = """Tokenize documents and pack them into HDF5 shards for training.

example:
  mediswift shards data/docs.jsonl.zst --tokenizer data/tokenizer.json \\
      --max-sequence-length 2048 --output data/pubmed

Writes OUTPUT/train/*.h5, OUTPUT/val/*.h5, OUTPUT/tokenizer.json and OUTPUT/manifest.json.
"""

# Those of `mediswift documents` now.
_MOVED = ("--dataset", "--dataset-config", "--dataset-split", "--text-column", "--id-column")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift shards`` to its parser."""
    arguments.add_documents(parser, required=False)
    for name in _MOVED:
        parser.add_argument(name, dest="moved", help=argparse.SUPPRESS)
    arguments.add_tokenizer(parser)
    arguments.add_max_sequence_length(parser)
    arguments.add_val_fraction(parser, "share of the documents that goes to val")
    parser.add_argument(
        "--samples-per-shard", type=int, default=8192, help="samples a file (default: %(default)s)"
    )
    arguments.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Run ``mediswift shards`` with the options that were given."""
    import sys

    from mediswift_cs.errors import ConfigError
    from mediswift_cs.tokens.build_shards import build_shards
    from mediswift_cs.tokens.texts import documents_source

    if args.moved is not None:
        raise ConfigError(
            f"{', '.join(_MOVED)}: make documents of a data set first, which cleans and guards its "
            "texts: `mediswift documents --dataset NAME_OR_PATH --output DOCS`"
        )
    if not args.documents:
        raise ConfigError("no input: give documents files, or folders of them")
    source = documents_source(args.documents)
    manifest, is_new = build_shards(
        source,
        args.tokenizer,
        args.output,
        max_sequence_length=args.max_sequence_length,
        val_fraction=args.val_fraction,
        samples_per_shard=args.samples_per_shard,
        overwrite=args.overwrite,
    )
    print(f"{args.output}: {'written' if is_new else 'already there'}")
    counts = manifest.counts
    print(f"{counts['kept']:,} of {counts['documents_read']:,} documents")
    if counts["empty_text"]:
        print(f"{counts['empty_text']:,} left out: empty_text")
    for name, split in manifest.splits.items():
        print(
            f"{name}: {split.num_documents:,} documents, {split.num_tokens:,} tokens, "
            f"{split.num_samples:,} samples of {manifest.max_sequence_length} "
            f"in {len(split.shards)} shards"
        )
    if source.unguarded:
        more = f" and {len(source.unguarded) - 1} more" if source.unguarded[1:] else ""
        print(
            f"warning: {source.unguarded[0]}{more}: not made with the guard, so that articles of "
            "benchmarks may be among the documents",
            file=sys.stderr,
        )
    return 0
