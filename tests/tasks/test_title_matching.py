"""Questions that ask whether a title belongs to a text."""

from collections import Counter

from mediswift_cs.corpora.blocklist import benchmark_pmids
from mediswift_cs.corpora.document import Document
from mediswift_cs.tasks.artificial import title_matcher
from mediswift_cs.tasks.question_data import make_examples


def documents(number: int) -> list[Document]:
    return [
        Document(id=f"pubmed:{i}", text=f"Title {i}.\nAbstract {i}.", source="test")
        for i in range(number)
    ]


def test_yes_asks_for_its_own_title_and_no_for_the_one_before() -> None:
    counts: Counter[str] = Counter()
    examples = list(make_examples(documents(400), title_matcher(), counts, limit=None))
    for example in examples:
        number = int(example.id.split(":")[1])
        asked = number if example.labels == ("yes",) else number - 1
        assert example.head == f"question: is this text about Title {asked}? context:"
        assert example.context == f" Abstract {number}."
    labels = Counter(example.labels[0] for example in examples)
    assert 150 < labels["yes"] < 250
    assert sum(labels.values()) == counts["kept"]


def test_the_counts_add_up() -> None:
    given = documents(50)
    given[3] = Document(id="pubmed:3", text="Only a title.", source="test")
    counts: Counter[str] = Counter()
    examples = list(make_examples(given, title_matcher(), counts, limit=20))
    assert len(examples) == 20 == counts["kept"]
    assert counts["no_abstract"] == 1
    assert counts.pop("documents_read") == 50 == counts.total()


def test_articles_of_a_benchmark_are_passed_over() -> None:
    blocked = min(benchmark_pmids())
    given = documents(50)
    given[7] = Document(
        id=f"pubmed:{blocked}", text="Title of a benchmark.\nAbstract of it.", source="test"
    )
    counts: Counter[str] = Counter()
    examples = list(make_examples(given, title_matcher(), counts, limit=None))
    # Its title would be asked of the document after it.
    assert not any("benchmark" in e.head or "of it" in e.context for e in examples)
    assert counts["benchmark_pmid"] == 1
    assert counts.pop("documents_read") == 50 == counts.total()


def test_the_same_document_has_the_same_answer_in_any_corpus() -> None:
    every, odd = documents(60), documents(60)[1::2]
    first = {e.id: e.labels for e in make_examples(every, title_matcher(), Counter(), limit=None)}
    second = {e.id: e.labels for e in make_examples(odd, title_matcher(), Counter(), limit=None)}
    assert all(first[name] == labels for name, labels in second.items() if name in first)
