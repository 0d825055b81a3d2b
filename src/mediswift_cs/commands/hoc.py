"""``mediswift hoc``: Hallmarks of Cancer to fine-tune and evaluate on."""

import argparse
from pathlib import Path

from mediswift_cs import arguments
from mediswift_cs.prompt_arguments import add_prompt_arguments, print_result, prompt_settings

HELP = """Prepare Hallmarks of Cancer: prompt shards to train on, JSON lines to evaluate on.

The input is the authors' corpus (a folder with text/ and labels/) or JSON lines; the split is a
folder with splits/{cambridge_train,cambridge_devel,cambridge_test,biogpt_train,biogpt_test}.txt,
one PMID a line.

examples:
  mediswift hoc --input Hallmarks-of-Cancer --splits hoc --tokenizer gpt2/ --output data/hoc
  mediswift hoc --input hoc --split biogpt --level sentence --tokenizer gpt2/ \\
      --max-sequence-length 512 --output data/hoc_sentences
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift hoc`` to its parser."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--input", type=arguments.path, help="the corpus, or hoc_docs.jsonl, or its folder"
    )
    what = "a data set with columns pmid, sentences and sentence_labels"
    arguments.add_data_set(source, what)
    arguments.add_data_set_config(parser)
    parser.add_argument(
        "--splits",
        type=arguments.path,
        help="folder that holds splits/ (default: the input's folder)",
    )
    parser.add_argument("--split", default="cambridge", help="cambridge or biogpt (default: first)")
    parser.add_argument(
        "--level", default="document", help="document or sentence (default: %(default)s)"
    )
    add_prompt_arguments(parser, num_virtual_tokens=1)


def run(args: argparse.Namespace) -> int:
    """Run ``mediswift hoc`` with the options that were given."""
    from mediswift_cs.corpora.document import SourceEntry
    from mediswift_cs.errors import ConfigError
    from mediswift_cs.tasks import hoc, hoc_documents
    from mediswift_cs.tasks.official_split import split_examples
    from mediswift_cs.tasks.prompt_data import write_prompt_data

    if args.input is not None:
        documents, name = hoc_documents.read_documents(args.input), args.input.name
        default = args.input if args.input.is_dir() else args.input.parent
    else:
        documents = hoc_documents.read_dataset(args.dataset, args.dataset_config)
        name, default = args.dataset, None
    folder = args.splits or default
    if folder is None:
        raise ConfigError("--splits: got nothing, allowed: the folder that holds splits/")
    split = hoc.read_split(folder, args.split)
    task = hoc.HallmarksOfCancer(level=args.level, hoc_split=args.split)
    splits, counts = split_examples(documents, split, task.examples, "documents_read")
    result = write_prompt_data(
        splits,
        args.tokenizer,
        args.output,
        prompt_settings(args),
        task=task,
        counts=counts,
        sources=(SourceEntry(path=Path(name).name),),
        overwrite=args.overwrite,
    )
    print_result(*result)
    return 0
