"""Unlabelled questions, answered by a model."""

from dataclasses import replace
from pathlib import Path

import pytest

from mediswift_cs.cli import main
from mediswift_cs.corpora.blocklist import benchmark_pmids
from mediswift_cs.corpora.document import Document
from mediswift_cs.corpora.documents_file import DocumentsWriter
from mediswift_cs.errors import CheckpointError
from mediswift_cs.evaluation.loading import load_model
from mediswift_cs.evaluation.predict import make_predictor
from mediswift_cs.evaluation.pseudo_labels import Answerer
from mediswift_cs.model.finetuning import MediSwiftFineTuningModel
from mediswift_cs.tasks.artificial import unlabelled_question
from mediswift_cs.tasks.prompt_data import PromptSettings
from mediswift_cs.tasks.prompt_folder import read_prompt_data
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tasks.question_data import write_questions
from mediswift_cs.tokens.tokenizer import fingerprint, save_tokenizer, train_tokenizer
from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import save_checkpoint

DOCUMENTS = [
    Document(
        id=f"pubmed:{number}",
        text=f"{title}\nMETHODS: Cells of {'mice ' * number}divide.\nCONCLUSIONS: They do.",
        source="x.xml",
    )
    for number, title in enumerate(("Does a cell divide?", "Cells divide.", "Do rats?"), start=1)
]
SETTINGS = PromptSettings(max_sequence_length=90, num_virtual_tokens=3)


@pytest.fixture
def checkpoint(tmp_path: Path, toy_model: MediSwiftFineTuningModel, toy_tokenizer: Path) -> Path:
    path = tmp_path / "checkpoint_1.mdl"
    state = {
        "model": {key: value.detach() for key, value in toy_model.state_dict().items()},
        "mediswift": {"tokenizer_sha256": fingerprint(toy_tokenizer)},
        "__metadata__": [
            {"params": {"trainer": {"init": {"model": toy_model.config.model_dump()}}}}
        ],
    }
    save_checkpoint(state, path, write=mdl_state.write)
    return path


def test_each_question_gets_the_models_own_answer(
    tmp_path: Path, checkpoint: Path, toy_tokenizer: Path
) -> None:
    task = PubMedQA(pseudo_labelled_by=checkpoint.name)
    answerer = Answerer(checkpoint, toy_tokenizer, SETTINGS, task)
    vocab_size = load_model(checkpoint).model.config.vocab_size
    assert answerer.settings == replace(SETTINGS, vocab_size=vocab_size)
    counts = write_questions(
        DOCUMENTS,
        unlabelled_question,
        toy_tokenizer,
        tmp_path / "out",
        answerer.settings,
        task=task,
        val_fraction=0.0,
        answer=answerer.answer,
        limit=None,
        sources=(),
        overwrite=False,
    )
    assert counts.documents_read == 3 == sum(counts.by_reason.values())
    assert counts.by_reason == {"kept": 2, "title_is_no_question": 1}
    data = read_prompt_data(tmp_path / "out")
    assert data.options["pseudo_labelled_by"] == "checkpoint_1.mdl"
    predictor = make_predictor(load_model(checkpoint), data)
    examples = data.examples("train")
    assert [e.id for e in examples] == ["pubmed:1", "pubmed:3"]
    for prediction in predictor.predict(examples, "constrained"):
        assert prediction.labels == prediction.example.labels
        assert "They do." not in prediction.example.source


def test_another_prompt_or_tokenizer_is_an_error(
    tmp_path: Path, checkpoint: Path, toy_tokenizer: Path
) -> None:
    other = PromptSettings(max_sequence_length=90, num_virtual_tokens=4)
    with pytest.raises(CheckpointError, match="num_virtual_tokens, got 4, allowed: 3"):
        Answerer(checkpoint, toy_tokenizer, other, PubMedQA())
    other_tokenizer = train_tokenizer(
        ["Other texts."], vocab_size=300, min_frequency=2, num_texts=None, show_progress=False
    )
    save_tokenizer(other_tokenizer, tmp_path / "other.json")
    with pytest.raises(
        CheckpointError,
        match=r"other\.json has fingerprint .* the one that .*_1\.mdl was",
    ):
        Answerer(checkpoint, tmp_path / "other.json", SETTINGS, PubMedQA())


def test_from_the_command_line(
    tmp_path: Path, checkpoint: Path, toy_tokenizer: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "docs.jsonl.zst"
    with DocumentsWriter(path) as writer:
        for document in (*DOCUMENTS, replace(DOCUMENTS[0], id=f"pubmed:{min(benchmark_pmids())}")):
            writer.write(document)
    common = ["--tokenizer", str(toy_tokenizer), "--max-sequence-length", "90"]
    common += ["--num-virtual-tokens", "3", "--val-fraction", "0"]
    model = ["--checkpoint", str(checkpoint)]
    output = ["--output", str(tmp_path / "pseudo")]
    assert main(["pubmedqa", "unlabelled", str(path), *model, *common, *output]) == 0
    assert "2 kept, 1 title_is_no_question, 1 benchmark_pmid" in capsys.readouterr().out
    output = ["--output", str(tmp_path / "none")]
    assert main(["pubmedqa", "artificial", str(path), *common, *output]) == 2
    assert "no title gave a question" in capsys.readouterr().err
