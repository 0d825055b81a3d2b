"""The examples of records that have an official split."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from mediswift_cs.errors import DataError
from mediswift_cs.tasks.example import Example

Record = TypeVar("Record")


class SplitExamples(NamedTuple):
    """Examples by split, and what became of the records."""

    splits: dict[str, list[Example]]
    counts: dict[str, int]


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


def split_examples(
    records: Mapping[str, Record],
    split: Mapping[str, tuple[str, ...]],
    make: Callable[[str, Record], Iterable[Example]],
    read: str,
) -> SplitExamples:
    """The examples of each split, from its own PMIDs.

    Args:
        records: all that were read, by PMID.
        split: PMIDs of train, val and test, of those that there are.
        make: the examples of one record.
        read: the name of the count of all records.

    Raises:
        DataError: a PMID without a record.
    """
    sizes = {name: len(pmids) for name, pmids in split.items()}
    unused = len(records) - sum(sizes.values())
    return SplitExamples(
        {name: select(records, pmids, make) for name, pmids in split.items()},
        {read: len(records), **sizes, "not_in_the_split": unused},
    )
