"""PubMedQA: the official data, its split, and the published human scores."""

import json
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks import pubmedqa, pubmedqa_records, pubmedqa_split
from mediswift_cs.tasks.official_split import select
from mediswift_cs.tasks.pubmedqa import PubMedQA, answer_text
from mediswift_cs.tasks.pubmedqa_split import Split
from mediswift_cs.tasks.scoring import Scoring
from mediswift_cs.tasks.task import Answered

# Where the human annotators' answers are, by mode.
HUMAN_ANSWERS = {
    "reasoning-required": "reasoning_required_pred",
    "reasoning-free": "reasoning_free_pred",
}
Records = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "pubmedqa"


@pytest.fixture(scope="module")
def records(folder: Path) -> Records:
    return pubmedqa_records.read_records(folder)


@pytest.fixture(scope="module")
def gold(folder: Path, records: Records) -> dict[str, str]:
    test = pubmedqa_split.read_split(folder, 0, records).test
    return {pmid: records[pmid]["final_decision"] for pmid in test}


def test_regression_numbers(records: Records, gold: dict[str, str]) -> None:
    def rounded(predicted: list[str]) -> tuple[float, float]:
        items = [
            Answered(pmid, frozenset({label}), frozenset({said}))
            for (pmid, label), said in zip(gold.items(), predicted, strict=True)
        ]
        found = Scoring.of(PubMedQA(), items).scores()
        return round(found["accuracy"], 4), round(found["macro_f1"], 4)

    assert len(gold) == 500
    assert rounded(["yes"] * 500) == (0.552, 0.2371)
    human = {mode: [records[pmid][field] for pmid in gold] for mode, field in HUMAN_ANSWERS.items()}
    assert rounded(human["reasoning-required"]) == (0.780, 0.7219)
    assert rounded(human["reasoning-free"]) == (0.904, 0.8418)


def test_labels_are_the_published_numbers(records: Records, gold: dict[str, str]) -> None:
    everything = [record["final_decision"] for record in records.values()]
    assert [everything.count(label) for label in pubmedqa.LABELS] == [552, 338, 110]
    assert [list(gold.values()).count(label) for label in pubmedqa.LABELS] == [276, 169, 55]


def test_the_drawn_split_is_the_official_one(folder: Path, records: Records) -> None:
    official = json.loads((folder / "official_split_pmids.json").read_text())
    truth = json.loads((folder / "test_ground_truth.json").read_text())
    for fold in range(10):
        drawn = pubmedqa_split.read_split(None, fold, records)
        given = official["folds"][f"fold{fold}"]
        assert (set(drawn.train), set(drawn.val)) == (set(given["train"]), set(given["dev"]))
        assert set(drawn.test) == set(official["test"]) == set(truth)
        assert (len(drawn.train), len(drawn.val)) == (450, 50)
    # Control: the draw depends on the order of the records.
    backwards = dict(reversed(records.items()))
    with pytest.raises(DataError, match="not PubMedQA's official one"):
        pubmedqa_split.read_split(None, 0, backwards)


def test_the_conclusion_is_read_in_reasoning_free_mode_only(records: Records) -> None:
    for pmid, record in records.items():
        (required,) = PubMedQA(mode="reasoning-required").examples(pmid, record)
        (free,) = PubMedQA(mode="reasoning-free").examples(pmid, record)
        conclusion = " ".join(record["LONG_ANSWER"].split())
        assert conclusion not in required.source or conclusion in " ".join(record["CONTEXTS"])
        assert conclusion in free.source
        assert required.source.startswith("question: ")
        assert required.target == free.target


def test_every_official_label_round_trips() -> None:
    for label in pubmedqa.LABELS:
        assert PubMedQA().parse_answer(answer_text(label)) == (label,)


@pytest.mark.parametrize(
    "text",
    [
        "Maybe not.",
        "yes",
        "",
        "the answer to the question given the context is yes",
        "the answer to the question given the context is yes. no.",
        "the answer to the question given the context is Yes.",
        "the answer to the question given the context is yes or no.",
    ],
)
def test_junk_is_not_an_answer(text: str) -> None:
    assert PubMedQA().parse_answer(text) is None


def test_leaderboard_takes_exactly_the_test_set(gold: dict[str, str]) -> None:
    assert pubmedqa.leaderboard_answers(gold) == gold
    some = dict(list(gold.items())[:-1])
    with pytest.raises(DataError, match="got 499 PMIDs"):
        pubmedqa.leaderboard_answers(some)
    with pytest.raises(DataError, match="500 PMIDs that are not these"):
        pubmedqa.leaderboard_answers({**some, "1": "yes"})
    with pytest.raises(DataError, match="got 1 that could not be read"):
        pubmedqa.leaderboard_answers({**gold, next(iter(gold)): None})


