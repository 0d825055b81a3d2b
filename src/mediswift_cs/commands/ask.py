"""``mediswift ask``: type a question, read the answer."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mediswift_cs import arguments
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.read import read_text, reason_of

if TYPE_CHECKING:
    from mediswift_cs.evaluation.ask import Continuer, TaskAnswerer

HELP = """Ask a model: type a question (or pipe one a line), get the answer.

MODEL is a .mdl checkpoint or a Hugging Face folder. A model that was trained for a task answers
with one of the task's labels and how likely each is; every other model goes on with the text.

examples:
  mediswift ask run/checkpoint_1500.mdl --context abstract.txt
  mediswift ask export
  cut -f2 questions.tsv | mediswift ask export --json > answers.jsonl
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift ask`` to its parser."""
    parser.add_argument(
        "model", type=arguments.path, metavar="MODEL", help=".mdl file, or Hugging Face folder"
    )
    parser.add_argument(
        "--context", type=arguments.path, help="file with the text that questions are about"
    )
    parser.add_argument(
        "--data",
        type=arguments.path,
        help="prepared examples of the task (default: those that the model was trained on)",
    )
    arguments.add_tokenizer(parser, default="that of the data, or of the folder")
    parser.add_argument(
        "--max-new-tokens",
        type=int,
        default=64,
        help="of a text that is continued (default: %(default)s)",
    )
    parser.add_argument(
        "--device", choices=("CPU", "GPU"), default="CPU", help="(default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object a line")
    arguments.add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Answer until the input ends; returns 0."""
    if args.max_new_tokens < 1:
        raise ConfigError(f"--max-new-tokens: got {args.max_new_tokens}, allowed: at least 1")
    context = _read(args.context) if args.context else ""
    from mediswift_cs.tuning import tune

    tune(args.threads, allocator=False)
    import torch

    from mediswift_cs.evaluation.ask import AskOptions, open_model

    if args.device == "GPU" and not torch.cuda.is_available():
        raise ConfigError("--device: got GPU, allowed: CPU, as torch finds no CUDA device here")
    answerer = open_model(
        AskOptions(
            source=args.model,
            data=args.data,
            tokenizer=args.tokenizer,
            max_new_tokens=args.max_new_tokens,
            device="cuda" if args.device == "GPU" else "cpu",
        )
    )
    if answerer.note:
        print(f"note: {answerer.note}", file=sys.stderr)
    if sys.stdin.isatty():
        print(f"{answerer.about} (Ctrl-D ends)", file=sys.stderr)
        _talk(answerer, context, as_json=args.json)
        return 0
    for number, line in enumerate(_lines(), start=1):
        if line.strip():
            _print_answer(answerer, line, f"line {number} of the input", context, args.json)
    return 0


def _talk(answerer: "TaskAnswerer | Continuer", context: str, *, as_json: bool) -> None:
    """Questions from a terminal; one that cannot be answered ends nothing."""
    import readline  # noqa: F401  gives input() its editing and its history

    while True:
        try:
            text = input("> ")
        except EOFError:
            print(file=sys.stderr)
            return
        if not text.strip():
            continue
        try:
            _print_answer(answerer, text, "the question", context, as_json)
        except DataError as error:
            print(f"error: {error}", file=sys.stderr)


def _print_answer(
    answerer: "TaskAnswerer | Continuer", text: str, where: str, context: str, as_json: bool
) -> None:
    answer = answerer.answer(text, where, context)
    if answer.num_cut:
        print(
            f"note: {where}: the model did not read the last {answer.num_cut} tokens of the text, "
            f"for which it has no room",
            file=sys.stderr,
        )
    said = json.dumps(answer.record(), ensure_ascii=False) if as_json else answer.line()
    # Whoever reads the other end of a pipe waits for each answer.
    print(said, flush=True)


def _lines() -> Iterator[str]:
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(f"line {number} of the input is {reason_of(error)}") from error


def _read(path: Path) -> str:
    text = read_text(path, lambda what: DataError(f"--context: {what}"))
    if not text.strip():
        raise DataError(f"--context: got {path}, which is empty, allowed: a text")
    return text
