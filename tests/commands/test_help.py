"""The list of commands, and what is said to somebody who mistypes one."""

import pytest

from mediswift_cs.cli import command_names, main
from mediswift_cs.commands import PURPOSES


def answer(arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    captured = capsys.readouterr()
    return int(ended.value.code or 0), captured.out + captured.err


def test_every_command_has_one_purpose_and_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    listed = [name for names in PURPOSES.values() for name in names]
    assert sorted(listed) == command_names()
    code, text = answer("--help", capsys)
    assert code == 0
    for name in listed:
        assert f"\n  {name} " in text
    assert "others:" not in text
    assert text.index("training:") < text.index("  run ") < text.index("models and results:")


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [
        ("reprot model_dir", "report"),
        ("fetch pubmd", "pubmed"),
        ("params shwo", "show"),
        ("run GPUU --params x", "GPU"),
        # What follows the option is no device.
        ("run --modeldir x --params y", "--model_dir"),
        ("run --modeldir=x --params y", "--model_dir"),
        ("run --params y --mode evla", "eval"),
        ("evaluate --chekpoint x", "--checkpoint"),
    ],
)
def test_a_mistyped_word_is_answered_with_the_nearest(
    arguments: str, guess: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = answer(arguments, capsys)
    assert code == 2
    assert text.endswith(f"; did you mean {guess}?\n")
    assert f"mediswift {arguments.split()[0]}" in text or arguments.startswith("reprot")


@pytest.mark.parametrize("arguments", ["zzzz", "run --zzzz --params x", "fetch zzzz"])
def test_nothing_is_suggested_that_is_not_near(
    arguments: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = answer(arguments, capsys)
    assert code == 2
    assert "did you mean" not in text


def test_options_may_be_cut_short_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flops", "--soft", "nofile"]) == 2
    assert "got 'nofile', which is no file" in capsys.readouterr().err
