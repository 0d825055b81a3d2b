"""From labelled texts to a classification data set: the labels, the splits, what is left out."""

from collections import Counter
from collections.abc import Sequence

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.checksums import hash64
from mediswift_cs.tasks.classification import (
    Classification,
    MultiLabelClassification,
    SingleLabelClassification,
)
from mediswift_cs.tasks.example import Example, collapse
from mediswift_cs.tasks.labelled_texts import KEPT, LabelledText

DUPLICATE, OVER_LIMIT = "duplicate_text", "over_the_limit"


def make_task(
    texts: Sequence[LabelledText],
    labels: Sequence[str] | None,
    *,
    multi_label: bool,
    instruction: str,
    question: str,
) -> Classification:
    """The task of these texts.

    Args:
        labels: all that are allowed, in the order of reports; None takes those that occur.

    Raises:
        ConfigError: fewer than two labels, or one that cannot be told from others in an answer.
        DataError: a text has a label that is not among ``labels``, or there is no text.
    """
    if not texts:
        raise DataError("no labelled text is left: see the counts for what was left out")
    found = {label for text in texts for label in text.labels}
    kind = MultiLabelClassification if multi_label else SingleLabelClassification
    task = kind(
        labels=tuple(sorted(found) if labels is None else labels),
        instruction=instruction,
        question=question,
    )
    for text in texts:
        if unknown := [label for label in text.labels if label not in task.labels]:
            raise DataError(
                f"{text.where}: got label {unknown[0]!r:.80}, allowed: {', '.join(task.labels)}"
            )
    if len(found) < 2:
        raise DataError(
            f"all {len(texts)} texts have the same label, got {', '.join(found) or 'none'}, "
            "allowed: texts of at least two"
        )
    return task


def split_texts(
    texts: Sequence[LabelledText],
    counts: Counter[str],
    *,
    val_fraction: float,
    test_fraction: float,
    max_train: int | None,
    max_val: int | None,
) -> dict[str, list[LabelledText]]:
    """The texts by split: as the input says, or by a hash of the document's id.

    A document with a hash below ``test_fraction`` is tested on, up to ``val_fraction`` further it
    is validated on: the same documents whatever else is in the input. Of texts that stand more than
    once the first counts; where the input says the splits, one text in two of them is an error.

    Args:
        counts: takes in what becomes of the texts.
        max_train: texts to train on at most, chosen by another hash.
        max_val: the same of texts to validate on.

    Raises:
        ConfigError: the fractions leave nothing to train on, or a limit is below 1.
        DataError: one text in two splits, an id twice, or a split of one label only to train on.
    """
    _check_sizes(val_fraction, test_fraction, max_train, max_val)
    splits: dict[str, list[LabelledText]] = {"train": [], "val": [], "test": []}
    for text in _first_of_each(texts, counts):
        share = _share("", text.document)
        by_hash = "test" if share < test_fraction else "val"
        if share >= test_fraction + val_fraction:
            by_hash = "train"
        splits[text.split or by_hash].append(text)
    for name, most in (("train", max_train), ("val", max_val)):
        if most is not None and len(splits[name]) > most:
            chosen = sorted(splits[name], key=lambda text: _share("chosen ", text.id))[:most]
            counts[OVER_LIMIT] += len(splits[name]) - most
            kept = {text.id for text in chosen}
            splits[name] = [text for text in splits[name] if text.id in kept]
    labels = {text.labels for text in splits["train"]}
    if len(labels) < 2:
        raise DataError(
            f"the split 'train' has {len(splits['train'])} texts of {len(labels)} different "
            "answers, allowed: at least 2"
        )
    counts[KEPT] = sum(map(len, splits.values()))
    return {name: items for name, items in splits.items() if items}


def _check_sizes(
    val_fraction: float, test_fraction: float, max_train: int | None, max_val: int | None
) -> None:
    if min(val_fraction, test_fraction) < 0 or val_fraction + test_fraction >= 1:
        raise ConfigError(
            f"--val-fraction and --test-fraction: got {val_fraction:g} and {test_fraction:g}, "
            "allowed: 0 or more, below 1 together"
        )
    if any(most is not None and most < 1 for most in (max_train, max_val)):
        raise ConfigError(
            f"--max-train and --max-val: got {max_train} and {max_val}, allowed: 1 or more"
        )


def _first_of_each(texts: Sequence[LabelledText], counts: Counter[str]) -> list[LabelledText]:
    ids: dict[str, LabelledText] = {}
    first: dict[str, LabelledText] = {}
    for text in texts:
        if (other := ids.setdefault(text.id, text)) is not text:
            raise DataError(f"{text.where} repeats the id {text.id} of {other.where}")
        other = first.setdefault(collapse(text.text), text)
        if other is text:
            continue
        if other.split != text.split:
            raise DataError(
                f"{text.where} in split {text.split!r} has the text of {other.where} in split "
                f"{other.split!r}, allowed: one split"
            )
        counts[DUPLICATE] += 1
    return list(first.values())


def _share(purpose: str, text: str) -> float:
    """A number from 0 to 1 that depends on the text alone."""
    return hash64(f"{purpose}{text}") / 2**64


def examples_of(
    task: Classification, splits: dict[str, list[LabelledText]]
) -> dict[str, list[Example]]:
    """What the model is asked, for each split."""
    return {
        name: [
            task.ask(text.id, text.document, text.text, text.labels, task.answer_text(text.labels))
            for text in texts
        ]
        for name, texts in splits.items()
    }


def label_table(task: Classification, splits: dict[str, list[LabelledText]]) -> str:
    """How many texts of each split have each label, a line a label."""
    width = max(len(label) for label in (*task.labels, "texts"))
    rows = [("", *splits), ("texts", *(str(len(texts)) for texts in splits.values()))]
    for label in task.labels:
        numbers = (sum(label in text.labels for text in texts) for texts in splits.values())
        rows.append((label, *map(str, numbers)))
    return "\n".join(f"{name:{width}}" + "".join(f"{x:>8}" for x in rest) for name, *rest in rows)
