"""What one file of documents holds: what a whole run makes, whatever it is made from."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.corpora.documents_file import read_lines
from mediswift_cs.corpora.sample import UPDATE
from mediswift_cs.prepare.config import PrepareSettings, load_settings
from mediswift_cs.prepare.documents import write_documents
from mediswift_cs.prepare.pipeline import STAGES, NoDocumentError, Pipeline

from .conftest import (
    BENCHMARK_PMID,
    build,
    corpus_settings,
    outcomes,
    prose,
    record,
    write_pubmed,
)


def test_every_record_has_one_outcome(mixed: list[Path], tmp_path: Path) -> None:
    manifest, documents = build(mixed, tmp_path / "docs.jsonl.zst")
    assert outcomes(manifest) == {
        "kept": 4,
        "no_pmid": 1,
        "book": 1,
        "superseded": 3,  # the old 6, the late 7, the 10 before its retraction
        "deleted": 1,
        "retracted": 2,
        "not_english": 1,
        "no_abstract": 2,
        "exact_duplicate": 1,
        "near_duplicate": 1,
        "benchmark_pmid": 1,
    }
    assert manifest["counts"]["records_read"] == 18
    assert manifest["deletions"] == {"listed": 3, "found": 2}
    assert [(d.id, d.text.split("\n")[0]) for d in documents] == [
        ("pubmed:1", "Title 1."),
        ("pubmed:7", "New."),
        ("pubmed:6", "Revised."),
        ("pubmed:13", "Title 13."),
    ]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"pubmed": {"title_only": True}}, "no_abstract"),
        ({"pubmed": {"other_languages": True}}, "not_english"),
        ({"pubmed": {"corrections": "drop_notices"}}, "retracted"),
        ({"guard": {"pmids": False}}, "benchmark_pmid"),
        ({"dedup": {"exact": False, "near": False}}, "exact_duplicate"),
    ],
)
def test_each_option_changes_its_own_reason_only(
    mixed: list[Path], tmp_path: Path, options: Any, reason: str
) -> None:
    default, _ = build(mixed, tmp_path / "a.jsonl.zst")
    changed, _ = build(mixed, tmp_path / "b.jsonl.zst", **options)
    before, after = outcomes(default), outcomes(changed)
    differing = {name for name in before | after if before.get(name) != after.get(name)}
    assert reason in differing
    assert differing <= {reason, "kept", "deleted", "empty_text", "near_duplicate"}


def test_notices_by_name(pubmed_file: Callable[..., Path], tmp_path: Path) -> None:
    kinds = {
        "Retraction of Publication": "retraction_notice",
        "Published Erratum": "erratum",
        "Expression of Concern": "expression_of_concern",
        "Retracted Publication": "retracted",
        "Journal Article": "kept",
    }
    path = pubmed_file(*(record(n, kind=kind) for n, kind in enumerate(kinds, 1)))
    found = {
        corrections: outcomes(
            build(
                [path], tmp_path / f"{corrections}.jsonl.zst", pubmed={"corrections": corrections}
            )[0]
        )
        for corrections in (
            "drop_retracted_and_notices",
            "drop_retracted",
            "drop_notices",
            "keep_all",
        )
    }
    every = dict.fromkeys(kinds.values(), 1)
    notices = {name: 1 for name in every if name not in ("kept", "retracted")}
    assert found == {
        "drop_retracted_and_notices": every,
        "drop_retracted": {"kept": 4, "retracted": 1},
        "drop_notices": {"kept": 2, **notices},
        "keep_all": {"kept": 5},
    }


def test_the_limit_counts_records_of_all_files(mixed: list[Path], tmp_path: Path) -> None:
    manifest, documents = build(mixed, tmp_path / "docs.jsonl.zst", pubmed={"limit": 3})
    assert manifest["counts"]["records_read"] == 3
    assert [d.id for d in documents] == ["pubmed:1"]
    assert len(manifest["sources"]) == 2
    manifest, documents = build(mixed, tmp_path / "more.jsonl.zst", pubmed={"limit": 11})
    assert manifest["counts"]["records_read"] == 11
    assert documents[-1].text.startswith("Revised.")


def lines_of_run(settings: PrepareSettings) -> list[bytes]:
    """The documents of a whole run up to its guard, in the order of its parts."""
    pipeline = Pipeline(settings, ("parse", "clean", "dedup", "guard"))
    pipeline.run()
    tasks = pipeline.tasks
    return [line for part in tasks.parts for line in read_lines(tasks.documents(part))]


@pytest.mark.parametrize("kinds", [("pubmed",), ("pmc",), ("pubmed", "pmc")])
def test_the_documents_are_those_of_prepare(
    inputs: Path, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    content = corpus_settings(inputs, tmp_path / "out")
    content = {name: content[name] for name in (*kinds, "output", "guard", "engine")}
    settings = PrepareSettings.model_validate(content)
    expected = lines_of_run(settings)
    assert len(expected) > 1

    def lines(name: str, **changes: Any) -> list[bytes]:
        path = tmp_path / f"{name}.jsonl.zst"
        changed = PrepareSettings.model_validate({**content, "output": path, **changes})
        write_documents(changed, overwrite=False)
        return list(read_lines(path))

    assert lines("same") == expected
    assert (
        lines(
            "parts", pmc={"files_per_part": 1, **content.get("pmc", {})} if "pmc" in kinds else {}
        )
        == expected
    )
    # Control: without one of the stages they are others, and more of them.
    for section, off in (
        ("guard", {"pmids": False}),
        ("dedup", {"exact": False, "near": False}),
    ):
        others = lines(section, **{section: off})
        assert set(others) > set(expected), section


def test_the_documents_of_one_file_are_those_of_prepare(mixed: list[Path], tmp_path: Path) -> None:
    settings = PrepareSettings.model_validate(
        {"output": tmp_path / "out", "pubmed": {"inputs": mixed[:1]}, "engine": {"workers": 1}}
    )
    lines_of_run(settings)
    build(mixed[:1], tmp_path / "docs.jsonl.zst")
    (of_run,) = (tmp_path / "out" / "documents").glob("*.zst")
    assert of_run.read_bytes() == (tmp_path / "docs.jsonl.zst").read_bytes()
    # Control.
    build(mixed[1:], tmp_path / "other.jsonl.zst")
    assert of_run.read_bytes() != (tmp_path / "other.jsonl.zst").read_bytes()


def test_texts_of_ones_own_are_cleaned_and_guarded(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="it reads texts of one's own")
    rows = [
        {"patient": "a", "abstract": f"{prose(1)} Copyright (c) 2010 A Publisher, Ltd."},
        {"patient": "a", "abstract": prose(2)},
        {"patient": "b", "abstract": prose(1).upper()},
        {"patient": f"pubmed:{BENCHMARK_PMID}", "abstract": prose(3)},
        {"patient": "c", "abstract": f"Before it. {prose(900)} After it."},
        {"patient": "d", "abstract": None},
    ]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "bench.txt").write_text(prose(900))
    content = {
        "dataset": {"name": str(path), "text_column": "abstract", "id_column": "patient"},
        "guard": {"texts": [tmp_path / "bench.txt"]},
    }
    manifest, documents = build([], tmp_path / "docs.jsonl.zst", **content)
    assert outcomes(manifest) == {
        "kept": 2,
        "exact_duplicate": 1,
        "benchmark_pmid": 1,
        "benchmark_text": 1,
        "empty_text": 1,
    }
    # Two texts of one patient are two documents.
    assert [(d.id, d.text) for d in documents] == [("a", prose(1)), ("a", prose(2))]
    assert manifest["guard"]["near_copies_found"] == ["c"]
    assert manifest["cleaning"]["copyright_sentences"] == 1
    assert str(tmp_path) not in json.dumps(manifest)
    # Control: nothing of it without the stages.
    off = {
        "clean": {"boilerplate": False, "dehyphenate": False},
        "dedup": {"exact": False, "near": False},
        "guard": {"pmids": False},
    }
    manifest, documents = build([], tmp_path / "off.jsonl.zst", **{**content, **off})
    assert [d.text for d in documents] == [row["abstract"] for row in rows[:-1]]


def test_a_data_set_with_a_wrong_column_says_so(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="it reads texts of one's own")
    path = tmp_path / "own.jsonl"
    path.write_text('{"abstract": "x"}\n')
    with pytest.raises(
        NoDocumentError,
        match=r"no usable document: quarantined own\.jsonl: data set "
        r"own\.jsonl has no column 'text', it has: abstract",
    ):
        write_pubmed([], tmp_path / "docs.jsonl.zst", dataset={"name": str(path)})


def test_real_versions_and_deletions(shared_data: Path, tmp_path: Path) -> None:
    """Two hand-made files: version 2 replaces version 1, and a deletion."""
    folder = shared_data / "pubmed_xml" / "pubmed2db" / "tests" / "fixtures"
    manifest, documents = build([folder], tmp_path / "docs.jsonl.zst")
    assert manifest["counts"]["superseded"] == 1
    assert manifest["counts"]["deleted"] == 1
    xml = "".join(path.read_text() for path in folder.glob("*.xml"))
    assert manifest["counts"]["records_read"] == xml.count("<PubmedArticle>") == 6
    assert len({d.id for d in documents}) == len(documents)


def test_a_real_file_adds_up(sample_files: Any, tmp_path: Path) -> None:
    manifest, documents = build(
        [sample_files[UPDATE]], tmp_path / "docs.jsonl.zst", pubmed={"limit": 6_000}
    )
    assert manifest["counts"]["records_read"] == 6_000
    assert {"no_abstract", "not_english"} <= outcomes(manifest).keys()
    assert len({d.id for d in documents}) == len(documents)
    assert all("\n" in d.text for d in documents)


# VmHWM: ru_maxrss would include what the process that started this one had used.
MEASURE = """
import sys
from pathlib import Path
from mediswift_cs.cli import main
main(["documents", sys.argv[1], "--output", sys.argv[2], "--limit", sys.argv[3]])
(line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line]
print(int(line.split()[1]) / 1024)
"""


def test_memory_grows_by_the_arrays_only(sample_files: Any, tmp_path: Path) -> None:
    peak, num_documents = {}, {}
    for limit in (2_000, 12_000):
        output = tmp_path / f"{limit}.jsonl.zst"
        done = subprocess.run(
            [sys.executable, "-c", MEASURE, sample_files[UPDATE], output, str(limit)],
            capture_output=True,
            text=True,
            check=True,
        )
        peak[limit] = float(done.stdout.splitlines()[-1])
        num_documents[limit] = len(list(read_lines(output)))
    # MB. Six times the records, whose XML alone is more than 100 MB longer; a document has some
    # 1 kB of signatures and their bands while its part is cleaned.
    more = num_documents[12_000] - num_documents[2_000]
    assert peak[12_000] < peak[2_000] + 20 + more * 2e-3
    assert peak[12_000] < 400


def test_settings_of_a_file_take_a_data_set_too(inputs: Path, tmp_path: Path) -> None:
    """The shards of a whole run say by which rules its documents were made."""
    pytest.importorskip("datasets", reason="it reads texts of one's own")
    own = tmp_path / "own.jsonl"
    own.write_text("".join(json.dumps({"text": prose(n)}) + "\n" for n in range(5000, 5040)))
    (tmp_path / "settings.json").write_text(
        json.dumps(
            {
                **corpus_settings(inputs, tmp_path / "out"),
                "dataset": {"name": str(own)},
            }
        )
    )
    pipeline = Pipeline(load_settings(tmp_path / "settings.json"), chosen=STAGES)
    pipeline.run()
    assert pipeline.tasks.results.counts()["parse dataset"] == {"kept": 40}
    (documents,) = json.loads((tmp_path / "out" / "hdf5" / "manifest.json").read_text())[
        "documents"
    ]
    assert documents["options"]["guard"]["pmids"] is True
    assert documents["options"]["clean"] == {"boilerplate": True, "dehyphenate": True}
    assert documents["counts"]["benchmark_text"] == 1
