"""``mediswift pubmedqa``: questions to fine-tune and evaluate on."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mediswift_cs import arguments
from mediswift_cs.prompt_arguments import add_prompt_arguments, print_result, prompt_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mediswift_cs.corpora.document import Document, SourceEntry
    from mediswift_cs.tasks.example import Example
    from mediswift_cs.tasks.prompt_data import PromptSettings
    from mediswift_cs.tasks.question_data import QuestionMaker
    from mediswift_cs.tasks.task import Task

HELP = """Prepare PubMedQA: prompt shards to train on, JSON lines to evaluate on.

labelled    the 1,000 expert-labelled questions in the official split: OUT/{train,val,test}
artificial  yes/no questions from titles of PubMed records that are statements (PQA-A)
unlabelled  titles that are questions, answered by a model of your own (PQA-U)

Articles of PubMedQA's labelled set and of Hallmarks of Cancer never become artificial or unlabelled
questions; the printed counts have them as benchmark_pmid.

examples:
  mediswift pubmedqa labelled --input pubmedqa/data --tokenizer gpt2/ --output data/pubmedqa
  mediswift pubmedqa labelled --dataset qiaojin/PubMedQA --fold all --tokenizer gpt2/ \\
      --output data/pubmedqa_folds
  mediswift pubmedqa artificial data/docs.jsonl.zst --tokenizer data/tokenizer.json \\
      --max-sequence-length 256 --output data/artificial
  mediswift pubmedqa unlabelled data/docs.jsonl.zst --checkpoint model_dir/checkpoint_100.mdl \\
      --tokenizer data/tokenizer.json --output data/pseudo_labelled
"""

ALL_FOLDS = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift pubmedqa`` to its parser."""
    phases = parser.add_subparsers(dest="phase", required=True, metavar="PHASE")
    labelled = phases.add_parser("labelled", help="PQA-L: the expert-labelled questions")
    source = labelled.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--input",
        type=arguments.path,
        help="ori_pqal.json, or its folder; the split is drawn as officially",
    )
    arguments.add_data_set(source, "a name on the Hugging Face hub, or a local data set")
    arguments.add_data_set_config(labelled, default="pqa_labeled")
    labelled.add_argument(
        "--fold", default="0", help="0 to 9, or all: one folder each (default: %(default)s)"
    )
    labelled.add_argument(
        "--mode",
        default="reasoning-required",
        help="reasoning-required or reasoning-free, which adds the conclusion "
        "(default: %(default)s)",
    )
    add_prompt_arguments(labelled)
    artificial = phases.add_parser("artificial", help="PQA-A: questions made of titles")
    _add_documents(artificial)
    questions = artificial.add_mutually_exclusive_group()
    questions.add_argument(
        "--contrast",
        action="store_true",
        help="ask half of the titles that allow it for the opposite (answer: no); "
        "not part of PQA-A, whose answers are nearly all yes",
    )
    questions.add_argument(
        "--matching",
        action="store_true",
        help="ask instead whether a title belongs to the text, for a corpus whose titles are no "
        "statements; a task of this project's own",
    )
    unlabelled = phases.add_parser("unlabelled", help="PQA-U: questions answered by a model")
    _add_documents(unlabelled)
    unlabelled.add_argument(
        "--checkpoint", type=arguments.path, required=True, help="the model that answers them"
    )


def _add_documents(parser: argparse.ArgumentParser) -> None:
    arguments.add_documents(parser, required=True)
    arguments.add_val_fraction(parser)
    arguments.add_limit(parser, "questions at most")
    add_prompt_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Prepare the data of the phase that the command line names."""
    return {"labelled": _labelled, "artificial": _artificial, "unlabelled": _unlabelled}[
        args.phase
    ](args)


def _labelled(args: argparse.Namespace) -> int:
    from mediswift_cs.corpora.document import SourceEntry
    from mediswift_cs.errors import ConfigError
    from mediswift_cs.tasks import pubmedqa_records
    from mediswift_cs.tasks.official_split import split_examples
    from mediswift_cs.tasks.prompt_data import write_prompt_data
    from mediswift_cs.tasks.pubmedqa import PubMedQA
    from mediswift_cs.tasks.pubmedqa_split import NUM_FOLDS, read_split

    if args.input is not None:
        records = pubmedqa_records.read_records(args.input)
        folder = args.input if args.input.is_dir() else args.input.parent
        source = pubmedqa_records.RECORDS_FILE
    else:
        records = pubmedqa_records.read_dataset(args.dataset, args.dataset_config)
        folder, source = None, Path(args.dataset).name
    is_number = args.fold.isdigit() and int(args.fold) < NUM_FOLDS
    if args.fold != ALL_FOLDS and not is_number:
        raise ConfigError(f"--fold: got {args.fold!r}, allowed: 0 to 9, or {ALL_FOLDS}")
    for fold in range(NUM_FOLDS) if args.fold == ALL_FOLDS else [int(args.fold)]:
        task = PubMedQA(mode=args.mode, fold=fold)
        split = read_split(folder, fold, records)._asdict()
        splits, counts = split_examples(records, split, task.examples, "records_read")
        result = write_prompt_data(
            splits,
            args.tokenizer,
            args.output / f"fold{fold}" if args.fold == ALL_FOLDS else args.output,
            prompt_settings(args),
            task=task,
            counts=counts,
            sources=(SourceEntry(path=source),),
            overwrite=args.overwrite,
        )
        print_result(*result)
    return 0


def _artificial(args: argparse.Namespace) -> int:
    from mediswift_cs.tasks.artificial import ArtificialQuestions

    if args.matching:
        task = ArtificialQuestions(matching=True)
    else:
        task = ArtificialQuestions(contrast=args.contrast)
    return _write_questions(args, task.question_maker(), task, prompt_settings(args))


def _unlabelled(args: argparse.Namespace) -> int:
    from mediswift_cs.evaluation.pseudo_labels import Answerer
    from mediswift_cs.tasks.artificial import unlabelled_question
    from mediswift_cs.tasks.pubmedqa import PubMedQA
    from mediswift_cs.tokens.splits import check_val_fraction

    # Before the model is loaded.
    check_val_fraction(args.val_fraction)
    task = PubMedQA(pseudo_labelled_by=args.checkpoint.name)
    answerer = Answerer(args.checkpoint, args.tokenizer, prompt_settings(args), task)
    return _write_questions(args, unlabelled_question, task, answerer.settings, answerer.answer)


def _write_questions(
    args: argparse.Namespace,
    make: "QuestionMaker",
    task: "Task",
    settings: "PromptSettings",
    answer: "Callable[[Iterator[Example]], Iterator[Example]]" = iter,
) -> int:
    from mediswift_cs.tasks.question_data import write_questions

    documents, sources = _read_documents(args)
    counts = write_questions(
        documents,
        make,
        args.tokenizer,
        args.output,
        settings,
        task=task,
        val_fraction=args.val_fraction,
        limit=args.limit,
        sources=sources,
        overwrite=args.overwrite,
        answer=answer,
    )
    print(counts.text())
    return 0


def _read_documents(
    args: argparse.Namespace,
) -> "tuple[Iterable[Document], tuple[SourceEntry, ...]]":
    """All documents as a stream with a progress bar, and their files."""
    from mediswift_cs.corpora import documents_file
    from mediswift_cs.corpora.files import describe_files, find_files
    from mediswift_cs.progress import progress

    files = describe_files(find_files(args.documents, documents_file.SUFFIXES))
    stream = (doc for file in files for doc in documents_file.read_documents(file.path))
    sources = tuple(file.entry() for file in files)
    return progress("questions", "docs", stream), sources
