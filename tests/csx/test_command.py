"""``run.py --validate_only`` and its neighbours from the command line."""

import contextlib
import copy
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.csx.check import graphs_of_mode
from mediswift_cs.csx.cirh import summarise
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import fingerprint, load_params
from mediswift_cs.params.schema import Params
from mediswift_cs.run import main

REPOSITORY = Path(__file__).parents[2]


def run_py(*arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(REPOSITORY / "run.py"), *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def params(toy_raw: dict[str, Any], tmp_path: Path) -> Path:
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump(toy_raw))
    return file


def test_pass_prints_one_block_and_writes_json(params: Path, tmp_path: Path) -> None:
    """The real data is read; a wrong compiler that comes first on PATH is not used."""
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    (wrong / "torch-cirh-opt").write_text("#!/bin/sh\nexit 0\n")
    (wrong / "torch-cirh-opt").chmod(0o755)
    done = run_py(
        *("--params", params.name, "--validate_only", "--json", "found.json", "--model_dir", "out"),
        folder=tmp_path,
        PATH=f"{wrong}{os.pathsep}{os.environ['PATH']}",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["passed"] is True
    assert found["failure"] is None
    assert found["data"] == {"training": "read", "evaluation": "read"}
    assert found["batches"]["training"]["shapes"]["input_ids"] == [8, 16]
    assert found["graphs"].keys() == {"training", "evaluation"}
    assert found["graphs"]["training"]["operations"]["MatMul"] > 10
    assert found["graphs"]["training"]["num_sparsity_hints"] == 3 * 12
    assert [group["sparsity"] for group in found["sparsity"]] == [0.75, 0.75, 0.75]
    flops = found["training_flops"]
    assert flops["tokens"] == 12 * 8 * 16
    assert flops["dense_run"] == flops["dense_per_sequence"] * 12 * 8
    assert flops["sparse_run"] < flops["dense_run"]
    assert found["wall_seconds"] > 1
    assert found["peak_bytes"] > 2e8
    for path in found["artifacts"].values():
        assert Path(path).is_file()
    for expected in (
        "PASSED",
        "kernel matching, memory and placement",
        "8 x 16, int32",
        f"{found['num_parameters']:,}",
        found["graphs"]["training"]["sha256"],
        "cirh.mlir",
    ):
        assert expected in done.stdout
    assert not list(tmp_path.rglob("checkpoint_*")), "nothing was trained"


def test_eval_mode_compiles_the_evaluation_graph_alone(params: Path, tmp_path: Path) -> None:
    done = run_py(
        *("CSX", "--params", params.name, "--validate_only", "--mode", "eval"),
        *("--json", "found.json"),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["graphs"].keys() == {"evaluation"}
    operations = found["graphs"]["evaluation"]["operations"]
    assert "GeluGrad" not in operations, "control: there is no backward pass"
    assert any("--mode train" in line for line in found["not_proved"])


def test_absent_data_is_said(toy_raw: dict[str, Any], tmp_path: Path) -> None:
    for loader in ("train_dataloader", "val_dataloader"):
        toy_raw["trainer"]["fit"][loader]["data_dir"] = "nowhere"
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(toy_raw))
    done = run_py("--params", "toy.yaml", "--validate_only", "--mode", "train", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "zeros of the same shape stood in for it" in done.stdout
    assert not (tmp_path / "nowhere").exists()


def test_wrong_data_is_wrong_input(params: Path, toy_raw: dict[str, Any], tmp_path: Path) -> None:
    toy_raw["trainer"]["fit"]["train_dataloader"]["tokenizer_sha256"] = "b" * 64
    params.write_text(yaml.safe_dump(toy_raw))
    done = run_py("--params", params.name, "--validate_only", "--mode", "train", folder=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: trainer.fit.train_dataloader.tokenizer_sha256: got bbb")


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [("max_position_embeddings", 8, "at least 16"), ("vocab_size", 63, "at least 64")],
)
def test_data_that_do_not_fit_the_model_are_wrong_input(
    key: str,
    value: int,
    allowed: str,
    params: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    override = f"trainer.init.model.{key}={value}"
    assert main(["--validate_only", "--params", str(params), "--set", override]) == 2
    assert f"{key}: got {value}, allowed: {allowed}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [params]


def test_validations_at_once_in_one_folder_are_independent(params: Path, tmp_path: Path) -> None:
    """One params file, two models: each verdict is that of its own."""
    widths = (32, 64)
    running = [
        subprocess.Popen(
            [
                *(sys.executable, str(REPOSITORY / "run.py"), "--params", params.name),
                *("--validate_only", "--mode", "train", "--json", f"{width}.json"),
                *("--set", f"trainer.init.model.filter_size={width}"),
            ],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
        )
        for width in widths
    ]
    assert [process.wait() for process in running] == [0, 0]
    found = [json.loads((tmp_path / f"{width}.json").read_text()) for width in widths]
    assert found[0]["params_sha256"] != found[1]["params_sha256"]
    num_more = found[1]["num_parameters"] - found[0]["num_parameters"]
    assert num_more == 2 * 32 * (2 * 32 + 1)  # two layers; two matrices and one bias
    for width, each in zip(widths, found, strict=True):
        cirh = Path(each["artifacts"]["executors/000001/cirh.mlir"])
        assert summarise(cirh).sha256 == each["graphs"]["training"]["sha256"]
        loaded = load_params(params, [f"trainer.init.model.filter_size={width}"], check_data="none")
        changed = copy.deepcopy(loaded.raw)
        changed["trainer"]["init"]["backend"]["validate_only"] = True
        assert each["params_sha256"] == fingerprint(changed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CPU", "--validate_only"], "--validate_only compiles for CSX, got device CPU"),
        (["--validate_only", "--compile_only"], "got both --compile_only and --validate_only"),
        (
            ["--validate_only", "--num_csx", "9"],
            "got 8, allowed: a multiple of num_csx 9",
        ),
        (["--validate_only", "--mount_dirs", "nowhere"], "mount_dirs.0: got 'nowhere'"),
        (["--validate_only", "--python_paths", "nowhere"], "python_paths.0: got 'nowhere'"),
        (["--json", "found.json"], "belongs to --validate_only"),
    ],
)
def test_wrong_input_is_found_before_anything_is_compiled(
    arguments: list[str],
    message: str,
    params: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, "--params", str(params)]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [params]


def test_unwritable_model_dir_is_wrong_input(
    params: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--validate_only", "--model_dir", str(tmp_path / "file")]
    assert main(["--params", str(params), *arguments]) == 2
    assert "cannot write to --model_dir" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--compile_only"]])
@pytest.mark.parametrize("name", ["mediswift_xl_75.yaml", "toy"])
def test_without_a_cluster_one_sentence_and_nothing_written(
    option: list[str],
    name: str,
    params: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CSCONFIG_PATH", str(tmp_path / "no_cluster"))
    file = str(params) if name == "toy" else name
    assert main(["CSX", "--params", file, *option]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    for way_on in ("run.py CPU", "--validate_only", "--mgmt_address"):
        assert way_on in line
    assert list(tmp_path.iterdir()) == [params]


def test_a_file_that_asks_for_it_is_validated_without_the_option(
    params: Path,
    toy_raw: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(params.parent)
    toy_raw["trainer"]["init"]["backend"] |= {"validate_only": True}
    params.write_text(yaml.safe_dump(toy_raw))
    # The device that only --validate_only refuses shows which way was taken.
    assert main(["CPU", "--params", str(params)]) == 2
    assert "--validate_only compiles for CSX" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["eval", "eval_all"])
def test_evaluation_needs_a_dataloader(mode: Any, toy_raw: dict[str, Any]) -> None:
    toy = Params.model_validate(toy_raw)
    assert graphs_of_mode(toy, mode).keys() == {"evaluation"}
    assert graphs_of_mode(toy, "train").keys() == {"training"}
    assert graphs_of_mode(toy, "train_and_eval").keys() == {"training", "evaluation"}
    trainer = toy_raw["trainer"]
    del trainer["validate"], trainer["validate_all"], trainer["fit"]["val_dataloader"]
    without = Params.model_validate(toy_raw)
    with pytest.raises(ConfigError, match=f"--mode {mode} needs data"):
        graphs_of_mode(without, mode)
    assert graphs_of_mode(without, "train_and_eval").keys() == {"training"}
    del trainer["init"]["optimizer"]
    with pytest.raises(ConfigError, match="--mode train trains"):
        graphs_of_mode(Params.model_validate(toy_raw), "train")


def test_problems_of_file_and_data_are_listed_at_once(
    params: Path, toy_raw: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    toy_raw["trainer"]["init"]["model"]["num_heads"] = 7
    toy_raw["trainer"]["fit"]["train_dataloader"]["data_dir"] = "nowhere"
    params.write_text(yaml.safe_dump(toy_raw))
    assert main(["--params", str(params), "--engine", "cerebras"]) == 2
    printed = capsys.readouterr().err
    assert "trainer.init.model.num_heads: got 7" in printed
    assert "trainer.fit.train_dataloader.data_dir: got 'nowhere'" in printed


def test_a_setting_that_the_client_refuses_is_wrong_input(params: Path, tmp_path: Path) -> None:
    """Folders are relative to where the command is given, as those of the data are."""
    (tmp_path / "shared").mkdir()
    arguments = ["--params", params.name, "--validate_only", "--mode", "eval"]
    arguments += ["--mount_dirs", "shared", "--python_paths", "shared"]
    done = run_py(*arguments, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    key = "trainer.init.backend.cluster_config.notifications"
    done = run_py(*arguments, "--set", f"{key}=[{{nobody: 1}}]", folder=tmp_path)
    assert done.returncode == 2, done.stdout
    assert "error: trainer.init.backend.cluster_config: " in done.stderr
    assert "nobody" in done.stderr


def test_without_cerebras_pytorch_nothing_is_judged(
    params: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mediswift_cs.packages.version_of", lambda name: None)
    assert main(["--validate_only", "--params", str(params)]) == 2
    assert "this command needs the package cerebras-pytorch" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [params]


def test_the_compiler_ends_with_a_killed_validation(params: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(REPOSITORY / "run.py"), "--params", params.name]
    validation = subprocess.Popen(
        [*command, "--validate_only", "--model_dir", "out"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # It says its stage once it is under way.
    while not list(tmp_path.glob("out/validate_only/**/result.json")):
        assert validation.poll() is None
        time.sleep(0.05)
    assert compilers_below(tmp_path)
    validation.kill()
    validation.wait()
    end = time.monotonic() + 60
    while compilers_below(tmp_path) and time.monotonic() < end:
        time.sleep(0.1)
    assert not compilers_below(tmp_path)
    # It did not go on to its end, with nobody to read what it found.
    (result,) = tmp_path.glob("out/validate_only/**/result.json")
    assert json.loads(result.read_text())["stage"] != "compiling the evaluation graph"


def compilers_below(folder: Path) -> list[str]:
    """The processes that trace a model for a request below a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = process.joinpath("cmdline").read_bytes().decode(errors="replace")
            if "mediswift_cs.csx.trace" in line and str(folder) in line:
                found.append(process.name)
    return found
