import hashlib
import os
from pathlib import Path

import pytest

from mediswift_cs.corpora.files import describe_files, find_files
from mediswift_cs.corpora.outputs import atomic_file, atomic_folder, check_writable
from mediswift_cs.errors import DataError


def test_files_come_in_the_order_of_their_names(tmp_path):
    for name in ("b/pubmed20n0002.xml", "a/pubmed20n0003.xml.gz", "a/x/pubmed20n0001.xml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "readme.txt").touch()
    expected = ["x/pubmed20n0001.xml", "pubmed20n0002.xml", "pubmed20n0003.xml.gz"]
    for order in (("a", "b"), ("b", "a"), ("a", "b", "a")):
        found = find_files([tmp_path / name for name in order], (".xml", ".xml.gz"))
        assert [name for _, name in found] == expected


def test_a_single_file_is_taken_whatever_its_name(tmp_path):
    (tmp_path / "records").touch()
    assert find_files([tmp_path / "records"], (".xml",)) == [(tmp_path / "records", "records")]


def test_missing_and_empty_inputs_are_refused(tmp_path):
    with pytest.raises(DataError, match="nowhere does not exist"):
        find_files([tmp_path / "nowhere"], (".xml",))
    with pytest.raises(DataError, match=r"no \.xml or \.xml\.gz file in folder"):
        find_files([tmp_path], (".xml", ".xml.gz"))


@pytest.mark.parametrize("form", ["MD5({name})= {md5}", "{md5}  {name}\n", "{MD5}"])
def test_md5_beside_a_file_is_checked(tmp_path, form):
    path = tmp_path / "a.xml"
    path.write_bytes(b"content")
    md5 = hashlib.md5(b"content").hexdigest()
    beside = tmp_path / "a.xml.md5"
    beside.write_text(form.format(name="a.xml", md5=md5, MD5=md5.upper()))
    (described,) = describe_files([(path, "a.xml")])
    assert (described.md5, described.num_bytes) == (md5, 7)
    path.write_bytes(b"kontent")
    with pytest.raises(DataError, match=r"md5 of .*a\.xml is .*, but a\.xml\.md5 says"):
        describe_files([(path, "a.xml")])
    beside.write_text("not found")
    with pytest.raises(DataError, match="holds no md5 sum"):
        describe_files([(path, "a.xml")])


def test_real_md5_files(shared_data):
    path = shared_data / "pubmed_xml" / "pmparser" / "pubmed26n1335.xml.gz"
    (described,) = describe_files([(path, path.name)])
    assert described.md5 in path.with_name(path.name + ".md5").read_text()


def half_write(path):
    with atomic_file(path) as temporary:
        temporary.write_text("half")
        raise KeyError


def half_make(path):
    with atomic_folder(path) as temporary:
        (temporary / "half").touch()
        raise KeyError


def test_an_output_appears_only_when_it_is_complete(tmp_path):
    path = tmp_path / "new" / "out.txt"
    with pytest.raises(KeyError):
        half_write(path)
    assert list(path.parent.iterdir()) == []
    with atomic_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["out.txt"]
    assert path.read_text() == "whole"


def test_a_folder_is_replaced_only_when_the_new_one_is_complete(tmp_path):
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


def test_the_old_folder_comes_back_when_the_swap_fails(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.mkdir()
    (path / "old").touch()
    rename = type(path).rename

    def failing(self, target):
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
def test_a_place_that_cannot_be_written(tmp_path, output):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot write .*: "), output(tmp_path / "file" / "out"):
        pytest.fail("the block must not start")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_what_a_killed_run_of_the_same_number_left_is_in_nobodys_way(tmp_path):
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


@pytest.mark.parametrize(
    ("name", "reason"), [(".", "Is a directory"), ("file/out", "Not a directory")]
)
def test_a_name_that_no_file_can_have_is_said_before_the_work(tmp_path, monkeypatch, name, reason):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=f"cannot write {name}: {reason}"), atomic_file(Path(name)):
        pytest.fail("the block must not start")
    with pytest.raises(DataError, match=f"cannot write {name}: {reason}"):
        check_writable(Path(name))
    check_writable(tmp_path / "new")
    check_writable(tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"], "looking leaves nothing"
