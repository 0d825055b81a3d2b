"""The data of a replication: shards to train on, two held-out halves, labelled abstracts."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mediswift_cs.corpora.documents_file import DocumentsWriter, document_line, read_documents
from mediswift_cs.demo import HELD_OUT_FRACTION, LABELS, MAX_TRAIN, MAX_VAL, QUESTION
from mediswift_cs.replication.scales import Scale
from mediswift_cs.steps import run_step
from mediswift_cs.storage.write import atomic_file
from mediswift_cs.tokens.splits import split_of

WHOLE = "the replication"


@dataclass(frozen=True)
class Data:
    """Where the data lies, below the folder of the replication."""

    folder: Path

    @property
    def documents(self) -> Path:
        """What the demo makes of the same records."""
        return self.folder / "documents.jsonl.zst"

    @property
    def held_out_documents(self) -> Path:
        """Those that nothing is pre-trained on; the labels are tested on them as well."""
        return self.folder / "held_out.jsonl.zst"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer, which is trained on all documents."""
        return self.folder / "tokenizer.json"

    @property
    def train(self) -> Path:
        """The folder of the shards to pre-train on."""
        return self.folder / "shards" / "train"

    @property
    def chosen_on(self) -> Path:
        """The half of the held-out documents on which rates are chosen."""
        return self.folder / "held_out" / "val"

    @property
    def reported_on(self) -> Path:
        """The half of the held-out documents on which results are reported."""
        return self.folder / "held_out" / "train"

    def labels(self, num_virtual_tokens: int) -> Path:
        """Labelled abstracts, laid out for a soft prompt of this length."""
        return self.folder / (f"labels_{num_virtual_tokens}" if num_virtual_tokens else "labels")


def make_data(data: Data, scale: Scale, source: Path | None, virtual_tokens: set[int]) -> None:
    """Run the commands that make the data; each leaves what it made before as it is.

    Raises:
        StepError: one of them failed.
    """
    held_out = data.held_out_documents
    for name, arguments in _commands(data, scale, source, virtual_tokens):
        # Their folders and files appear whole; those of an earlier call are the same.
        if not Path(arguments[-1]).exists():
            run_step(WHOLE, name, *arguments)
        if name == "documents" and not held_out.exists():
            _write_held_out(data.documents, held_out)


def _commands(
    data: Data, scale: Scale, source: Path | None, virtual_tokens: set[int]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    records = [str(source)] if source else ["--sample"]
    length = str(scale.size.max_position_embeddings)
    documents, tokenizer = str(data.documents), str(data.tokenizer)
    limit = ("--limit", str(scale.num_records))
    yield "documents", ("documents", *records, *limit, "--output", documents)
    vocab_size = str(scale.size.vocab_size)
    yield (
        "tokenizer",
        ("tokenizer", documents, "--vocab-size", vocab_size, "--output", tokenizer),
    )
    for name, texts, fraction in (
        ("shards", documents, HELD_OUT_FRACTION),
        ("held_out", str(data.held_out_documents), HELD_OUT_FRACTION / 2),
    ):
        yield (
            name,
            (
                *("shards", texts, "--tokenizer", tokenizer, "--max-sequence-length", length),
                *("--val-fraction", f"{fraction:g}", "--output", str(data.folder / name)),
            ),
        )
    for number in sorted(virtual_tokens):
        folder = data.labels(number)
        yield (
            folder.name,
            (
                *("classify", *records, "--mesh", *LABELS, "--question", QUESTION),
                *("--max-train", str(MAX_TRAIN), "--max-val", str(MAX_VAL)),
                *("--test-fraction", f"{HELD_OUT_FRACTION:g}", "--tokenizer", tokenizer),
                *("--max-sequence-length", str(scale.tuning.max_sequence_length)),
                *("--num-virtual-tokens", str(number), "--output", str(folder)),
            ),
        )


def _write_held_out(documents: Path, held_out: Path) -> None:
    with atomic_file(held_out) as temporary, DocumentsWriter(temporary) as writer:
        for document in read_documents(documents):
            if split_of(document.id, HELD_OUT_FRACTION) == "val":
                writer.write_line(document_line(document))
