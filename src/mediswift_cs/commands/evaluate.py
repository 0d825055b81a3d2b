"""``mediswift evaluate``: answers of a fine-tuned model, and their score."""

import argparse
from pathlib import Path

from mediswift_cs import arguments
from mediswift_cs.errors import ConfigError

HELP = """Score a model on PubMedQA, Hallmarks of Cancer or a classification of your own.

The data is a folder of `mediswift classify`, `mediswift pubmedqa` or `mediswift hoc`. Writes
predictions.jsonl, scores.json, confusion_matrix.png and, for PubMedQA's official test set,
pubmedqa_leaderboard.json. With --method tfidf there is no model: TF-IDF with logistic regression
learns from the data's train split, to compare with. With --lm-eval-task nothing is scored: the
questions are written as a task of lm-evaluation-harness, for a model of `mediswift convert`.

examples:
  mediswift evaluate --task pubmedqa --data data/pubmedqa --checkpoint run/checkpoint_1500.mdl
  mediswift evaluate --task hoc --data data/hoc --convention blue \\
      --checkpoint run/checkpoint_2000.mdl
  mediswift evaluate --data data/urgent --checkpoint run/checkpoint_200.mdl
  mediswift evaluate --data data/urgent --method tfidf --output scores_tfidf
  mediswift evaluate --data data/urgent --lm-eval-task lm_eval_tasks
  mediswift evaluate --task pubmedqa --folds 10 --data 'data/pubmedqa/fold{fold}' \\
      --checkpoint 'runs/fold{fold}/checkpoint_1500.mdl' --output scores
"""

# Options of a score, with what they are where they are not given.
_SCORING = {
    **dict.fromkeys(("checkpoint", "convention", "folds", "params", "output")),
    "method": "constrained",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift evaluate`` to its parser."""
    parser.add_argument("--task", help="to be checked against the data, which say it themselves")
    fold, of_fold = "{fold} stands for the fold's number", arguments.path_text
    parser.add_argument("--checkpoint", type=of_fold, help=f"a .mdl file; {fold}")
    parser.add_argument("--data", type=of_fold, required=True, help=f"prepared examples; {fold}")
    parser.add_argument("--split", help="train, val or test (default: test where there is one)")
    parser.add_argument(
        "--method",
        default=_SCORING["method"],
        help="constrained (the likeliest answer, never unreadable), generate (read strictly) or "
        "tfidf (no model; default: %(default)s)",
    )
    parser.add_argument(
        "--convention",
        help="HoC: blurb (default), blue, sentence or biogpt; several labels: all (default) or "
        "labelled; see docs",
    )
    parser.add_argument("--folds", type=int, help="evaluate folds 0 to FOLDS-1: mean and spread")
    arguments.add_params_of_checkpoint(parser)
    parser.add_argument(
        "--output",
        type=arguments.path,
        help="folder of the results (default: beside the checkpoint)",
    )
    parser.add_argument(
        "--lm-eval-task",
        type=arguments.path,
        metavar="FOLDER",
        help="write the questions there as a task of lm_eval, and print how to run it",
    )
    arguments.add_overwrite(parser, "the results of an evaluation with other options too")
    parser.add_argument(
        "--batch-tokens", type=int, default=4096, help="tokens a batch (default: %(default)s)"
    )
    arguments.add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Run ``mediswift evaluate`` with the options that were given."""
    if args.lm_eval_task is not None:
        return _write_lm_eval_task(args)
    from mediswift_cs.tuning import tune

    tune(args.threads, allocator=False)
    from mediswift_cs.evaluation.evaluate_task import EvaluationOptions, evaluate

    return evaluate(
        EvaluationOptions(
            task=args.task,
            checkpoint=args.checkpoint,
            data=args.data,
            split=args.split,
            method=args.method,
            convention=args.convention,
            num_folds=args.folds,
            params=args.params,
            output=args.output,
            overwrite=args.overwrite,
            max_batch_tokens=args.batch_tokens,
            num_threads=args.threads,
        )
    )


def _write_lm_eval_task(args: argparse.Namespace) -> int:
    for name, default in _SCORING.items():
        if (got := getattr(args, name)) != default:
            raise ConfigError(
                f"--{name}: got {got} with --lm-eval-task, allowed: one of them, as lm_eval loads "
                f"the exported model and scores it"
            )
    from mediswift_cs.evaluation.evaluate_task import check_task, default_split
    from mediswift_cs.evaluation.lm_eval_task import command, write_lm_eval_task
    from mediswift_cs.tasks.prompt_folder import read_prompt_data

    data = read_prompt_data(Path(args.data))
    check_task(args.task, data)
    task = write_lm_eval_task(data, args.split or default_split(data), args.lm_eval_task)
    print(f"wrote {task}; run it with\n  {command(task)}")
    return 0