def test_a_label_outside_the_set_is_an_error(tmp_path: Path) -> None:
    record = {
        "QUESTION": "Is it?",
        "CONTEXTS": ["It is."],
        "LONG_ANSWER": "Yes.",
        "final_decision": "perhaps",
    }
    path = tmp_path / "ori_pqal.json"
    path.write_text(json.dumps({"12": record}))
    with pytest.raises(DataError, match="record 12: got 'perhaps', allowed: yes, no, maybe"):
        pubmedqa_records.read_records(path)
    del record["CONTEXTS"]
    path.write_text(json.dumps({"12": record}))
    with pytest.raises(DataError, match=r"record 12 of .* has no CONTEXTS"):
        pubmedqa_records.read_records(tmp_path)
    path.write_text("[]")
    with pytest.raises(DataError, match=r"ori_pqal\.json: got \[\], allowed: a JSON object"):
        pubmedqa_records.read_records(path)
    with pytest.raises(DataError, match=r"cannot read .*absent\.json: No such file"):
        pubmedqa_records.read_records(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"12": {"CONTEXTS": []}}', r"CONTEXTS of record 12: got \[\], allowed: strings, not all"),
        ('{"12": {"CONTEXTS": [" "]}}', "not all of them empty"),
        ('{"12": {"CONTEXTS": [null]}}', r"CONTEXTS of record 12: got \[None\], allowed: strings"),
        ("[" * 100_000, "is not JSON, line 1: it is nested too deeply"),
    ],
)
def test_unusable_contexts_and_nesting_are_errors(
    tmp_path: Path, content: str, message: str
) -> None:
    rest = '{"QUESTION": "?", "LONG_ANSWER": "", "final_decision": "yes", '
    path = tmp_path / "ori_pqal.json"
    path.write_text(content.replace('{"CONTEXTS', rest + '"CONTEXTS'))
    with pytest.raises(DataError, match=message):
        pubmedqa_records.read_records(path)


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [("QUESTION", "\ud800?", "head"), ("CONTEXTS", ["\ud800"], "context")],
)
def test_half_a_surrogate_pair_is_refused_with_its_record(
    records: Records, field: str, value: object, part: str
) -> None:
    record = {**next(iter(records.values())), field: value}
    with pytest.raises(DataError, match=f"{part} of example 12 is not valid Unicode: surrogates"):
        PubMedQA().examples("12", record)


def test_missing_pmid_unknown_fold_and_mode_are_errors(records: Records) -> None:
    with pytest.raises(DataError, match="PMID 1 of the split is not among the 1000 records"):
        select(records, ["1"], PubMedQA().examples)
    with pytest.raises(ConfigError, match="got 10, allowed: 0 to 9"):
        pubmedqa_split.read_split(None, 10, records)
    with pytest.raises(ConfigError, match="got 'open-book', allowed: reasoning-required"):
        PubMedQA(mode="open-book")  # type: ignore[arg-type]


def test_overlapping_splits_are_refused() -> None:
    with pytest.raises(DataError, match="PMID 2 in both 'train' and 'test'"):
        pubmedqa_split.check_split(Split(("1", "2"), ("3",), ("2", "4")), "x.json")


def test_empty_questions_and_conclusions_are_refused(records: Records) -> None:
    record = next(iter(records.values()))
    with pytest.raises(DataError, match="QUESTION of record 1: got an empty text"):
        pubmedqa_records.check_record("1", {**record, "QUESTION": " \n"}, "a.json")
    silent = {**record, "LONG_ANSWER": "  "}
    assert PubMedQA().examples("1", silent)
    with pytest.raises(DataError, match="LONG_ANSWER of record 1: got an empty text"):
        PubMedQA(mode="reasoning-free").examples("1", silent)


def test_records_in_another_order_are_told_so(records: Records) -> None:
    in_order = dict(sorted(records.items()))
    with pytest.raises(DataError, match="the draw depends on the records' order"):
        pubmedqa_split.read_split(None, 0, in_order)


def test_a_conclusion_cannot_be_typed() -> None:
    with pytest.raises(ConfigError, match="got a model of 'reasoning-free', which reads"):
        PubMedQA(mode="reasoning-free").asked("Does it?", "It does.")
    assert "It does." in PubMedQA().asked("Does it?", "It does.").source
    free = PubMedQA(mode="reasoning-free").wording()
    assert "CONCLUSION" in free.source
    assert "CONCLUSION" not in PubMedQA().wording().source
