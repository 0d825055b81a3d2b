"""Questions made of titles and abstracts."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.blocklist import benchmark_pmids
from mediswift_cs.corpora.document import Document
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tasks import artificial, pubmedqa, pubmedqa_records
from mediswift_cs.tasks.artificial import ArtificialQuestions, split_abstract, title_matcher
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import PromptSettings
from mediswift_cs.tasks.prompt_folder import read_prompt_data
from mediswift_cs.tasks.question_data import Counts, make_examples, write_questions


def document(pmid: str, title: str, abstract: str) -> Document:
    return Document(id=f"pubmed:{pmid}", text=f"{title}\n{abstract}", source="x.xml")


DOCUMENTS = [
    document("1", "Zinc reduces pain.", "BACKGROUND: We asked.\nCONCLUSIONS: It does."),
    document("2", "Zinc does not harm rats.", "We fed rats. They lived. Zinc is safe."),
    document("3", "Zinc in rats.", "We fed rats. They lived."),
    document("4", "Is zinc safe?", "METHODS: We fed rats.\nCONCLUSION: Yes."),
    document("5", "Is iron safe?", "We fed rats. They lived."),
    document("6", "Iron is heavy.", "Only one sentence."),
    document("7", "Iron helps.", ""),
]


def write_artificial(
    documents: list[Document], tokenizer: Path, output: Path, **more: Any
) -> Counts:
    task = ArtificialQuestions(contrast=False)
    settings = PromptSettings(max_sequence_length=64, num_virtual_tokens=2)
    arguments = (documents, task.question_maker(), tokenizer, output, settings)
    options = {"limit": None, "answer": iter, "sources": (), "overwrite": False, **more}
    return write_questions(*arguments, task=task, val_fraction=0.0, **options)


def test_artificial_questions_and_their_counts(tmp_path: Path, tokenizer: Path) -> None:
    counts = write_artificial(
        DOCUMENTS,
        tokenizer,
        tmp_path / "out",
    )
    assert counts.documents_read == len(DOCUMENTS) == sum(counts.by_reason.values())
    assert counts.by_reason["kept"] == 2
    assert counts.by_label == {"yes": 1, "no": 1}
    first, second = read_prompt_data(tmp_path / "out").examples("train")
    assert first.source == "question: Does Zinc reduce pain? context: We asked."
    assert second.source == "question: Does Zinc harm rats? context: We fed rats. They lived."
    assert second.target == pubmedqa.answer_text("no")
    limited = write_artificial(
        DOCUMENTS,
        tokenizer,
        tmp_path / "one",
        limit=1,
    )
    assert (limited.by_reason["kept"], limited.by_reason["over_the_limit"]) == (1, 1)
    nothing = "no title gave a question, got 1 documents_read, 0 kept, 1 title_without"
    with pytest.raises(DataError, match=nothing):
        write_artificial(
            DOCUMENTS[2:3],
            tokenizer,
            tmp_path / "none",
        )


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_leaves_no_question_is_refused(limit: int) -> None:
    counts: Counter[str] = Counter()
    for questions in (
        make_examples(DOCUMENTS, artificial.unlabelled_question, counts, limit),
        make_examples(DOCUMENTS, title_matcher(), counts, limit),
    ):
        with pytest.raises(ConfigError, match=f"limit: got {limit}, allowed: 1 question or"):
            next(questions)


def test_official_questions_never_become_training_questions(shared_data: Path) -> None:
    """PubMedQA's own titles and abstracts, as `mediswift documents` would have them."""
    records = pubmedqa_records.read_records(shared_data / "pubmedqa")
    official = [
        Document(
            id=f"pubmed:{pmid}",
            text="\n".join(
                [
                    record["QUESTION"],
                    *(f"METHODS: {text}" for text in record["CONTEXTS"]),
                    f"CONCLUSIONS: {record['LONG_ANSWER']}",
                ]
            ),
            source="x.xml",
        )
        for pmid, record in records.items()
    ]
    counts: Counter[str] = Counter()
    questions = make_examples(
        [*official, *DOCUMENTS], artificial.unlabelled_question, counts, limit=None
    )
    assert [e.id for e in questions] == ["pubmed:4"]
    assert counts["benchmark_pmid"] == len(records) == 1000
    assert counts.pop("documents_read") == 1007 == counts.total()
    # Without the list they would be questions.
    assert isinstance(artificial.unlabelled_question(official[0]), Example)


def test_articles_of_a_benchmark_are_known_by_any_of_their_numbers(
    tmp_path: Path, tokenizer: Path
) -> None:
    blocked = min(benchmark_pmids())
    title, _, abstract = DOCUMENTS[0].text.partition("\n")
    held_out = [
        document(str(blocked), title, abstract),
        replace(DOCUMENTS[0], id="pmc:PMC1", pmid=blocked),
        # As another program may have written it.
        replace(DOCUMENTS[0], id="mine:1", pmid=str(blocked)),  # type: ignore[arg-type]
    ]
    full_text = replace(DOCUMENTS[0], id="pmc:PMC2")
    counts = write_artificial(
        [*held_out, full_text, *DOCUMENTS],
        tokenizer,
        tmp_path / "out",
    )
    assert counts.by_reason["benchmark_pmid"] == 3
    assert "3 benchmark_pmid" in counts.text()
    assert counts.documents_read == 4 + len(DOCUMENTS) == sum(counts.by_reason.values())
    data = read_prompt_data(tmp_path / "out")
    assert {e.id for e in data.examples("train")} == {"pmc:PMC2", "pubmed:1", "pubmed:2"}
    assert data.manifest.counts["benchmark_pmid"] == 3


def test_the_conclusion_is_not_in_the_context() -> None:
    structured = split_abstract("AIMS: One.\nRESULTS: Two.\nCONCLUSIONS: Three.")
    assert structured == (("One.", "Two."), "Three.", True)
    plain = split_abstract("One is 2.5 mg. Two follows. Three ends.")
    assert plain == (("One is 2.5 mg. Two follows.",), "Three ends.", False)
    assert split_abstract("One.") is None
    assert split_abstract("CONCLUSION: One.\nCONCLUSION: Two.") is None


def test_unlabelled_questions_need_a_structured_abstract() -> None:
    made = [artificial.unlabelled_question(d) for d in DOCUMENTS]
    assert [m if isinstance(m, str) else "question" for m in made] == [
        "title_is_no_question",
        "title_is_no_question",
        "title_is_no_question",
        "question",
        "abstract_not_structured",
        "title_is_no_question",
        "no_abstract",
    ]
    question = made[3]
    assert isinstance(question, Example)
    assert question.labels == ()
    assert question.source == "question: Is zinc safe? context: We fed rats."


def test_half_of_the_contrasts_are_asked_whatever_the_order() -> None:
    many = [document(str(i), "Zinc reduces pain.", "One. Two.") for i in range(200)]
    labels = [artificial.artificial_example(d, contrast=True).labels for d in many]  # type: ignore[union-attr]
    assert 70 < labels.count(("no",)) < 130
