"""Where a run's data came from: the manifests of its shards and of what they were made from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediswift_cs.checkpoints.tokenizer_files import training_folder
from mediswift_cs.errors import DataError
from mediswift_cs.report.run_record import RunRecord
from mediswift_cs.storage.read import object_or_empty, read_json_object
from mediswift_cs.tokens.manifest import MANIFEST_NAME, TASK_COMMANDS, Manifest, read_manifest

Counts = list[tuple[str, int]]

NUM_SOURCES = 10
# Counts of what is there, and not of what was left out.
_NOT_LEFT_OUT = frozenset({"kept", "documents_read", "records_read", "read"})


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The data of one or several runs.

    Attributes:
        facts: names and values.
        kept: documents that were read and kept, by stage.
        left_out: documents left out, by reason, in all stages.
        licences: documents by licence.
        guard: how copies of benchmarks were looked for.
        options: the settings that, with the sources, make the same data again.
        sources: path, bytes and md5 of each input.
        command: what makes it again.
    """

    folder: str
    runs: list[str]
    facts: list[tuple[str, Any]] = field(default_factory=list)
    left_out: Counts = field(default_factory=list)
    licences: Counts = field(default_factory=list)
    guard: list[tuple[str, str]] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)
    sources: list[tuple[str, Any, str]] = field(default_factory=list)
    command: str | None = None
    problem: str | None = None


def data_facts(runs: list[RunRecord]) -> list[DataFacts]:
    """The training data of the runs, each folder once."""
    folders: dict[Path | None, list[str]] = {}
    for run in runs:
        folders.setdefault(_folder(run), []).append(run.label)
    found = []
    for folder, names in folders.items():
        if folder is None:
            problem = "No checkpoint that can be read says where its data are."
            found.append(DataFacts(folder="not known", runs=names, problem=problem))
            continue
        try:
            found.append(_facts(read_manifest(folder), folder, names))
        except DataError as error:
            found.append(DataFacts(folder=str(folder), runs=names, problem=f"{error}."))
    return found


def _folder(run: RunRecord) -> Path | None:
    """The data of a run; a name that was relative to where it was begun is looked for above it."""
    given = training_folder(run.stored.raw_params) if run.stored else None
    if given is None or given.exists():
        return given
    places = (parent / given for parent in run.model_dir.resolve().parents)
    return next((place for place in places if place.exists()), given)


def _facts(manifest: Manifest, folder: Path, runs: list[str]) -> DataFacts:
    before = [one for one in manifest.documents if isinstance(one, Mapping)]
    left_out: dict[str, int] = {}
    for counts in (manifest.counts, *(object_or_empty(one.get("counts")) for one in before)):
        for reason, number in _numbers(counts):
            if number and reason not in _NOT_LEFT_OUT:
                left_out[reason] = left_out.get(reason, 0) + number
    facts: list[tuple[str, Any]] = []
    for name, split in manifest.splits.items():
        facts += [
            (f"documents ({name})", split.num_documents),
            (f"tokens ({name})", split.num_tokens),
            (f"samples ({name})", split.num_samples),
        ]
        if split.unigram_loss is not None:
            loss = f"{split.unigram_loss:.4f} nats per token"
            facts.append((f"token frequencies alone ({name})", loss))
    facts += [
        ("tokens a sample", manifest.max_sequence_length),
        ("tokens of the vocabulary", manifest.tokenizer.vocab_size),
        ("fingerprint of the tokenizer", manifest.tokenizer.sha256),
        ("prepared with mediswift_cs", manifest.package_version),
    ]
    inputs = [s for one in before for s in _list(one.get("sources")) if isinstance(s, Mapping)]
    sources = [(s.get("path"), s.get("bytes"), s.get("md5")) for s in inputs]
    sources = sources or [(s.path, s.bytes, s.md5) for s in manifest.sources]
    return DataFacts(
        folder=str(folder),
        runs=runs,
        facts=facts,
        left_out=sorted(left_out.items(), key=lambda item: -item[1]),
        licences=_licences(manifest, before),
        guard=[pair for one in before for pair in _guard(one)],
        options=[*_flat(manifest.options), *(pair for one in before for pair in _options(one))],
        sources=[(str(path), size, str(md5 or "")) for path, size, md5 in sources],
        command=_command(manifest),
    )


def _licences(manifest: Manifest, before: list[Mapping[str, Any]]) -> Counts:
    """Counted by `mediswift prepare`, in the manifest of its whole output; else none."""
    counted = dict(_numbers(object_or_empty(_corpus(manifest).get("statistics")).get("licences")))
    return sorted(counted.items(), key=lambda item: -item[1])


def _corpus(manifest: Manifest) -> dict[str, Any]:
    path = manifest.folder.absolute().parent / MANIFEST_NAME
    try:
        return read_json_object(path) if path.is_file() else {}
    except DataError:
        return {}


def _guard(documents: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _flat(object_or_empty(object_or_empty(documents.get("options")).get("guard")))
    found = _list(object_or_empty(documents.get("guard")).get("near_copies_found"))
    yield "near copies of benchmarks found", str(len(found))


def _options(documents: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    options = {k: v for k, v in object_or_empty(documents.get("options")).items() if k != "guard"}
    return _flat(options)


def _command(manifest: Manifest) -> str:
    options = manifest.options
    if "val_fraction" not in options:
        return f"one of {TASK_COMMANDS}, with the settings above"
    return (
        f"mediswift shards DOCUMENTS --tokenizer {manifest.tokenizer.file} --max-sequence-length "
        f"{manifest.max_sequence_length} --val-fraction {options['val_fraction']} --output SHARDS"
    )


def _flat(options: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", f"{value!s:.500}"


def _numbers(counts: Any) -> Iterator[tuple[str, int]]:
    for name, number in object_or_empty(counts).items():
        if isinstance(number, int) and not isinstance(number, bool):
            yield str(name), number


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
