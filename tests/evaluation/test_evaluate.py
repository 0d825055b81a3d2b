"""mediswift evaluate: options, and a folder that must be free before the work begins."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs import cli
from mediswift_cs.evaluation import evaluate_task as module
from mediswift_cs.evaluation.loading import LoadedModel
from mediswift_cs.evaluation.trained_on import documents_trained_on, warning
from mediswift_cs.model.finetuning import MediSwiftFineTuningModel
from mediswift_cs.tasks import pubmedqa
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tasks.pubmedqa import PubMedQA
from mediswift_cs.tokens.manifest import shard_paths, shards_fingerprint
from mediswift_cs.training import mdl_state
from mediswift_cs.training.checkpoint import save_checkpoint


@pytest.fixture
def data(tmp_path: Path, toy_tokenizer: Path) -> Path:
    """Prepared questions."""
    questions = [
        pubmedqa.question_example(
            str(number), question="Does a cell divide?", contexts=["Some do."], label="yes"
        )
        for number in range(1, 4)
    ]
    write_prompt_data(
        {"train": questions[:1], "val": questions[1:]},
        toy_tokenizer,
        tmp_path / "data",
        PromptSettings(max_sequence_length=90, num_virtual_tokens=3),
        task=PubMedQA(),
        counts={},
        sources=(),
        overwrite=False,
    )
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files that are complete, and no model."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mdl", "b.mdl"):
        save_checkpoint({"model": {}}, tmp_path / name, write=mdl_state.write)


@pytest.fixture
def every_file_is_a_model(
    toy_model: MediSwiftFineTuningModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(path: Path, config: object) -> LoadedModel:
        return LoadedModel(model=toy_model, path=path, step=1, tokenizer_sha256=None)

    monkeypatch.setattr(module, "load_model", load)


def evaluate(data: Path, *options: str, checkpoint: str = "a.mdl") -> int:
    command = ["evaluate", "--task", "pubmedqa", "--data", str(data), "--checkpoint", checkpoint]
    return cli.main([*command, *options])


@pytest.mark.parametrize("name", ["file", "file/x"])
def test_an_impossible_output_is_refused_before_the_model_is_loaded(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "file").touch()
    assert evaluate(data, "--output", str(tmp_path / name)) == 2
    error = capsys.readouterr().err
    assert error == f"error: cannot write to --output {tmp_path / name}: Not a directory\n"


def test_an_absent_checkpoint_leaves_no_folder(data: Path, tmp_path: Path) -> None:
    assert evaluate(data, checkpoint="nosuch/a.mdl") == 2
    assert not (tmp_path / "nosuch").exists()


@pytest.mark.usefixtures("every_file_is_a_model")
def test_results_are_replaced_by_the_same_evaluation_only(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = ["--output", str(tmp_path / "out")]
    assert evaluate(data, *output) == 0
    assert evaluate(data, *output) == 0
    before = (tmp_path / "out" / "scores.json").read_text()
    assert evaluate(data, *output, "--method", "generate") == 2
    assert evaluate(data, *output, checkpoint="b.mdl") == 2
    assert "a.mdl), allowed: another folder, or --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "scores.json").read_text() == before
    assert evaluate(data, *output, "--overwrite", checkpoint="b.mdl") == 0
    kept = json.loads((tmp_path / "out" / "scores.json").read_text())["options"]
    assert Path(kept["checkpoint"]).name == "b.mdl"


@pytest.mark.parametrize("number", ["0", "99999999999999"])
def test_threads_are_at_most_the_cpus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    assert evaluate(tmp_path, "--threads", number) == 2
    assert f"--threads: got {number}, allowed: 1 to {os.cpu_count()}" in capsys.readouterr().err


@pytest.mark.usefixtures("every_file_is_a_model")
def test_scoring_what_was_trained_on_is_told(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    params = {"trainer": {"fit": {"train_dataloader": {"data_dir": str(data / "train")}}}}
    fingerprint = shards_fingerprint(shard_paths([data / "train"]))

    def known(fingerprint: str, split: str) -> tuple[list[str] | None, str]:
        state = {
            "model": {},
            "__metadata__": [{"params": params}],
            "dataloader": {"dataset": {"shards_sha256": fingerprint}},
        }
        save_checkpoint(state, tmp_path / "a.mdl", write=mdl_state.write)
        assert evaluate(data, "--split", split, "--output", str(tmp_path / split)) == 0
        scores = json.loads((tmp_path / split / "scores.json").read_text())
        return scores["documents_trained_on"], capsys.readouterr().err

    found, told = known(fingerprint, "train")
    assert found == ["1"]
    assert "the model was trained on 1 of the 1 documents that are scored (1)" in told
    found, told = known(fingerprint, "val")
    assert found == []
    assert "trained on" not in told
    # Other data lies there now.
    assert known("0" * 64, "train")[0] is None


def test_what_a_model_was_trained_on_is_known_only_of_data_that_is_as_it_was(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fingerprint = shards_fingerprint(shard_paths([data / "val"]))
    sound: dict[str, Any] = {
        "model": {},
        "__metadata__": [
            {"params": {"trainer": {"fit": {"train_dataloader": {"data_dir": str(data / "val")}}}}}
        ],
        "dataloader": {"dataset": {"shards_sha256": fingerprint}},
    }

    def known(**changes: Any) -> list[str] | None:
        save_checkpoint({**sound, **changes}, tmp_path / "a.mdl", write=mdl_state.write)
        return documents_trained_on(tmp_path / "a.mdl", {"3", "9", "2"})

    def of(fit: Any) -> list[dict[str, Any]]:
        return [{"params": {"trainer": {"fit": fit}}}]

    assert known() == ["2", "3"]
    assert known(dataloader=None) is None
    assert known(__metadata__=of({})) is None
    assert known(__metadata__=of(None)) is None
    elsewhere = tmp_path / "elsewhere"
    moved = of({"train_dataloader": {"data_dir": str(elsewhere)}})
    assert known(__metadata__=moved) is None
    # Shards of others have no manifest, which would lead to their examples.
    elsewhere.mkdir()
    (shard,) = (data / "val").glob("*.h5")
    shutil.copy(shard, elsewhere)
    same = {"dataset": {"shards_sha256": shards_fingerprint(shard_paths([elsewhere]))}}
    assert known(__metadata__=moved, dataloader=same) is None
    examples = data / "val.jsonl"
    content = examples.read_text()
    examples.write_text("{")
    assert known() is None
    examples.unlink()
    assert known() is None
    examples.write_text(content)
    assert known() == ["2", "3"], "control"

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(f"{documents_trained_on.__module__}.read_examples_file", refuse)
    assert known() is None


def test_the_first_documents_that_were_trained_on_are_told() -> None:
    assert warning([], 9) == ""
    assert "trained on 3 of the 9 documents that are scored (1, 2, 3);" in warning([*"123"], 9)
    assert "trained on 4 of the 9 documents that are scored (1, 2, 3, ...);" in warning(
        [*"1234"], 9
    )
