"""What ``run.py --validate_only`` refuses before anything is compiled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.run import main

from .run_py import run_py

pytestmark = pytest.mark.cerebras


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
    key: str, value: int, allowed: str, refused: Callable[..., str]
) -> None:
    said = refused("--validate_only", "--set", f"trainer.init.model.{key}={value}")
    assert f"{key}: got {value}, allowed: {allowed}" in said


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
    arguments: list[str], message: str, refused: Callable[..., str]
) -> None:
    assert message in refused(*arguments)


def test_unwritable_model_dir_is_wrong_input(
    params: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--validate_only", "--model_dir", str(tmp_path / "file")]
    assert main(["--params", str(params), *arguments]) == 2
    assert "cannot write to --model_dir" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--compile_only"]])
@pytest.mark.parametrize(
    "file", ["mediswift_xl_75.yaml", None], ids=["mediswift_xl_75.yaml", "toy"]
)
def test_without_a_cluster_one_sentence_and_nothing_written(
    option: list[str],
    file: str | None,
    refused: Callable[..., str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CSCONFIG_PATH", str(tmp_path / "no_cluster"))
    (line,) = refused("CSX", *option, file=file).splitlines()
    for way_on in ("run.py CPU", "--validate_only", "--mgmt_address"):
        assert way_on in line


def test_a_file_that_asks_for_it_is_validated_without_the_option(
    params: Path, toy_raw: dict[str, Any], refused: Callable[..., str]
) -> None:
    toy_raw["trainer"]["init"]["backend"] |= {"validate_only": True}
    params.write_text(yaml.safe_dump(toy_raw))
    # The device that only --validate_only refuses shows which way was taken.
    assert "--validate_only compiles for CSX" in refused("CPU")


def test_problems_of_file_and_data_are_listed_at_once(
    params: Path, toy_raw: dict[str, Any], refused: Callable[..., str]
) -> None:
    toy_raw["trainer"]["init"]["model"]["num_heads"] = 7
    toy_raw["trainer"]["fit"]["train_dataloader"]["data_dir"] = "nowhere"
    params.write_text(yaml.safe_dump(toy_raw))
    printed = refused("--engine", "cerebras")
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
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediswift_cs.packages.version_of", lambda name: None)
    assert "this command needs the package cerebras-pytorch" in refused("--validate_only")
