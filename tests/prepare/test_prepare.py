import gzip
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mediswift_cs.cli import main
from mediswift_cs.corpora.build import write_documents
from mediswift_cs.corpora.documents_file import read_documents
from mediswift_cs.errors import ConfigError, DataError
from mediswift_cs.prepare.config import load_settings
from mediswift_cs.prepare.pipeline import STAGES, Pipeline
from mediswift_cs.tokens.shards import read_manifest

from .conftest import BENCHMARK_PMID, article, article_set, contents, corpus_settings, record

REPOSITORY = Path(__file__).resolve().parents[2]


def prepare(path, *options):
    return main(["prepare", "--config", str(path), *map(str, options)])


def ids(output):
    return [d.id for p in sorted((output / "documents").glob("*.zst")) for d in read_documents(p)]


def manifest_of(output):
    return json.loads((output / "manifest.json").read_text())


def nonzero(counts):
    return {name: number for name, number in counts.items() if number}


@pytest.fixture(scope="session")
def expected(inputs, tmp_path_factory):
    """The output of an uninterrupted run of one worker."""
    folder = tmp_path_factory.mktemp("expected")
    settings = corpus_settings(inputs, folder / "out")
    (folder / "settings.yaml").write_text(json.dumps(settings))
    assert prepare(folder / "settings.yaml") == 0
    return folder / "out"


def test_each_document_has_one_outcome(expected):
    manifest = manifest_of(expected)
    counts = {stage: nonzero(numbers) for stage, numbers in manifest["counts"].items()}
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


def test_what_is_left_out_is_the_right_thing(expected):
    found = ids(expected)
    assert len(found) == len(set(found))
    gone = {3, 4, 5, 100, 101, 104, 106, BENCHMARK_PMID, 108, 109}
    assert not {f"pubmed:{pmid}" for pmid in gone} & set(found)
    assert {"pubmed:1", "pubmed:2", "pubmed:6", "pubmed:103", "pubmed:105"} <= set(found)
    assert [each for each in found if each.startswith("pmc:")] == ["pmc:PMC1", "pmc:PMC4"]
    texts = [d.text for p in (expected / "documents").glob("*.zst") for d in read_documents(p)]
    assert sum(text.startswith("Revised.") for text in texts) == 1


def test_manifest_and_report_say_so(expected):
    manifest = manifest_of(expected)
    assert manifest["guard"] == {
        "num_blocked_pmids": 2852,
        "num_texts_files": 1,
        "near_copies_found": ["pubmed:109"],
    }
    statistics = manifest["statistics"]
    number = statistics["num_documents"]
    assert number == len(ids(expected)) == manifest["counts"]["guard"]["kept"]
    for name in ("sources", "lengths", "years", "journals", "licences"):
        assert sum(statistics[name].values()) == number
    assert statistics["licences"]["CC BY 4.0"] == 2
    page = (expected / "corpus.html").read_text()
    for text in ("J Mice", "CC BY 4.0", "tokens (train)", "near_duplicate", "No file was quaran"):
        assert text in page
    assert "<script" not in page


def test_the_shards_are_those_of_the_documents(expected):
    manifest = read_manifest(expected / "hdf5")
    assert manifest.counts["documents_read"] == len(ids(expected))
    assert sum(split.num_documents for split in manifest.splits.values()) == len(ids(expected))
    assert manifest.splits["val"].unigram_loss > 0
    for split in manifest.splits.values():
        assert sum(shard.num_samples for shard in split.shards) == split.num_samples
        assert all((expected / "hdf5" / shard.file).is_file() for shard in split.shards)
    assert (expected / "hdf5" / "tokenizer.json").read_bytes() == (
        expected / "tokenizer.json"
    ).read_bytes()


def test_datasets_reads_the_documents(expected, tmp_path):
    import datasets

    data = datasets.load_dataset(
        str(expected / "documents"), split="train", cache_dir=str(tmp_path)
    )
    assert sorted(data["id"]) == sorted(ids(expected))


def test_the_pubmed_part_agrees_with_the_documents_command(expected, inputs, tmp_path):
    manifest, _ = write_documents([inputs / "pubmed"], tmp_path / "docs.jsonl.zst")
    counts = manifest["counts"]
    del counts["records_read"]
    assert nonzero(counts) == nonzero(manifest_of(expected)["counts"]["parse pubmed"])


def test_a_second_run_does_nothing(settings_file, capsys):
    path = settings_file()
    assert prepare(path) == 0
    output = load_settings(path).output
    before = {p: p.stat().st_mtime_ns for p in (output / "work").rglob("*.*") if p.is_file()}
    capsys.readouterr()
    assert prepare(path) == 0
    log = capsys.readouterr().err
    assert "parse: 0 of 5 parts done" in log
    assert log.count(" were there") == len(log.splitlines())
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_a_new_file_adds_its_part_only(settings_file, inputs, tmp_path, capsys):
    copied = tmp_path / "inputs"
    shutil.copytree(inputs, copied, copy_function=shutil.copy2)
    path = settings_file(pubmed={"inputs": [str(copied / "pubmed")]})
    assert prepare(path) == 0
    shutil.copy(copied / "pubmed" / "pubmed20n0003.xml", copied / "pubmed" / "pubmed20n0004.xml")
    capsys.readouterr()
    assert prepare(path) == 0
    assert "parse: 1 of 6 parts done" in capsys.readouterr().err
    counts = manifest_of(load_settings(path).output)["counts"]["parse pubmed"]
    assert counts["superseded"] == 62


