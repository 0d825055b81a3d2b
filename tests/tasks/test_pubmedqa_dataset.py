"""PubMedQA in the form of the Hub."""

from pathlib import Path

import pytest

from mediswift_cs.errors import DataError
from mediswift_cs.tasks import pubmedqa_records, pubmedqa_split


def test_pubmedqa_in_the_form_of_the_hub(tmp_path: Path, shared_data: Path) -> None:
    pytest.importorskip("datasets", reason="--dataset reads with datasets")
    import json

    records = pubmedqa_records.read_records(shared_data / "pubmedqa")
    rows = [
        {
            "pubid": int(pmid),
            "question": record["QUESTION"],
            "context": {
                "contexts": record["CONTEXTS"],
                "labels": record["LABELS"],
                "reasoning_required_pred": list(record["reasoning_required_pred"]),
                "reasoning_free_pred": list(record["reasoning_free_pred"]),
            },
            "long_answer": record["LONG_ANSWER"],
            "final_decision": record["final_decision"],
        }
        for pmid, record in records.items()
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = pubmedqa_records.read_dataset(str(path), None)
    assert list(found) == list(records)
    for pmid, record in found.items():
        assert {k: records[pmid][k] for k in record} == record
    assert pubmedqa_split.is_official_test_set(pubmedqa_split.read_split(None, 0, found).test)
    path.write_text('{"text": "a"}\n')
    with pytest.raises(DataError, match="is not PubMedQA: it lacks 'pubid'"):
        pubmedqa_records.read_dataset(str(path), None)
