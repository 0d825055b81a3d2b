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
from mediswift_cs.prepare.output import MANIFEST, only_run, remove_leftovers, remove_other_documents
from mediswift_cs.prepare.parse import Quarantined
from mediswift_cs.prepare.report import write_card, write_report
from mediswift_cs.prepare.runner import TaskRunner
from mediswift_cs.prepare.stage_tasks import StageTasks
from mediswift_cs.storage.write import write_json

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


class NoDocumentError(DataError):
    """Nothing is left of the inputs; the manifest says what became of all."""


class Pipeline:
    """One run over all stages. Everything but ``work/`` in the output folder is the result.

    Args:
        chosen: the stages that may do work; the others have to be done already.
        quiet: do not tell how fast each stage was.

    Raises:
        ConfigError: there is no such stage.
    """

    def __init__(
        self, settings: PrepareSettings, chosen: Collection[str], *, quiet: bool = False
    ) -> None:
        unknown = [name for name in chosen if name not in STAGES]
        if unknown:
            raise ConfigError(f"no stage {unknown[0]!r}, there are: {', '.join(STAGES)}")
        self._settings = settings
        self._chosen = chosen
        last = max((STAGES.index(name) for name in chosen), default=-1)
        self._stages = STAGES[: last + 1]
        self._quiet = quiet
        self.tasks = StageTasks(settings)

    def run(self) -> list[Quarantined]:
        """Do what is missing; returns the quarantined files with their reasons.

        Raises:
            ConfigError: a setting is wrong.
            NoDocumentError: no usable document.
            DataError: an output cannot be written, another run is under way, a later stage's file
                is wrong, or a stage is needed that is neither chosen nor done.
        """
        output, results = self._settings.output, self.tasks.results
        with only_run(output), TaskRunner(self._settings.engine, quiet=self._quiet) as runner:
            remove_leftovers(output)
            self.check_given_files()
            if "fetch" in self._chosen:
                _fetch(self._settings.fetch)
            for stage in self._stages:
                missing = None if stage in self._chosen else stage
                for name in _TASKS[stage]:
                    tasks = list(getattr(self.tasks, name)())
                    shown = name.replace("_", " ")
                    done = runner.results(shown, tasks, stage=missing) if tasks else []
                    setattr(results, name, done)
                if stage == "guard":
                    self._finish_documents(output / "documents")
                elif stage == "report":
                    write_report(self.tasks)
            if results.parse and not results.guard:
                self._check_not_empty("parse")
        return [each for result in results.parse for each in result.quarantined]

    def check_given_files(self) -> None:
        """Read what late stages are given, so that a wrong file ends a run before hours of work.

        Raises:
            DataError: a file is wrong.
        """
        settings = self._settings
        if "dedup" in self._stages:
            blocked_pmids(settings.guard)
        if "guard" in self._stages and settings.guard.texts:
            benchmark_overlaps(settings.guard)
        if "tokenizer" in self._stages:
            _ = self.tasks.given_tokenizer

    def _finish_documents(self, folder: Path) -> None:
        tasks = self.tasks
        remove_other_documents(folder, [tasks.documents(part).name for part in tasks.parts])
        write_card(folder)
        self._check_not_empty("guard")

    def _check_not_empty(self, stage: str) -> None:
        """End the run where no document is left, with a manifest that says what became of all."""
        results, counts = self.tasks.results, self.tasks.results.counts()
        if not any(n.get("kept") for name, n in counts.items() if name.startswith(stage)):
            manifest = results.manifest(self.tasks.recipe)
            write_json(self._settings.output / MANIFEST, manifest, ensure_ascii=False)
            raise NoDocumentError(f"no usable document: {results.reasons()}")


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
