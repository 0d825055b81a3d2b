"""The stages in their order, each on the parts that are not done yet."""

import json
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mediswift_cs.corpora.download import Downloader
from mediswift_cs.corpora.fetch import fetch_pmc, fetch_pubmed
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.prepare.clean import CleanResult
from mediswift_cs.prepare.config import PrepareSettings
from mediswift_cs.prepare.given_files import check_given_files
from mediswift_cs.prepare.guard import GuardResult
from mediswift_cs.prepare.output import only_run, remove_leftovers, remove_other_documents
from mediswift_cs.prepare.parse import ParseResult
from mediswift_cs.prepare.parts import Part
from mediswift_cs.prepare.resolve import ResolveResult
from mediswift_cs.prepare.runner import TaskRunner
from mediswift_cs.prepare.stage_tasks import StageTasks
from mediswift_cs.prepare.tasks import R, Result, Task, total
from mediswift_cs.prepare.tokens import TokenizerResult, TokensResult

STAGES = ("fetch", "parse", "clean", "dedup", "guard", "tokenizer", "tokens", "hdf5", "report")


@dataclass
class Results:
    """What the tasks of the stages returned, empty for those that did not run.

    Of ``parse``, ``clean``, ``guard`` and ``tokens`` one result a part, of the others one.
    """

    parse: list[ParseResult] = field(default_factory=list)
    resolve: list[ResolveResult] = field(default_factory=list)
    clean: list[CleanResult] = field(default_factory=list)
    dedup: list[Result] = field(default_factory=list)
    guard: list[GuardResult] = field(default_factory=list)
    tokenizer: list[TokenizerResult] = field(default_factory=list)
    tokens: list[TokensResult] = field(default_factory=list)
    hdf5: list[TokensResult] = field(default_factory=list)


@dataclass
class Pipeline:
    """One run over all stages. Everything but ``work/`` in the output folder is the result.

    Attributes:
        chosen: the stages that may do work; the others have to be done already.
    """

    settings: PrepareSettings
    chosen: Collection[str] = STAGES
    results: Results = field(default_factory=Results)
    _runner: TaskRunner = field(init=False)

    def __post_init__(self) -> None:
        unknown = [name for name in self.chosen if name not in STAGES]
        if unknown:
            raise ConfigError(f"no stage {unknown[0]!r}, there are: {', '.join(STAGES)}")

    @property
    def output(self) -> Path:
        """The output folder."""
        return self.settings.output

    @property
    def parts(self) -> list[Part]:
        """The parts of the inputs, in the order of the corpus."""
        return self._tasks.parts

    @cached_property
    def _tasks(self) -> StageTasks:
        return StageTasks(self.settings)

    def run(self) -> list[dict[str, str]]:
        """Do what is missing; returns the quarantined files with their reasons.

        Raises:
            ConfigError: a setting is wrong.
            DataError: no usable document, an output cannot be written, another run is under way, a
                later stage's file is wrong, or a stage is needed that is neither chosen nor done.
        """
        last = max((STAGES.index(name) for name in self.chosen), default=-1)
        with only_run(self.output), TaskRunner(self.settings.engine) as self._runner:
            remove_leftovers(self.output)
            check_given_files(self.settings, STAGES[: last + 1])
            for stage in STAGES[: last + 1]:
                getattr(self, f"_{stage}")()
        return [each for result in self.results.parse for each in result["quarantined"]]

    def _do(self, stage: str, tasks: Sequence[Task[R]], name: str = "") -> list[R]:
        missing = None if stage in self.chosen else stage
        return self._runner.results(name or stage, tasks, stage=missing)

    def _fetch(self) -> None:
        settings = self.settings.fetch
        if "fetch" not in self.chosen or not (settings.pubmed or settings.pmc):
            return
        downloader = Downloader(num_connections=settings.connections)
        counts: Counter[str] = Counter()
        if settings.pubmed:
            counts += fetch_pubmed(
                settings.pubmed, address=settings.pubmed_address, downloader=downloader
            )
        if settings.pmc and settings.pmc_list:
            counts += fetch_pmc(
                settings.pmc,
                settings.pmc_list,
                address=settings.pmc_address,
                downloader=downloader,
            )
        print(
            f"fetch: {counts['fetched']} files, {counts['already_there']} were there",
            file=sys.stderr,
        )

    def _parse(self) -> None:
        done, tasks = self.results, self._tasks
        done.parse = self._do("parse", tasks.parse())
        done.resolve = self._do("parse", tasks.resolve(done.parse), "resolve")

    def _clean(self) -> None:
        done = self.results
        done.clean = self._do("clean", self._tasks.clean(done.parse, done.resolve[0]))

    def _dedup(self) -> None:
        done, tasks = self.results, self._tasks
        of_bands = tasks.pairs(done.clean)
        pairs = self._do("dedup", of_bands, "near duplicates") if of_bands else []
        decision = tasks.decision(done.parse, done.resolve[0], done.clean, pairs)
        done.dedup = self._do("dedup", decision)

    def _guard(self) -> None:
        from mediswift_cs.prepare.report import write_card

        done, tasks = self.results, self._tasks
        done.guard = self._do("guard", tasks.guard(done.parse, done.clean, done.dedup[0]))
        folder = self.output / "documents"
        remove_other_documents(folder, [tasks.documents(part).name for part in self.parts])
        write_card(folder)
        if not sum(result["counts"]["kept"] for result in done.guard):
            raise DataError(f"no usable document: {json.dumps(self.counts())}")

    def _tokenizer(self) -> None:
        done = self.results
        done.tokenizer = self._do("tokenizer", self._tasks.tokenizer(done.guard))

    def _tokens(self) -> None:
        done = self.results
        done.tokens = self._do("tokens", self._tasks.tokens(done.guard, done.tokenizer[0]))

    def _hdf5(self) -> None:
        done = self.results
        tasks = self._tasks.hdf5(done.guard, done.tokenizer[0], done.tokens)
        done.hdf5 = self._do("hdf5", tasks)

    def _report(self) -> None:
        from mediswift_cs.prepare.report import write_report

        write_report(self)

    def counts(self) -> dict[str, dict[str, int]]:
        """Records and documents of each stage by what became of them, for the stages that ran."""
        done = self.results
        of_kind: dict[str, list[Result]] = {"pubmed": [], "pmc": []}
        for part, result in zip(self.parts if done.parse else [], done.parse, strict=True):
            of_kind[part.kind].append(result)
        sums = {
            "parse pubmed": total(
                result["counts"] for result in [*of_kind["pubmed"], *done.resolve]
            ),
            "parse pmc": total(result["counts"] for result in of_kind["pmc"]),
            "clean": total(result["counts"] for result in done.clean),
            "dedup": total(result["counts"] for result in done.dedup),
            "guard": total(result["counts"] for result in done.guard),
            "tokens": total(result["counts"] for result in done.tokens),
        }
        return {stage: dict(sorted(counts.items())) for stage, counts in sums.items() if counts}
