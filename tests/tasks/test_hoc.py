"""Hallmarks of Cancer: the official data and the four conventions."""

import json
import random
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest
from sklearn import metrics as sk
from sklearn.preprocessing import MultiLabelBinarizer

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks import hoc, hoc_documents
from mediswift_cs.tasks.hoc import HallmarksDocument, HallmarksOfCancer, answer_text
from mediswift_cs.tasks.label_sets import LEVELS, Level
from mediswift_cs.tasks.official_split import select
from mediswift_cs.tasks.scoring import Scoring
from mediswift_cs.tasks.task import Answered

Documents = dict[str, HallmarksDocument]


@pytest.fixture(scope="module")
def folder(shared_data: Path) -> Path:
    return shared_data / "hoc"


@pytest.fixture(scope="module")
def documents(folder: Path) -> Documents:
    return hoc_documents.read_documents(folder)


def test_numbers_of_the_corpus(folder: Path, documents: Documents) -> None:
    assert len(documents) == 1852
    assert sum(not document.labels for document in documents.values()) == 272
    cambridge = hoc.read_split(folder, "cambridge")
    assert {name: len(pmids) for name, pmids in cambridge.items()} == {
        "train": 1303,
        "val": 183,
        "test": 366,
    }
    biogpt = hoc.read_split(folder, "biogpt")
    # BioGPT's "valid" is its test file: there is nothing to select on.
    assert {name: len(pmids) for name, pmids in biogpt.items()} == {"train": 1053, "test": 527}


def score(
    convention: str,
    documents: Sequence[str],
    gold: Sequence[AbstractSet[str]],
    said: Sequence[AbstractSet[str] | None],
    level: Level,
) -> float:
    """The main score, as a report tells it."""
    items = [
        Answered(name, frozenset(true), None if labels is None else frozenset(labels))
        for name, true, labels in zip(documents, gold, said, strict=True)
    ]
    scores = Scoring.of(HallmarksOfCancer(level=level), items, convention).scores()
    assert list(scores) == [f"{hoc.CONVENTIONS[convention].metric} ({convention})"]
    return next(iter(scores.values()))


def items(
    folder: Path, documents: Documents, split: str, level: Level
) -> tuple[list[str], list[frozenset[str]]]:
    examples = select(
        documents, hoc.read_split(folder, split)["test"], HallmarksOfCancer(level=level).examples
    )
    return [e.document for e in examples], [frozenset(e.labels) for e in examples]


@pytest.mark.parametrize("convention", hoc.CONVENTIONS)
def test_always_empty_is_the_control(folder: Path, documents: Documents, convention: str) -> None:
    level = hoc.CONVENTIONS[convention].level
    names, gold = items(folder, documents, "biogpt", level)
    always_empty = score(convention, names, gold, [frozenset()] * len(gold), level)
    assert round(always_empty, 3) == (0.679 if convention == "biogpt" else 0.0)
    assert score(convention, names, gold, gold, level) == 1.0


@pytest.mark.parametrize("convention", hoc.CONVENTIONS)
def test_an_unreadable_answer_is_one_label_that_is_never_right(convention: str) -> None:
    level = hoc.CONVENTIONS[convention].level
    one, two = frozenset(hoc.LABELS[:1]), frozenset(hoc.LABELS[1:2])
    names, gold = ["1", "1", "2", "3"], [one, frozenset[str](), two, frozenset[str]()]
    if level == "document":
        names = ["1", "2", "3", "4"]
    wrong = frozenset(hoc.LABELS[-1:])
    for index in range(4):
        unread: list[frozenset[str] | None] = [*gold]
        mistaken = [*gold]
        unread[index], mistaken[index] = None, wrong
        found = score(convention, names, gold, unread, level)
        assert found == score(convention, names, gold, mistaken, level)
        # BLUE, and BioGPT's sentences, leave out documents without any label.
        is_counted = names[index] in {n for n, x in zip(names, gold, strict=True) if x}
        assert (found < 1.0) == (is_counted or not hoc.CONVENTIONS[convention].labelled_only)


