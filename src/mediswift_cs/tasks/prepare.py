"""From a task's records to a prompt data set with the official splits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mediswift_cs.tasks import hoc, pubmedqa
from mediswift_cs.tasks.hoc import HallmarksDocument
from mediswift_cs.tasks.prompt_data import Lengths, PromptSettings, write_prompt_data
from mediswift_cs.tokens.manifest import Manifest, SourceEntry


def prepare_pubmedqa(
    records: Mapping[str, Mapping[str, Any]],
    split: pubmedqa.Split,
    tokenizer_path: Path,
    output: Path,
    settings: PromptSettings,
    *,
    fold: int,
    mode: pubmedqa.Mode = "reasoning-required",
    sources: tuple[SourceEntry, ...] = (),
    overwrite: bool = False,
) -> tuple[Manifest, Lengths]:
    """Write one fold: train (450), val (50) and test (500, for evaluation only).

    Raises:
        ConfigError: a setting is out of its range.
        DataError: a PMID without a record, overlapping splits, an example that is too long, or
            ``output`` cannot be written.
    """
    examples = {
        name: pubmedqa.select(records, pmids, mode) for name, pmids in split._asdict().items()
    }
    num_used = sum(map(len, examples.values()))
    return write_prompt_data(
        examples,
        tokenizer_path,
        output,
        settings,
        task="pubmedqa",
        task_options={"mode": mode, "fold": fold, "labels": list(pubmedqa.LABELS)},
        counts={
            "records_read": len(records),
            **{name: len(items) for name, items in examples.items()},
            "not_in_the_split": len(records) - num_used,
        },
        sources=sources,
        answers=[pubmedqa.answer_text(label) for label in pubmedqa.LABELS],
        overwrite=overwrite,
    )


def prepare_hoc(
    documents: Mapping[str, HallmarksDocument],
    split: Mapping[str, tuple[str, ...]],
    tokenizer_path: Path,
    output: Path,
    settings: PromptSettings,
    *,
    split_name: str,
    level: hoc.Level = "document",
    sources: tuple[SourceEntry, ...] = (),
    overwrite: bool = False,
) -> tuple[Manifest, Lengths]:
    """Write one split at one level. BioGPT's split has no val: nothing is selected on its test.

    Raises:
        ConfigError: a setting is out of its range.
        DataError: a PMID without a document, overlapping splits, an example that is too long, or
            ``output`` cannot be written.
    """
    examples = {name: hoc.select(documents, pmids, level) for name, pmids in split.items()}
    num_used = sum(map(len, split.values()))
    return write_prompt_data(
        examples,
        tokenizer_path,
        output,
        settings,
        task="hoc",
        task_options={"level": level, "hoc_split": split_name, "labels": list(hoc.LABELS)},
        counts={
            "documents_read": len(documents),
            **{name: len(pmids) for name, pmids in split.items()},
            "not_in_the_split": len(documents) - num_used,
        },
        sources=sources,
        answers=[hoc.LONGEST_ANSWER],
        overwrite=overwrite,
    )
