"""What a whole run makes of a corpus."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mediswift_cs.corpora.documents_file import read_documents
from mediswift_cs.prepare.config import load_settings
from mediswift_cs.tokens.manifest import read_manifest
from mediswift_cs.tokens.texts import documents_source

from .conftest import (
    BENCHMARK_PMID,
    article,
    article_set,
    contents,
    ids,
    manifest_of,
    nonzero,
    prepare,
    record,
)

REPOSITORY = Path(__file__).resolve().parents[2]


def test_each_document_has_one_outcome(expected: Path) -> None:
    manifest = manifest_of(expected)
    counts = {stage: nonzero(numbers) for stage, numbers in manifest["stages"].items()}
    # 59 + 10 + 2 + 60 records; 2 is revised, 3 retracted, 4 deleted.
    assert counts["parse pubmed"] == {
        "kept": 125,
        "superseded": 2,
        "deleted": 1,
        "retracted": 2,
        "erratum": 1,
    }
    assert counts["parse pmc"] == {"kept": 5, "licence_non_commercial": 1}
    assert counts["clean"] == {"kept": 130}
    assert counts["dedup"] == {
        "kept": 121,
        "retracted": 1,  # the full text of 3
        "benchmark_pmid": 2,  # the record and its full text
        "copy_of_dropped": 1,  # 108
        "abstract_of_full_text": 1,  # 5
        "exact_duplicate": 1,  # 104
        "near_duplicate": 3,  # 102, 106, the full text of 301
    }
    assert counts["guard"] == {"kept": counts["dedup"]["kept"] - 1, "benchmark_text": 1}
    assert counts["tokens"] == {"kept": counts["guard"]["kept"]}


def test_what_is_left_out_is_the_right_thing(expected: Path) -> None:
    found = ids(expected)
    assert len(found) == len(set(found))
    gone = {3, 4, 5, 100, 101, 104, 106, BENCHMARK_PMID, 108, 109}
    assert not {f"pubmed:{pmid}" for pmid in gone} & set(found)
    assert {"pubmed:1", "pubmed:2", "pubmed:6", "pubmed:103", "pubmed:105"} <= set(found)
    assert [each for each in found if each.startswith("pmc:")] == ["pmc:PMC1", "pmc:PMC4"]
    texts = [d.text for p in (expected / "documents").glob("*.zst") for d in read_documents(p)]
    assert sum(text.startswith("Revised.") for text in texts) == 1


def test_manifest_and_report_say_so(expected: Path) -> None:
    manifest = manifest_of(expected)
    assert manifest["guard"] == {"near_copies_found": ["pubmed:109"]}
    guard = manifest["options"]["guard"]
    assert (guard["num_blocked_pmids"], len(guard["texts"])) == (2852, 1)
    counts = manifest["counts"]
    records = sum(sum(manifest["stages"][f"parse {kind}"].values()) for kind in ("pubmed", "pmc"))
    assert counts.pop("records_read") == sum(counts.values()) == records == 131 + 6
    statistics = manifest["statistics"]
    number = statistics["num_documents"]
    assert number == len(ids(expected)) == manifest["counts"]["kept"]
    for name in ("sources", "lengths", "years", "journals", "licences"):
        assert sum(statistics[name].values()) == number
    assert statistics["licences"]["CC BY 4.0"] == 2
    page = (expected / "corpus.html").read_text()
    for text in ("J Mice", "CC BY 4.0", "tokens (train)", "near_duplicate", "No file was quaran"):
        assert text in page
    assert "<script" not in page


def test_the_shards_are_those_of_the_documents(expected: Path) -> None:
    manifest = read_manifest(expected / "hdf5")
    assert manifest.counts["documents_read"] == len(ids(expected))
    source = documents_source([expected / "documents"])
    assert (source.unguarded, len(source.manifests)) == ((), 5)
    assert sum(split.num_documents for split in manifest.splits.values()) == len(ids(expected))
    assert manifest.splits["val"].unigram_loss > 0
    for split in manifest.splits.values():
        assert sum(shard.num_samples for shard in split.shards) == split.num_samples
        assert all((expected / "hdf5" / shard.file).is_file() for shard in split.shards)
    assert (expected / "hdf5" / "tokenizer.json").read_bytes() == (
        expected / "tokenizer.json"
    ).read_bytes()


def test_datasets_reads_the_documents(expected: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="it is what reads them")
    data = datasets.load_dataset(
        str(expected / "documents"), split="train", cache_dir=str(tmp_path)
    )
    assert sorted(data["id"]) == sorted(ids(expected))


def test_poisoned_files_are_quarantined_and_the_rest_goes_on(
    settings_file: Callable[..., Path], copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (copied / "pubmed" / "pubmed20n0003.xml").read_bytes()
    (copied / "pubmed" / "pubmed20n0004.xml.gz").write_bytes(gzip.compress(good)[:-100])
    (copied / "pubmed" / "pubmed20n0005.xml").write_bytes(good)
    (copied / "pubmed" / "pubmed20n0005.xml.md5").write_text("0" * 32)
    (copied / "pmc" / "bad <b>.nxml").write_bytes(b"<article>\xff</article>")
    path = settings_file(
        pubmed={"inputs": [str(copied / "pubmed")]}, pmc={"inputs": [str(copied / "pmc")]}
    )
    assert prepare(path) == 1
    shown = capsys.readouterr().out
    output = load_settings(path).output
    quarantined = {q["file"]: q["reason"] for q in manifest_of(output)["quarantined"]}
    assert quarantined.keys() == {
        "pubmed20n0004.xml.gz",
        "pubmed20n0005.xml",
        "bad <b>.nxml",
    }
    assert "cut short" in quarantined["pubmed20n0004.xml.gz"]
    assert "md5" in quarantined["pubmed20n0005.xml"]
    assert str(copied) not in json.dumps(manifest_of(output))
    assert all(f"quarantined: {name}: " in shown for name in quarantined)
    assert "bad &lt;b&gt;.nxml" in (output / "corpus.html").read_text()
    # None of their records counts, and the files beside them do.
    assert manifest_of(output)["stages"]["parse pubmed"]["kept"] == 125
    assert "pmc:PMC1" in ids(output)
    # Mended, only they are read again.
    (copied / "pubmed" / "pubmed20n0004.xml.gz").unlink()
    (copied / "pubmed" / "pubmed20n0005.xml").unlink()
    (copied / "pmc" / "bad <b>.nxml").unlink()
    assert prepare(path) == 0


def test_policies(settings_file: Callable[..., Path]) -> None:
    path = settings_file(
        dedup={"near": False, "threshold": 1.0, "exact": False, "abstracts_of_full_texts": "keep"},
        guard={"pmids": False, "near_copies": "report"},
        pubmed={"corrections": "keep_all"},
        pmc={"licences": ["commercial", "non-commercial"], "corrections": "keep_all"},
    )
    assert prepare(path) == 0
    output = load_settings(path).output
    manifest = manifest_of(output)
    found = set(ids(output))
    assert {f"pubmed:{pmid}" for pmid in (3, 5, 100, 101, 104, 106, BENCHMARK_PMID, 108)} <= found
    assert {f"pmc:PMC{n}" for n in (1, 2, 3, 4, 5, 6)} <= found
    assert manifest["guard"]["near_copies_found"] == ["pubmed:109"]
    assert "pubmed:109" in found


def versioned(number: int, pmid: int, version: int, retracted: bool = False) -> str:
    text = article(number, pmid).replace(f">{number}<", f">PMC{number}.{version}<")
    related = '<related-article related-article-type="retraction-forward"/><permissions>'
    return text.replace("<permissions>", related) if retracted else text


def test_a_retraction_takes_back_the_same_version(
    settings_file: Callable[..., Path], tmp_path: Path
) -> None:
    pmc = tmp_path / "pmc"
    pmc.mkdir()
    (pmc / "a.nxml").write_text(versioned(50, 5000, 1))
    (pmc / "b.nxml").write_text(versioned(50, 5000, 1, retracted=True))
    (pmc / "c.nxml").write_text(versioned(51, 5001, 1))
    path = settings_file(
        pmc={"inputs": [str(pmc)], "files_per_part": 1}, hdf5={"val_fraction": 0.2}
    )
    assert prepare(path) == 0
    output = load_settings(path).output
    assert {i for i in ids(output) if i.startswith("pmc:")} == {"pmc:PMC51"}


def test_an_earlier_version_does_not_outlive_a_retraction(
    settings_file: Callable[..., Path], inputs: Path, tmp_path: Path
) -> None:
    pmc = tmp_path / "pmc"
    pmc.mkdir()
    (pmc / "a1.nxml").write_text(versioned(50, 5000, 1))
    (pmc / "a2.nxml").write_text(versioned(50, 5000, 2, retracted=True))
    # Put right again by a later version.
    (pmc / "b1.nxml").write_text(versioned(51, 5001, 1, retracted=True))
    (pmc / "b2.nxml").write_text(versioned(51, 5001, 2))
    # A deletion of an older version does not take back what a newer one says.
    updates = tmp_path / "pubmed20n0009.xml"
    deletion = "<DeleteCitation><PMID Version='1'>5003</PMID></DeleteCitation>"
    updates.write_text(
        article_set(
            *(record(n) for n in range(1, 30)),
            record(5003, version=2, kind="Retracted Publication"),
            deletion,
        )
    )
    (pmc / "c.nxml").write_text(article(53, 5003))
    path = settings_file(
        pubmed={"inputs": [str(updates)]}, pmc={"inputs": [str(pmc)], "files_per_part": 1}
    )
    assert prepare(path) == 0
    output = load_settings(path).output
    assert {i for i in ids(output) if i.startswith("pmc:")} == {"pmc:PMC51"}
    assert manifest_of(output)["stages"]["dedup"]["retracted"] == 2


def test_blocks_of_documents_change_nothing(
    settings_file: Callable[..., Path], expected: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediswift_cs.prepare.clean._BLOCK", 7)
    path = settings_file()
    assert prepare(path) == 0
    output = load_settings(path).output
    for done in (expected / "work" / "clean").glob("*.npy"):
        assert (output / "work" / "clean" / done.name).read_bytes() == done.read_bytes()
    assert contents(output) == contents(expected)


def test_tokens_of_another_fastokens_are_made_again(
    settings_file: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that was found to be wrong in a later part was wrong in those before it too."""
    path = settings_file()
    assert prepare(path) == 0
    monkeypatch.setattr("mediswift_cs.prepare.stage_tasks.version_of", lambda _: "another")
    capsys.readouterr()
    assert prepare(path) == 0
    lines = capsys.readouterr().err
    assert "tokens: 5 of 5 parts done" in lines
    assert "guard: 0 of 5 parts done" in lines
