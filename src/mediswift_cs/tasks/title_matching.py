"""Yes/no questions for a corpus whose titles are no statements: does a title belong to a text?

Older PubMed titles hardly ever state a result, so PQA-A's rule finds next to nothing in them. Here
each abstract is asked about its own title (yes) or about the title of the document before it (no).
It is this project's own task, for trying the pipeline out; no result of it compares with PubMedQA.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator

from mediswift_cs.corpora.document import Document
from mediswift_cs.tasks.artificial import (
    KEPT,
    NO_ABSTRACT,
    OVER_LIMIT,
    check_limit,
    documents_outside_benchmarks,
)
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.pubmedqa import question_example

FIRST = "no_document_before_it"


def matching_examples(
    documents: Iterable[Document], counts: Counter[str], limit: int | None = None
) -> Iterator[Example]:
    """One question a document, ``limit`` at most; ``counts`` says what became of the documents.

    Whether the answer is yes or no follows from a hash of the document's id. Articles of a
    benchmark are passed over: neither their text nor their title is asked about.

    Raises:
        ConfigError: ``limit`` is below 1.
    """
    check_limit(limit)
    title_before = None
    for document in documents_outside_benchmarks(documents, counts):
        title, _, abstract = document.text.partition("\n")
        digest = hashlib.blake2b(f"matching {document.id}".encode(), digest_size=1).digest()
        asked = title if digest[0] % 2 else title_before
        title_before = title
        if not abstract:
            counts[NO_ABSTRACT] += 1
        elif asked is None:
            counts[FIRST] += 1
        elif limit is not None and counts[KEPT] >= limit:
            counts[OVER_LIMIT] += 1
        else:
            counts[KEPT] += 1
            yield question_example(
                document.id,
                question=f"is this text about {asked.rstrip('.')}?",
                contexts=[abstract],
                label="yes" if digest[0] % 2 else "no",
            )
