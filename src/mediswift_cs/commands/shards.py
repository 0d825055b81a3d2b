"""``mediswift shards``: documents -> HDF5 shards for training."""

import argparse

from mediswift_cs import arguments

HELP = """Tokenize documents and pack them into HDF5 shards for training.

example:
  mediswift shards data/docs.jsonl.zst --tokenizer data/tokenizer.json \\
      --max-sequence-length 2048 --output data/pubmed
  mediswift shards --dataset corpus.parquet --text-column abstract --tokenizer gpt2/ \\
      --max-sequence-length 2048 --output data/corpus

Writes OUTPUT/train/*.h5, OUTPUT/val/*.h5, OUTPUT/tokenizer.json and OUTPUT/manifest.json.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    arguments.add_documents(parser, required=False)
    dataset = parser.add_argument_group("instead of DOCS, a data set that `datasets` reads")
    dataset.add_argument(
        "--dataset", metavar="NAME_OR_PATH", help="JSON lines, Parquet, or a name on the Hub"
    )
    dataset.add_argument("--dataset-config", metavar="NAME", help="where it has several")
    dataset.add_argument(
        "--dataset-split", default="train", metavar="NAME", help="default: %(default)s"
    )
    dataset.add_argument("--text-column", default="text", help="default: %(default)s")
    dataset.add_argument(
        "--id-column", help="decides each document's split (default: the text itself)"
    )
    arguments.add_tokenizer(parser)
    arguments.add_max_sequence_length(parser)
    arguments.add_val_fraction(parser, "share of the documents that goes to val")
    parser.add_argument(
        "--samples-per-shard", type=int, default=8192, help="samples a file (default: %(default)s)"
    )
    arguments.add_output(parser)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from mediswift_cs.errors import ConfigError
    from mediswift_cs.tokens.build_shards import build_shards
    from mediswift_cs.tokens.texts import dataset_source, documents_source

    if bool(args.documents) == (args.dataset is not None):
        raise ConfigError("give either documents, or --dataset NAME_OR_PATH")
    if args.dataset is not None:
        source = dataset_source(
            args.dataset,
            text_column=args.text_column,
            id_column=args.id_column,
            config=args.dataset_config,
            split=args.dataset_split,
        )
    else:
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
    return 0
