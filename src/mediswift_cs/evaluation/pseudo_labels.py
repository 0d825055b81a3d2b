"""Phase two of PubMedQA's training: unlabelled questions, answered by the current model."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mediswift_cs.evaluation.loading import load_model
from mediswift_cs.evaluation.predict import Predictor, check_fit
from mediswift_cs.tasks.artificial import with_label
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import PromptSettings, make_layout
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tokens.fingerprint_check import check_trained_with
from mediswift_cs.tokens.tokenizer import fingerprint_of, load_tokenizer, vocab_size

# Scored at a time: a bound on memory, and enough to sort by length.
_BLOCK = 1024


class Answerer:
    """A model that answers questions for a data set of one prompt layout.

    Attributes:
        settings: those that were given, with the vocabulary of the model.
        task: what the answered questions are.

    Raises:
        CheckpointError: unreadable, or of another tokenizer or soft prompt than the settings have.
    """

    def __init__(self, checkpoint: Path, tokenizer_file: Path, settings: PromptSettings) -> None:
        loaded = load_model(checkpoint)
        self.settings = replace(settings, vocab_size=loaded.model.config.vocab_size)
        self.task = PubMedQA(pseudo_labelled_by=checkpoint.name)
        tokenizer = load_tokenizer(tokenizer_file)
        what = f"tokenizer {tokenizer_file} has fingerprint"
        check_trained_with(fingerprint_of(tokenizer), loaded.tokenizer_sha256, what, checkpoint)
        layout = make_layout(self.settings, tokenizer, self.task.longest_answers())
        check_fit(loaded, layout, vocab_size(tokenizer), "the questions")
        self._predictor = Predictor(
            decoder=loaded.model.model, tokenizer=tokenizer, layout=layout, task=self.task
        )

    def answer(self, questions: Iterable[Example]) -> Iterator[Example]:
        """The questions with the answers that the model finds most likely.

        Raises:
            DataError: a question is too long.
        """
        stream = iter(questions)
        while block := list(islice(stream, _BLOCK)):
            for prediction in self._predictor.predict(block, "constrained"):
                assert prediction.labels is not None
                yield with_label(prediction.example, prediction.labels[0])
