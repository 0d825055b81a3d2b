"""``mediswift modelzoo enable|disable|status`` in an environment of its own."""

import site
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.modelzoo import site_hook

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run Python in a fresh environment that sees the packages of this one."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/*/site-packages")
    folders = [folder for folder in site.getsitepackages() if Path(folder).is_dir()]
    lines = [f"import site; site.addsitedir({folder!r})\n" for folder in folders]
    # Python reads the files in the order of their names.
    (packages / "a_packages.pth").write_text("".join(lines))

    def start(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [environment / "bin/python", "-W", "ignore", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )

    return start


COMMAND = ("-m", "mediswift_cs.cli", "modelzoo")


def test_enable_and_disable(run: Run, tmp_path: Path) -> None:
    assert "hook for the stock cszoo: disabled" in run(*COMMAND, "status").stdout
    enabled = run(*COMMAND, "enable")
    assert enabled.returncode == 0, enabled.stderr
    (file,) = tmp_path.rglob(site_hook.FILE_NAME)
    assert str(file) in enabled.stdout
    # ModelZoo from a clone has no script; that nothing will be found is said here and not by bash.
    assert "python -m mediswift_cs.modelzoo cszoo does the same" in enabled.stdout
    assert "hook for the stock cszoo: enabled" in run(*COMMAND, "status").stdout
    assert run("-c", "pass").stderr == ""
    (tmp_path / "environment/bin/cszoo").touch()
    enabled = run(*COMMAND, "enable")
    assert (enabled.returncode, len(enabled.stdout.splitlines())) == (0, 1)
    assert "stock cszoo: installed" in run(*COMMAND, "status").stdout
    assert "disabled: " in run(*COMMAND, "disable").stdout
    assert not file.exists()
    assert "it was not enabled" in run(*COMMAND, "disable").stdout


def test_the_line_does_no_harm_once_the_package_is_gone(run: Run, tmp_path: Path) -> None:
    run(*COMMAND, "enable")
    (packages,) = tmp_path.glob("environment/lib/*/site-packages/a_packages.pth")
    packages.unlink()
    result = run("-c", "print('fine')")
    assert (result.stdout, result.stderr) == ("fine\n", "")


def test_what_cannot_work_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A folder whose .pth files no process reads.
    file = tmp_path / site_hook.FILE_NAME
    monkeypatch.setattr(site_hook, "site_file", lambda: file)
    monkeypatch.setattr(site_hook, "is_active", lambda: False)
    with pytest.raises(ConfigError, match="had no effect and was removed"):
        site_hook.enable()
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(site_hook, "site_file", lambda: tmp_path / "absent" / "file.pth")
    with pytest.raises(ConfigError, match="No such file or directory; use an environment of your"):
        site_hook.enable()


@pytest.mark.modelzoo
def test_stock_cszoo_sees_us_while_it_is_enabled(run: Run) -> None:
    stock = ("-m", "cerebras.modelzoo.cli.main", "model", "list", "--json")
    assert '"mediswift"' not in run(*stock).stdout
    run(*COMMAND, "enable")
    seen = run(*stock)
    assert '"gpt3"' in seen.stdout
    assert '"mediswift", "mediswift_finetuning"' in seen.stdout, seen.stderr[-2000:]
