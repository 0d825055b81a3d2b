"""The options of run.py that stand for keys of the params file."""

import argparse
from typing import Any

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import load_params
from mediswift_cs.run import add_arguments, collect_overrides


def backend_of(*arguments: str) -> dict[str, Any]:
    """``trainer.init.backend`` of a shipped file under these options, as plain data."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(["--params", "mediswift_tiny_75.yaml", *arguments])
    loaded = load_params(args.params, collect_overrides(args), check_data="none")
    return loaded.params.trainer.init.backend.model_dump()


@pytest.mark.parametrize("text", ["2024", "true", "null", "a: b", "[x", "é 🙂 \"'"])
def test_text_is_text(text: str) -> None:
    labels = ("--job_labels", text, "b=1")
    backend = backend_of("--mgmt_namespace", text, "--compile_dir", text, "--num_csx", "2", *labels)
    assert backend["cluster_config"]["mgmt_namespace"] == text
    assert backend["cluster_config"]["job_labels"] == [text, "b=1"]
    assert backend["cluster_config"]["num_csx"] == 2
    assert backend["compile_dir"] == text


def test_control_set_is_yaml() -> None:
    with pytest.raises(ConfigError, match="got 7"):
        backend_of("--set", "trainer.init.backend.compile_dir=7")
