"""The tasks' records from Hugging Face data sets, where there is a network.

Any local file or folder that ``datasets`` reads will do as well; no code of a data set is run.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mediswift_cs.errors import DataError
from mediswift_cs.tasks.hoc import HallmarksDocument, make_document
from mediswift_cs.tasks.pubmedqa import check_record
from mediswift_cs.tokens.dataset_texts import read_rows

PUBMEDQA_NAME, PUBMEDQA_CONFIG = "qiaojin/PubMedQA", "pqa_labeled"


def pubmedqa_records(
    name: str = PUBMEDQA_NAME, config: str | None = PUBMEDQA_CONFIG
) -> dict[str, dict[str, Any]]:
    """PubMedQA's labelled records in the form of ``ori_pqal.json``, in the data set's order.

    Raises:
        DataError: unreadable, a column is missing, or a label is none of the three.
    """
    records: dict[str, dict[str, Any]] = {}
    for row in read_rows(name, config=config):
        try:
            pmid, context = str(row["pubid"]), row["context"]
            record = {
                "QUESTION": row["question"],
                "CONTEXTS": context["contexts"],
                "LONG_ANSWER": row["long_answer"],
                "final_decision": row["final_decision"],
                "reasoning_required_pred": _joined(context.get("reasoning_required_pred")),
                "reasoning_free_pred": _joined(context.get("reasoning_free_pred")),
            }
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"data set {name} is not PubMedQA: it lacks {error}") from error
        check_record(pmid, record, name)
        records[pmid] = record
    return records


def _joined(value: Any) -> str:
    """The Hub keeps these answers letter by letter."""
    return value if isinstance(value, str) else "".join(value or ())


def hoc_documents(name: str, config: str | None = None) -> dict[str, HallmarksDocument]:
    """HoC from columns pmid, sentences and sentence_labels, by PMID; DataError otherwise."""
    documents: dict[str, HallmarksDocument] = {}
    for number, row in enumerate(_plain_rows(name, config), start=1):
        document = make_document(row, f"data set {name}, row {number}")
        if document.pmid in documents:
            raise DataError(f"data set {name}, row {number} repeats PMID {document.pmid}")
        documents[document.pmid] = document
    return documents


def _plain_rows(name: str, config: str | None) -> Iterator[Mapping[str, Any]]:
    for row in read_rows(name, config=config):
        yield {key: value for key, value in row.items() if value is not None}
