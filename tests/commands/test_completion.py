"""The scripts of ``mediswift completion``, in the shells that they are for."""

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mediswift_cs.cli import build_parser, command_names, main
from mediswift_cs.params.load import shipped_files

FILES = ("my.yaml", "other.yml", "notes.txt", "two words.xml", "below/inner.yaml")
# What is typed, and some of what is offered for the last word.
LINES = {
    "mediswift r": ["report", "run", "replicate"],
    "mediswift run --par": ["--params"],
    "mediswift run CPU --params my.yaml --mo": ["--mode", "--model_dir", "--mount_dirs"],
    "mediswift run --mode eval": ["eval", "eval_all"],
    "mediswift run --params mediswift_tiny_d": ["mediswift_tiny_dense.yaml"],
    "mediswift run --params my": ["my.yaml"],
    "mediswift run -p oth": ["other.yml"],
    "mediswift run --params below/": ["below/inner.yaml"],
    "mediswift flops my.yaml mediswift_tiny_d": ["mediswift_tiny_dense.yaml"],
    "mediswift params validate mediswift_tiny_d": ["mediswift_tiny_dense.yaml"],
    "mediswift documents notes.txt --output n": ["notes.txt"],
    "mediswift documents notes.txt tw": ["two words.xml"],
    "mediswift evaluate --checkpoint n": ["notes.txt"],
    "mediswift pubmedqa lab": ["labelled"],
    "mediswift pubmedqa labelled --fo": ["--fold"],
    "mediswift completion z": ["zsh"],
}
# What must not be offered there.
NOT_OFFERED = {
    "mediswift run --params n": "notes.txt",
    "mediswift run --mo": "--fold",
    "mediswift documents n": "mediswift_tiny_dense.yaml",
    "mediswift pubmedqa artificial --fo": "--fold",
    "mediswift zzz": "run",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files to complete."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def script_for(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    pytest.importorskip("shtab")
    assert main(["completion", shell]) == 0
    return capsys.readouterr().out


def program(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


def in_bash(script: str, lines: list[str], folder: Path) -> list[list[str]]:
    """What bash offers for each line; no program can be started meanwhile, Python neither."""
    calls = []
    for line in lines:
        words = line.split(" ")
        quoted = " ".join(f"'{word}'" for word in words)
        calls.append(
            f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; COMPREPLY=(); $function; "
            "printf '%s\\n' \"${COMPREPLY[@]}\" --"
        )
    find = 'read -ra words <<<"$(complete -p mediswift)"; function=${words[-2]}\n'
    done = subprocess.run(
        [program("bash"), "--norc", "-c", f"{script}\n{find}" + "\n".join(calls)],
        env={"PATH": "/nowhere"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    # compopt says so outside an interactive shell.
    errors = [line for line in done.stderr.splitlines() if "compopt" not in line]
    assert not errors
    return [part.split("\n")[:-1] for part in done.stdout.split("--\n")[:-1]]


def test_bash_offers_commands_options_and_files(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = script_for("bash", capsys)
    for line, offered in zip(LINES, in_bash(script, list(LINES), folder), strict=True):
        assert sorted(offered) == sorted(LINES[line]), line
    for line, offered in zip(NOT_OFFERED, in_bash(script, list(NOT_OFFERED), folder), strict=True):
        assert NOT_OFFERED[line] not in offered, line


def test_bash_offers_every_command_every_option_and_every_shipped_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = script_for("bash", capsys)
    names = command_names()
    commands, files, *options = in_bash(
        script,
        ["mediswift ", "mediswift run --params ", *(f"mediswift {name} -" for name in names)],
        folder,
    )
    assert sorted(commands) == names
    assert set(files) > set(shipped_files())
    choices = next(action for action in build_parser()._actions if action.dest == "command").choices
    assert choices is not None
    for name, offered in zip(names, options, strict=True):
        visible = [
            option
            for action in choices[name]._actions  # type: ignore[index]
            if action.help != "==SUPPRESS=="
            for option in action.option_strings
        ]
        assert sorted(offered) == sorted(visible), name


def typed(argv: list[str], lines: list[str], folder: Path) -> str:
    """What a terminal shows of a shell to which these lines are typed, one after the other."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        os.environ.update(TERM="dumb", PS1="$ ", HOME=str(folder))
        os.execv(argv[0], argv)
    shown, end = "", time.monotonic() + 60
    try:
        for number, line in enumerate(lines):
            os.write(terminal, line.encode())
            # The shell answers with the mark when it has done what stands before it.
            mark = f"mark{number}."
            os.write(terminal, f" #\nprintf '%s%s\\n' mark {number}.\n".encode())
            while mark not in shown and time.monotonic() < end:
                if select.select([terminal], [], [], 0.2)[0]:
                    shown += os.read(terminal, 65536).decode(errors="replace")
    finally:
        os.close(terminal)
        os.waitpid(process, 0)
    # zsh takes a space back, and puts it again.
    return shown.replace(" \b", "")


def test_bash_completes_what_is_typed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "script").write_text(script_for("bash", capsys))
    (folder / "mediswift").write_text("#!/bin/sh\n")
    lines = ["source ./script", "mediswift documents two\\ w\t", "mediswift run --par\tmy\t"]
    shown = typed([program("bash"), "--norc", "-i"], lines, folder)
    assert "mediswift documents two\\ words.xml" in shown
    assert "mediswift run --params my.yaml" in shown
    shown = typed([program("bash"), "--norc", "-i"], ["", *lines[1:]], folder)
    assert "--params my.yaml" not in shown, "control: bash does not know it by itself"


def test_zsh_completes_what_is_typed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    zsh = program("zsh")
    (folder / "script").write_text(script_for("zsh", capsys))
    (folder / ".zshrc").write_text(
        'setopt interactive_comments\nautoload -Uz compinit; compinit -u -D\neval "$(<script)"\n'
    )
    lines = {
        "mediswift run --par\tmy\t": "mediswift run --params my.yaml",
        "mediswift run --params mediswift_tiny_den\t": "run --params mediswift_tiny_dense.yaml",
        "mediswift run -p my\t": "run -p my.yaml",
        "mediswift flops my.yaml mediswift_tiny_den\t": "my.yaml mediswift_tiny_dense.yaml",
        "mediswift documents notes.txt tw\t": "notes.txt two\\ words.xml",
        "mediswift pubmedqa lab\t": "pubmedqa labelled",
    }
    # The first line is awaited: what is typed before the shell reads by itself is plain text.
    shown = typed([zsh, "-i"], ["", *lines], folder)
    for whole in lines.values():
        assert whole in shown, repr(shown[-3000:])


def test_control_zsh_does_not_know_it_by_itself(folder: Path) -> None:
    (folder / ".zshrc").write_text("setopt interactive_comments\n")
    shown = typed([program("zsh"), "-i"], ["", "mediswift run --par\tmy\t"], folder)
    assert "--params my.yaml" not in shown


def test_fish_offers_commands_options_and_files(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fish = program("fish")
    (folder / "script").write_text(script_for("fish", capsys))

    def offered(line: str) -> list[str]:
        done = subprocess.run(
            [fish, "--no-config", "-c", f"source script; complete -C '{line}'"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        return [found.partition("\t")[0] for found in done.stdout.splitlines()]

    for line, expected in LINES.items():
        assert set(expected) <= set(offered(line)), line
    assert "--fold" not in offered("mediswift run --mo")


def test_torch_is_not_imported_and_another_shell_is_refused() -> None:
    pytest.importorskip("shtab")
    code = (
        "import sys; from mediswift_cs.cli import main; main(['completion', 'zsh']); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "mediswift_cs.cli", "completion", "tcsh"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    # Newer Pythons quote none of them.
    assert "tcsh (choose from bash, zsh, fish)" in done.stderr.replace("'", "")
