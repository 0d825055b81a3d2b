"""Which tasks each stage has: what they read, what they write, and what that depends on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from mediswift_cs.corpora.ngrams import NGRAM_FUNCTION
from mediswift_cs.prepare.clean import CleanedFiles, clean_part
from mediswift_cs.prepare.config import PrepareSettings
from mediswift_cs.prepare.dedup import decide, find_pairs
from mediswift_cs.prepare.guard import benchmark_md5s, blocked_pmids, guard_part
from mediswift_cs.prepare.output import TOKENIZER
from mediswift_cs.prepare.parse import parse_part, resolve_parts
from mediswift_cs.prepare.parts import Part, find_parts
from mediswift_cs.prepare.tasks import Result, Task, digest_of
from mediswift_cs.prepare.tokens import assemble, make_tokenizer, tokenize_part, tokenizer_md5s


@dataclass(frozen=True)
class StageTasks:
    """The tasks of one run, from the settings and from what the tasks before them returned.

    Attributes:
        results: by the name of the method here that gives the tasks, for those that were done.
    """

    settings: PrepareSettings
    results: dict[str, list[Result]] = field(default_factory=dict)

    @cached_property
    def parts(self) -> list[Part]:
        """The parts of the inputs, in the order of the corpus."""
        settings = self.settings
        return find_parts(settings.pubmed.inputs, settings.pmc.inputs, settings.pmc.files_per_part)

    def documents(self, part: Part) -> Path:
        """The final documents of a part."""
        return self.settings.output / "documents" / f"{part.name}.jsonl.zst"

    @property
    def _tokenizer(self) -> Path:
        return self.settings.output / TOKENIZER

    def _work(self, stage: str, part: Part | str, ending: str = "") -> Path:
        name = part if isinstance(part, str) else part.name
        return self.settings.output / "work" / stage / f"{name}{ending}"

    def _cleaned(self, part: Part) -> CleanedFiles:
        endings = (".jsonl.zst", ".traits.npy", ".signatures.npy", ".bands.npy")
        return CleanedFiles(*(self._work("clean", part, ending) for ending in endings))

    def _events(self, part: Part) -> Path | None:
        return self._work("parse", part, ".events.npy") if part.kind == "pubmed" else None

    def _status(self, part: Part) -> Path | None:
        """Which of a part's records count; articles of PMC count as they are."""
        return self._work("resolve", part, ".npy") if part.kind == "pubmed" else None

    def _contents(self, name: str) -> list[str]:
        return [result["content"] for result in self.results[name]]

    def _task(
        self,
        stage: str,
        unit: Part | str,
        run: Callable[[], Result],
        outputs: Sequence[Path | None],
        depends_on: object,
    ) -> Task:
        name = unit if isinstance(unit, str) else unit.name
        return Task(
            run=run,
            key=digest_of(stage, name, depends_on),
            marker=self._work(stage, unit, ".json"),
            num_bytes=0 if isinstance(unit, str) else unit.num_bytes,
            outputs=tuple(path for path in outputs if path is not None),
        )

    def parse(self) -> Iterator[Task]:
        """One for each part: its documents, and for PubMed the events."""
        for part in self.parts:
            settings = self.settings.pubmed if part.kind == "pubmed" else self.settings.pmc
            documents, events = self._work("parse", part, ".jsonl.zst"), self._events(part)
            run = partial(parse_part, part, settings, documents, events)
            depends_on = [part.state, settings.options()]
            yield self._task("parse", part, run, [documents, events], depends_on)

    def resolve(self) -> Iterator[Task]:
        """One for all PubMed parts, since any of them can take back a record of another."""
        events = [path for part in self.parts if (path := self._events(part))]
        statuses = [path for part in self.parts if (path := self._status(part))]
        retracted = self._work("resolve", "retracted.npy")
        run = partial(resolve_parts, events, statuses, retracted)
        # Of PubMed, whose parts come first.
        contents = self._contents("parse")[: len(events)]
        yield self._task("parse", "resolved", run, [*statuses, retracted], contents)

    def clean(self) -> Iterator[Task]:
        """One for each part: its cleaned documents, and what duplicates are found by."""
        settings = self.settings
        signing = settings.dedup.model_dump(include={"near", "threshold", "num_perm", "ngram"})
        (resolved,) = self._contents("resolve")
        for part, content in zip(self.parts, self._contents("parse"), strict=True):
            parsed, status = self._work("parse", part, ".jsonl.zst"), self._status(part)
            outputs = self._cleaned(part)
            run = partial(clean_part, parsed, status, outputs, settings.clean, settings.dedup)
            depends_on = [
                content,
                resolved if status else "",
                NGRAM_FUNCTION,
                settings.clean.model_dump(),
                signing,
            ]
            yield self._task("clean", part, run, outputs, depends_on)

    def near_duplicates(self) -> Iterator[Task]:
        """One for each band, if they are looked for: the near duplicates that share it."""
        settings = self.settings.dedup
        contents = self._contents("clean")
        files = [self._cleaned(part) for part in self.parts]
        for band in range(settings.near_duplicates().bands[0] if settings.near else 0):
            name = f"band_{band:03d}"
            output = self._work("dedup", name, ".npy")
            run = partial(find_pairs, band, settings.threshold, files, output)
            depends_on = [contents, band, settings.threshold]
            yield self._task("dedup", name, run, [output], depends_on)

    def dedup(self) -> Iterator[Task]:
        """One for all parts: what becomes of each document."""
        settings = self.settings.dedup
        blocked = sorted(blocked_pmids(self.settings.guard))
        retracted_articles = sorted(
            each for result in self.results["parse"] for each in result["retracted_articles"]
        )
        outputs = [self._work("dedup", part, ".npy") for part in self.parts]
        contents_of_pairs = self._contents("near_duplicates")
        run = partial(
            decide,
            settings,
            [self._cleaned(part) for part in self.parts],
            outputs,
            is_pmc=[part.kind == "pmc" for part in self.parts],
            retracted=self._work("resolve", "retracted.npy"),
            retracted_articles=retracted_articles,
            blocked=blocked,
            pairs=[
                self._work("dedup", f"band_{band:03d}", ".npy")
                for band in range(len(contents_of_pairs))
            ],
        )
        depends_on = [
            self._contents("clean"),
            contents_of_pairs,
            blocked,
            *self._contents("resolve"),
            retracted_articles,
            settings.model_dump(),
        ]
        yield self._task("dedup", "decided", run, outputs, depends_on)

    def guard(self) -> Iterator[Task]:
        """One for each part: its final documents."""
        settings = self.settings.guard
        md5s = benchmark_md5s(settings)
        options = settings.model_dump(include={"ngram", "overlap", "near_copies"})
        (decided,) = self._contents("dedup")
        for part, parsed, content in zip(
            self.parts, self.results["parse"], self._contents("clean"), strict=True
        ):
            cleaned, status = self._cleaned(part).documents, self._work("dedup", part, ".npy")
            output = self.documents(part)
            run = partial(guard_part, cleaned, status, output, settings, parsed["files"])
            depends_on = [content, decided, md5s, options]
            yield self._task("guard", part, run, [output], depends_on)

    def tokenizer(self) -> Iterator[Task]:
        """One: the tokenizer that is given, or one that is trained."""
        settings, guarded = self.settings.tokenizer, self.results["guard"]
        given = None if settings.path is None else tokenizer_md5s(settings.path)
        depends_on: list[object] = [settings.model_dump(exclude={"path"}), given]
        if settings.path is None:
            depends_on.append([result["entry"]["md5"] for result in guarded])
        documents = [self.documents(part) for part in self.parts]
        run = partial(make_tokenizer, settings, documents, guarded, self._tokenizer)
        yield self._task("tokenizer", "tokenizer", run, [self._tokenizer], depends_on)

    def tokens(self) -> Iterator[Task]:
        """One for each part: its shards."""
        settings = self.settings.hdf5
        (made,) = self.results["tokenizer"]
        for part, result in zip(self.parts, self.results["guard"], strict=True):
            documents, output = self.documents(part), self._work("tokens", part)
            run = partial(tokenize_part, documents, self._tokenizer, made, settings, output)
            depends_on = [result["entry"]["md5"], made["content"], settings.model_dump()]
            yield self._task("tokens", part, run, [output], depends_on)

    def hdf5(self) -> Iterator[Task]:
        """One: the folder of all shards."""
        settings, output = self.settings.hdf5, self.settings.output / "hdf5"
        (made,), guarded = self.results["tokenizer"], self.results["guard"]
        folders = [self._work("tokens", part) for part in self.parts]
        parts = list(zip(folders, self.results["tokens"], strict=True))
        run = partial(assemble, parts, self._tokenizer, made, guarded, settings, output)
        depends_on = [self._contents("tokens"), settings.model_dump()]
        yield self._task("hdf5", "hdf5", run, [output], depends_on)
