"""Runs with a soft prompt: saved, reloaded, resumed; what they see and what they refuse."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.data.hdf5_dataset import HDF5Dataset
from mediswift_cs.data.processors import make_processor
from mediswift_cs.data.prompts import MediSwiftPromptDataProcessor
from mediswift_cs.errors import CheckpointError, ConfigError, DataError
from mediswift_cs.evaluation.generate import generate
from mediswift_cs.evaluation.loading import load_model
from mediswift_cs.params.load import load_params
from mediswift_cs.params.schema import Params
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tasks.pubmedqa import LABELS, PubMedQA, question_example
from mediswift_cs.tokens.tokenizer import load_tokenizer, save_tokenizer, train_tokenizer
from mediswift_cs.tokens.tokenizer import vocab_size as size_of
from mediswift_cs.training import checkpoint, mdl_state
from mediswift_cs.training.held_out import evaluate
from mediswift_cs.training.loop import Trainer

MakeTrainer = Callable[[dict[str, Any], Path], Trainer]

LENGTH, NUM_VIRTUAL = 64, 3


def examples(start: int, number: int) -> list[Any]:
    return [
        question_example(
            str(start + i),
            question="Does it work?",
            contexts=["Cells divide in mice. " * (i % 4 + 1)],
            label=LABELS[i % 3],
        )
        for i in range(number)
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("prompts")
    texts = [e.source + e.target for e in examples(0, 12)]
    save_tokenizer(
        train_tokenizer(
            texts, vocab_size=300, min_frequency=2, num_texts=None, show_progress=False
        ),
        root / "tokenizer.json",
    )
    write_prompt_data(
        {"train": examples(0, 16), "val": examples(100, 7)},
        root / "tokenizer.json",
        root / "data",
        PromptSettings(max_sequence_length=LENGTH, num_virtual_tokens=NUM_VIRTUAL),
        task=PubMedQA(),
        counts={},
        sources=(),
        overwrite=False,
    )
    return root / "data"


@pytest.fixture
def raw(toy_raw: dict[str, Any], data: Path) -> dict[str, Any]:
    raw = copy.deepcopy(toy_raw)
    init, fit = raw["trainer"]["init"], raw["trainer"]["fit"]
    del init["sparsity"]
    init["model"].update(
        name="mediswift_finetuning",
        vocab_size=size_of(load_tokenizer(data / "tokenizer.json")),
        max_position_embeddings=LENGTH,
        soft_prompt={"num_virtual_tokens": NUM_VIRTUAL, "position": "infix"},
    )
    for loader, split in (
        (fit["train_dataloader"], "train"),
        (fit["val_dataloader"], "val"),
        (raw["trainer"]["validate"]["val_dataloader"], "val"),
        (raw["trainer"]["validate_all"]["val_dataloaders"], "val"),
    ):
        loader.update(
            data_processor="MediSwiftPromptDataProcessor", data_dir=str(data / split), batch_size=4
        )
    return raw


@pytest.mark.parametrize("trainable", ["all", "soft_prompt"])
def test_saved_and_reloaded_it_generates_the_same(
    raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer, trainable: str
) -> None:
    raw["trainer"]["init"]["model"]["trainable"] = trainable
    trainer = make_trainer(raw, tmp_path / "run")
    before = {k: v.clone() for k, v in trainer.host.model.state_dict().items()}
    trainer.fit([])
    model = trainer.host.model.eval()
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == ({"model.soft_prompt.weight"} if trainable == "soft_prompt" else set(before))
    loaded = load_model(tmp_path / "run" / "checkpoint_12.mdl")
    assert loaded.step == 12
    vocab_size = model.config.vocab_size
    prompts = [[5, 6, 7, vocab_size, vocab_size + 1, vocab_size + 2], [9, vocab_size + 1]]
    answers = [
        generate(m.model, prompts, eos_id=0, max_new_tokens=20) for m in (model, loaded.model)
    ]
    assert answers[0] == answers[1]
    for key, value in model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[key]), key
    own = checkpoint.load_checkpoint(tmp_path / "run" / "checkpoint_12.mdl", read=mdl_state.read)[
        "mediswift"
    ]
    assert own["soft_prompt"] == {
        "num_virtual_tokens": NUM_VIRTUAL,
        "position": "infix",
        "init": "random",
    }
    # Control: without the trained rows the model computes something else.
    ids = torch.tensor([prompts[0]], dtype=torch.int32)
    with torch.no_grad():
        trained = loaded.model.model(ids)
        loaded.model.model.soft_prompt.weight.mul_(-3)  # type: ignore[union-attr]
        assert (loaded.model.model(ids) - trained).abs().max() > 1e-4


@torch.no_grad()
def test_evaluation_weighs_tokens_and_sees_every_example(
    raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    raw["trainer"]["init"]["model"]["soft_prompt"]["init"] = "random"
    trainer = make_trainer(raw, tmp_path / "run")
    params = Params(**raw).trainer.fit.val_dataloader[0]  # type: ignore[union-attr,index]
    scores = evaluate(trainer.host, params, None)
    dataset = HDF5Dataset(make_processor(params).paths)
    assert len(dataset) == 7  # a whole batch of 4 and a tail of 3
    model, total, count, means = trainer.host.model.eval(), 0.0, 0, []
    for item in (dataset[i] for i in range(len(dataset))):
        batch = {key: torch.from_numpy(value)[None] for key, value in item.items()}
        num_tokens = int(batch["attention_mask"].sum())
        loss = float(model(batch))
        total, count = total + loss * num_tokens, count + num_tokens
        means.append(loss)
    assert scores["val_tokens"] == count
    assert scores["val_loss"] == pytest.approx(total / count, rel=1e-5)


def test_the_prompt_is_never_sparsified(
    raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    # cerebras-pytorch's default filter takes every weight with two axes that is not marked.
    raw["trainer"]["init"]["sparsity"] = {"sparsity": 0.5}
    trainer = make_trainer(raw, tmp_path / "run")
    trainer.host.draw_masks()
    state = trainer.host.model.state_dict()
    masks = [key for key in state if key.endswith("_mask")]
    assert masks
    assert "model.soft_prompt.weight_mask" not in masks
    assert (state["model.soft_prompt.weight"] != 0).all()


def test_another_number_of_virtual_tokens_or_position_is_an_error(
    raw: dict[str, Any], tmp_path: Path, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(raw, tmp_path / "run")
    path = trainer.save()
    prompt = raw["trainer"]["init"]["model"]["soft_prompt"]
    for changes, message in (
        ({"num_virtual_tokens": 5}, "num_virtual_tokens: got 5, allowed: 3, that of"),
        ({"position": "prefix"}, "position: got prefix, allowed: infix, that of"),
    ):
        other = copy.deepcopy(raw)
        other["trainer"]["init"]["model"]["soft_prompt"] = {**prompt, **changes}
        config = Params(**other)
        with pytest.raises(DataError, match="the prompt shards must be made for the model's"):
            make_trainer(other, tmp_path)
        # The same shards with a model that fits them, and a checkpoint that does not.
        trainer.host.model.config = config.trainer.init.model
        for load in (trainer.start_from, trainer.load):
            with pytest.raises(CheckpointError, match=message):
                load(path)


def test_params_are_checked_against_the_data(raw: dict[str, Any], tmp_path: Path) -> None:
    import yaml

    file = tmp_path / "params.yaml"

    def problems(**changes: Any) -> str:
        changed = copy.deepcopy(raw)
        changed["trainer"]["init"]["model"].update(changes.pop("model", {}))
        changed["trainer"]["fit"]["train_dataloader"].update(changes)
        file.write_text(yaml.safe_dump(changed))
        try:
            load_params(file, check_data="train")
        except ConfigError as error:
            return str(error)
        return ""

    prompt = raw["trainer"]["init"]["model"]["soft_prompt"]
    assert problems() == ""
    assert "3 virtual tokens, as in" in problems(
        model={"soft_prompt": {**prompt, "num_virtual_tokens": 4}}
    )
    assert "soft_prompt.position: got prefix, allowed: infix, as in" in problems(
        model={"soft_prompt": {**prompt, "position": "prefix"}}
    )
    assert "the first virtual token's id" in problems(model={"vocab_size": 400})
    assert "soft_prompt: got null, allowed: 3 virtual tokens" in problems(
        model={"soft_prompt": None}
    )


@pytest.mark.cerebras
def test_processor_reads_what_was_written(data: Path) -> None:
    params = {
        "data_processor": "MediSwiftPromptDataProcessor",
        "data_dir": str(data / "train"),
        "batch_size": 4,
    }
    processor = make_processor(
        Params.model_validate(  # the loader's own section
            {
                "trainer": {
                    "init": {"model": {"name": "mediswift"}},
                    "fit": {"train_dataloader": params},
                }
            }
        ).trainer.fit.train_dataloader
    )  # type: ignore[union-attr]
    assert isinstance(processor, MediSwiftPromptDataProcessor)
    assert processor.layout["num_virtual_tokens"] == NUM_VIRTUAL
    batch = next(iter(processor.create_dataloader()))
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    assert all(tuple(rows.shape) == (4, LENGTH) for rows in batch.values())
    assert int(batch["labels"].max()) < int(processor.layout["vocab_size"])
    virtual = batch["input_ids"] >= int(processor.layout["vocab_size"])
    assert (virtual.sum(dim=1) == NUM_VIRTUAL).all()