@pytest.mark.parametrize("engine", ["process", "dask"])
def test_workers_and_engines_give_the_same_bytes(settings_file, expected, engine):
    if engine == "dask":
        pytest.importorskip("distributed")
    path = settings_file()
    assert prepare(path, "--workers", 2, "--engine", engine) == 0
    assert contents(load_settings(path).output) == contents(expected)


def test_the_largest_parts_begin_first(expected, inputs):
    parts = Pipeline(load_settings(expected.parent / "settings.yaml")).parts
    for stage in ("parse", "clean", "guard", "tokens"):
        done = {p: (expected / "work" / stage / f"{p.name}.json").stat().st_mtime_ns for p in parts}
        sizes = [part.num_bytes for part in sorted(parts, key=lambda part: done[part])]
        assert sizes == sorted(sizes, reverse=True), stage
    files = [path for folder in ("pubmed", "pmc") for path in (inputs / folder).iterdir()]
    assert sum(part.num_bytes for part in parts) == sum(path.stat().st_size for path in files)
    # The parts are not in that order by themselves, so the order above is a choice.
    own_order = [part.num_bytes for part in parts]
    assert own_order != sorted(own_order, reverse=True)


def test_another_tokenizer_in_the_same_process(settings_file, expected):
    path = settings_file(tokenizer={"vocab_size": 400})
    assert prepare(path) == 0
    output = load_settings(path).output
    assert contents(output)["hdf5/tokenizer.json"] != contents(expected)["hdf5/tokenizer.json"]
    assert prepare(settings_file()) == 0
    assert contents(output) == contents(expected)


def test_a_scheduler_that_runs_already(settings_file, expected):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        path = settings_file()
        options = ("--engine", "dask", "--scheduler", cluster.scheduler_address)
        assert prepare(path, *options) == 0
    assert contents(load_settings(path).output) == contents(expected)


@pytest.mark.parametrize("seed", range(3))
def test_killed_anywhere_and_started_again(settings_file, expected, seed):
    path = settings_file()
    command = [sys.executable, "-m", "mediswift_cs.cli", "prepare", "--config", str(path)]
    output, random_ = load_settings(path).output, random.Random(seed)
    num_killed = 0
    for _ in range(3):
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        # Killed when so many files have been written, wherever that is.
        wanted = len(list(output.rglob("*"))) + random_.randint(1, 25)
        while process.poll() is None and len(list(output.rglob("*"))) < wanted:
            time.sleep(0.002)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            num_killed += 1
        process.wait()
        process.stderr.close()
    assert num_killed
    assert prepare(path) == 0
    assert contents(output) == contents(expected)
    assert not list(output.rglob("*.partial-*"))


def test_poisoned_files_are_quarantined_and_the_rest_goes_on(
    settings_file, inputs, tmp_path, capsys
):
    copied = tmp_path / "inputs"
    shutil.copytree(inputs, copied)
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
    assert manifest_of(output)["counts"]["parse pubmed"]["kept"] == 125
    assert "pmc:PMC1" in ids(output)
    # Mended, only they are read again.
    (copied / "pubmed" / "pubmed20n0004.xml.gz").unlink()
    (copied / "pubmed" / "pubmed20n0005.xml").unlink()
    (copied / "pmc" / "bad <b>.nxml").unlink()
    assert prepare(path) == 0


def test_policies(settings_file):
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


def test_what_no_run_made_is_not_touched(settings_file, tmp_path, capsys):
    path, output = settings_file(), tmp_path / "out"
    (output / "documents").mkdir(parents=True)
    (output / "documents" / "thesis.docx").write_text("mine")
    (output / "tokenizer.json").write_text("{}")
    before = contents(output)
    assert prepare(path) == 2
    assert "holds documents, tokenizer.json, which no earlier run made" in capsys.readouterr().err
    assert contents(output) == before
    shutil.rmtree(output)
    assert prepare(path) == 0
    # Without work/ the output is known by its manifest.
    shutil.rmtree(output / "work")
    assert prepare(path) == 0
    (output / "documents" / "mine.jsonl.zst").write_text("mine")
    shutil.rmtree(output / "work" / "guard")
    assert prepare(path) == 2
    assert "holds 'mine.jsonl.zst', which no run made" in capsys.readouterr().err
    assert (output / "documents" / "mine.jsonl.zst").read_text() == "mine"


