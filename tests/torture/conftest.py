"""Inputs of the jobs that are stopped."""

import random
from pathlib import Path

import pytest

from mediswift_cs.tasks import pubmedqa
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tokens.tokenizer import save_tokenizer, train_tokenizer

RECORD = """<PubmedArticle><MedlineCitation><PMID Version="1">{pmid}</PMID><Article>
<Journal><JournalIssue><PubDate><Year>2001</Year></PubDate></JournalIssue></Journal>
<ArticleTitle>Title {pmid}.</ArticleTitle><Abstract><AbstractText>{abstract}</AbstractText>
</Abstract><Language>eng</Language></Article></MedlineCitation></PubmedArticle>"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs of all jobs: PubMed XML, a tokenizer and questions."""
    root = tmp_path_factory.mktemp("torture")
    words = random.Random(0)
    for part in range(3):
        records = [
            RECORD.format(
                pmid=1000 * part + number + 1,
                abstract=" ".join(f"word{words.randrange(300)}" for _ in range(90)) + ".",
            )
            for number in range(80)
        ]
        (root / "pubmed").mkdir(exist_ok=True)
        text = f"<PubmedArticleSet>{''.join(records)}</PubmedArticleSet>"
        (root / "pubmed" / f"pubmed20n000{part}.xml").write_text(text)
    texts = [pubmedqa.answer_text(label) for label in pubmedqa.LABELS]
    texts.append("question: Does a cell divide? context: Cells of mice divide.")
    save_tokenizer(
        train_tokenizer(
            texts * 3, vocab_size=300, min_frequency=2, num_texts=None, show_progress=False
        ),
        root / "tokenizer.json",
    )
    questions = [
        pubmedqa.question_example(
            str(number),
            question="Does a cell divide?",
            contexts=["Cells of mice divide. " * (1 + number % 3)],
            label=pubmedqa.LABELS[number % 3],
        )
        for number in range(1, 200)
    ]
    write_prompt_data(
        {"train": questions[:40], "val": questions[40:]},
        root / "tokenizer.json",
        root / "questions",
        PromptSettings(max_sequence_length=90, num_virtual_tokens=0),
        task=pubmedqa.PubMedQA(),
        counts={},
        sources=(),
        overwrite=False,
    )
    return root
