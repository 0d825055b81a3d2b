"""Prepared data sets: what is on disk, and what is refused."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mediswift_cs.corpora.blocklist import benchmark_pmids
from mediswift_cs.corpora.document import Document, SourceEntry
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.params.schema import DataLoaderParams
from mediswift_cs.tasks import artificial, pubmedqa, pubmedqa_records, pubmedqa_split
from mediswift_cs.tasks.artificial import ArtificialQuestions, split_abstract, title_matcher
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tasks.prompt_folder import read_prompt_data
from mediswift_cs.tasks.pubmedqa import PubMedQA, question_example
from mediswift_cs.tasks.question_data import Counts, make_examples, write_questions
from mediswift_cs.tokens.manifest import read_manifest
from mediswift_cs.tokens.tokenizer import save_tokenizer, train_tokenizer

SETTINGS = PromptSettings(max_sequence_length=64, num_virtual_tokens=3)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    texts = [example(str(i)).source + example(str(i)).target for i in range(30)]
    save_tokenizer(train_tokenizer(texts, vocab_size=330), path)
    return path


def example(pmid: str, label: str = "yes", num_words: int = 4) -> Example:
    return question_example(
        pmid, question=f"Does {pmid} work?", contexts=["cell " * num_words], label=label
    )


def write(output: Path, tokenizer: Path, splits: dict[str, list[Example]], **changes: Any) -> Any:
    arguments = {
        "task": PubMedQA(),
        "counts": {"records_read": 3},
        "sources": (),
        **changes,
    }
    settings = arguments.pop("settings", SETTINGS)
    return write_prompt_data(splits, tokenizer, output, settings, **arguments)


def test_files_and_manifest(tmp_path: Path, tokenizer: Path) -> None:
    output = tmp_path / "out"
    splits = {
        "train": [example("1"), example("2", "no", 90)],
        "val": [example("3")],
        "test": [example("4", "maybe")],
    }
    manifest, lengths = write(output, tokenizer, splits)
    assert lengths.longest[1] == "2"
    # Which context lost how much stands in the manifest; an example that fits is not in it.
    assert list(manifest.cut_contexts) == ["2"]
    # What is left fills the sequence, but for the room of an answer that is longer than its own.
    left = lengths.longest[0] - manifest.cut_contexts["2"]
    longest_answer = read_prompt_data(output).layout.num_answer_tokens
    assert SETTINGS.max_sequence_length - longest_answer < left <= SETTINGS.max_sequence_length
    share = f"{manifest.cut_contexts['2'] / lengths.tokens:.1%}"
    assert f"1 contexts cut ({share} of all tokens; most of 2, " in lengths.summary()
    assert read_manifest(output / "train") == manifest
    assert {name: split.num_samples for name, split in manifest.splits.items()} == {
        "train": 2,
        "val": 1,
    }
    assert not (output / "test").exists()
    data = read_prompt_data(output)
    assert {name: data.examples(name) for name in splits} == splits
    with h5py.File(output / "train" / "shard_00000.h5") as file:
        rows = file["data"][:]
        assert int(file.attrs["num_virtual_tokens"]) == 3
    assert rows.shape == (2, 3, 64)
    virtual = data.layout.virtual_ids
    assert manifest.splits["train"].max_token_id == virtual[-1]
    assert all(np.isin(virtual, row[0]).all() for row in rows)
    # What counts in the loss decodes to the answer.
    counted = rows[1, 2][rows[1, 1] == 1]
    assert data.tokenizer.decode(counted.tolist()) == splits["train"][1].target


def test_same_examples_give_the_same_bytes(tmp_path: Path, tokenizer: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, tokenizer, {"train": [example("1"), example("2")]})
    for file in ("train/shard_00000.h5", "train.jsonl", "manifest.json", "tokenizer.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_room_for_an_answer_does_not_depend_on_the_answer(
    tmp_path: Path, tokenizer: Path
) -> None:
    """Otherwise the length of what is left of a context would give the answer away."""
    for label in pubmedqa.LABELS:
        write(tmp_path / label, tokenizer, {"train": [example("1", label, 90)]})
    lengths = set()
    for label in pubmedqa.LABELS:
        data = read_prompt_data(tmp_path / label)
        (item,) = data.examples("train")
        lengths.add(len(data.layout.encode_source(data.tokenizer, item).ids))
    assert len(lengths) == 1


def test_the_same_data_is_made_once(tmp_path: Path, tokenizer: Path) -> None:
    output = tmp_path / "out"
    splits = {"train": [example("1"), example("2", "no", 90)], "test": [example("4", "maybe")]}
    first, lengths = write(output, tokenizer, splits)
    assert lengths.summary().endswith("; written")
    made = (output / "manifest.json").stat().st_mtime_ns
    again, same_lengths = write(output, tokenizer, splits)
    assert again == first
    assert (output / "manifest.json").stat().st_mtime_ns == made
    assert same_lengths == replace(lengths, is_new=False)
    assert same_lengths.summary().endswith("; already there")
    _, lengths = write(output, tokenizer, splits, overwrite=True)
    assert lengths.is_new
    (output / "train" / "shard_00000.h5").unlink()
    with pytest.raises(DataError, match=r"shard_00000\.h5 is missing: make it again"):
        write(output, tokenizer, splits)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"splits": {"train": [example("1", "no")]}}, "made with other examples: give another"),
        ({"splits": {"train": [example("1")], "test": [example("2")]}}, "other examples"),
        ({"settings": replace(SETTINGS, max_sequence_length=65)}, "other max_sequence_length"),
        ({"settings": replace(SETTINGS, position="prefix")}, "other options"),
        ({"task": PubMedQA(mode="reasoning-free")}, "other options: give another output, or"),
        ({"counts": {"records_read": 4}}, "made with other counts"),
        ({"sources": (SourceEntry(path="x", md5="0" * 32),)}, "made with other sources"),
    ],
)
def test_other_data_is_not_replaced(
    tmp_path: Path, tokenizer: Path, changes: dict[str, Any], message: str
) -> None:
    splits = {"train": [example("1")]}
    write(tmp_path / "out", tokenizer, splits)
    with pytest.raises(DataError, match=message):
        write(tmp_path / "out", tokenizer, **{"splits": splits, **changes})


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": [example("1")], "val": [example("1")]}, "document 1 in both 'train' and 'val'"),
        ({"train": [example("1"), example("1")]}, "holds 1 twice"),
        ({"train": []}, "the split 'train' has no example, got 3 records_read$"),
    ],
)
def test_bad_splits_are_refused(
    tmp_path: Path, tokenizer: Path, splits: dict[str, list[Example]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        write(tmp_path / "out", tokenizer, splits)
    assert list(tmp_path.iterdir()) == []


def test_bad_settings_and_outputs_are_refused(tmp_path: Path, tokenizer: Path) -> None:
    splits = {"train": [example("1")]}
    with pytest.raises(ConfigError, match="vocab_size: got 10, allowed: at least the tokenizer's"):
        write(
            tmp_path / "out",
            tokenizer,
            splits,
            settings=PromptSettings(max_sequence_length=64, num_virtual_tokens=1, vocab_size=10),
        )
    with pytest.raises(DataError, match="1 is too long"):
        write(
            tmp_path / "out",
            tokenizer,
            splits,
            settings=PromptSettings(max_sequence_length=20, num_virtual_tokens=1),
        )
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "out", tokenizer, splits)
    write(tmp_path / "out", tokenizer, {"train": [example("9")]}, overwrite=True)
    assert read_prompt_data(tmp_path / "out").examples("train")[0].id == "9"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match="is no folder of prepared examples"):
        write(tmp_path / "mine", tokenizer, splits, overwrite=True)


def test_reading_other_folders_is_an_error(tmp_path: Path, tokenizer: Path, toy_data: Path) -> None:
    write(tmp_path / "out", tokenizer, {"train": [example("1")]})
    data = read_prompt_data(tmp_path / "out")
    with pytest.raises(DataError, match="got 'dev', allowed: train, in"):
        data.examples("dev")
    (tmp_path / "out" / "train.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="line 1 is not an example"):
        data.examples("train")
    pytest.importorskip("cerebras.pytorch", reason="the data processor is cerebras-pytorch's")
    from mediswift_cs.data.prompts import MediSwiftPromptDataProcessor

    loader = DataLoaderParams(
        data_processor="MediSwiftPromptDataProcessor",
        data_dir=str(toy_data / "train"),
        batch_size=1,
    )
    with pytest.raises(DataError, match="no shard of task examples"):
        MediSwiftPromptDataProcessor(loader)


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
    return write_questions(*arguments, task=task, val_fraction=0.0, **more)


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
        with pytest.raises(ConfigError, match=f"limit must be at least 1 question, got {limit}"):
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
    questions = make_examples([*official, *DOCUMENTS], artificial.unlabelled_question, counts)
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


def test_pubmedqa_in_the_form_of_the_hub(tmp_path: Path, shared_data: Path) -> None:
    pytest.importorskip("datasets", reason="--dataset reads with datasets")
    import json

    records = pubmedqa_records.read_records(shared_data / "pubmedqa")
    rows = [
        {
            "pubid": int(pmid),
            "question": record["QUESTION"],
            "context": {
                "contexts": record["CONTEXTS"],
                "labels": record["LABELS"],
                "reasoning_required_pred": list(record["reasoning_required_pred"]),
                "reasoning_free_pred": list(record["reasoning_free_pred"]),
            },
            "long_answer": record["LONG_ANSWER"],
            "final_decision": record["final_decision"],
        }
        for pmid, record in records.items()
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = pubmedqa_records.read_dataset(str(path), None)
    assert list(found) == list(records)
    for pmid, record in found.items():
        assert {k: records[pmid][k] for k in record} == record
    assert pubmedqa_split.is_official_test_set(pubmedqa_split.read_split(None, 0, found).test)
    path.write_text('{"text": "a"}\n')
    with pytest.raises(DataError, match="is not PubMedQA: it lacks 'pubid'"):
        pubmedqa_records.read_dataset(str(path), None)
