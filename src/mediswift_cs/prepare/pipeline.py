"""The stages in their order, each on the parts that are not done yet."""

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mediswift_cs.corpora.download import Downloader
from mediswift_cs.corpora.fetch import fetch_pmc, fetch_pubmed
from mediswift_cs.corpora.ngrams import NGRAM_FUNCTION
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.prepare import clean, dedup, guard, parse, resolve, tokens
from mediswift_cs.prepare.config import PrepareSettings
from mediswift_cs.prepare.dataset_card import write_card
from mediswift_cs.prepare.engine import Engine, make_engine
from mediswift_cs.prepare.given_files import (
    benchmark_md5s,
    blocked_pmids,
    check_given_files,
    tokenizer_md5s,
)
from mediswift_cs.prepare.output import (
    TOKENIZER,
    only_run,
    remove_leftovers,
    remove_other_documents,
)
from mediswift_cs.prepare.parts import Part, find_parts
from mediswift_cs.prepare.tasks import Result, Task, digest_of

STAGES = ("fetch", "parse", "clean", "dedup", "guard", "tokenizer", "tokens", "hdf5", "report")


@dataclass
class Pipeline:
    """One run over all stages. Everything but ``work/`` in the output folder is the result.

    Attributes:
        chosen: the stages that may do work; the others have to be done already.
    """

    settings: PrepareSettings
    chosen: Collection[str] = STAGES
    results: dict[str, list[Result]] = field(default_factory=dict)
    _engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        unknown = [name for name in self.chosen if name not in STAGES]
        if unknown:
            raise ConfigError(f"no stage {unknown[0]!r}, there are: {', '.join(STAGES)}")

    @property
    def output(self) -> Path:
        """The output folder."""
        return self.settings.output

    @cached_property
    def parts(self) -> list[Part]:
        """The parts of the inputs, in the order of the corpus."""
        settings = self.settings
        return find_parts(settings.pubmed.inputs, settings.pmc.inputs, settings.pmc.files_per_part)

    def run(self) -> list[dict[str, str]]:
        """Do what is missing; returns the quarantined files with their reasons.

        Raises:
            ConfigError: a setting is wrong.
            DataError: no usable document, an output cannot be written, another run is under way, a
                later stage's file is wrong, or a stage is needed that is neither chosen nor done.
        """
        last = max((STAGES.index(name) for name in self.chosen), default=-1)
        with only_run(self.output), make_engine(self.settings.engine) as self._engine:
            remove_leftovers(self.output)
            check_given_files(self.settings, STAGES[: last + 1])
            for stage in STAGES[: last + 1]:
                getattr(self, f"_{stage}")()
        return [each for result in self.results.get("parse", []) for each in result["quarantined"]]

    def _work(self, stage: str, part: Part | str, ending: str = "") -> Path:
        name = part if isinstance(part, str) else part.name
        return self.output / "work" / stage / f"{name}{ending}"

    def _task(
        self,
        stage: str,
        unit: Part | str,
        run: Callable[[Task], Result],
        outputs: Sequence[Path],
        depends_on: object,
        **settings: Any,
    ) -> Task:
        name = unit if isinstance(unit, str) else unit.name
        return Task(
            run=run,
            name=name,
            key=digest_of(stage, name, depends_on),
            marker=self._work(stage, unit, ".json"),
            num_bytes=0 if isinstance(unit, str) else unit.num_bytes,
            outputs=tuple(outputs),
            settings=settings,
        )

    def _do(self, stage: str, tasks: Sequence[Task], name: str = "") -> list[Result]:
        """Run the tasks that are not done, and note the results of all of them."""
        results = [task.result_if_done() for task in tasks]
        todo = [number for number, result in enumerate(results) if result is None]
        if stage in self.chosen:
            # What was wrong with a file, an unplugged disk or an old .md5, may have been mended.
            todo += [n for n, result in enumerate(results) if result and result.get("quarantined")]
        todo.sort(key=lambda number: -tasks[number].num_bytes)
        if todo and stage not in self.chosen:
            raise DataError(
                f"stage {stage} is not done ({len(todo)} parts are missing): run it too"
            )
        started, num_counted = time.monotonic(), 0
        with tqdm(
            total=len(tasks), initial=len(tasks) - len(todo), desc=stage, unit="part", disable=None
        ) as progress:
            new = self._engine.run([tasks[n] for n in todo]) if todo else iter(())
            for place, result in new:
                results[todo[place]] = result
                num_counted += sum(result.get("counts", {}).values())
                progress.update()
        seconds = time.monotonic() - started
        rate = f", {num_counted:,} records or documents ({num_counted / seconds:,.0f}/s)"
        print(
            f"{name or stage}: {len(todo)} of {len(tasks)} parts done in {seconds:.1f} s"
            + (rate if num_counted else "")
            + (f", {len(tasks) - len(todo)} were there" if len(todo) < len(tasks) else ""),
            file=sys.stderr,
        )
        done = [result for result in results if result is not None]
        assert len(done) == len(tasks)
        self.results[name or stage] = done
        return done

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
            is_address = "://" in settings.pmc_list
            counts += fetch_pmc(
                settings.pmc,
                settings.pmc_list if is_address else Path(settings.pmc_list),
                address=settings.pmc_address,
                downloader=downloader,
            )
        print(
            f"fetch: {counts['fetched']} files, {counts['already_there']} were there",
            file=sys.stderr,
        )

    def _parse(self) -> None:
        settings = self.settings
        options = {
            "pubmed": settings.pubmed.model_dump(mode="json", exclude={"inputs"}),
            "pmc": settings.pmc.model_dump(mode="json", exclude={"inputs", "files_per_part"}),
        }
        tasks = []
        for part in self.parts:
            outputs = [self._work("parse", part, ".jsonl.zst")]
            if part.kind == "pubmed":
                outputs.append(self._work("parse", part, ".events.npy"))
            tasks.append(
                self._task(
                    *("parse", part, parse.parse_part, outputs),
                    [part.state(), options[part.kind]],
                    part=part,
                    pubmed=settings.pubmed,
                    pmc=settings.pmc,
                    options=options[part.kind],
                )
            )
        results = self._do("parse", tasks)
        of_pubmed = [n for n, part in enumerate(self.parts) if part.kind == "pubmed"]
        outputs = [self._work("resolve", self.parts[n], ".npy") for n in of_pubmed]
        task = self._task(
            *("parse", "resolved", resolve.resolve_parts),
            [*outputs, self._work("resolve", "retracted.npy")],
            [results[n]["content"] for n in of_pubmed],
            events=[self._work("parse", self.parts[n], ".events.npy") for n in of_pubmed],
        )
        self._do("parse", [task], "resolve")

    def _clean(self) -> None:
        settings = self.settings
        resolved = self.results["resolve"][0]["content"]
        signing = settings.dedup.model_dump(include={"near", "threshold", "num_perm", "ngram"})
        tasks = []
        for part, parsed in zip(self.parts, self.results["parse"], strict=True):
            endings = (".jsonl.zst", ".traits.npy", ".signatures.npy", ".bands.npy")
            is_pubmed = part.kind == "pubmed"
            status = self._work("resolve", part, ".npy") if is_pubmed else None
            tasks.append(
                self._task(
                    *("clean", part, clean.clean_part),
                    [self._work("clean", part, ending) for ending in endings],
                    # A record of one PubMed file can be taken back by any other.
                    [
                        parsed["content"],
                        resolved if is_pubmed else "",
                        NGRAM_FUNCTION,
                        settings.clean.model_dump(),
                        signing,
                    ],
                    parsed=self._work("parse", part, ".jsonl.zst"),
                    status=status,
                    clean=settings.clean,
                    dedup=settings.dedup,
                )
            )
        self._do("clean", tasks)

    def _dedup(self) -> None:
        settings = self.settings.dedup
        contents = [result["content"] for result in self.results["clean"]]
        num_bands = settings.near_duplicates().bands[0] if settings.near else 0
        tasks = [
            self._task(
                *("dedup", f"band_{band:03d}", dedup.find_pairs),
                [self._work("dedup", f"band_{band:03d}.npy")],
                [contents, band, settings.threshold],
                band=band,
                threshold=settings.threshold,
                bands=[self._work("clean", part, ".bands.npy") for part in self.parts],
                signatures=[self._work("clean", part, ".signatures.npy") for part in self.parts],
            )
            for band in range(num_bands)
        ]
        pairs = self._do("dedup", tasks, "near duplicates") if tasks else []
        blocked = sorted(blocked_pmids(self.settings.guard))
        retracted_articles = sorted(
            each for parsed in self.results["parse"] for each in parsed["retracted_articles"]
        )
        task = self._task(
            *("dedup", "decided", dedup.decide),
            [self._work("dedup", part, ".npy") for part in self.parts],
            [
                contents,
                [pair["content"] for pair in pairs],
                blocked,
                self.results["resolve"][0]["content"],
                retracted_articles,
                settings.model_dump(),
            ],
            dedup=settings,
            traits=[self._work("clean", part, ".traits.npy") for part in self.parts],
            is_pmc=[part.kind == "pmc" for part in self.parts],
            retracted=self._work("resolve", "retracted.npy"),
            retracted_articles=retracted_articles,
            blocked=blocked,
            pairs=[task.outputs[0] for task in tasks],
        )
        self._do("dedup", [task])

    def _guard(self) -> None:
        settings = self.settings.guard
        md5s = benchmark_md5s(settings)
        options = settings.model_dump(include={"ngram", "overlap", "near_copies"})
        decided = self.results["dedup"][0]["content"]
        tasks = [
            self._task(
                *("guard", part, guard.guard_part),
                [self.documents(part)],
                [cleaned["content"], decided, md5s, options],
                cleaned=self._work("clean", part, ".jsonl.zst"),
                status=self._work("dedup", part, ".npy"),
                guard=settings,
                files=parsed["files"],
            )
            for part, parsed, cleaned in zip(
                self.parts, self.results["parse"], self.results["clean"], strict=True
            )
        ]
        results = self._do("guard", tasks)
        remove_other_documents(
            self.output / "documents", [self.documents(part).name for part in self.parts]
        )
        write_card(self.output / "documents")
        if not sum(result["counts"]["kept"] for result in results):
            raise DataError(f"no usable document: {json.dumps(self.counts())}")

    def documents(self, part: Part) -> Path:
        """The final documents of a part."""
        return self.output / "documents" / f"{part.name}.jsonl.zst"

    def _tokenizer(self) -> None:
        settings = self.settings.tokenizer
        guarded = self.results["guard"]
        entries = [
            {**result["entry"], "num_documents": result["counts"]["kept"]} for result in guarded
        ]
        given = None if settings.path is None else tokenizer_md5s(settings.path)
        depends_on: list[object] = [settings.model_dump(exclude={"path"}), given]
        if settings.path is None:
            depends_on.append([entry["md5"] for entry in entries])
        task = self._task(
            *("tokenizer", "tokenizer", tokens.make_tokenizer),
            [self.output / TOKENIZER],
            depends_on,
            tokenizer=settings,
            documents=[self.documents(part) for part in self.parts],
            entries=entries,
        )
        self._do("tokenizer", [task])

    def _tokens(self) -> None:
        (tokenizer,) = self.results["tokenizer"]
        settings = self.settings.hdf5
        tasks = [
            self._task(
                *("tokens", part, tokens.tokenize_part),
                [self._work("tokens", part)],
                [guarded["entry"]["md5"], tokenizer["content"], settings.model_dump()],
                documents=self.documents(part),
                tokenizer=self.output / TOKENIZER,
                tokenizer_result=tokenizer,
                hdf5=settings,
            )
            for part, guarded in zip(self.parts, self.results["guard"], strict=True)
        ]
        self._do("tokens", tasks)

    def _hdf5(self) -> None:
        tokenized = self.results["tokens"]
        task = self._task(
            *("hdf5", "hdf5", tokens.assemble),
            [self.output / "hdf5"],
            [[result["content"] for result in tokenized], self.settings.hdf5.model_dump()],
            hdf5=self.settings.hdf5,
            parts=list(
                zip([self._work("tokens", part) for part in self.parts], tokenized, strict=True)
            ),
            tokenizer=self.output / TOKENIZER,
            tokenizer_result=self.results["tokenizer"][0],
            entries=[result["entry"] for result in self.results["guard"]],
        )
        self._do("hdf5", [task])

    def _report(self) -> None:
        from mediswift_cs.prepare.report import write_report

        write_report(self)

    def counts(self) -> dict[str, dict[str, int]]:
        """Records and documents of each stage by what became of them, for the stages that ran."""
        sums: dict[str, dict[str, int]] = {}
        for kind in ("pubmed", "pmc") if "parse" in self.results else ():
            sums[f"parse {kind}"] = _sum(
                [
                    result["counts"]
                    for part, result in zip(self.parts, self.results["parse"], strict=True)
                    if part.kind == kind
                ]
                + (self._resolved_counts() if kind == "pubmed" else [])
            )
        for stage in ("clean", "dedup", "guard", "tokens"):
            if stage in self.results:
                sums[stage] = _sum([result["counts"] for result in self.results[stage]])
        return {stage: counts for stage, counts in sums.items() if counts}

    def _resolved_counts(self) -> list[dict[str, int]]:
        return [result["counts"] for result in self.results["resolve"]]


def _sum(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))
