"""The Hallmarks of Cancer corpus as its authors publish it: ``text/PMID.txt``, ``labels/PMID.txt``.

A text file has one sentence a line. A label file has one ``<`` for each sentence, followed by its
labels, ``Hallmark--subclass ANDHallmark--subclass``, or by nothing (or ``NULL``).
"""

from pathlib import Path

from mediswift_cs.errors import DataError

TEXT_FOLDER, LABELS_FOLDER = "text", "labels"


def is_corpus(folder: Path) -> bool:
    """Whether ``folder`` has the two folders of the corpus."""
    return (folder / TEXT_FOLDER).is_dir() and (folder / LABELS_FOLDER).is_dir()


def read_corpus_document(text_path: Path) -> tuple[list[str], list[list[str]]]:
    """The sentences of one file and the hallmarks of each, in lower case.

    Raises:
        DataError: unreadable, or the numbers of sentences and of labels differ.
    """
    label_path = text_path.parent.parent / LABELS_FOLDER / text_path.name
    try:
        text = text_path.read_text(encoding="utf-8")
        labels = label_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {text_path} with its labels: {error}") from error
    sentences = [line.strip() for line in text.split("\n") if line.strip()]
    # What is before the first "<" belongs to no sentence.
    entries = labels.split("<")[1:]
    if len(entries) != len(sentences):
        raise DataError(
            f"{label_path} has labels for {len(entries)} sentences, expected the {len(sentences)} "
            f"of {text_path}"
        )
    return sentences, [_hallmarks(entry) for entry in entries]


def _hallmarks(entry: str) -> list[str]:
    names = (part.split("--")[0].strip().lower() for part in entry.split("AND"))
    return sorted({name for name in names if name not in ("", "null")})
