"""The model card: the task, and each run that made the weights."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.checkpoints.convert import ConvertOptions, convert
from mediswift_cs.flops import run_flops
from mediswift_cs.params.load import load_params
from mediswift_cs.params.schema import Params
from mediswift_cs.params.training_cost import decoder_shape, sequence_length, training_flops
from mediswift_cs.tasks.classification import MultiLabelClassification, SingleLabelClassification
from mediswift_cs.tasks.example import Example
from mediswift_cs.tasks.hoc import HallmarksOfCancer
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tasks.task import Task

from .small_checkpoints import (
    SECTION,
    UNVERIFIED,
    VOCAB_SIZE,
    add_masks,
    build_decoder,
    save,
    state_of,
)

URGENT = SingleLabelClassification(labels=("urgent", "routine"), question="Is the note urgent?")


def params(size: str, data_dir: Path, **changes: str) -> dict[str, Any]:
    raw = {
        "trainer.init.loop.max_steps": "400",
        "trainer.fit.train_dataloader.batch_size": "4",
        "trainer.fit.train_dataloader.max_sequence_length": "64",
        **changes,
    }
    overrides = [f"{key}={value}" for key, value in raw.items()]
    loaded = load_params(size, overrides, check_data="none").raw
    loaded["trainer"]["init"]["model"] = {
        **SECTION,
        "name": loaded["trainer"]["init"]["model"]["name"],
    }
    loaded["trainer"]["fit"]["train_dataloader"]["data_dir"] = str(data_dir)
    return loaded


def task_data(folder: Path, tokenizer_file: Path, task: Task) -> Path:
    example = task.wording()
    examples = [replace(example, id="1", document="1")]
    write_prompt_data(
        {"train": examples},
        tokenizer_file,
        folder,
        PromptSettings(max_sequence_length=64, num_virtual_tokens=0, vocab_size=VOCAB_SIZE),
        task=task,
        counts={},
        sources=(),
        overwrite=False,
    )
    return folder / "train"


@pytest.fixture
def tuned(tmp_path: Path, tokenizer_file: Path) -> Path:
    """Dense, tuned from a sparse checkpoint that was pre-trained from random weights."""
    pretrained, model_dir = tmp_path / "pretraining", tmp_path / "tuning"
    pretrained.mkdir()
    model_dir.mkdir()
    state = state_of(build_decoder())
    add_masks(state, fold=True)
    raw = params("mediswift_tiny_75", tmp_path / "gone")
    first = save(pretrained / "checkpoint_400.mdl", state, params=raw)
    (pretrained / "origin.json").write_text('{"checkpoint_path": null}')
    data = task_data(tmp_path / "data", tokenizer_file, URGENT)
    raw = params("finetuning/mediswift_tiny_classification", data)
    dense = save(model_dir / "checkpoint_400.mdl", state_of(build_decoder()), params=raw)
    (model_dir / "origin.json").write_text(json.dumps({"checkpoint_path": str(first)}))
    return dense


def card_of(source: Path, target: Path, **changes: Any) -> str:
    options: ConvertOptions = replace(UNVERIFIED, **changes)
    convert(source, target, options)
    return (target / "README.md").read_text(encoding="utf-8")


def section(card: str, title: str) -> str:
    return card.split(f"## {title}\n")[1].split("\n## ")[0]


def test_a_tuned_model_tells_its_task_and_its_pretraining(tuned: Path, tmp_path: Path) -> None:
    card = card_of(tuned, tmp_path / "export")
    task = section(card, "Task")
    assert "\nTEXT Is the note urgent?\n" in task
    assert '" the answer is urgent."' in task
    assert "urgent, routine" in task
    first, second = section(card, "Training").split("\n### ")[1:]
    tokens = 400 * 4 * 64
    for run, level in ((first, "75%"), (second, "none, all weights were trained")):
        assert "- steps: 400\n" in run
        assert f"- tokens: {tokens:,} (steps x batch size 4 x length 64" in run
        assert f"- sparsity: {level}" in run
    sparse = Params(**params("mediswift_tiny_75", tmp_path))
    dense = Params(**params("finetuning/mediswift_tiny_classification", tmp_path))
    counts = [
        run_flops(
            decoder_shape(one, as_dense=False).training_flops(), tokens, sequence_length(one)
        ).total
        for one in (sparse, dense)
    ]
    assert counts[0] < 0.9 * counts[1], "control: the two runs cost differently"
    for run, count in zip((first, second), counts, strict=True):
        assert f"- training FLOPs: {count:.3e} (" in run
    assert "it started from random weights" in section(card, "Training")
    # Nothing is said of zeros that are not there.
    assert "are exactly zero" not in card
    assert "stored as zeros" not in card
    assert "The model is dense" in section(card, "Sparsity")
    assert str(tmp_path) not in card


def test_a_ramp_is_told_and_counted_up_to_the_checkpoint(tmp_path: Path) -> None:
    raw = params("mediswift_tiny_75_gmp", tmp_path / "gone")
    state = state_of(build_decoder())
    add_masks(state, fold=True)
    source = save(tmp_path / "checkpoint_400.mdl", state, params=raw)
    run = section(card_of(source, tmp_path / "export"), "Training")
    assert "- sparsity: 75% of the weights of" in run
    assert "in the end (gmp: masks changed on the way)" in run
    ramp, static = (
        training_flops(Params(**params(name, tmp_path)), 400 * 4 * 64).total
        for name in ("mediswift_tiny_75_gmp", "mediswift_tiny_75")
    )
    assert f"- training FLOPs: {ramp:.3e} (" in run
    assert f"{ramp:.3e}" != f"{static:.3e}", "control: that of the level of the end"


def test_what_is_not_here_is_not_claimed(tuned: Path, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "pretraining")
    shutil.rmtree(tmp_path / "data")
    card = card_of(tuned, tmp_path / "export")
    assert "it started from checkpoint_400.mdl, which is not here" in section(card, "Training")
    assert "75%" not in card
    assert "how it asks is not known here" in section(card, "Task")
    (tmp_path / "tuning" / "origin.json").unlink()
    card = card_of(tuned, tmp_path / "again")
    assert "what it started from is not known here" in card


def test_steps_that_go_on_are_counted_once(tuned: Path, tmp_path: Path) -> None:
    later = tmp_path / "later"
    later.mkdir()
    pretrained = tmp_path / "pretraining" / "checkpoint_400.mdl"
    state = state_of(build_decoder())
    add_masks(state, fold=True)
    # Of 400 steps in all, none was made here; 200 were made before.
    raw = params("mediswift_tiny_75", tmp_path / "gone")
    source = save(later / "checkpoint_400.mdl", state, params=raw)
    (later / "origin.json").write_text(json.dumps({"checkpoint_path": str(pretrained)}))
    first, second = section(card_of(source, tmp_path / "export"), "Training").split("\n### ")[1:]
    assert "- steps: 400\n" in first
    assert "- steps: 0\n" in second


def test_callbacks_that_are_no_sections_are_passed_over(tuned: Path, tmp_path: Path) -> None:
    """ModelZoo's params may hold what it likes."""
    raw: dict[str, Any] = {"trainer": {"init": {"model": SECTION, "callbacks": [5, None, "x"]}}}
    tuned.unlink()
    save(tuned, state_of(build_decoder()), params=raw)
    assert "### `checkpoint_400.mdl`" in card_of(tuned, tmp_path / "export")


