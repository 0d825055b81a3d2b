"""Task examples on disk: HDF5 shards to train on, JSON lines to evaluate on, and a manifest.

``OUT/{train,val}/shard_00000.h5``, ``OUT/{train,val,test}.jsonl``, ``OUT/tokenizer.json``,
``OUT/manifest.json``. The shards have the rows and the manifest the form of the pre-training data;
``options["prompt"]`` describes the task and the layout.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from tokenizers import Tokenizer

from mediswift_cs import __version__
from mediswift_cs.corpora.document import SourceEntry
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.progress import progress
from mediswift_cs.storage.checksums import md5_of
from mediswift_cs.storage.made import check_same
from mediswift_cs.storage.write import atomic_folder
from mediswift_cs.tasks.example import Example, check_disjoint, read_examples_file
from mediswift_cs.tasks.example import write_examples_file as write_lines
from mediswift_cs.tasks.prompt_layout import LossOn, Position, PromptLayout
from mediswift_cs.tasks.task import Task
from mediswift_cs.tokens.hdf5 import ShardWriter
from mediswift_cs.tokens.manifest import (
    MANIFEST_NAME,
    SPLITS,
    TOKENIZER_NAME,
    Manifest,
    ShardEntry,
    SplitEntry,
    TokenizerEntry,
    check_shards_exist,
    different_fields,
    existing_manifest,
)
from mediswift_cs.tokens.tokenizer import (
    EOS,
    load_tokenizer,
    save_tokenizer,
    tokenizer_entry,
    vocab_size,
)

SAMPLES_PER_SHARD = 8192

# What, taken together with the examples, determines the data set.
_RECIPE = (
    "package_version",
    "max_sequence_length",
    "tokenizer",
    "sources",
    "counts",
    "options",
)


@dataclass
class Lengths:
    """What the layout did to the examples.

    Attributes:
        longest: number of tokens (soft prompt and answer included, nothing cut) and id.
        cut: how many tokens were cut from each context that was cut, by the example's id.
        tokens: of all examples together, with nothing cut.
        is_new: False where the same data set was already there.
    """

    longest: tuple[int, str] = (0, "")
    cut: dict[str, int] = field(default_factory=dict)
    tokens: int = 0
    is_new: bool = True

    def add(self, example_id: str, num_tokens: int, num_cut: int) -> None:
        """Take in one example of ``num_tokens`` after cutting."""
        self.longest = max(self.longest, (num_tokens + num_cut, example_id))
        if num_cut:
            self.cut[example_id] = num_cut
        self.tokens += num_tokens + num_cut

    def summary(self) -> str:
        """The longest example, what was cut, and whether anything was written."""
        cut = f"{len(self.cut)} contexts cut"
        if self.cut:
            tokens, example_id = max((tokens, name) for name, tokens in self.cut.items())
            share = sum(self.cut.values()) / self.tokens
            cut += f" ({share:.1%} of all tokens; most of {example_id}, {tokens} tokens)"
        num_tokens, example_id = self.longest
        state = "written" if self.is_new else "already there"
        return f"longest example: {example_id}, {num_tokens} tokens; {cut}; {state}"


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """What the user chooses; ``vocab_size`` None takes the tokenizer's."""

    max_sequence_length: int
    num_virtual_tokens: int
    position: Position = "infix"
    loss_on: LossOn = "target"
    vocab_size: int | None = None


def make_layout(
    settings: PromptSettings, tokenizer: Tokenizer, answers: Iterable[str]
) -> PromptLayout:
    """A layout with room for the longest of ``answers``.

    Raises:
        ConfigError: a setting is out of its range, as a vocab_size below the tokenizer's.
    """
    needed = vocab_size(tokenizer)
    chosen = needed if settings.vocab_size is None else settings.vocab_size
    if chosen < needed:
        raise ConfigError(f"vocab_size: got {chosen}, allowed: at least the tokenizer's {needed}")
    lengths = (len(tokenizer.encode(text, add_special_tokens=False).ids) for text in answers)
    return PromptLayout(
        vocab_size=chosen,
        eos_id=tokenizer.token_to_id(EOS),
        max_sequence_length=settings.max_sequence_length,
        num_answer_tokens=max(lengths) + 1,
        num_virtual_tokens=settings.num_virtual_tokens,
        position=settings.position,
        loss_on=settings.loss_on,
    )


