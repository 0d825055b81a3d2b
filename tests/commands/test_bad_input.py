"""What every command does with input that it cannot use: one sentence and exit code 2."""

from pathlib import Path

import pytest

from mediswift_cs.cli import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("convert nofile out", "checkpoint not found: nofile"),
        ("demo --num-records 0", "--num-records: got 0, allowed: 1 or more"),
        ("demo --output file/demo", "--output: cannot make file/demo: Not a directory"),
        ("documents nofile --output out.jsonl.zst", "nofile"),
        ("evaluate --task x --data d --checkpoint c", "got 'x', allowed: pubmedqa"),
        ("fetch pmc --output out", "pmc needs --list"),
        ("flops nofile", "got 'nofile', which is no file"),
        ("hoc --input nofile --tokenizer t --output out", "cannot read nofile"),
        ("inspect file", "not a complete .mdl"),
        ("params validate mediswift_xl_7.yaml", "did you mean mediswift_xl_75.yaml?"),
        ("prepare --config nofile", "cannot read nofile"),
        ("prepare --config file", "got 'text', allowed: a YAML mapping of settings"),
        ("pubmedqa labelled --input nofile --tokenizer t --output out", "nofile"),
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
    assert main(arguments.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "nothing is left behind"
