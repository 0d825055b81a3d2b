"""Phase two of PubMedQA's training: unlabelled questions, answered by the current model."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mediswift_cs.corpora.document import Document
from mediswift_cs.errors import CheckpointError
from mediswift_cs.evaluation.loading import load_model
from mediswift_cs.evaluation.predict import Predictor
from mediswift_cs.tasks import pubmedqa
from mediswift_cs.tasks.artificial import (
    KEPT,
    READ,
    Counts,
    make_examples,
    unlabelled_question,
    with_label,
    write_questions,
)
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import PromptSettings, make_layout
from mediswift_cs.tokens.manifest import SourceEntry
from mediswift_cs.tokens.splits import check_val_fraction
from mediswift_cs.tokens.tokenizer import fingerprint, load_tokenizer

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
    config, tokenizer = loaded.model.config, load_tokenizer(tokenizer_file)
    if loaded.tokenizer_sha256 not in (None, fingerprint(tokenizer_file)):
        raise CheckpointError(
            f"{tokenizer_file} is another tokenizer than the one that {checkpoint} was trained with"
        )
    prompt = config.soft_prompt
    expected = (prompt.num_virtual_tokens, prompt.position) if prompt else (0, settings.position)
    if (settings.num_virtual_tokens, settings.position) != expected:
        raise CheckpointError(
            f"soft prompt: got {settings.num_virtual_tokens} virtual tokens at "
            f"{settings.position}, allowed: {expected[0]} at {expected[1]}, as in {checkpoint}"
        )
    settings = replace(settings, vocab_size=config.vocab_size)
    answers = [pubmedqa.answer_text(label) for label in pubmedqa.LABELS]
    predictor = Predictor(
        decoder=loaded.model.model,
        tokenizer=tokenizer,
        layout=make_layout(settings, tokenizer, answers),
        task="pubmedqa",
    )
    counts: Counter[str] = Counter({READ: 0, KEPT: 0})
    return write_questions(
        answered(predictor, make_examples(documents, unlabelled_question, counts, limit)),
        counts,
        tokenizer_file,
        output,
        settings,
        val_fraction=val_fraction,
        task="pubmedqa",
        task_options={
            "mode": "reasoning-required",
            "labels": list(pubmedqa.LABELS),
            "pseudo_labelled_by": checkpoint.name,
        },
        labels=pubmedqa.LABELS,
        sources=sources,
        overwrite=overwrite,
    )


def answered(predictor: Predictor, questions: Iterable[Example]) -> Iterator[Example]:
    """The questions with the model's constrained answers."""
    stream = iter(questions)
    while block := list(islice(stream, _BLOCK)):
        for prediction in predictor.predict(block, "constrained"):
            assert prediction.labels is not None
            yield with_label(prediction.example, prediction.labels[0])
