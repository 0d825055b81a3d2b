"""PubMedQA's 1,000 expert-labelled records, from its file or through ``datasets``.

Any local file or folder that ``datasets`` reads will do as well; no code of a data set is run.
"""

from pathlib import Path
from typing import Any

from mediswift_cs.corpora.data_set import DataSet
from mediswift_cs.errors import DataError
from mediswift_cs.storage.read import check_keys, read_json_object
from mediswift_cs.tasks.pubmedqa import LABELS

RECORDS_FILE = "ori_pqal.json"
DATASET_NAME, DATASET_CONFIG = "qiaojin/PubMedQA", "pqa_labeled"


def read_records(path: Path) -> dict[str, dict[str, Any]]:
    """The records of ``ori_pqal.json``, or of the folder that holds it, by PMID.

    Raises:
        DataError: unreadable, a field is missing, or a label is none of the three.
    """
    path = path / RECORDS_FILE if path.is_dir() else path
    records = read_json_object(path)
    for pmid, record in records.items():
        check_record(pmid, record, path)
    return records


def check_record(pmid: str, record: Any, source: Path | str) -> None:
    """Raise DataError unless the record has what an example needs."""
    needed = {"QUESTION": str, "CONTEXTS": list, "LONG_ANSWER": str, "final_decision": str}
    for field, kind in needed.items():
        if not isinstance(record, dict) or not isinstance(record.get(field), kind):
            raise DataError(f"record {pmid} of {source} has no {field} ({kind.__name__})")
    if not record["QUESTION"].strip():
        raise DataError(
            f"QUESTION of record {pmid}: got an empty text, allowed: a question, in {source}"
        )
    contexts = record["CONTEXTS"]
    if not all(isinstance(text, str) for text in contexts) or not "".join(contexts).strip():
        raise DataError(
            f"CONTEXTS of record {pmid}: got {contexts!r:.80}, allowed: strings, not all of them "
            f"empty, in {source}"
        )
    if record["final_decision"] not in LABELS:
        raise DataError(
            f"final_decision of record {pmid}: got {record['final_decision']!r}, allowed: "
            f"{', '.join(LABELS)}, in {source}"
        )


def read_dataset(name: str, config: str | None) -> dict[str, dict[str, Any]]:
    """The records in the form of ``ori_pqal.json``, in the data set's order.

    Raises:
        DataError: unreadable, a column is missing, or a label is none of the three.
    """
    records: dict[str, dict[str, Any]] = {}
    what = f"data set {name} is not PubMedQA: it"
    for row in DataSet(name=name, config=config).rows():
        check_keys(row, ("pubid", "question", "context", "long_answer", "final_decision"), what)
        pmid = str(row["pubid"])
        context = check_keys(row["context"], ("contexts",), f"{what}s context of {pmid}")
        record = {
            "QUESTION": row["question"],
            "CONTEXTS": context["contexts"],
            "LONG_ANSWER": row["long_answer"],
            "final_decision": row["final_decision"],
            "reasoning_required_pred": _joined(context.get("reasoning_required_pred")),
            "reasoning_free_pred": _joined(context.get("reasoning_free_pred")),
        }
        check_record(pmid, record, name)
        records[pmid] = record
    return records


def _joined(value: Any) -> str:
    """The Hub keeps these answers letter by letter."""
    return value if isinstance(value, str) else "".join(value or ())
