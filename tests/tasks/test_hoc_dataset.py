"""Hallmarks of Cancer through ``datasets``: the same documents as from the authors' files."""

from pathlib import Path

import pytest

from mediswift_cs.cli import main
from mediswift_cs.errors import DataError
from mediswift_cs.tasks import hoc_documents
from mediswift_cs.tokens.manifest import read_manifest


def test_hallmarks_by_command(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="--dataset reads with datasets")
    folder = shared_data / "hoc"
    path = folder / "hoc_docs.jsonl"
    assert hoc_documents.read_dataset(str(path), config=None) == hoc_documents.read_documents(
        folder
    )
    arguments = ["hoc", "--dataset", str(path), "--tokenizer", str(shared_data / "tokenizers/gpt2")]
    output = tmp_path / "hoc"
    assert main([*arguments, "--output", str(output)]) == 2, "the split has to be named"
    assert main([*arguments, "--splits", str(folder), "--output", str(output)]) == 0
    assert {n: s.num_samples for n, s in read_manifest(output).splits.items()} == {
        "train": 1303,
        "val": 183,
    }
    line = path.read_text().splitlines()[0]
    repeated = tmp_path / "repeated.jsonl"
    repeated.write_text(f"{line}\n{line}\n")
    with pytest.raises(DataError, match="row 2 repeats PMID"):
        hoc_documents.read_dataset(str(repeated), config=None)
