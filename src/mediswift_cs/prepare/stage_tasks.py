"""Which tasks each stage has: what they read, what they write, and what that depends on."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

from mediswift_cs import __version__
from mediswift_cs.corpora.documents_file import FORMAT_VERSION, manifest_path
from mediswift_cs.corpora.duplicates import MINHASH_SCHEME
from mediswift_cs.corpora.ngrams import NGRAM_FUNCTION
from mediswift_cs.packages import version_of
from mediswift_cs.prepare.clean import CleanedFiles, CleanResult, clean_part
from mediswift_cs.prepare.config import PrepareSettings
from mediswift_cs.prepare.dedup import decide, find_pairs
from mediswift_cs.prepare.guard import GuardResult, blocked_pmids, guard_options, guard_part
from mediswift_cs.prepare.output import TOKENIZER
from mediswift_cs.prepare.parse import ParseResult, ResolveResult, parse_part, resolve_parts
from mediswift_cs.prepare.parts import Part, find_parts
from mediswift_cs.prepare.results import StageResults, sources_of
from mediswift_cs.prepare.tasks import R, Result, Task, digest_of
from mediswift_cs.prepare.tokens import (
    ShardsResult,
    TokenizerResult,
    assemble,
    make_tokenizer,
    tokenize_part,
)
from mediswift_cs.tokens.texts import TextSource, texts_of_documents
from mediswift_cs.tokens.tokenizer import load_tokenizer


@dataclass(frozen=True)
class StageTasks:
    """The tasks of one run, from the settings and from what the tasks before them returned."""

    settings: PrepareSettings
    results: StageResults = field(default_factory=StageResults)

    @cached_property
    def parts(self) -> list[Part]:
        """The parts of the inputs, in the order of the corpus."""
        return find_parts(self.settings)

    @cached_property
    def recipe(self) -> dict[str, object]:
        """What decides the documents beside their sources, as manifests say it."""
        settings = self.settings
        options = {
            "pubmed": settings.pubmed.options(),
            "pmc": settings.pmc.options(),
            "dataset": settings.dataset.options(),
            "clean": settings.clean.model_dump(),
            "dedup": settings.dedup.model_dump(),
            "guard": guard_options(settings.guard),
        }
        return {
            "format_version": FORMAT_VERSION,
            "package_version": __version__,
            "options": options,
        }

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

    def _task(
        self,
        stage: str,
        unit: Part | str,
        run: Callable[[], R],
        returns: type[R],
        outputs: Sequence[Path | None],
        depends_on: object,
    ) -> Task[R]:
        name = unit if isinstance(unit, str) else unit.name
        return Task(
            run=run,
            returns=returns,
            key=digest_of(stage, name, depends_on),
            marker=self._work(stage, unit, ".json"),
            num_bytes=0 if isinstance(unit, str) else unit.num_bytes,
            outputs=tuple(path for path in outputs if path is not None),
        )

    def parse(self) -> Iterator[Task[ParseResult]]:
        """One for each part: its documents, and for PubMed the events."""
        for part in self.parts:
            settings = self.settings.section(part.kind)
            documents, events = self._work("parse", part, ".jsonl.zst"), self._events(part)
            run = partial(parse_part, part, settings, documents, events)
            depends_on = [part.state, settings.options()]
            yield self._task("parse", part, run, ParseResult, [documents, events], depends_on)

    def resolve(self) -> Iterator[Task[ResolveResult]]:
        """One for all PubMed parts, since any of them can take back a record of another."""
        events = [path for part in self.parts if (path := self._events(part))]
        statuses = [path for part in self.parts if (path := self._status(part))]
        retracted = self._work("resolve", "retracted.npy")
        run = partial(resolve_parts, events, statuses, retracted)
        # Of PubMed, whose parts come first.
        contents = _contents(self.results.parse)[: len(events)]
        yield self._task("parse", "resolved", run, ResolveResult, [*statuses, retracted], contents)

    def clean(self) -> Iterator[Task[CleanResult]]:
        """One for each part: its cleaned documents, and what duplicates are found by."""
        settings = self.settings
        signing = settings.dedup.model_dump(include={"near", "threshold", "num_perm", "ngram"})
        (resolved,) = _contents(self.results.resolve)
        for part, content in zip(self.parts, _contents(self.results.parse), strict=True):
            parsed, status = self._work("parse", part, ".jsonl.zst"), self._status(part)
            outputs = self._cleaned(part)
            run = partial(clean_part, parsed, status, outputs, settings.clean, settings.dedup)
            depends_on = [
                content,
                resolved if status else "",
                NGRAM_FUNCTION,
                MINHASH_SCHEME,
                settings.clean.model_dump(),
                signing,
            ]
            yield self._task("clean", part, run, CleanResult, outputs, depends_on)

    def near_duplicates(self) -> Iterator[Task[Result]]:
        """One for each band, if they are looked for: the near duplicates that share it."""
        settings = self.settings.dedup
        contents = _contents(self.results.clean)
        files = [self._cleaned(part) for part in self.parts]
        for band in range(settings.near_duplicates().bands[0] if settings.near else 0):
            name = f"band_{band:03d}"
            output = self._work("dedup", name, ".npy")
            run = partial(find_pairs, band, settings.threshold, files, output)
            depends_on = [contents, band, settings.threshold]
            yield self._task("dedup", name, run, Result, [output], depends_on)

    def dedup(self) -> Iterator[Task[Result]]:
        """One for all parts: what becomes of each document."""
        settings = self.settings.dedup
        blocked = sorted(blocked_pmids(self.settings.guard))
        retracted_articles = sorted(
            each for result in self.results.parse for each in result.retracted_articles
        )
        outputs = [self._work("dedup", part, ".npy") for part in self.parts]
        contents_of_pairs = _contents(self.results.near_duplicates)
        run = partial(
            decide,
            settings,
            [self._cleaned(part) for part in self.parts],
            outputs,
            kinds=[part.kind for part in self.parts],
            retracted=self._work("resolve", "retracted.npy"),
            retracted_articles=retracted_articles,
            blocked=blocked,
            pairs=[
                self._work("dedup", f"band_{band:03d}", ".npy")
                for band in range(len(contents_of_pairs))
            ],
        )
        depends_on = [
            _contents(self.results.clean),
            contents_of_pairs,
            blocked,
            *_contents(self.results.resolve),
            retracted_articles,
            settings.model_dump(),
        ]
        yield self._task("dedup", "decided", run, Result, outputs, depends_on)

    def guard(self) -> Iterator[Task[GuardResult]]:
        """One for each part: its final documents."""
        (decided,) = _contents(self.results.dedup)
        for part, parsed, content in zip(
            self.parts, self.results.parse, _contents(self.results.clean), strict=True
        ):
            cleaned, status = self._cleaned(part).documents, self._work("dedup", part, ".npy")
            output = self.documents(part)
            manifest = {**self.recipe, "sources": sources_of(parsed.files)}
            run = partial(guard_part, cleaned, status, output, self.settings.guard, manifest)
            outputs, depends_on = [output, manifest_path(output)], [content, decided, self.recipe]
            yield self._task("guard", part, run, GuardResult, outputs, depends_on)

    @cached_property
    def given_tokenizer(self) -> str | None:
        """The content of the tokenizer that the settings name, if they do.

        Raises:
            DataError: it is none.
        """
        path = self.settings.tokenizer.path
        return None if path is None else load_tokenizer(path).to_str()

    def tokenizer(self) -> Iterator[Task[TokenizerResult]]:
        """One: the tokenizer that is given, or one that is trained."""
        settings, guarded = self.settings.tokenizer, self.results.guard
        depends_on: list[object] = [settings.model_dump(exclude={"path"})]
        if self.given_tokenizer is None:
            depends_on.append([result.entry.md5 for result in guarded])
        else:
            depends_on.append(self.given_tokenizer)
        documents = [self.documents(part) for part in self.parts]
        run = partial(make_tokenizer, settings, documents, guarded, self._tokenizer)
        outputs = [self._tokenizer]
        yield self._task("tokenizer", "tokenizer", run, TokenizerResult, outputs, depends_on)

    def tokens(self) -> Iterator[Task[ShardsResult]]:
        """The tasks of the stage tokens: one for each part, which makes its shards."""
        settings = self.settings.hdf5
        (made,) = self.results.tokenizer
        # What one version made is not trusted once that has been found to be wrong and was removed.
        given = [made.content, settings.model_dump(), version_of("fastokens")]
        for part, result in zip(self.parts, self.results.guard, strict=True):
            documents, output = self.documents(part), self._work("tokens", part)
            run = partial(tokenize_part, documents, self._tokenizer, made.entry, settings, output)
            depends_on = [result.entry.md5, *given]
            yield self._task("tokens", part, run, ShardsResult, [output], depends_on)

    def hdf5(self) -> Iterator[Task[ShardsResult]]:
        """The task of the stage hdf5, which gathers all shards in one folder."""
        settings, output = self.settings.hdf5, self.settings.output / "hdf5"
        (made,) = self.results.tokenizer
        folders = [self._work("tokens", part) for part in self.parts]
        parts = list(zip(folders, self.results.tokens, strict=True))
        # Not the inputs: those are millions, and the manifest is read whenever training starts.
        said = self.results.manifest({})
        rules = {name: said[name] for name in ("counts", "cleaning", "guard")}
        documents = TextSource(
            entries=tuple(result.entry for result in self.results.guard),
            read=partial(texts_of_documents, []),
            options={"packing": "each part by itself"},
            manifests=({**self.recipe, **rules},),
        )
        run = partial(assemble, parts, self._tokenizer, made.entry, documents, settings, output)
        depends_on = [_contents(self.results.tokens), settings.model_dump(), documents.manifests]
        yield self._task("hdf5", "hdf5", run, ShardsResult, [output], depends_on)


def _contents(results: Sequence[Result]) -> list[str]:
    return [result.content for result in results]
