"""What a corpus looks like, in sums that can be added up over its parts."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mediswift_cs.corpora.document import Document

_NONE = "not stated"


@dataclass
class Statistics:
    """Counts of documents by length, year, journal and licence.

    Attributes:
        lengths: by the power of two of characters that is not above the length.
    """

    num_documents: int = 0
    num_characters: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    lengths: Counter[str] = field(default_factory=Counter)
    years: Counter[str] = field(default_factory=Counter)
    journals: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)

    def add(self, document: Document) -> None:
        """Count one document."""
        length = len(document.text)
        self.num_documents += 1
        self.num_characters += length
        self.sources[document.id.partition(":")[0]] += 1
        self.lengths[str(1 << (length.bit_length() - 1))] += 1
        self.years[str(document.year) if document.year else _NONE] += 1
        self.journals[document.journal or _NONE] += 1
        # PubMed's abstracts state a copyright, not a licence.
        self.licences[(document.licence_class and document.licence) or _NONE] += 1

    def as_dict(self) -> dict[str, Any]:
        """As JSON, in an order that does not depend on that of the documents."""
        return {
            name: dict(sorted(value.items())) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def sum_of(cls, parts: Iterable[Mapping[str, Any]]) -> "Statistics":
        """Add up what :meth:`as_dict` gave."""
        total = cls()
        for part in parts:
            for name, value in part.items():
                if isinstance(value, int):
                    setattr(total, name, getattr(total, name) + value)
                else:
                    getattr(total, name).update(value)
        return total
