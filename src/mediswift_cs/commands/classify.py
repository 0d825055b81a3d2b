"""``mediswift classify``: any classification task to fine-tune and evaluate on."""

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from mediswift_cs import arguments
from mediswift_cs.prompt_arguments import add_prompt_arguments, print_result, prompt_settings

if TYPE_CHECKING:
    from mediswift_cs.tasks.labelled_texts import LabelledText

HELP = """Prepare a classification task: prompt shards to train on, JSON lines to evaluate on.

The input is JSON lines with a text and a label (with --multi-label: a list of labels), or PubMed
XML, whose labels are NLM's own: MeSH descriptors, check tags such as Humans among them, or
publication types. The splits are by a hash of the document, or a column says them.

examples:
  mediswift classify notes.jsonl --question "Is the note urgent?" --num-virtual-tokens 0 \\
      --tokenizer data/tokenizer.json --max-sequence-length 256 --output data/urgent
  mediswift classify reports.jsonl --multi-label --label-column findings --split-column split \\
      --document-column patient --tokenizer gpt2/ --output data/findings
  mediswift classify --sample --mesh Humans Animals --question "About people or animals?" \\
      --max-train 1000 --tokenizer data/tokenizer.json --output data/humans_or_animals
  mediswift classify baseline/ --publication-types Review "Case Reports" "Clinical Trial" \\
      --tokenizer data/tokenizer.json --output data/kind_of_article
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift classify`` to its parser."""
    parser.add_argument(
        "inputs", nargs="*", type=arguments.path, metavar="INPUT", help="files, or folders of them"
    )
    parser.add_argument(
        "--multi-label", action="store_true", help="any number of labels a text, none included"
    )
    parser.add_argument("--instruction", default="", help="what the model reads before the text")
    parser.add_argument("--question", default="", help="what it reads after the text")
    _add_pubmed_arguments(parser.add_argument_group("PubMed XML"))
    _add_column_arguments(parser.add_argument_group("JSON lines"))
    splits = parser.add_argument_group("splits, by a hash of the document's id")
    arguments.add_val_fraction(splits, default=0.1)
    splits.add_argument("--test-fraction", type=float, default=0.1, help="default: %(default)s")
    splits.add_argument("--max-train", type=int, metavar="N", help="train on N texts at most")
    splits.add_argument("--max-val", type=int, metavar="N", help="validate on N texts at most")
    add_prompt_arguments(parser.add_argument_group("the data set"))


def _add_pubmed_arguments(group: "argparse._ArgumentGroup") -> None:
    arguments.add_sample(group)
    group.add_argument("--mesh", nargs="+", metavar="LABEL", help="MeSH descriptors as labels")
    group.add_argument(
        "--publication-types", nargs="+", metavar="LABEL", help="publication types as labels"
    )


def _add_column_arguments(group: "argparse._ArgumentGroup") -> None:
    arguments.add_columns(group, "default: the file's name and the line's number")
    group.add_argument("--label-column", default="label", help="default: %(default)s")
    group.add_argument(
        "--document-column", help="what must not be in two splits, such as a patient (default: id)"
    )
    group.add_argument("--split-column", help="train, val or test; instead of the hash")
    group.add_argument(
        "--labels", nargs="+", metavar="LABEL", help="all that are allowed (default: that occur)"
    )


def run(args: argparse.Namespace) -> int:
    """Run ``mediswift classify`` with the options that were given."""
    from mediswift_cs.corpora.files import describe_files
    from mediswift_cs.errors import ConfigError
    from mediswift_cs.progress import reading
    from mediswift_cs.tasks import classification_data
    from mediswift_cs.tasks.prompt_data import write_prompt_data

    if args.mesh and args.publication_types:
        raise ConfigError("--mesh and --publication-types: got both, allowed: one of them")
    counts: Counter[str] = Counter()
    given = args.mesh or args.publication_types
    sources = describe_files(_files(args, (".xml", ".xml.gz") if given else (".jsonl",)))
    files = [source.path for source in sources]
    with reading("read", sum(source.num_bytes for source in sources)):
        texts = _pubmed_texts(args, files, counts) if given else _line_texts(args, files, counts)
    task = classification_data.make_task(
        texts,
        given or args.labels,
        multi_label=args.multi_label,
        instruction=args.instruction,
        question=args.question,
    )
    splits = classification_data.split_texts(
        texts,
        counts,
        val_fraction=args.val_fraction,
        test_fraction=args.test_fraction,
        max_train=args.max_train,
        max_val=args.max_val,
    )
    result = write_prompt_data(
        classification_data.examples_of(task, splits),
        args.tokenizer,
        args.output,
        prompt_settings(args),
        task=task,
        counts=counts,
        sources=tuple(source.entry() for source in sources),
        overwrite=args.overwrite,
    )
    print_result(*result)
    print(classification_data.label_table(task, splits))
    return 0


def _files(args: argparse.Namespace, suffixes: tuple[str, ...]) -> list[tuple[Path, str]]:
    from mediswift_cs.corpora.files import find_files
    from mediswift_cs.corpora.sample import download_sample
    from mediswift_cs.errors import ConfigError

    inputs = list(args.inputs)
    if args.sample:
        if ".jsonl" in suffixes:
            raise ConfigError("--sample: allowed with --mesh or --publication-types only")
        inputs.append(download_sample())
    if not inputs:
        raise ConfigError("no input: give JSON lines, or PubMed XML (or --sample) with --mesh")
    return find_files(inputs, suffixes)


def _pubmed_texts(
    args: argparse.Namespace, files: list[Path], counts: "Counter[str]"
) -> "list[LabelledText]":
    from mediswift_cs.errors import ConfigError
    from mediswift_cs.tasks.labelled_texts import read_pubmed_labels

    if args.labels:
        raise ConfigError("--labels: allowed with JSON lines; --mesh has the labels itself")
    return read_pubmed_labels(
        files,
        "mesh" if args.mesh else "publication_types",
        args.mesh or args.publication_types,
        counts,
        multi_label=args.multi_label,
    )


def _line_texts(
    args: argparse.Namespace, files: list[Path], counts: "Counter[str]"
) -> "list[LabelledText]":
    from mediswift_cs.tasks.labelled_texts import READ, Columns, read_labelled_lines

    columns = Columns(
        text=args.text_column,
        label=args.label_column,
        id=args.id_column,
        document=args.document_column,
        split=args.split_column,
    )
    texts = [
        text
        for path in files
        for text in read_labelled_lines(path, columns, multi_label=args.multi_label)
    ]
    counts[READ] = len(texts)
    return texts
