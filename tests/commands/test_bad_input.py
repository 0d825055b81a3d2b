"""What every command does with input that it cannot use: one sentence and exit code 2."""

from pathlib import Path

import pytest

from mediswift_cs.cli import main
from mediswift_cs.params.__main__ import main as write_params


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("convert nofile out", "checkpoint not found: nofile"),
        ("demo --num-records 0", "--num-records: got 0, allowed: 1 or more"),
        ("demo --max-steps 0", "trainer.init.loop.max_steps: got 0, allowed: a whole number"),
        ("demo --finetuning-steps -1", "got -1, allowed: a whole number"),
        ("demo --output file/demo", "--output: cannot make file/demo: Not a directory"),
        ("documents nofile --output out.jsonl.zst", "nofile"),
        ("evaluate --task x --data d --checkpoint c", "got 'x', allowed: pubmedqa"),
        ("fetch pmc --output out", "pmc needs --list"),
        (
            "flops mediswift_tiny_75.yaml --tokens 0",
            "tokens of the run: got 0, allowed: a positive",
        ),
        ("flops --json file/x.json", "cannot write file/x.json: Not a directory"),
        ("flops --json .", "cannot write .: Is a directory"),
        ("flops nofile", "got 'nofile', which is no file"),
        ("hoc --input nofile --tokenizer t --output out", "cannot read nofile"),
        ("inspect file", "not a complete .mdl"),
        ("params list extra", "mediswift params list: got 'extra', allowed: no file"),
        ("params show latin", "cannot read latin: not UTF-8 text"),
        ("params validate mediswift_xl_7.yaml", "did you mean mediswift_xl_75.yaml?"),
        ("plan huge", "SIZE: got 'huge', allowed: tiny, med, large, xl"),
        ("prepare --config nofile", "cannot read nofile"),
        ("prepare --config file", "got 'text', allowed: a YAML mapping of settings"),
        ("pubmedqa labelled --input nofile --tokenizer t --output out", "nofile"),
        ("report nofile --output out.html", "MODEL_DIR: got nofile, allowed: the folder of a run"),
        ("report . --output file/x.html", "cannot write file/x.html: Not a directory"),
        (
            "run --params mediswift_tiny_75.yaml --validate_only --json file/x.json",
            "cannot write file/x.json: Not a directory",
        ),
        (
            "run CPU --params mediswift_tiny_75.yaml --set trainer.init.model_dir=''",
            "trainer.init.model_dir: got '', allowed: a folder",
        ),
        (
            "run CPU --params mediswift_tiny_75_rigl.yaml",
            "trainer.init.sparsity.algorithm: got rigl, allowed: static with --engine torch; "
            "--engine cerebras",
        ),
        ("run --params nofile", "got 'nofile', which is no file"),
        ("shards nofile --tokenizer t --max-sequence-length 8 --output out", "nofile"),
        ("tokenizer nofile --output out", "nofile"),
    ],
)
def test_one_sentence_and_exit_code_2(
    arguments: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("text\n")
    Path("latin").write_bytes(b"\xe9\n")
    assert main(arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"file", "latin"}, "nothing is left behind"


@pytest.mark.parametrize(
    "arguments",
    [
        "convert a.mdl out --tokenizer",
        "convert a.mdl out --verify-text",
        "evaluate --task pubmedqa --data d --checkpoint c --output",
        "evaluate --data d --checkpoint",
        "evaluate --method tfidf --data",
        "flops --json",
        "prepare --config file --output",
        "run CPU --params mediswift_tiny_75.yaml --validate_only --model_dir",
    ],
)
def test_an_unset_shell_variable_is_not_the_current_folder(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments.split(), ""])
    assert ended.value.code == 2
    assert "got '', allowed: a path" in capsys.readouterr().err


def test_a_checkout_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "params" / "finetuning").mkdir(parents=True)
    (tmp_path / "docs").touch()
    assert write_params(["--write", "--root", str(tmp_path)]) == 2
    place = tmp_path / "docs" / "deviations.md"
    assert capsys.readouterr().err == f"error: cannot write {place}: Not a directory\n"
