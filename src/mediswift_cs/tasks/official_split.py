"""From records with an official split to a prompt data set."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from mediswift_cs.errors import DataError
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import Lengths, PromptSettings, write_prompt_data
from mediswift_cs.tasks.task import Task
from mediswift_cs.tokens.shards import Manifest, SourceEntry

Record = TypeVar("Record")


def select(
    records: Mapping[str, Record],
    pmids: Iterable[str],
    make: Callable[[str, Record], Iterable[Example]],
) -> list[Example]:
    """The examples that ``make`` makes of these PMIDs; DataError where one has no record."""
    examples: list[Example] = []
    for pmid in pmids:
        if pmid not in records:
            raise DataError(f"PMID {pmid} of the split is not among the {len(records)} records")
        examples += make(pmid, records[pmid])
    return examples


def write_official_split(
    records: Mapping[str, Record],
    split: Mapping[str, tuple[str, ...]],
    make: Callable[[str, Record], Iterable[Example]],
    tokenizer_path: Path,
    output: Path,
    settings: PromptSettings,
    *,
    task: Task,
    read: str,
    sources: tuple[SourceEntry, ...] = (),
    overwrite: bool = False,
) -> tuple[Manifest, Lengths]:
    """Write the splits of one task, each from its own PMIDs.

    Args:
        records: all that were read, by PMID.
        split: PMIDs of train, val and test, of those that there are.
        make: the examples of one record.
        read: the name of the count of all records.

    Raises:
        ConfigError: a setting is out of its range.
        DataError: a PMID without a record, overlapping splits, an example that is too long, or
            ``output`` cannot be written.
    """
    sizes = {name: len(pmids) for name, pmids in split.items()}
    return write_prompt_data(
        {name: select(records, pmids, make) for name, pmids in split.items()},
        tokenizer_path,
        output,
        settings,
        task=task,
        counts={
            read: len(records),
            **sizes,
            "not_in_the_split": len(records) - sum(sizes.values()),
        },
        sources=sources,
        overwrite=overwrite,
    )
