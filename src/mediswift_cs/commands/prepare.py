"""``mediswift prepare``: PubMed and PMC -> documents, tokenizer, shards and a report."""

import argparse

from mediswift_cs import arguments

HELP = """Prepare a whole corpus, from fetching to HDF5 shards and a report.

example:
  mediswift prepare --config data_preprocessing/configs/pubmed_pmc.yaml
  mediswift prepare --config my.yaml --stage parse --stage clean --workers 16
  mediswift prepare --config my.yaml --engine dask --scheduler tcp://10.0.0.1:8786

Stages: fetch, parse, clean, dedup, guard, tokenizer, tokens, hdf5, report.
What is done already is not done again, so a run that was killed goes on where it was, and a second
run takes no time. Exit code 1: done, but some input files were quarantined (see manifest.json).
Exit code 2: a setting is wrong, or no usable document is left (manifest.json says why).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``mediswift prepare`` to its parser."""
    parser.add_argument(
        "--config", required=True, type=arguments.path, help="a YAML file of settings"
    )
    parser.add_argument(
        "--stage",
        action="append",
        metavar="NAME",
        help="do this stage only (may be given several times); the ones before must be done",
    )
    parser.add_argument(
        "--output", type=arguments.path, help="instead of the settings' output folder"
    )
    parser.add_argument("--workers", type=int, metavar="N", help="instead of engine.workers")
    parser.add_argument("--engine", choices=("process", "dask"), help="instead of engine.name")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a running Dask cluster's scheduler")


def run(args: argparse.Namespace) -> int:
    """Run ``mediswift prepare`` with the options that were given."""
    from mediswift_cs.errors import ConfigError
    from mediswift_cs.prepare.config import load_settings
    from mediswift_cs.prepare.pipeline import STAGES, Pipeline

    settings = load_settings(args.config)
    if args.workers is not None and args.workers < 1:
        raise ConfigError(f"--workers: got {args.workers}, allowed: 1 or more")
    engine = {"name": args.engine, "workers": args.workers, "scheduler": args.scheduler}
    changed = {name: value for name, value in engine.items() if value is not None}
    if args.scheduler and (args.engine or settings.engine.name) != "dask":
        raise ConfigError("--scheduler needs --engine dask")
    update = {"engine": settings.engine.model_copy(update=changed)}
    settings = settings.model_copy(update={**update, "output": args.output or settings.output})
    pipeline = Pipeline(settings, tuple(args.stage or STAGES))
    quarantined = pipeline.run()
    for stage, counts in pipeline.tasks.results.counts().items():
        print(f"{stage}: " + ", ".join(f"{name} {number:,}" for name, number in counts.items()))
    for each in quarantined:
        print(f"quarantined: {each.file}: {each.reason}")
    print(f"{settings.output}: done")
    return 1 if quarantined else 0
