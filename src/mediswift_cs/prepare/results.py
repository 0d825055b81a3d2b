"""What the stages returned, each of its own kind, and what manifests say of it."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mediswift_cs.corpora.document import SourceEntry
from mediswift_cs.prepare.clean import CleanResult
from mediswift_cs.prepare.guard import GuardResult
from mediswift_cs.prepare.parse import ParseResult, ResolveResult
from mediswift_cs.prepare.tasks import Result, total
from mediswift_cs.prepare.tokens import ShardsResult, TokenizerResult

# That an error names; the manifest has all.
_NUM_REASONS = 5


@dataclass
class StageResults:
    """What the tasks returned, by the method of StageTasks that gives them.

    Each is empty until its tasks are done, and then holds one result a task, in their order.
    """

    parse: Sequence[ParseResult] = ()
    resolve: Sequence[ResolveResult] = ()
    clean: Sequence[CleanResult] = ()
    near_duplicates: Sequence[Result] = ()
    dedup: Sequence[Result] = ()
    guard: Sequence[GuardResult] = ()
    tokenizer: Sequence[TokenizerResult] = ()
    tokens: Sequence[ShardsResult] = ()
    hdf5: Sequence[ShardsResult] = ()

    def counts(self) -> dict[str, dict[str, int]]:
        """Records and documents of each stage by what became of them, for the stages that ran."""
        stages = {"clean": self.clean, "dedup": self.dedup, "guard": self.guard}
        pairs: list[tuple[str, Result]] = [(f"parse {each.kind}", each) for each in self.parse]
        pairs += [("parse pubmed", each) for each in self.resolve]
        pairs += [(name, each) for name, stage in stages.items() for each in stage]
        pairs += [("tokens", each) for each in self.tokens]
        sums: dict[str, Counter[str]] = defaultdict(Counter)
        for name, result in pairs:
            sums[name].update(result.counts)
        return {name: dict(sorted(numbers.items())) for name, numbers in sums.items() if numbers}

    def manifest(self, recipe: dict[str, object]) -> dict[str, Any]:
        """What manifests say of documents: made by which rules (``recipe``), of what, and how many.

        ``counts`` has the records read, the documents that are left, and the reasons of the others.
        """
        first_files: dict[str, str] = {}
        for result in reversed(self.parse):
            first_files |= result.first_files
        first_files.pop("kept", None)
        unlisted = total(result.unlisted_elements for result in self.parse)
        stages = self.counts()
        left_out: Counter[str] = Counter()
        for stage, numbers in stages.items():
            left_out.update({} if stage == "tokens" else numbers)
        del left_out["kept"]
        kept = stages.get("guard", {}).get("kept", 0)
        copies = [each for result in self.guard for each in result.benchmark_copies]
        return {
            **recipe,
            "counts": {"records_read": left_out.total() + kept, "kept": kept, **left_out},
            "stages": stages,
            "cleaning": total(result.changes for result in self.clean),
            "guard": {"near_copies_found": sorted(copies)},
            "deletions": total(result.deletions for result in self.resolve),
            "first_files": dict(sorted(first_files.items())),
            "unlisted_elements": dict(sorted(unlisted.items())),
            "quarantined": [q.model_dump() for result in self.parse for q in result.quarantined],
            "sources": sources_of(file for result in self.parse for file in result.files),
        }

    def reasons(self) -> str:
        """Why records were left out, most frequent first, with the first file of each reason."""
        manifest = self.manifest({})
        reasons = {n: k for n, k in manifest["counts"].items() if n not in ("records_read", "kept")}
        files = manifest["first_files"]
        words = [
            f"{name} {number}" + (f" (first in {files[name]})" if name in files else "")
            for name, number in most_frequent_first(reasons)
        ]
        words += [f"quarantined {q['file']}: {q['reason']}" for q in manifest["quarantined"]]
        more = len(words) - _NUM_REASONS
        return "; ".join(words[:_NUM_REASONS]) + (f"; and {more} more" if more > 0 else "")


def sources_of(files: Iterable[SourceEntry]) -> list[dict[str, Any]]:
    """The inputs of a stage as manifests keep them."""
    return [asdict(file) for file in files]


def most_frequent_first(counts: dict[str, int]) -> list[tuple[str, int]]:
    """The pairs of name and number, equal numbers by their names."""
    return sorted(((name, n) for name, n in counts.items() if n), key=lambda x: (-x[1], x[0]))
