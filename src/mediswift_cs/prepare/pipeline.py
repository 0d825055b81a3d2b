"""The stages in their order, each on the parts that are not done yet."""

import sys
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from mediswift_cs.corpora.download import Downloader
from mediswift_cs.corpora.fetch import fetch_pmc, fetch_pubmed
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.prepare.config import FetchSettings, PrepareSettings
from mediswift_cs.prepare.guard import benchmark_overlaps, blocked_pmids
from mediswift_cs.prepare.output import only_run, remove_leftovers, remove_other_documents
from mediswift_cs.prepare.parts import Part
from mediswift_cs.prepare.report import (
    reasons_in_words,
    write_card,
    write_manifest_of_inputs,
    write_report,
)
from mediswift_cs.prepare.runner import TaskRunner
from mediswift_cs.prepare.stage_tasks import StageTasks
from mediswift_cs.prepare.tasks import Result, total
from mediswift_cs.tokens.tokenizer import load_tokenizer

# The stages, and the methods of StageTasks that give their tasks.
_TASKS = {
    "fetch": (),
    "parse": ("parse", "resolve"),
    "clean": ("clean",),
    "dedup": ("near_duplicates", "dedup"),
    "guard": ("guard",),
    "tokenizer": ("tokenizer",),
    "tokens": ("tokens",),
    "hdf5": ("hdf5",),
    "report": (),
}
STAGES = tuple(_TASKS)


class Pipeline:
    """One run over all stages. Everything but ``work/`` in the output folder is the result.

    Args:
        chosen: the stages that may do work; the others have to be done already.

    Raises:
        ConfigError: there is no such stage.
    """

    def __init__(self, settings: PrepareSettings, chosen: Collection[str] = STAGES) -> None:
        unknown = [name for name in chosen if name not in STAGES]
        if unknown:
            raise ConfigError(f"no stage {unknown[0]!r}, there are: {', '.join(STAGES)}")
        self._settings = settings
        self._chosen = chosen
        self._results: dict[str, list[Result]] = {}
        self._tasks = StageTasks(settings, self._results)

    @property
    def parts(self) -> list[Part]:
        """The parts of the inputs, in the order of the corpus."""
        return self._tasks.parts

    def run(self) -> list[dict[str, str]]:
        """Do what is missing; returns the quarantined files with their reasons.

        Raises:
            ConfigError: a setting is wrong.
            DataError: no usable document, an output cannot be written, another run is under way, a
                later stage's file is wrong, or a stage is needed that is neither chosen nor done.
        """
        output = self._settings.output
        last = max((STAGES.index(name) for name in self._chosen), default=-1)
        with only_run(output), TaskRunner(self._settings.engine) as runner:
            remove_leftovers(output)
            _check_given_files(self._settings, STAGES[: last + 1])
            if "fetch" in self._chosen:
                _fetch(self._settings.fetch)
            for stage in STAGES[: last + 1]:
                missing = None if stage in self._chosen else stage
                for name in _TASKS[stage]:
                    tasks = list(getattr(self._tasks, name)())
                    shown = name.replace("_", " ")
                    done = runner.results(shown, tasks, stage=missing) if tasks else []
                    self._results[name] = done
                if stage == "guard":
                    self._finish_documents(output / "documents")
                elif stage == "report":
                    write_report(self._settings, self._results, self.counts())
            if "guard" not in self._results and "parse" in self._results:
                self._check_not_empty("parse pubmed", "parse pmc")
        return [each for result in self._of("parse") for each in result["quarantined"]]

    def _of(self, name: str) -> list[Result]:
        return self._results.get(name, [])

    def _finish_documents(self, folder: Path) -> None:
        remove_other_documents(folder, [self._tasks.documents(part).name for part in self.parts])
        write_card(folder)
        self._check_not_empty("guard")

    def _check_not_empty(self, *stages: str) -> None:
        """End the run where no document is left, with a manifest that says what became of all."""
        counts = self.counts()
        if not any(counts.get(stage, {}).get("kept") for stage in stages):
            manifest = write_manifest_of_inputs(self._settings, self._results, counts)
            raise DataError(f"no usable document: {reasons_in_words(manifest)}")

    def counts(self) -> dict[str, dict[str, int]]:
        """Records and documents of each stage by what became of them, for the stages that ran."""
        parsed = self._of("parse")
        # The parts of PubMed come first.
        num_pubmed = sum(part.kind == "pubmed" for part in self.parts) if parsed else 0
        sums = {
            "parse pubmed": total("counts", [*parsed[:num_pubmed], *self._of("resolve")]),
            "parse pmc": total("counts", parsed[num_pubmed:]),
        }
        for name in ("clean", "dedup", "guard", "tokens"):
            sums[name] = total("counts", self._of(name))
        return {stage: dict(sorted(counts.items())) for stage, counts in sums.items() if counts}


def _fetch(settings: FetchSettings) -> None:
    if not (settings.pubmed or settings.pmc):
        return
    downloader = Downloader(num_connections=settings.connections)
    counts: Counter[str] = Counter()
    if settings.pubmed:
        counts += fetch_pubmed(
            settings.pubmed, address=settings.pubmed_address, downloader=downloader
        )
    if settings.pmc and settings.pmc_list:
        counts += fetch_pmc(
            settings.pmc, settings.pmc_list, address=settings.pmc_address, downloader=downloader
        )
    print(
        f"fetch: {counts['fetched']} files, {counts['already_there']} were there", file=sys.stderr
    )


def _check_given_files(settings: PrepareSettings, stages: Collection[str]) -> None:
    """Read what late stages are given, so that a wrong file ends a run before hours of work."""
    if "dedup" in stages:
        blocked_pmids(settings.guard)
    if "guard" in stages and settings.guard.texts:
        benchmark_overlaps(settings.guard)
    if "tokenizer" in stages and settings.tokenizer.path is not None:
        load_tokenizer(settings.tokenizer.path)
