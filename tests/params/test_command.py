"""``mediswift params`` and ``python -m mediswift_cs.params``."""

from pathlib import Path

import pytest

from mediswift_cs.cli import main
from mediswift_cs.params.__main__ import main as params_main
from mediswift_cs.params.recipes import render_all, render_all_finetuning, write


def test_list_show_validate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["params", "list"]) == 0
    assert capsys.readouterr().out.split() == sorted({**render_all(), **render_all_finetuning()})
    assert main(["params", "show", "mediswift_xl_75"]) == 0
    assert capsys.readouterr().out == render_all()["mediswift_xl_75.yaml"]
    override = ["--set", "trainer.init.loop.max_steps=20"]
    assert main(["params", "validate", "mediswift_xl_75.yaml", *override]) == 0
    output = capsys.readouterr().out
    assert "rescaled from 200000 to 20 steps" in output
    assert "no problem found" in output


def test_user_errors_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    override = ["--set", "trainer.init.model.num_heads=7"]
    assert main(["params", "validate", "mediswift_tiny_75", *override]) == 2
    assert "got 7, allowed: a divisor of hidden_size 256" in capsys.readouterr().err
    assert main(["params", "show"]) == 2
    assert main(["params", "show", "nothing.yaml"]) == 2


def test_check_and_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkout = Path(__file__).resolve().parents[2]
    assert params_main(["--check", "--root", str(checkout)]) == 0
    assert "0 of 43 files differ" in capsys.readouterr().out
    assert params_main(["--check", "--root", str(tmp_path)]) == 2
    assert "allowed: a checkout" in capsys.readouterr().err
    write(tmp_path)
    stale = tmp_path / "params" / "mediswift_xl_75.yaml"
    stale.write_text(stale.read_text().replace("0.75", "0.5"))
    assert params_main(["--check", "--root", str(tmp_path)]) == 1
    assert "1 of 43 files differ" in capsys.readouterr().out
    assert params_main(["--write", "--root", str(tmp_path)]) == 0
    assert params_main(["--check", "--root", str(tmp_path)]) == 0