def test_a_circle_of_origins_ends(tuned: Path, tmp_path: Path) -> None:
    origin = tmp_path / "pretraining" / "origin.json"
    origin.write_text(json.dumps({"checkpoint_path": str(tuned)}))
    assert section(card_of(tuned, tmp_path / "export"), "Training").count("\n### ") == 2
    assert "which is in this list" in (tmp_path / "export" / "README.md").read_text()


@pytest.mark.parametrize(
    ("task", "source", "target"),
    [
        (URGENT, "TEXT Is the note urgent?", " the answer is urgent."),
        (
            MultiLabelClassification(labels=("a", "b"), instruction="Read this:"),
            "Read this: TEXT",
            " the answer is a.",
        ),
        (
            PubMedQA(),
            "question: QUESTION context: CONTEXT",
            " the answer to the question given the context is yes.",
        ),
        (
            PubMedQA(mode="reasoning-free"),
            "question: QUESTION context: CONTEXT answer: CONCLUSION",
            " the answer to the question given the context is yes.",
        ),
        (
            HallmarksOfCancer(),
            "TEXT",
            " the type of this document is activating invasion and metastasis.",
        ),
    ],
)
def test_wording(task: Task, source: str, target: str) -> None:
    example: Example = task.wording()
    assert (example.source, example.target) == (source, target)
    task.check_example(example)
    assert task.parse_answer(example.target) == example.labels


@pytest.mark.parametrize("has_tokenizer", [True, False])
def test_without_a_tokenizer_nothing_is_promised(
    tmp_path: Path, tokenizer_file: Path, has_tokenizer: bool
) -> None:
    noted = {"num_virtual_tokens": 3, "position": "prefix"}
    model = build_decoder(name="mediswift_finetuning", soft_prompt=noted)
    source = save(tmp_path / "a.mdl", state_of(model), {"soft_prompt": noted}, soft_prompt=noted)
    card = card_of(
        source, tmp_path / "export", has_tokenizer=has_tokenizer, tokenizer=tokenizer_file
    )
    assert ("The tokenizer puts them before each text" in card) is has_tokenizer
    assert ("This folder has no tokenizer" in card) is not has_tokenizer
