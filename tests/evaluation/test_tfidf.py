"""The classifier without pre-training, and scores of any classification beside scikit-learn's."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sklearn import metrics as sklearn_metrics
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from mediswift_cs.cli import main
from mediswift_cs.evaluation.tfidf import tfidf_predictions
from mediswift_cs.tasks.classification import (
    MultiLabelClassification,
    SingleLabelClassification,
)
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.pubmedqa import question_example
from mediswift_cs.tasks.scoring import Scoring
from mediswift_cs.tasks.task import Answered
from mediswift_cs.tokens.tokenizer import save_tokenizer, train_tokenizer

LABELS = ("a", "b", "c")


def test_one_label_scores_are_those_of_scikit_learn() -> None:
    task, generator = SingleLabelClassification(labels=LABELS), random.Random(0)
    pairs = [(generator.choice(LABELS), generator.choice(LABELS)) for _ in range(200)]
    items = [Answered(str(i), frozenset({g}), frozenset({s})) for i, (g, s) in enumerate(pairs)]
    scores = Scoring.of(task, items, None).scores()
    gold, said = zip(*pairs, strict=True)
    assert scores["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(gold, said))
    expected = sklearn_metrics.f1_score(gold, said, average="macro")
    assert scores["macro_f1"] == pytest.approx(expected)
    assert scores["macro_f1"] != pytest.approx(scores["accuracy"], abs=1e-6)


def test_several_labels_scores_are_those_of_scikit_learn() -> None:
    task, generator = MultiLabelClassification(labels=LABELS), random.Random(1)
    sets = [
        [frozenset(x for x in LABELS if generator.random() < 0.4) for _ in range(2)]
        for _ in range(200)
    ]
    items = [Answered(str(i), gold, said) for i, (gold, said) in enumerate(sets)]
    tables = [
        [[label in x for label in LABELS] for x in column] for column in zip(*sets, strict=True)
    ]
    micro = sklearn_metrics.f1_score(*tables, average="micro")
    assert Scoring.of(task, items, "all").scores()["micro_f1 (all)"] == pytest.approx(micro)
    labelled = [i for i, (gold, _) in enumerate(sets) if gold]
    gold, said = ([column[i] for i in labelled] for column in tables)
    precision, recall, _, _ = sklearn_metrics.precision_recall_fscore_support(
        gold, said, average="samples", zero_division=0
    )
    scores = Scoring.of(task, items, "labelled").scores()
    expected = 2 * precision * recall / (precision + recall)
    assert scores["example_based_f1 (labelled)"] == pytest.approx(expected)


def rows(number: int, *, multi_label: bool) -> list[dict[str, object]]:
    words = {"a": "kidney liver", "b": "cortex neuron", "c": "femur tibia"}
    made = []
    for i in range(number):
        label = LABELS[i % 3]
        named = [label] if i % 7 else []
        text = words[label] if named or not multi_label else "nothing found"
        made.append({"text": f"{text} study {i}", "label": named if multi_label else label})
    return made


@pytest.mark.parametrize("multi_label", [False, True])
def test_it_learns_what_words_say_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], multi_label: bool
) -> None:
    save_tokenizer(
        train_tokenizer(
            [str(row["text"]) for row in rows(30, multi_label=multi_label)],
            vocab_size=300,
            min_frequency=2,
            num_texts=None,
            show_progress=False,
        ),
        tmp_path / "tokenizer.json",
    )
    scores = []
    for name, shuffled in (("real", False), ("control", True)):
        content = rows(300, multi_label=multi_label)
        if shuffled:
            labels = [row["label"] for row in content]
            random.Random(0).shuffle(labels)
            content = [{**row, "label": label} for row, label in zip(content, labels, strict=True)]
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in content))
        data, output = tmp_path / f"data_{name}", tmp_path / f"scores_{name}"
        options = ["--tokenizer", str(tmp_path / "tokenizer.json"), "--output", str(data)]
        options += ["--multi-label"] if multi_label else []
        assert main(["classify", str(path), "--max-sequence-length", "64", *options]) == 0
        assert (
            main(["evaluate", "--data", str(data), "--method", "tfidf", "--output", str(output)])
            == 0
        )
        report = json.loads((output / "scores.json").read_text())
        assert report["split"] == "test"
        assert len((output / "predictions.jsonl").read_text().splitlines()) == report["num_items"]
        scores.append(report["scores"][report["metric"]])
    assert scores[0] > 0.9
    assert scores[1] < 0.6
    capsys.readouterr()


@pytest.mark.parametrize("multi_label", [False, True])
def test_it_is_scikit_learns_regression_over_logarithmic_frequencies(
    multi_label: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = random.Random(0)
    words = [f"word{number}" for number in range(12)]

    def example(number: int) -> Example:
        text = " ".join(generator.choice(words) + " x" * generator.randrange(9) for _ in range(9))
        labels = [label for label in LABELS if generator.random() < 0.4]
        made = question_example(str(number), question="?", contexts=[text], label="yes")
        return replace(made, labels=tuple(labels) if multi_label else (generator.choice(LABELS),))

    # Labels of chance, so that each way to learn them has answers of its own.
    train, asked = ([example(number) for number in range(60)] for _ in range(2))

    def expected(*, is_logarithmic: bool, several: bool) -> list[tuple[str, ...]]:
        vectors = TfidfVectorizer(sublinear_tf=is_logarithmic)
        regression = LogisticRegression(max_iter=1000)
        known = vectors.fit_transform([e.source for e in train])
        new = vectors.transform([e.source for e in asked])
        if not several:
            said = regression.fit(known, [e.labels[0] for e in train]).predict(new)
            return [(str(label),) for label in said]
        binarizer = MultiLabelBinarizer()
        gold = binarizer.fit_transform([e.labels for e in train])
        each = OneVsRestClassifier(regression).fit(known, gold)
        return [tuple(labels) for labels in binarizer.inverse_transform(each.predict(new))]

    told: list[str] = []

    @contextmanager
    def stages(title: str) -> Iterator[Callable[[str], None]]:
        told.append(title)
        yield told.append

    monkeypatch.setattr(f"{tfidf_predictions.__module__}.stages", stages)
    found = tfidf_predictions(train, asked)
    assert told == ["tfidf", "learning from 60 texts"]
    assert [p.example for p in found] == asked
    labels = [p.labels for p in found]
    assert labels == expected(is_logarithmic=True, several=multi_label)
    assert labels != expected(is_logarithmic=False, several=multi_label), "control"
    if not multi_label:
        assert labels != expected(is_logarithmic=True, several=True), "control"


def test_a_model_and_no_model_exclude_each_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "--data", "d"]) == 2
    assert "--checkpoint: got nothing, allowed: a .mdl file" in capsys.readouterr().err
    assert main(["evaluate", "--data", "d", "--method", "tfidf", "--checkpoint", "c"]) == 2
    assert "nothing with --method tfidf" in capsys.readouterr().err


def test_without_scikit_learn_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from mediswift_cs.errors import ConfigError

    monkeypatch.setitem(sys.modules, "sklearn.pipeline", None)
    with pytest.raises(ConfigError, match="needs scikit-learn, got no such package"):
        tfidf_predictions([], [])
