"""What a text classifier without any pre-training says: TF-IDF with logistic regression."""

from collections.abc import Sequence
from typing import Any

from mediswift_cs.errors import ConfigError
from mediswift_cs.evaluation.predict import Prediction
from mediswift_cs.progress import stages
from mediswift_cs.tasks.example import Example

METHOD = "tfidf"


def tfidf_predictions(train: Sequence[Example], examples: Sequence[Example]) -> list[Prediction]:
    """Answers of scikit-learn's classifier, which learns from the same examples as a model.

    It reads whole texts: what a model's prompt cuts off is not cut here. Words are weighted by
    their logarithmic frequency and by how rare they are; each label has a regression of its own
    where examples may have several.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.multiclass import OneVsRestClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import MultiLabelBinarizer
    except ImportError as error:
        raise ConfigError(
            f"--method {METHOD} needs scikit-learn, got no such package: pip install scikit-learn"
        ) from error
    regression: Any = LogisticRegression(max_iter=1000)
    texts, asked = ([e.source for e in items] for items in (train, examples))
    with stages(METHOD) as on_stage:
        on_stage(f"learning from {len(train):,} texts")
        if all(len(example.labels) == 1 for example in train):
            pipeline = make_pipeline(TfidfVectorizer(sublinear_tf=True), regression)
            pipeline.fit(texts, [example.labels[0] for example in train])
            said = [(str(label),) for label in pipeline.predict(asked)]
        else:
            binarizer = MultiLabelBinarizer()
            gold = binarizer.fit_transform([example.labels for example in train])
            pipeline = make_pipeline(
                TfidfVectorizer(sublinear_tf=True), OneVsRestClassifier(regression)
            )
            pipeline.fit(texts, gold)
            said = [
                tuple(labels) for labels in binarizer.inverse_transform(pipeline.predict(asked))
            ]
    return [
        Prediction(example=example, labels=labels)
        for example, labels in zip(examples, said, strict=True)
    ]