def test_the_four_conventions_differ_and_are_scikit_learns(
    folder: Path, documents: Documents
) -> None:
    names, gold = items(folder, documents, "cambridge", "sentence")
    rng = random.Random(0)
    said = [
        labels if rng.random() < 0.6 else frozenset(rng.sample(hoc.LABELS, rng.randrange(3)))
        for labels in gold
    ]
    found = {c: score(c, names, gold, said, "sentence") for c in hoc.CONVENTIONS}
    assert len({round(number, 3) for number in found.values()}) == 4

    union: dict[str, tuple[set[str], set[str]]] = {}
    for name, true, predicted in zip(names, gold, said, strict=True):
        entry = union.setdefault(name, (set(), set()))
        entry[0].update(true)
        entry[1].update(predicted)
    binarize = MultiLabelBinarizer(classes=hoc.LABELS).fit([]).transform
    doc_true = binarize([true for true, _ in union.values()])
    doc_said = binarize([predicted for _, predicted in union.values()])
    assert found["blurb"] == pytest.approx(sk.f1_score(doc_true, doc_said, average="micro"))
    assert found["sentence"] == pytest.approx(
        sk.f1_score(binarize(gold), binarize(said), average="micro")
    )
    kept = doc_true.any(axis=1)
    precision, recall = (
        function(doc_true[kept], doc_said[kept], average="samples", zero_division=0)
        for function in (sk.precision_score, sk.recall_score)
    )
    assert found["blue"] == pytest.approx(2 * precision * recall / (precision + recall))
    with_empty = MultiLabelBinarizer(classes=(*hoc.LABELS, "empty")).fit([]).transform
    labelled = [i for i, name in enumerate(names) if union[name][0]]
    assert found["biogpt"] == pytest.approx(
        sk.f1_score(
            with_empty([gold[i] or {"empty"} for i in labelled]),
            with_empty([said[i] or {"empty"} for i in labelled]),
            average="micro",
        )
    )


def test_labels_are_those_of_biogpts_lines(folder: Path, documents: Documents) -> None:
    """Its test file has the same labels for every sentence that it splits as the corpus does."""
    pmids = hoc.read_split(folder, "biogpt")["test"]
    ours: dict[str, set[frozenset[str]]] = {}
    for example in select(documents, pmids, HallmarksOfCancer(level="sentence").examples):
        ours.setdefault(example.source, set()).add(frozenset(example.labels))
    text = (folder / "biogpt_test.tsv").read_text(encoding="utf-8")
    lines = [line.split("\t") for line in text.split("\n") if line.strip()]
    shared = 0
    for sentence, labels in lines:
        source = " ".join(sentence.split())
        if source in ours:
            shared += 1
            assert frozenset(labels.split("|")) - {"empty", ""} in ours[source]
    assert shared > 0.9 * len(lines)


def test_every_answer_round_trips(documents: Documents) -> None:
    assert answer_text([]) == " the type of this document is empty."
    for document in documents.values():
        found = HallmarksOfCancer().parse_answer(answer_text(document.labels))
        assert found == tuple(label for label in hoc.LABELS if label in document.labels)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "empty",
        "the type of this document is angiogenesis.",
        "the type of this document is empty|resisting cell death.",
        "the type of this document is resisting cell death|resisting cell death.",
        "the type of this document is resisting cell death",
        "the type of this document is .",
    ],
)
def test_junk_is_not_an_answer(text: str) -> None:
    assert HallmarksOfCancer().parse_answer(text) is None


def test_the_authors_corpus_is_read(tmp_path: Path) -> None:
    (tmp_path / "text").mkdir()
    (tmp_path / "labels").mkdir()
    (tmp_path / "text" / "7.txt").write_text("One cell .\nIt moves .\nThe end .\n")
    (tmp_path / "labels" / "7.txt").write_text(
        "< <Resisting cell death--Apoptosis ANDCellular energetics--Glycolysis<NULL "
    )
    (document,) = hoc_documents.read_documents(tmp_path).values()
    assert document.sentences == ("One cell .", "It moves .", "The end .")
    assert document.sentence_labels == (
        frozenset(),
        frozenset({"resisting cell death", "cellular energetics"}),
        frozenset(),
    )
    (tmp_path / "labels" / "7.txt").write_text("< <")
    with pytest.raises(DataError, match="got those of 2 sentences, allowed: those of the 3"):
        hoc_documents.read_documents(tmp_path)
    (tmp_path / "labels" / "7.txt").write_text("<Growing old--X< <")
    with pytest.raises(DataError, match="got label 'growing old', allowed: activating"):
        hoc_documents.read_documents(tmp_path)


