import json
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.tokens.texts import documents_source
from mediswift_cs.tokens.tokenizer import fingerprint, train_tokenizer, vocab_size
from mediswift_cs.tokens.tokenizer_file import (
    convert_tokenizer_file,
    manifest_path,
    train_tokenizer_file,
)

from .conftest import texts

DOCUMENTS = [(f"d{n}", text) for n, text in enumerate(texts(100))]


@pytest.fixture
def path(documents_file: Any) -> Any:
    return documents_file(DOCUMENTS)


def train(path: Path, output: Path, **options: Any) -> Any:
    options = {"vocab_size": 300, "min_frequency": 2, "overwrite": False, **options}
    return train_tokenizer_file(documents_source([path]), output, **options)


def test_a_tokenizer_is_made_once(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "tok.json"
    tokenizer, is_new = train(path, output)
    assert (vocab_size(tokenizer), is_new) == (300, True)
    written = output.stat().st_mtime_ns
    again, is_new = train(path, output)
    assert not is_new
    assert again.get_vocab() == tokenizer.get_vocab()
    assert output.stat().st_mtime_ns == written


def test_the_manifest_says_what_it_was_made_from(path: Path, tmp_path: Path) -> None:
    train(path, tmp_path / "tok.json", limit=50)
    text = manifest_path(tmp_path / "tok.json").read_text()
    manifest = json.loads(text)
    assert manifest["options"] == {"vocab_size": 300, "min_frequency": 2, "limit": 50}
    assert manifest["sources"][0]["path"] == "docs.jsonl"
    assert manifest["sha256"] == fingerprint(tmp_path / "tok.json")
    assert str(tmp_path) not in text


@pytest.mark.parametrize("options", [{"vocab_size": 290}, {"min_frequency": 5000}, {"limit": 10}])
def test_another_recipe_is_refused(path: Path, tmp_path: Path, options: Any) -> None:
    output = tmp_path / "tok.json"
    train(path, output)
    before = output.read_bytes()
    with pytest.raises(DataError, match=r"made with other options: .*--overwrite"):
        train(path, output, **options)
    assert output.read_bytes() == before
    _, is_new = train(path, output, overwrite=True, **options)
    assert is_new
    assert output.read_bytes() != before


def test_other_documents_and_other_files_are_refused(
    path: Path, documents_file: Any, tmp_path: Path
) -> None:
    output = tmp_path / "tok.json"
    train(path, output)
    documents_file(DOCUMENTS[:50])
    with pytest.raises(DataError, match="made with other sources: "):
        train(path, output)
    documents_file(DOCUMENTS)
    train(path, tmp_path / "b.json", vocab_size=290)
    output.write_bytes((tmp_path / "b.json").read_bytes())
    with pytest.raises(DataError, match="made with other tokens: "):
        train(path, output)
    manifest_path(output).write_text("[]")
    with pytest.raises(DataError, match=r"tok\.manifest\.json: got \[\], allowed: a JSON object"):
        train(path, output)
    manifest_path(output).unlink()
    with pytest.raises(DataError, match=r"exists without tok\.manifest\.json"):
        train(path, output)


def test_the_limit_limits(path: Path, tmp_path: Path) -> None:
    few, _ = train(path, tmp_path / "few.json", limit=5)
    every, _ = train(path, tmp_path / "every.json")
    expected = train_tokenizer(
        [text for _, text in DOCUMENTS[:5]],
        vocab_size=300,
        min_frequency=2,
        num_texts=None,
        show_progress=False,
    )
    assert few.get_vocab() == expected.get_vocab() != every.get_vocab()
    with pytest.raises(ConfigError, match="limit: got 0, allowed: 1 document or"):
        train(path, tmp_path / "none.json", limit=0)


def test_a_converted_tokenizer_is_made_once(path: Path, tmp_path: Path) -> None:
    train(path, tmp_path / "a.json")
    train(path, tmp_path / "b.json", vocab_size=290)
    output = tmp_path / "out.json"
    for is_new in (True, False):
        assert convert_tokenizer_file(tmp_path / "a.json", output, overwrite=False)[1] is is_new
    with pytest.raises(DataError, match="made with other tokens"):
        convert_tokenizer_file(tmp_path / "b.json", output, overwrite=False)
    assert convert_tokenizer_file(tmp_path / "b.json", output, overwrite=True)[1]
    assert fingerprint(output) == fingerprint(tmp_path / "b.json")
