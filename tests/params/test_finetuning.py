"""The fine-tuning files and their rules."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.params.load import examine, load_params
from mediswift_cs.params.recipes import render_all, render_all_finetuning

ROOT = Path(__file__).resolve().parents[2]
RENDERED = render_all_finetuning()
TINY = "finetuning/mediswift_tiny_pubmedqa.yaml"


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_file_is_the_rendering_and_has_no_problem(name: str) -> None:
    text = (ROOT / "params" / name).read_text(encoding="utf-8")
    assert text == RENDERED[name], "run: python -m mediswift_cs.params --write"
    params = load_params(name, check_data="none").params
    assert params.trainer.init.sparsity is None
    assert (params.trainer.init.model.soft_prompt is None) == ("classification" in name)


def test_there_is_a_file_for_each_size_and_task() -> None:
    expected = {f"{size}_{task}" for size in ("med", "large", "xl") for task in ("pubmedqa", "hoc")}
    expected |= {"tiny_pubmedqa", "tiny_hoc", "tiny_artificial", "tiny_classification"}
    assert {Path(name).stem.removeprefix("mediswift_") for name in RENDERED} == expected


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_the_decoder_is_that_of_the_pre_training_file(name: str) -> None:
    size = Path(name).stem.split("_")[1]
    pretraining = yaml.safe_load(render_all()[f"mediswift_{size}_75.yaml"])
    ours = yaml.safe_load(RENDERED[name])["trainer"]["init"]["model"]
    theirs = pretraining["trainer"]["init"]["model"]
    assert ours.pop("name") == "mediswift_finetuning"
    assert theirs.pop("name") == "mediswift"
    assert {k: v for k, v in ours.items() if k not in ("soft_prompt", "trainable")} == theirs


Change = Callable[[dict[str, Any]], Any]


def model(raw: dict[str, Any]) -> dict[str, Any]:
    section: dict[str, Any] = raw["trainer"]["init"]["model"]
    return section


BROKEN: dict[str, tuple[Change, str]] = {
    "name": (
        lambda raw: model(raw).update(name="mediswift"),
        "init.model.name: got mediswift with",
    ),
    "no prompt to train": (
        lambda raw: model(raw).update(trainable="soft_prompt", soft_prompt=None),
        "init.model.trainable: got soft_prompt without one",
    ),
    "no text": (
        lambda raw: model(raw)["soft_prompt"].update(init="text", tokenizer_file="t.json"),
        "soft_prompt.init_text: got null, allowed: a text with init text",
    ),
    "text without init": (
        lambda raw: model(raw)["soft_prompt"].update(init_text="Answer:"),
        "soft_prompt.init_text: got 'Answer:', allowed: null without init text",
    ),
    "longer than the model": (
        lambda raw: model(raw)["soft_prompt"].update(num_virtual_tokens=256),
        "soft_prompt.num_virtual_tokens: got 256, allowed: fewer than max_position_embeddings 256",
    ),
    "position": (
        lambda raw: model(raw)["soft_prompt"].update(position="suffix"),
        "soft_prompt.position: got 'suffix', allowed: prefix or infix",
    ),
    "processor": (
        lambda raw: raw["trainer"]["fit"]["train_dataloader"].update(
            data_processor="MediSwiftPretrainingDataProcessor"
        ),
        "train_dataloader.data_processor: got MediSwiftPretrainingDataProcessor, allowed: "
        "MediSwiftPromptDataProcessor",
    ),
    "a filter that takes the prompt": (
        lambda raw: raw["trainer"]["init"].update(
            sparsity={"sparsity": 0.5, "param_filter": ["*soft_prompt*"]}
        ),
        "it also matches the soft prompt model.soft_prompt.weight",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_reported(name: str) -> None:
    change, message = BROKEN[name]
    raw = yaml.safe_load(RENDERED[TINY])
    assert examine(copy.deepcopy(raw))[1] == []
    change(raw)
    lines = [problem.line(TINY) for problem in examine(raw)[1]]
    assert any(message in line for line in lines), lines
