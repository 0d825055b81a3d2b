"""A question with a context, for the tests of prepared examples."""

from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.pubmedqa import question_example


def example(pmid: str, label: str = "yes", num_words: int = 4) -> Example:
    return question_example(
        pmid, question=f"Does {pmid} work?", contexts=["cell " * num_words], label=label
    )
