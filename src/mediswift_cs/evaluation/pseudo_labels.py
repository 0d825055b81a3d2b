"""Questions without labels, answered by a model: its next training data."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

from mediswift_cs.evaluation.loading import load_model
from mediswift_cs.evaluation.predict import Predictor, check_fit
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import PromptSettings, make_layout
from mediswift_cs.tasks.task import Task
from mediswift_cs.tokens.model_tokenizer import load_model_tokenizer
from mediswift_cs.tokens.tokenizer import vocab_size

# Scored at a time: a bound on memory, and enough to sort by length.
_BLOCK = 1024


class Answerer:
    """A model that answers questions for a data set of one prompt layout.

    Attributes:
        settings: those that were given, with the vocabulary of the model.

    Raises:
        CheckpointError: unreadable, or of another tokenizer or soft prompt than the settings have.
    """

    def __init__(
        self, checkpoint: Path, tokenizer_file: Path, settings: PromptSettings, task: Task
    ) -> None:
        loaded = load_model(checkpoint)
        self.settings = replace(settings, vocab_size=loaded.model.config.vocab_size)
        tokenizer = load_model_tokenizer(
            tokenizer_file,
            loaded.tokenizer_sha256,
            num_rows=loaded.model.config.vocab_size,
            trained=checkpoint,
        )
        layout = make_layout(self.settings, tokenizer, task.longest_answers())
        check_fit(loaded, layout, vocab_size(tokenizer), "the questions")
        self._predictor = Predictor(
            decoder=loaded.model.model, tokenizer=tokenizer, layout=layout, task=task
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
                target = self._predictor.task.answer_text(prediction.labels)
                yield replace(prediction.example, target=target, labels=prediction.labels)
