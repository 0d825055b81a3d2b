"""Scores over the documents that a convention counts, for any task by its name."""

import pytest

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks import hoc
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.hoc import HallmarksOfCancer
from mediswift_cs.tasks.pubmedqa import PubMedQA, question_example
from mediswift_cs.tasks.registry import TASKS, find_task
from mediswift_cs.tasks.scoring import Scoring
from mediswift_cs.tasks.task import Answered

NONE = frozenset[str]()
ONE, TWO, THREE = (frozenset({label}) for label in hoc.LABELS[:3])


def labelled(number: int) -> list[Answered]:
    """Documents of two sentences; every other one is answered as it should be."""
    return [
        Answered(f"labelled {i}", gold, ONE if i % 2 else TWO)
        for i in range(number)
        for gold in (ONE, NONE)
    ]


@pytest.mark.parametrize("convention", hoc.CONVENTIONS)
def test_documents_that_a_convention_leaves_out_are_never_drawn(convention: str) -> None:
    task = HallmarksOfCancer(level="sentence")
    items = labelled(30)
    others = [Answered(f"without a label {i}", NONE, ONE if i % 3 else NONE) for i in range(200)]
    small = Scoring.of(task, items, convention)
    large = Scoring.of(task, [*others, *items], convention)
    is_left_out = hoc.CONVENTIONS[convention].labelled_only
    assert len(large.documents) == (30 if is_left_out else 230)
    assert (large.interval(200) == small.interval(200)) == is_left_out
    assert (large.scores() == small.scores()) == is_left_out
    assert (large.baseline() == small.baseline()) == is_left_out
    # What is told about the data is told about all of it.
    assert sum(large.gold_distribution().values()) == 260


def test_the_interval_of_a_task_has_95_percent() -> None:
    items = [Answered(str(i), ONE, ONE if i < 300 else TWO) for i in range(500)]
    yes_and_no = [
        Answered(
            item.document, frozenset({"yes"}), frozenset({"yes" if item.said == ONE else "no"})
        )
        for item in items
    ]
    interval = Scoring.of(PubMedQA(), yes_and_no).interval(4000)
    assert interval == pytest.approx((0.557, 0.643), abs=0.0035)


def test_a_document_that_is_drawn_twice_counts_as_two() -> None:
    task = HallmarksOfCancer()
    items = [Answered("a", ONE, ONE), Answered("b", TWO, ONE)]
    scoring = Scoring.of(task, items, "blurb")
    # Of four draws the scores are 1, 0.5 twice, and 0.
    low, high = scoring.interval(300)
    assert (low, high) == (0.0, 1.0)
    assert scoring.scores() == {"micro_f1 (blurb)": 0.5}


def test_the_default_convention_is_the_first() -> None:
    scoring = Scoring.of(HallmarksOfCancer(), labelled(3))
    assert scoring.convention == "blurb"
    assert Scoring.of(PubMedQA(), [Answered("1", frozenset({"yes"}), None)]).convention is None
    with pytest.raises(DataError, match="the HoC convention 'blue' has nothing to count"):
        Scoring.of(HallmarksOfCancer(), [Answered("1", NONE, ONE)], "blue")


def test_confusion_counts_false_alarms_for_labels_that_are_not_there() -> None:
    task = HallmarksOfCancer()
    items = [
        Answered("a", ONE, ONE | TWO),
        Answered("b", ONE | THREE, TWO),
        Answered("c", ONE, None),
    ]
    counts = task.confusion(items).counts
    assert counts[:3] == [[1, 2, 0], [0, 0, 2], [0, 1, 0]]
    assert counts[3:] == [[0, 0, 0]] * 7


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_made_again_from_its_manifest(name: str) -> None:
    # Only a classification takes its labels from the manifest.
    task = find_task(name).from_options({"labels": ["some label", "b"]})
    assert find_task(name).from_options({"task": name, **task.options()}) == task
    assert task.options()["labels"] == list(task.labels)
    for text in task.longest_answers():
        labels = task.parse_answer(text)
        assert labels is not None
        assert task.answer_text(labels) == text
        assert set(labels) <= set(task.labels)
    conventions = {"hoc": set(hoc.CONVENTIONS), "multi_label_classification": {"all", "labelled"}}
    assert set(task.conventions) == conventions.get(name, set())


def test_an_unknown_task_is_an_error() -> None:
    with pytest.raises(ConfigError, match="task: got 'squad', allowed: pubmedqa, artificial, hoc"):
        find_task("squad")


@pytest.mark.parametrize(
    ("name", "labels", "allowed"),
    [
        ("pubmedqa", ("perhaps",), "allowed: one of yes, no, maybe"),
        ("pubmedqa", (), r"got \[\], allowed: one of yes, no, maybe"),
        ("artificial", ("maybe",), "allowed: one of yes, no$"),
        ("hoc", ("cellular energetics", "sleep"), "got 'sleep', allowed: activating"),
    ],
)
def test_examples_with_labels_of_another_task_are_refused(
    name: str, labels: tuple[str, ...], allowed: str
) -> None:
    # Only a classification takes its labels from the manifest.
    task = find_task(name).from_options({"labels": ["some label", "b"]})
    example: Example = question_example("7", question="?", contexts=["c"], label="yes")
    changed = Example(
        **{field: getattr(example, field) for field in ("id", "document", "head", "context")},
        target="",
        labels=labels,
    )
    with pytest.raises(DataError, match=f"labels of example 7: .*{allowed}"):
        task.check_example(changed)


def test_distributions_tell_no_label_from_no_answer() -> None:
    items = [Answered("a", ONE | TWO, None), Answered("b", NONE, NONE), Answered("c", ONE, TWO)]
    scoring = Scoring.of(HallmarksOfCancer(), items)
    rest = dict.fromkeys(hoc.LABELS[2:], 0)
    first, second = hoc.LABELS[:2]
    assert scoring.gold_distribution() == {first: 2, second: 1, **rest, "(none)": 1}
    assert scoring.said_distribution() == {
        **{first: 0, second: 1, **rest},
        **{"(none)": 1, "(unparsed)": 1},
    }
    yes = frozenset({"yes"})
    answers = [Answered("a", yes, None), Answered("b", yes, frozenset({"perhaps"}))]
    asked = Scoring.of(PubMedQA(), [*answers, Answered("c", yes, yes)])
    assert asked.gold_distribution() == {"yes": 3, "no": 0, "maybe": 0}
    assert asked.said_distribution() == {"yes": 1, "no": 0, "maybe": 0, "(unparsed)": 2}
    assert asked.baseline() == (1.0, "yes")
