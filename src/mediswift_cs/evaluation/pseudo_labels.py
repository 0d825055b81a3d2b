"""Phase two of PubMedQA's training: unlabelled questions, answered by the current model."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mediswift_cs.corpora.document import Document
from mediswift_cs.evaluation.loading import LoadedModel, load_model
from mediswift_cs.evaluation.predict import Predictor, check_fit
from mediswift_cs.tasks.artificial import unlabelled_question, with_label
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import PromptSettings, make_layout
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tasks.question_data import Counts, write_questions
from mediswift_cs.tasks.task import Task
from mediswift_cs.tokens.fingerprint_check import check_trained_with
from mediswift_cs.tokens.shards import SourceEntry
from mediswift_cs.tokens.splits import check_val_fraction
from mediswift_cs.tokens.tokenizer import fingerprint_of, load_tokenizer, vocab_size

# Scored at a time: a bound on memory, and enough to sort by length.
_BLOCK = 1024


def write_pseudo_labelled(
    documents: Iterable[Document],
    checkpoint: Path,
    tokenizer_file: Path,
    output: Path,
    settings: PromptSettings,
    *,
    val_fraction: float,
    limit: int | None = None,
    sources: tuple[SourceEntry, ...] = (),
    overwrite: bool = False,
) -> Counts:
    """Write the titles that are questions with the answers that the model finds most likely.

    The soft prompt in ``settings`` must be the checkpoint's.

    Raises:
        CheckpointError: unreadable, or of another tokenizer or soft prompt.
        DataError: no question, a question that is too long, or ``output`` cannot be written.
    """
    check_val_fraction(val_fraction)
    loaded = load_model(checkpoint)
    settings = replace(settings, vocab_size=loaded.model.config.vocab_size)
    task = PubMedQA(pseudo_labelled_by=checkpoint.name)
    predictor = _make_predictor(loaded, tokenizer_file, task, settings)
    return write_questions(
        documents,
        unlabelled_question,
        tokenizer_file,
        output,
        settings,
        task=task,
        val_fraction=val_fraction,
        limit=limit,
        answer=lambda questions: answered(predictor, questions),
        sources=sources,
        overwrite=overwrite,
    )


def _make_predictor(
    loaded: LoadedModel, tokenizer_file: Path, task: Task, settings: PromptSettings
) -> Predictor:
    tokenizer = load_tokenizer(tokenizer_file)
    what = f"tokenizer {tokenizer_file} has fingerprint"
    check_trained_with(fingerprint_of(tokenizer), loaded.tokenizer_sha256, what, loaded.path)
    layout = make_layout(settings, tokenizer, task.longest_answers())
    check_fit(loaded, layout, vocab_size(tokenizer), "the questions")
    return Predictor(decoder=loaded.model.model, tokenizer=tokenizer, layout=layout, task=task)


def answered(predictor: Predictor, questions: Iterable[Example]) -> Iterator[Example]:
    """The questions with the model's constrained answers."""
    stream = iter(questions)
    while block := list(islice(stream, _BLOCK)):
        for prediction in predictor.predict(block, "constrained"):
            assert prediction.labels is not None
            yield with_label(prediction.example, prediction.labels[0])
