"""What one traced batch does not show: the other batches, the workers, the cluster's folders."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.csx.cluster_settings import check_cluster_settings
from mediswift_cs.csx.input import ImportCheck, check_batches, check_uniform
from mediswift_cs.data.processors import create_dataloader
from mediswift_cs.errors import DataError
from mediswift_cs.params.schema import DataLoaderParams, Params


def problems(raw: dict[str, Any], **cluster: Any) -> list[str]:
    raw = copy.deepcopy(raw)
    raw["trainer"]["init"]["backend"]["cluster_config"] = cluster
    found = check_cluster_settings(Params.model_validate(raw))
    return [problem.line("params.yaml") for problem in found]


def test_settings_that_hold_have_no_problem(toy_raw: dict[str, Any], tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert problems(toy_raw, num_csx=8, mount_dirs=[folder], python_paths=[folder]) == []


def test_training_must_drop_an_incomplete_batch(toy_raw: dict[str, Any]) -> None:
    toy_raw["trainer"]["fit"]["train_dataloader"]["drop_last"] = False
    (line,) = problems(toy_raw)
    assert line.startswith("trainer.fit.train_dataloader.drop_last: got false, allowed: true")


@pytest.mark.parametrize("key", ["mount_dirs", "python_paths"])
def test_folders_for_the_cluster_must_exist(
    toy_raw: dict[str, Any], tmp_path: Path, key: str
) -> None:
    missing = tmp_path / "missing"
    (line,) = problems(toy_raw, **{key: [str(tmp_path), str(missing)]})
    assert line.startswith(f"trainer.init.backend.cluster_config.{key}.1: got '{missing}'")


def test_data_must_be_mounted_where_nothing_is_mounted_by_itself(
    toy_raw: dict[str, Any], tmp_path: Path
) -> None:
    found = problems(toy_raw, mount_dirs=[str(tmp_path)], automount=False)
    assert [line.partition(":")[0] for line in found] == [
        "trainer.fit.train_dataloader.data_dir",
        "trainer.fit.val_dataloader.data_dir",
    ]
    root = Path(toy_raw["trainer"]["fit"]["train_dataloader"]["data_dir"]).parent
    assert problems(toy_raw, mount_dirs=[str(root)], automount=False) == []


@pytest.mark.usefixtures("cpu_backend")
def test_real_batches_are_read_to_their_end(toy_raw: dict[str, Any]) -> None:
    config = DataLoaderParams(**toy_raw["trainer"]["fit"]["train_dataloader"])
    shapes = {name: [8, 16] for name in ("input_ids", "attention_mask", "labels")}
    assert check_batches(config) == {"shapes": shapes, "last_batch": "left out"}


@pytest.mark.usefixtures("cpu_backend")
def test_a_short_last_batch_is_found(toy_raw: dict[str, Any]) -> None:
    # On CPU an incomplete last batch is not filled up, so this is what a wrong loader looks like.
    config = DataLoaderParams(**toy_raw["trainer"]["fit"]["val_dataloader"])
    with pytest.raises(DataError, match=r"same shape, got input_ids \[8, 16\] and \[1, 16\]"):
        check_batches(config)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int16, torch.float32])
def test_other_number_formats_are_refused(dtype: torch.dtype) -> None:
    good = {"input_ids": torch.zeros(2, 4, dtype=torch.int32)}
    check_uniform([good, good])
    with pytest.raises(DataError, match="input_ids of a batch for CSX must be int32"):
        check_uniform([good, {"input_ids": torch.zeros(2, 4, dtype=dtype)}])


def test_a_worker_can_import_the_input_function(toy_raw: dict[str, Any]) -> None:
    arguments = toy_raw["trainer"]["fit"]["train_dataloader"]
    assert ImportCheck(create_dataloader, [arguments], python_paths=()).finish() is None


def test_a_function_of_this_process_alone_is_found(toy_raw: dict[str, Any]) -> None:
    def closure(config: dict[str, Any]) -> Any:
        return create_dataloader({**config, **toy_raw})

    error = ImportCheck(closure, [{}], python_paths=()).finish()
    assert error is not None
    assert "cannot be pickled" in error


def test_a_function_that_no_worker_can_import_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Importable here through this process's own path, which a worker does not have.
    (tmp_path / "input_of_mine.py").write_text("def create(config):\n    return config\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import input_of_mine  # type: ignore[import-not-found]

    error = ImportCheck(input_of_mine.create, [{}], python_paths=()).finish()
    assert error is not None
    assert "cannot be imported by a worker" in error
    assert "input_of_mine" in error
    assert ImportCheck(input_of_mine.create, [{}], [str(tmp_path)]).finish() is None
