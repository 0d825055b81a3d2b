import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.storage.write import atomic_file, atomic_folder, check_folder, check_writable


def half_write(path: Path) -> None:
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        raise KeyError


def half_make(path: Path) -> None:
    with atomic_folder(path) as temporary:
        (temporary / "half").touch()
        raise KeyError


def test_an_output_appears_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.txt"
    with pytest.raises(KeyError):
        half_write(path)
    assert list(path.parent.iterdir()) == []
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["out.txt"]
    assert path.read_text() == "whole"


def test_a_folder_is_replaced_only_when_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(KeyError):
        half_make(path)
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "old"]
    with atomic_folder(path) as temporary:
        (temporary / "new").touch()
        assert (path / "old").exists()
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "new"]


def test_the_old_folder_comes_back_when_the_swap_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    rename = type(path).rename

    def failing(self: Path, target: Any) -> Any:
        if "partial" in self.name:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(type(path), "rename", failing)
    with (
        pytest.raises(DataError, match=r"cannot write .*out: No space left"),
        atomic_folder(path) as temporary,
    ):
        (temporary / "new").touch()
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "old"]


@pytest.mark.parametrize("output", [atomic_file, atomic_folder])
def test_a_place_that_cannot_be_written(tmp_path: Path, output: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write .*: "), output(tmp_path / "file" / "out"):
        pytest.fail("the block must not start")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_run_of_the_same_number_left_is_in_nobodys_way(tmp_path: Path) -> None:
    # In containers each run may be process 1.
    for name in ("file", "folder"):
        (tmp_path / f"{name}.partial-{os.getpid()}").touch()
    with atomic_file(tmp_path / "file") as temporary:
        temporary.write_text("new")
    with atomic_folder(tmp_path / "folder") as temporary:
        (temporary / "a").touch()
    assert (tmp_path / "file").read_text() == "new"
    assert (tmp_path / "folder" / "a").exists()
    # It may be another machine's, on a shared disk.
    assert len(list(tmp_path.glob("*.partial-*"))) == 2


KILLED = """
import os, signal, sys
from pathlib import Path
from mediswift_cs.storage import write
with getattr(write, sys.argv[1])(Path(sys.argv[2])) as temporary:
    (temporary / "part" if temporary.is_dir() else temporary).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("output", [atomic_file, atomic_folder])
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, output: Any) -> None:
    path = tmp_path / "out[1]"
    command = [sys.executable, "-c", KILLED, output.__name__, str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    # Of a process that lives, of another machine, and of another name, all stays.
    number, _, own = left.name.rpartition(".partial-")[2].partition("-")
    kept = {
        f"out[1].partial-{os.getpid()}-{own}",
        f"out[1].partial-{number}-00000000{own[8:]}",
        f"out.partial-{number}-{own}",
    }
    for name in kept:
        (tmp_path / name).touch()
    with output(path) as temporary:
        (temporary / "whole" if temporary.is_dir() else temporary).write_text("whole")
    assert {each.name for each in tmp_path.iterdir()} == {"out[1]", *kept}


def test_what_another_container_of_that_name_or_another_user_writes_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, "atomic_file", str(path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL

    def refuse(process: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    for name, other in (("kill", refuse), ("readlink", lambda _: "pid:[1]")):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, other)
            with atomic_file(path):
                assert len(list(tmp_path.glob("*.partial-*"))) == 2, name
    # Control.
    with atomic_file(path):
        assert len(list(tmp_path.glob("*.partial-*"))) == 1


KILLED_IN_THE_SWAP = """
import os, signal, sys
from pathlib import Path
from mediswift_cs.storage import write
kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
rename = Path.rename
if sys.argv[2] == "before":
    Path.rename = lambda self, new: kill() if "partial" in self.name else rename(self, new)
else:
    write._remove = kill
with write.atomic_folder(Path(sys.argv[1])) as temporary:
    (temporary / "new").touch()
"""


@pytest.mark.parametrize("killed", ["before", "after"])
def test_the_old_folder_goes_when_there_is_a_new_one(tmp_path: Path, killed: str) -> None:
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    command = [sys.executable, "-c", KILLED_IN_THE_SWAP, str(path), killed]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    (old,) = tmp_path.glob(".out.old-*")
    assert path.exists() is (killed == "after")
    if killed == "before":
        # Nothing is lost where the next one fails too.
        with pytest.raises(KeyError):
            half_make(path)
        assert (old / "old").exists()
        with atomic_folder(path):
            pass
    with atomic_folder(path):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("name", "reason"), [(".", "Is a directory"), ("file/out", "Not a directory")]
)
def test_a_name_that_no_file_can_have_is_said_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=f"cannot write {name}: {reason}"), atomic_file(Path(name)):
        pytest.fail("the block must not start")
    with pytest.raises(DataError, match=f"cannot write {name}: {reason}"):
        check_writable(Path(name))
    check_writable(tmp_path / "new")
    check_writable(tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"], "looking leaves nothing"


def test_a_folder_is_made_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b", DataError)
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "b", Path("/proc/none")):
        with pytest.raises(DataError, match=f"^cannot write to {folder}: [A-Z][a-z ]+$"):
            check_folder(folder, DataError)
    with pytest.raises(ConfigError, match=r"cannot write to --output .*file: Not a directory"):
        check_folder(tmp_path / "file", ConfigError, option="--output")
