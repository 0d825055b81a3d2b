"""PubMedQA (Jin et al., 2019): yes / no / maybe questions about PubMed abstracts.

Official files: ``ori_pqal.json`` (1,000 expert-labelled records by PMID), and the split by PMID.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks import metrics
from mediswift_cs.tasks.example import Example, collapse
from mediswift_cs.tasks.pubmedqa_split import NUM_FOLDS, draw_split

LABELS = ("yes", "no", "maybe")
RECORDS_FILE = "ori_pqal.json"
SPLIT_FILE = "official_split_pmids.json"

# sha256 of the sorted PMIDs of the official test set, joined by newlines.
TEST_SET_SHA256 = "406e3b89eff577ed38571eca5a5819734a6f49ac0437d171b6c64e5c3cd195f8"

# Whether the record's conclusion (LONG_ANSWER) may be read. The paper's setting is the first.
Mode = Literal["reasoning-required", "reasoning-free"]
MODES: tuple[Mode, ...] = ("reasoning-required", "reasoning-free")

ANSWER_STEM = " the answer to the question given the context is"
_ANSWER = re.compile(r"the answer to the question given the context is (yes|no|maybe)\.")

# Where the human annotators' answers are, by mode.
HUMAN_ANSWERS: dict[Mode, str] = {
    "reasoning-required": "reasoning_required_pred",
    "reasoning-free": "reasoning_free_pred",
}


class Split(NamedTuple):
    """PMIDs of one fold, and of the test set that all folds share."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


def answer_text(label: str) -> str:
    """The sentence that stands for a label, with the space that it begins with."""
    return f"{ANSWER_STEM} {label}."


def parse_answer(text: str) -> str | None:
    """The label that a generated sentence states; None unless it is exactly such a sentence."""
    match = _ANSWER.fullmatch(collapse(text))
    return match[1] if match else None


def question_example(
    pmid: str,
    *,
    question: str,
    contexts: Sequence[str],
    label: str,
    long_answer: str = "",
) -> Example:
    """An example in BioGPT's wording; ``long_answer`` is for the reasoning-free mode only."""
    return Example(
        id=pmid,
        document=pmid,
        head=f"question: {collapse(question)} context:",
        context=f" {collapse(' '.join(contexts))}",
        tail=f" answer: {collapse(long_answer)}" if long_answer else "",
        target=answer_text(label),
        labels=(label,),
    )


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


def read_json_object(path: Path) -> dict[str, Any]:
    """A JSON file whose content is one object; DataError otherwise."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a readable JSON file: {error}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} must hold one JSON object, got {type(content).__name__}")
    return content


def record_example(pmid: str, record: Mapping[str, Any], mode: Mode) -> Example:
    """The example of a labelled record."""
    if mode not in MODES:
        raise ConfigError(f"mode of PubMedQA: got {mode!r}, allowed: {', '.join(MODES)}")
    return question_example(
        pmid,
        question=record["QUESTION"],
        contexts=record["CONTEXTS"],
        label=record["final_decision"],
        long_answer=record["LONG_ANSWER"] if mode == "reasoning-free" else "",
    )


def read_split(folder: Path | None, fold: int, records: Mapping[str, Mapping[str, Any]]) -> Split:
    """The official split: from a file of PMIDs where there is one, else drawn from the records.

    Args:
        folder: may hold ``official_split_pmids.json``, with the keys ``test`` and
            ``folds.fold0.{train,dev}``.
        records: all 1,000, in the order of the official file.

    Raises:
        ConfigError: no such fold.
        DataError: the file is malformed, splits overlap, or the test set is not the official one.
    """
    if not 0 <= fold < NUM_FOLDS:
        raise ConfigError(f"fold of PubMedQA: got {fold}, allowed: 0 to {NUM_FOLDS - 1}")
    path = None if folder is None else folder / SPLIT_FILE
    if path is not None and path.is_file():
        content = read_json_object(path)
        try:
            parts = content["folds"][f"fold{fold}"]
            split = Split(*(tuple(p) for p in (parts["train"], parts["dev"], content["test"])))
        except (KeyError, TypeError) as error:
            raise DataError(f"{path} lacks {error} for fold {fold}") from error
    else:
        folds, test = draw_split({k: r["final_decision"] for k, r in records.items()})
        train = (pmid for i, pmids in enumerate(folds) if i != fold for pmid in pmids)
        split = Split(tuple(train), tuple(folds[fold]), tuple(test))
        path = None
    check_split(split, "these records" if path is None else str(path))
    return split


def check_split(split: Split, source: str) -> None:
    """Raise DataError for overlapping splits or for another test set than the official one."""
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        both = set(getattr(split, first)) & set(getattr(split, second))
        if both:
            raise DataError(
                f"splits must not overlap, got PMID {min(both)} in both {first!r} and "
                f"{second!r}, in {source}"
            )
    if not is_official_test_set(split.test):
        raise DataError(f"the test set in {source} is not PubMedQA's official one of 500 PMIDs")


def is_official_test_set(pmids: Iterable[str]) -> bool:
    """Whether these are exactly the 500 PMIDs of the official test set."""
    text = "\n".join(sorted(pmids))
    return hashlib.sha256(text.encode("ascii", "replace")).hexdigest() == TEST_SET_SHA256


def select(
    records: Mapping[str, Mapping[str, Any]], pmids: Iterable[str], mode: Mode
) -> list[Example]:
    """The examples of these PMIDs; DataError where one has no record."""
    examples = []
    for pmid in pmids:
        if pmid not in records:
            raise DataError(f"PMID {pmid} of the split is not among the {len(records)} records")
        examples.append(record_example(pmid, records[pmid], mode))
    return examples


def scores(gold: Sequence[str], predicted: Sequence[str | None]) -> dict[str, float]:
    """Accuracy and macro-F1 over yes, no and maybe."""
    return {
        "accuracy": metrics.accuracy(gold, predicted),
        "macro_f1": metrics.macro_f1(gold, predicted, LABELS),
    }


def leaderboard_answers(predicted: Mapping[str, str | None]) -> dict[str, str]:
    """PMID -> answer, the official leaderboard's format.

    Raises:
        DataError: another set of PMIDs than the test set's, or an answer that could not be read.
    """
    if not is_official_test_set(predicted):
        raise DataError(
            f"the leaderboard takes exactly the official test set's 500 PMIDs, got "
            f"{len(predicted)} PMIDs that are not these"
        )
    answers = {pmid: label for pmid, label in predicted.items() if label in LABELS}
    if missing := len(predicted) - len(answers):
        raise DataError(
            f"the leaderboard takes an answer for each PMID, got {missing} that could not be "
            "read; use --method constrained, which always gives one"
        )
    return {pmid: str(label) for pmid, label in answers.items()}
