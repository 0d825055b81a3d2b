"""The whole way on real questions: prepare, fine-tune, evaluate; and what it must not learn."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.cli import main
from mediswift_cs.params.schema import Params
from mediswift_cs.tasks import hoc, hoc_documents, pubmedqa_records
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.hoc import HallmarksOfCancer
from mediswift_cs.tasks.official_split import split_examples
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tasks.pubmedqa import PubMedQA, answer_text
from mediswift_cs.tokens.tokenizer import save_tokenizer, train_tokenizer
from mediswift_cs.training.start import RunOptions, train

VOCAB_SIZE, LENGTH, NUM_VIRTUAL = 1500, 112, 4
NUM_EXAMPLES = 32


@pytest.fixture(scope="module")
def tokenizer(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = pubmedqa_records.read_records(shared_data / "pubmedqa")
    texts = [PubMedQA().examples(k, r)[0] for k, r in records.items()][:300]
    answers = [hoc.answer_text([label]) for label in hoc.LABELS]
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    lines = [*(e.source + e.target for e in texts), *answers * 5]
    save_tokenizer(
        train_tokenizer(
            lines, vocab_size=VOCAB_SIZE, min_frequency=2, num_texts=None, show_progress=False
        ),
        path,
    )
    return path


def params(data: Path, max_steps: int, length: int) -> dict[str, Any]:
    loader = {
        "data_processor": "MediSwiftPromptDataProcessor",
        "data_dir": str(data / "train"),
        "batch_size": 16,
    }
    val_loader = {**loader, "data_dir": str(data / "val"), "drop_last": False}
    rates = {"initial_learning_rate": 2e-3, "end_learning_rate": 2e-3, "total_iters": max_steps}
    return {
        "trainer": {
            "init": {
                "backend": {"backend_type": "CPU"},
                "model": {
                    "name": "mediswift_finetuning",
                    "vocab_size": VOCAB_SIZE,
                    "hidden_size": 64,
                    "num_hidden_layers": 2,
                    "num_heads": 4,
                    "filter_size": 128,
                    "max_position_embeddings": length,
                    "dropout_rate": 0.0,
                    "attention_dropout_rate": 0.0,
                    "soft_prompt": {"num_virtual_tokens": NUM_VIRTUAL, "position": "infix"},
                },
                "optimizer": {"AdamW": {"betas": [0.9, 0.98], "eps": 1e-8, "weight_decay": 0.0}},
                "schedulers": [{"LinearLR": rates}],
                "precision": {"enabled": False, "max_gradient_norm": 1.0},
                "loop": {"max_steps": max_steps, "eval_frequency": 0},
                "checkpoint": {"steps": max_steps},
                "logging": {"log_steps": 5},
                "seed": 1,
            },
            "fit": {
                "train_dataloader": {**loader, "shuffle": True, "shuffle_seed": 3},
                "val_dataloader": val_loader,
            },
        }
    }


def prepare(splits: dict[str, list[Example]], tokenizer: Path, output: Path) -> None:
    settings = PromptSettings(
        max_sequence_length=LENGTH, num_virtual_tokens=NUM_VIRTUAL, vocab_size=VOCAB_SIZE
    )
    write_prompt_data(
        splits,
        tokenizer,
        output,
        settings,
        task=PubMedQA(),
        counts={},
        sources=(),
        overwrite=False,
    )


def fine_tune(data: Path, model_dir: Path, max_steps: int, length: int = LENGTH) -> Path:
    raw = params(data, max_steps, length)
    model_dir.mkdir()
    options = RunOptions(
        device="CPU", engine="torch", mode="train", model_dir=model_dir, checkpoint_path=None
    )
    assert train(Params(**raw), raw, options) == 0
    return model_dir / f"checkpoint_{max_steps}.mdl"


def losses(model_dir: Path) -> list[float]:
    lines = (model_dir / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def score(task: str, data: Path, checkpoint: Path, split: str, output: Path, *more: str) -> float:
    arguments = ["evaluate", "--task", task, "--data", str(data), "--checkpoint", str(checkpoint)]
    assert main([*arguments, "--split", split, "--output", str(output), *more]) == 0
    report = json.loads((output / "scores.json").read_text())
    return float(report["scores"][report["metric"]])


def balanced(shared_data: Path, number: int, skip: int = 0) -> list[Example]:
    """As many questions of the answer yes as of no."""
    records = pubmedqa_records.read_records(shared_data / "pubmedqa")
    examples = [PubMedQA().examples(k, r)[0] for k, r in records.items()]
    picked: list[Example] = []
    for label in ("yes", "no"):
        picked += [e for e in examples if e.labels == (label,)][skip : skip + number // 2]
    return picked


def test_32_real_questions_are_learned_and_shuffled_labels_do_not_carry_over(
    shared_data: Path, tokenizer: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    examples = balanced(shared_data, NUM_EXAMPLES)
    unseen = balanced(shared_data, 100, skip=NUM_EXAMPLES)
    labels = [example.labels[0] for example in examples]
    random.Random(0).shuffle(labels)
    shuffled = [
        replace(e, target=answer_text(label), labels=(label,))
        for e, label in zip(examples, labels, strict=True)
    ]
    assert [e.labels for e in shuffled] != [e.labels for e in examples]
    prepare({"train": shuffled, "val": unseen}, tokenizer, tmp_path / "data")
    checkpoint = fine_tune(tmp_path / "data", tmp_path / "run", 160)
    curve = losses(tmp_path / "run")
    assert curve[-1] < 0.05 * curve[0]
    data = tmp_path / "data"
    assert score("pubmedqa", data, checkpoint, "train", tmp_path / "a") == 1.0
    assert score("pubmedqa", data, checkpoint, "train", tmp_path / "b", "--method", "generate") == 1
    # Labels at chance teach nothing about unseen questions: within 3.3 sigma of a coin.
    assert abs(score("pubmedqa", data, checkpoint, "val", tmp_path / "c") - 0.5) < 0.165
    # Control of the memory: against the true labels, what was learned is wrong.
    assert sum(a.labels == b.labels for a, b in zip(examples, shuffled, strict=True)) < 32


def test_the_answers_of_a_run_are_those_that_it_would_generate(
    shared_data: Path, tokenizer: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    examples = balanced(shared_data, NUM_EXAMPLES)
    prepare(
        {"train": examples, "val": balanced(shared_data, 20, skip=NUM_EXAMPLES)},
        tokenizer,
        tmp_path / "data",
    )
    raw, model_dir = params(tmp_path / "data", 30, LENGTH), tmp_path / "run"
    raw["trainer"]["init"]["loop"]["eval_frequency"] = 10
    raw["trainer"]["init"]["checkpoint"]["steps"] = 10
    model_dir.mkdir()
    options = RunOptions(
        device="CPU",
        engine="torch",
        mode="train_and_eval",
        model_dir=model_dir,
        checkpoint_path=None,
    )
    assert train(Params(**raw), raw, options) == 0
    lines = map(json.loads, (model_dir / "metrics.jsonl").read_text().splitlines())
    evaluations = [line for line in lines if "val_loss" in line]
    for line in evaluations:
        checkpoint = model_dir / f"checkpoint_{line['step']}.mdl"
        output = tmp_path / str(line["step"])
        generated = ("--method", "generate")
        found = score("pubmedqa", tmp_path / "data", checkpoint, "val", output, *generated)
        assert line["val_answer_accuracy"] == pytest.approx(found)
        assert "val_bits_per_byte" not in line
    # Control: the tokens of a sentence are right more often than the sentence is.
    assert any(line["val_accuracy"] > line["val_answer_accuracy"] for line in evaluations)


def test_hoc_documents_are_learned(shared_data: Path, tokenizer: Path, tmp_path: Path) -> None:
    documents = hoc_documents.read_documents(shared_data / "hoc")
    *chosen, held_out = [d for d in documents.values() if len(d.labels) <= 2][:17]
    assert {len(document.labels) for document in chosen} == {0, 1, 2}
    length = 160  # an answer with all ten labels has to fit
    task = HallmarksOfCancer(hoc_split="cambridge")
    split = {"train": tuple(document.pmid for document in chosen), "val": (held_out.pmid,)}
    splits, counts = split_examples(documents, split, task.examples, "documents_read")
    write_prompt_data(
        splits,
        tokenizer,
        tmp_path / "data",
        PromptSettings(
            max_sequence_length=length, num_virtual_tokens=NUM_VIRTUAL, vocab_size=VOCAB_SIZE
        ),
        task=task,
        counts=counts,
        sources=(),
        overwrite=False,
    )
    checkpoint = fine_tune(tmp_path / "data", tmp_path / "run", 120, length)
    data = tmp_path / "data"
    for method in ("constrained", "generate"):
        found = score("hoc", data, checkpoint, "train", tmp_path / method, "--method", method)
        assert found == 1.0


def test_folds_need_a_place_for_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--task", "pubmedqa", "--data", "d", "--checkpoint", "c.mdl"]
    for more, message in (
        (["--folds", "10", "--output", "o"], "needs {fold} in --checkpoint or --data"),
        (["--folds", "1", "--output", "o"], "--folds: got 1, allowed: at least 2"),
        (
            ["--convention", "blue"],
            "--convention is for HoC, multi-label classification, got it with --task pubmedqa",
        ),
        (["--method", "guess"], "--method: got 'guess', allowed: constrained, generate"),
        (["--batch-tokens", "0"], "--batch-tokens: got 0"),
    ):
        assert main([*arguments, *more]) == 2
        assert message in capsys.readouterr().err
    arguments[2] = "squad"
    assert main(arguments) == 2
    assert "--task: got 'squad', allowed: pubmedqa, artificial, hoc" in capsys.readouterr().err
    hoc_arguments = ["evaluate", "--task", "hoc", "--data", "d", "--checkpoint", "c.mdl"]
    assert main([*hoc_arguments, "--convention", "best"]) == 2
    assert "got 'best', allowed: blurb, blue, sentence, biogpt" in capsys.readouterr().err


def test_ten_folds_give_mean_and_spread(
    shared_data: Path,
    tokenizer: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    length = 160  # the longest question of the 1,000 has to fit
    arguments = ["--tokenizer", str(tokenizer), "--vocab-size", str(VOCAB_SIZE)]
    arguments += ["--max-sequence-length", str(length), "--num-virtual-tokens", str(NUM_VIRTUAL)]
    source = ["--input", str(shared_data / "pubmedqa"), "--fold", "all"]
    output = ["--output", str(tmp_path / "data")]
    assert main(["pubmedqa", "labelled", *source, *arguments, *output]) == 0
    assert "450 train, 50 val, 500 test" in capsys.readouterr().out
    checkpoint = fine_tune(tmp_path / "data" / "fold0", tmp_path / "run", 2, length)
    command = ["evaluate", "--task", "pubmedqa", "--folds", "10", "--split", "val"]
    command += ["--data", str(tmp_path / "data" / "fold{fold}"), "--checkpoint", str(checkpoint)]
    assert main([*command, "--output", str(tmp_path / "scores")]) == 0
    assert "over 10 folds, split val: mean" in capsys.readouterr().out
    summary = json.loads((tmp_path / "scores" / "folds.json").read_text())
    assert len(summary["folds"]) == 10
    assert summary["mean"] == pytest.approx(sum(summary["folds"]) / 10)
    seen = set()
    for fold in range(10):
        lines = (tmp_path / "scores" / f"fold{fold}" / "predictions.jsonl").read_text()
        seen |= {json.loads(line)["pmid"] for line in lines.splitlines()}
    assert len(seen) == 500