def write_prompt_data(
    splits: Mapping[str, Iterable[Example]],
    tokenizer_path: Path,
    output: Path,
    settings: PromptSettings,
    *,
    task: Task,
    counts: Mapping[str, int],
    sources: tuple[SourceEntry, ...],
    overwrite: bool,
) -> tuple[Manifest, Lengths]:
    """Write one data set whole or not at all.

    An ``output`` that holds the same data set, made by this package version, is left as it is.

    Args:
        splits: examples by split; any of train, val, test.
        counts: what became of the records that were read, for the manifest.
        overwrite: replace an ``output`` that was made otherwise.

    Raises:
        ConfigError: a setting is out of its range.
        DataError: splits overlap, an example is too long, a split is empty, or ``output`` was made
            otherwise or cannot be written.
    """
    examples = {name: list(items) for name, items in splits.items()}
    _check_splits(examples, counts)
    tokenizer = load_tokenizer(tokenizer_path)
    layout = make_layout(settings, tokenizer, task.longest_answers())
    planned = Manifest(
        package_version=__version__,
        max_sequence_length=layout.max_sequence_length,
        tokenizer=tokenizer_entry(tokenizer),
        sources=sources,
        counts=dict(counts),
        splits={},
        options={"prompt": {"task": task.name, **task.options(), **layout.description()}},
    )
    found = existing_manifest(output, "folder of prepared examples", overwrite=overwrite)
    if found is None:
        return _write(examples, tokenizer, layout, planned, output)
    _check_same(found, planned, examples)
    lengths = Lengths(is_new=False)
    for items in examples.values():
        for _ in _encoded(items, tokenizer, layout, lengths):
            pass
    # The same but for the order of the counts, which the file does not keep.
    manifest = replace(planned, splits=found.splits, cut_contexts=lengths.cut, folder=output)
    return manifest, lengths


def _check_splits(examples: Mapping[str, list[Example]], counts: Mapping[str, int]) -> None:
    check_disjoint(examples)
    if empty := [name for name, items in examples.items() if not items]:
        raise DataError(f"the split {empty[0]!r} has no example, got {counts_text(counts)}")


def _write(
    examples: Mapping[str, list[Example]],
    tokenizer: Tokenizer,
    layout: PromptLayout,
    planned: Manifest,
    output: Path,
) -> tuple[Manifest, Lengths]:
    lengths = Lengths()
    with atomic_folder(output) as folder:
        written = {}
        for name, items in examples.items():
            write_lines(items, folder / f"{name}.jsonl")
            written[name] = _write_split(
                items, tokenizer, layout, planned.tokenizer, folder / name, lengths
            )
        save_tokenizer(tokenizer, folder / TOKENIZER_NAME)
        manifest = replace(
            planned,
            splits={name: written[name] for name in SPLITS if name in written},
            cut_contexts=lengths.cut,
        )
        # Last, so that a folder with a manifest is complete even if it is looked at half-way.
        (folder / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
    return replace(manifest, folder=output), lengths


def counts_text(counts: Mapping[str, int]) -> str:
    """Counts for people: ``3 documents_read, 1 kept``."""
    return ", ".join(f"{number} {name}" for name, number in counts.items())


def _check_same(found: Manifest, planned: Manifest, examples: Mapping[str, list[Example]]) -> None:
    other = different_fields(found, planned, _RECIPE)
    # Not every source has a checksum, and the examples are at hand.
    paths = {path.stem: path for path in found.folder.glob("*.jsonl")}
    if paths.keys() != examples.keys() or any(
        list(read_examples_file(paths[name])) != items for name, items in examples.items()
    ):
        other.append("examples")
    check_same(found.folder, other)
    check_shards_exist(found)


def _encoded(
    examples: Iterable[Example], tokenizer: Tokenizer, layout: PromptLayout, lengths: Lengths
) -> Iterator[tuple[list[int], list[int], int]]:
    """Source ids, answer ids and number of tokens of each example; ``lengths`` takes them in."""
    for example in progress("encode", "examples", examples, stays=False):
        source = layout.encode_source(tokenizer, example)
        answer = tokenizer.encode(example.target, add_special_tokens=False).ids
        length = len(source.ids) + layout.num_virtual_tokens + len(answer) + 1
        lengths.add(example.id, length, source.num_cut)
        yield source.ids, answer, length


def _write_split(
    examples: list[Example],
    tokenizer: Tokenizer,
    layout: PromptLayout,
    entry: TokenizerEntry,
    folder: Path,
    lengths: Lengths,
) -> SplitEntry:
    """Write the shards of a split, or encode it only where it is not trained or validated on."""
    # Splits that are trained or validated on become shards; the others are for evaluation only.
    writer = _shard_writer(folder, layout, entry) if folder.name in SPLITS else None
    num_tokens = 0
    with closing(writer) if writer is not None else nullcontext():
        for source_ids, answer_ids, length in _encoded(examples, tokenizer, layout, lengths):
            num_tokens += length
            sample = layout.sample(source_ids, answer_ids)
            if writer is not None:
                writer.write(sample[None])
    shards = () if writer is None else zip(writer.paths, writer.num_samples, strict=True)
    return SplitEntry(
        num_documents=len({example.document for example in examples}),
        num_tokens=num_tokens,
        num_samples=len(examples),
        max_token_id=-1 if writer is None else writer.max_token_id,
        shards=tuple(
            ShardEntry(file=f"{folder.name}/{path.name}", num_samples=number, md5=md5_of(path))
            for path, number in shards
        ),
    )


def _shard_writer(folder: Path, layout: PromptLayout, entry: TokenizerEntry) -> ShardWriter:
    folder.mkdir()
    return ShardWriter(
        folder,
        max_sequence_length=layout.max_sequence_length,
        samples_per_shard=SAMPLES_PER_SHARD,
        attributes={
            "max_sequence_length": layout.max_sequence_length,
            "tokenizer_sha256": entry.sha256,
            "vocab_size": layout.vocab_size,
            "num_virtual_tokens": layout.num_virtual_tokens,
            "soft_prompt_position": layout.position,
        },
    )
