"""run.py: what it says to input that it cannot use, and to numbers that are not finite."""

from pathlib import Path
from typing import Any

import h5py
import yaml

from .conftest import Run


def test_bad_checkpoints_are_named(run: Run, tmp_path: Path, toy_raw: dict[str, Any]) -> None:
    run("--model_dir", "out")
    good = tmp_path / "out/checkpoint_12.mdl"
    (tmp_path / "cut.mdl").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (tmp_path / "text.mdl").write_text("not a checkpoint")
    for name, said in [
        ("cut.mdl", "not a complete .mdl"),
        ("text.mdl", "not a complete .mdl"),
        ("none.mdl", "not found"),
    ]:
        code, output = run("--model_dir", f"to_{name}", "--checkpoint_path", name)
        assert code == 2, output
        assert said in output
        assert name in output
        assert "Traceback" not in output

    wider = ("--set", "trainer.init.model.hidden_size=64")
    code, output = run("--model_dir", "wider", "--checkpoint_path", str(good), *wider)
    assert code == 2
    assert "has shape [64, 32], the model has [64, 64]" in output
    dense = ("--set", "trainer.init.sparsity=null")
    code, output = run("--model_dir", "dense", *dense)
    assert code == 0, output
    code, output = run("--model_dir", "sparse", "--checkpoint_path", "dense/checkpoint_12.mdl")
    assert code == 2, output
    assert "missing model.transformer_decoder.layers.0" in output
    assert "one is sparse and the other dense" in output


def test_pickled_objects_are_not_loaded(run: Run, tmp_path: Path) -> None:
    run("--model_dir", "out")
    path = tmp_path / "out/checkpoint_12.mdl"
    with h5py.File(path, "r+") as file:
        name = next(key for key in file.attrs if "ScalarSerializer" in str(file.attrs[key]))
        file.attrs[name] = file.attrs[name].replace("ScalarSerializer", "ObjectSerializer")
    code, output = run("--model_dir", "next", "--checkpoint_path", str(path))
    assert code == 2
    assert "not plain data, got ObjectSerializer" in output


def test_shards_of_another_tokenizer_are_refused(run: Run, tmp_path: Path) -> None:
    key = "trainer.fit.train_dataloader.tokenizer_sha256"
    code, output = run("--model_dir", "out", "--set", f"{key}={'b' * 64}")
    assert code == 2
    assert "b" * 64 in output
    assert "Traceback" not in output


def test_model_dir_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, output = run("--model_dir", "file/out")
    assert code == 2
    assert "cannot write to --model_dir" in output


def test_csx_without_a_cluster_names_the_ways_on(
    run: Run, toy_params: Path, toy_raw: dict[str, Any], tmp_path: Path
) -> None:
    toy_raw["trainer"]["init"]["backend"]["backend_type"] = "CSX"
    toy_raw["trainer"]["init"]["precision"] |= {"enabled": True, "fp16_type": "bfloat16"}
    toy_params.write_text(yaml.safe_dump(toy_raw))
    code, output = run("--model_dir", "out")
    assert code == 2
    for way in ("run.py CPU", "--validate_only", "--mgmt_address"):
        assert way in output
    assert not (tmp_path / "out").exists(), "nothing half-written"
    code, output = run("CPU", "--model_dir", "out")
    assert code == 0, output


def test_gpu_without_cuda_is_one_sentence(run: Run) -> None:
    code, output = run("GPU", "--model_dir", "out")
    assert code == 2
    assert "torch finds no CUDA device" in output


def test_numbers_that_are_not_finite_end_the_run_with_one_sentence(
    toy_raw: dict[str, Any], run: Run, tmp_path: Path
) -> None:
    toy_raw["trainer"]["init"]["schedulers"] = [
        {"ConstantLR": {"learning_rate": 1e38, "total_iters": 12}}
    ]
    toy_raw["trainer"]["init"]["checkpoint"]["steps"] = 1
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(toy_raw))
    code, output = run("--model_dir", "out")
    assert code == 1, output
    assert "Traceback" not in output
    (line,) = [line for line in output.splitlines() if line.startswith("error: ")]
    assert "finite" in line
    assert "with the learning rate 1e+38" in line
