import hashlib
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.files import describe_files, find_files
from mediswift_cs.errors import DataError


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b/pubmed20n0002.xml", "a/pubmed20n0003.xml.gz", "a/x/pubmed20n0001.xml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "a" / "readme.txt").touch()
    (tmp_path / "a" / ".pubmed20n0004.xml").touch()
    (tmp_path / "a" / ".work").mkdir()
    (tmp_path / "a" / ".work" / "pubmed20n0005.xml").touch()
    expected = ["x/pubmed20n0001.xml", "pubmed20n0002.xml", "pubmed20n0003.xml.gz"]
    for order in (("a", "b"), ("b", "a"), ("a", "b", "a")):
        found = find_files([tmp_path / name for name in order], (".xml", ".xml.gz"))
        assert [name for _, name in found] == expected


def test_a_single_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "records").touch()
    assert find_files([tmp_path / "records"], (".xml",)) == [(tmp_path / "records", "records")]


def test_missing_and_empty_inputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        find_files([tmp_path / "nowhere"], (".xml",))
    with pytest.raises(DataError, match=r"no \.xml or \.xml\.gz file in folder"):
        find_files([tmp_path], (".xml", ".xml.gz"))


@pytest.mark.parametrize("form", ["MD5({name})= {md5}", "{md5}  {name}\n", "{MD5}"])
def test_md5_beside_a_file_is_checked(tmp_path: Path, form: Any) -> None:
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


def test_real_md5_files(shared_data: Path) -> None:
    path = shared_data / "pubmed_xml" / "pmparser" / "pubmed26n1335.xml.gz"
    (described,) = describe_files([(path, path.name)])
    assert described.md5 in path.with_name(path.name + ".md5").read_text()