def test_what_a_killed_run_was_writing_is_removed(settings_file, expected, tmp_path):
    path, output = settings_file(), tmp_path / "out"
    assert prepare(path) == 0
    left = ("work/tokens/x.partial-1-a/y", "hdf5.partial-1-b/train/z", ".hdf5.old-1-c/z")
    for name in (*left, "work/clean/x.jsonl.zst.partial-1-d", "tokenizer.json.partial-1-e"):
        (output / name).parent.mkdir(parents=True, exist_ok=True)
        (output / name).touch()
    assert prepare(path) == 0
    assert contents(output) == contents(expected)
    assert not [p for p in output.rglob("*") if "partial-" in p.name or ".old-" in p.name]


def test_an_earlier_version_does_not_outlive_a_retraction(settings_file, inputs, tmp_path):
    def versioned(number, pmid, version, retracted=False):
        text = article(number, pmid).replace(f">{number}<", f">PMC{number}.{version}<")
        related = '<related-article related-article-type="retraction-forward"/><permissions>'
        return text.replace("<permissions>", related) if retracted else text

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
    assert manifest_of(output)["counts"]["dedup"]["retracted"] == 2


def test_a_mended_md5_or_disk_brings_the_file_back(settings_file, inputs, tmp_path):
    copied = tmp_path / "inputs"
    shutil.copytree(inputs, copied)
    md5 = copied / "pubmed" / "pubmed20n0003.xml.md5"
    md5.write_text("0" * 32)
    path = settings_file(
        pubmed={"inputs": [str(copied / "pubmed")]}, pmc={"inputs": [str(copied / "pmc")]}
    )
    assert prepare(path) == 1
    md5.unlink()
    assert prepare(path) == 0
    output = load_settings(path).output
    assert manifest_of(output)["counts"]["parse pubmed"]["kept"] == 125


def test_stages_alone(settings_file):
    settings = load_settings(settings_file())
    with pytest.raises(DataError, match=r"stage parse is not done .*: run it too"):
        Pipeline(settings, ("clean",)).run()
    for stage in STAGES:
        Pipeline(settings, (stage,)).run()
        assert Pipeline(settings, (stage,)).counts() == {}
    assert (settings.output / "corpus.html").is_file()
    with pytest.raises(ConfigError, match="no stage 'train', there are: fetch, parse, clean"):
        Pipeline(settings, ("train",))


def test_two_runs_at_once(settings_file):
    import fcntl

    settings = load_settings(settings_file())
    (settings.output / "work").mkdir(parents=True)
    with (settings.output / "work" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another run is at work in"):
            Pipeline(settings).run()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dedup": {"treshold": 0.5}}, r"dedup.treshold: Extra inputs are not permitted, got 0\.5"),
        ({"dedup": {"threshold": 2}}, "dedup threshold must be above 0 and at most 1, got 2"),
        ({"dedup": {"threshold": 0.99}}, r"dedup threshold 0\.99 is too high for num_perm 128"),
        ({"pmc": {"licences": ["free"]}}, "pmc.licences.0: Input should be 'commercial'"),
        ({"pubmed": {"inputs": []}, "pmc": {"inputs": []}}, "no input: set pubmed.inputs or"),
        ({"engine": {"scheduler": "tcp://x:1"}}, "engine.scheduler needs engine.name: dask"),
        ({"fetch": {"pmc": "data/pmc"}}, "fetch.pmc needs fetch.pmc_list"),
        ({"hdf5": {"val_fraction": 1}}, "hdf5.val_fraction: Input should be less than 1, got 1"),
    ],
)
def test_wrong_settings(settings_file, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_settings(settings_file(**changes))


@pytest.mark.parametrize(
    ("section", "name", "content", "message"),
    [
        ("guard", "texts", "[1]", r"bad\.json is no benchmark file: expected an object of records"),
        ("guard", "texts", "{", r"bad\.json is no benchmark file \(Expecting property name"),
        ("guard", "texts", '{"1": {"CONTEXTS": "text"}}', r"bad\.json is no benchmark file"),
        (
            "guard",
            "texts",
            '{"1": {"CONTEXTS": ["too short"]}}',
            "no text of benchmark .* has the 13",
        ),
        ("guard", "pmid_files", "PMC12", r"line 1 of .*bad\.json is 'PMC12', expected a PMID"),
        ("tokenizer", "path", "{}", r"bad\.json is not a tokenizer\.json"),
        ("tokenizer", "path", None, r"tokenizer .*bad\.json does not exist"),
    ],
)
def test_files_of_late_stages_are_read_first(
    settings_file, tmp_path, capsys, section, name, content, message
):
    bad = tmp_path / "bad.json"
    if content is not None:
        bad.write_text(content)
    path = settings_file(**{section: {name: str(bad) if name == "path" else [str(bad)]}})
    assert prepare(path) == 2
    err = capsys.readouterr().err
    assert re.search(message, err)
    assert "parse:" not in err
    assert prepare(path, "--stage", "parse") == 0


def test_the_shipped_settings_are_valid():
    settings = load_settings(REPOSITORY / "data_preprocessing/configs/pubmed_pmc.yaml")
    assert settings.pmc.licences == ("commercial",)
    assert settings.guard.pmids