def line(**changes: object) -> str:
    return json.dumps(
        {"pmid": "1", "sentences": ["A ."], "sentence_labels": [["cellular energetics"]], **changes}
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line(sentence_labels=[["sleep"]]), "got label 'sleep', allowed: activating"),
        (line(sentence_labels=[]), "got 0 lists of labels for 1 sentences"),
        (line(labels=[]), "the labels of PMID 1 are not those of its sentences"),
        (line() + "\n" + line(), "repeats PMID 1"),
        ('{"pmid": "1"}', "lacks 'sentences'"),
        (line(pmid=None), "pmid: got None, allowed: a string or a number"),
        (line(sentences=[None]), r"sentences: got \[None\], allowed: a list of strings"),
        (line(sentences=3), "line 1: sentences: got 3, allowed: a list of strings"),
        (line(sentences="A ."), "sentences: got 'A .', allowed: a list of strings"),
        (line(sentence_labels=3), "sentence_labels: got 3, allowed: a list of lists"),
        (line(sentence_labels=[None]), "sentence_labels: got None, allowed: a list of strings"),
        (line(labels=3), "labels: got 3, allowed: a list of strings"),
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON, line 1: it is nested too deeply"),
        ("", "holds no document"),
    ],
)
def test_bad_documents_are_errors(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "hoc_docs.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        hoc_documents.read_documents(tmp_path)


def test_half_a_surrogate_pair_is_refused_with_its_example(tmp_path: Path) -> None:
    (tmp_path / "hoc_docs.jsonl").write_text(line(sentences=["A \ud800."]))
    (document,) = hoc_documents.read_documents(tmp_path).values()
    with pytest.raises(DataError, match="context of example 1 is not valid Unicode: surrogates"):
        HallmarksOfCancer().examples("1", document)


def test_bad_splits_levels_and_conventions_are_errors(tmp_path: Path, documents: Documents) -> None:
    with pytest.raises(ConfigError, match="got 'oxford', allowed: cambridge, biogpt"):
        hoc.read_split(tmp_path, "oxford")
    with pytest.raises(DataError, match=r"cannot read .*\.txt: No such file"):
        hoc.read_split(tmp_path, "biogpt")
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits" / "biogpt_train.txt").write_text("1\n2\n")
    (tmp_path / "splits" / "biogpt_test.txt").write_text("2\n3\n")
    with pytest.raises(DataError, match="PMID 2 in both 'train' and 'test'"):
        hoc.read_split(tmp_path, "biogpt")
    with pytest.raises(DataError, match="PMID 0 of the split is not among the 1852"):
        select(documents, ["0"], HallmarksOfCancer(level="document").examples)
    with pytest.raises(ConfigError, match="got 'word', allowed: document, sentence"):
        HallmarksOfCancer(level="word")  # type: ignore[arg-type]
    some = frozenset({"cellular energetics"})
    with pytest.raises(ConfigError, match="got 'best', allowed: blurb, blue, sentence, biogpt"):
        score("best", ["1"], [some], [some], "document")
    with pytest.raises(ConfigError, match="'biogpt' counts sentences, got data at document level"):
        score("biogpt", ["1"], [some], [some], "document")


def test_documents_are_the_union_of_their_sentences(documents: Documents) -> None:
    document = max(documents.values(), key=lambda d: len(d.labels))
    wholes, sentences = (
        HallmarksOfCancer(level=level).examples(document.pmid, document) for level in LEVELS
    )
    (whole,) = wholes
    assert set(whole.labels) == {label for e in sentences for label in e.labels}
    assert len({e.id for e in sentences}) == len(sentences)
    assert {e.document for e in sentences} == {whole.document}


def test_the_steps_of_an_answer_reach_every_label_set() -> None:
    task = HallmarksOfCancer()
    assert task.next_steps([])[0] == (" empty.", None, False)
    assert len(task.next_steps([])) == 1 + 2 * 10 - 1
    assert task.next_steps([hoc.LABELS[-2]]) == [(f"{hoc.LABELS[-1]}.", hoc.LABELS[-1], False)]
