import json
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.blocklist import (
    NGRAM,
    OVERLAP,
    Overlaps,
    benchmark_pmids,
    benchmark_texts,
    read_pmids,
)
from mediswift_cs.corpora.ngrams import word_hashes, words_of
from mediswift_cs.errors import ConfigError, DataError


def is_near_copy(overlaps: Any, text: str) -> Any:
    return overlaps.is_near_copy(word_hashes(words_of(text)))


def test_the_shipped_pmids_are_the_benchmarks(shared_data: Path) -> None:
    questions = json.loads((shared_data / "pubmedqa" / "ori_pqal.json").read_text())
    lines = (shared_data / "hoc" / "hoc_docs.jsonl").read_text().splitlines()
    hallmarks = {int(json.loads(line)["pmid"]) for line in lines}
    assert benchmark_pmids() == {int(pmid) for pmid in questions} | hallmarks
    assert len(benchmark_pmids()) == 2852


def test_own_pmids(tmp_path: Path) -> None:
    path = tmp_path / "pmids.txt"
    path.write_text("# mine\n12\n\n 7 # seven\n")
    assert read_pmids(path) == {7, 12}
    path.write_text("12\nPMC7\n")
    with pytest.raises(DataError, match=r"line 2 of .*pmids\.txt: got 'PMC7', allowed: a PMID"):
        read_pmids(path)


def test_real_benchmark_texts_are_found_in_copies(shared_data: Path) -> None:
    questions = benchmark_texts(shared_data / "pubmedqa" / "ori_pqal.json")
    hallmarks = benchmark_texts(shared_data / "hoc" / "hoc_docs.jsonl")
    assert (len(questions), len(hallmarks)) == (1000, 1852)
    overlaps = Overlaps(questions, ngram=NGRAM, overlap=OVERLAP)
    for text in questions[::50]:
        copy = f"Introduction of another kind.\n{text.upper()}\nAnd an end." * 2
        assert is_near_copy(overlaps, copy)
        # Control: half a copy's words out of order is none.
        assert not is_near_copy(overlaps, " ".join(sorted(text.split())))
    # Abstracts of another benchmark are no copies.
    assert not any(is_near_copy(overlaps, text) for text in hallmarks)


def test_the_overlap_is_that_of_the_benchmark_text() -> None:
    words = [f"w{n}" for n in range(112)]
    overlaps = Overlaps([" ".join(words), "too short"], overlap=0.5, ngram=NGRAM)
    assert overlaps.num_grams.tolist() == [100]
    # m words hold m - 12 of the 100 13-grams.
    assert is_near_copy(overlaps, "a b c " + " ".join(words[:62]) + " d e f")
    assert not is_near_copy(overlaps, "a b c " + " ".join(words[:61]) + " d e f")
    assert not is_near_copy(overlaps, "w1 w2 w3")
    assert not is_near_copy(Overlaps([], ngram=NGRAM, overlap=OVERLAP), " ".join(words))


def test_an_ngram_of_several_texts_counts_for_each() -> None:
    shared = " ".join(f"s{n}" for n in range(20))
    first, second = (shared + " " + " ".join(f"{x}{n}" for n in range(40)) for x in "ab")
    overlaps = Overlaps([first, second], ngram=NGRAM, overlap=OVERLAP)
    assert is_near_copy(overlaps, second)
    assert not is_near_copy(overlaps, shared)


def test_own_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one text\n\nanother text\n")
    # A line end that JSON allows in a string, and an empty line.
    (tmp_path / "b.jsonl").write_text('{"text": "third\u2028part"}\n\n{"sentences": ["a", "b"]}\n')
    assert benchmark_texts(tmp_path) == ["one text", "another text", "third\u2028part", "a b"]
    (tmp_path / "c.jsonl").write_text('{"question": 1}\n')
    with pytest.raises(DataError, match=r"c\.jsonl is no benchmark file, allowed: an obj"):
        benchmark_texts(tmp_path)


@pytest.mark.parametrize("option", [{"ngram": 0}, {"overlap": 0.0}, {"overlap": 1.5}])
def test_settings_out_of_range(option: Any) -> None:
    with pytest.raises(ConfigError, match=f"guard {next(iter(option))}: got .*, allowed: "):
        Overlaps([], **{"ngram": NGRAM, "overlap": OVERLAP, **option})
