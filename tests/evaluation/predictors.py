"""Questions, and a predictor of a toy model that answers them."""

from pathlib import Path

from mediswift_cs.evaluation.predict import Predictor
from mediswift_cs.model.finetuning import MediSwiftFineTuningModel
from mediswift_cs.tasks import pubmedqa
from mediswift_cs.tasks.prompt_data import PromptSettings, make_layout
from mediswift_cs.tasks.registry import find_task
from mediswift_cs.tokens.tokenizer import load_tokenizer

QUESTIONS = [
    pubmedqa.question_example(
        str(number),
        question="Does a cell divide?",
        contexts=["Cells of mice divide, those of rats do not. " * number],
        label=pubmedqa.LABELS[number % 3],
    )
    for number in range(1, 7)
]
MAX_POSITIONS = 96  # the toy model's
SETTINGS = PromptSettings(max_sequence_length=90, num_virtual_tokens=3)


def predictor(model: MediSwiftFineTuningModel, tokenizer_path: Path, name: str) -> Predictor:
    tokenizer = load_tokenizer(tokenizer_path)
    task = find_task(name).from_options({})
    return Predictor(
        decoder=model.model,
        tokenizer=tokenizer,
        layout=make_layout(SETTINGS, tokenizer, task.longest_answers()),
        task=task,
    )
