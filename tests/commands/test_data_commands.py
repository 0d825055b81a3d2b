"""The three data commands as users run them."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.cli import main
from mediswift_cs.tokens.manifest import read_manifest

REPOSITORY = Path(__file__).resolve().parents[2]
RECORD = """<PubmedArticle><MedlineCitation><PMID Version="1">{n}</PMID><Article>
<ArticleTitle>Title {n}.</ArticleTitle><Abstract><AbstractText>The effect {n} of dose {n} on cells
{n} and mice {n} in a study {n} of cell lines.</AbstractText></Abstract><Language>eng</Language>
</Article></MedlineCitation></PubmedArticle>"""
XML = "<PubmedArticleSet>" + "".join(RECORD.format(n=n) for n in range(1, 200)) + "{}"


@pytest.fixture
def pubmed(tmp_path: Path) -> Any:
    path = tmp_path / "pubmed20n0001.xml.gz"
    path.write_bytes(gzip.compress(XML.format("</PubmedArticleSet>").encode()))
    return path


def mediswift(*arguments: Any, **options: Any) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "mediswift_cs.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


def test_from_xml_to_shards(
    pubmed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs, tokenizer, out = tmp_path / "docs.jsonl.zst", tmp_path / "tok.json", tmp_path / "out"
    assert main(["documents", str(pubmed), "--output", str(docs)]) == 0
    assert "199 documents of 199 records" in capsys.readouterr().out
    assert main(["tokenizer", str(docs), "--vocab-size", "300", "--output", str(tokenizer)]) == 0
    assert "300 tokens" in capsys.readouterr().out
    shards = ["shards", str(docs), "--tokenizer", str(tokenizer), "--output", str(out)]
    shards += ["--max-sequence-length", "64", "--val-fraction", "0.1"]
    assert main(shards) == 0
    assert "written" in capsys.readouterr().out
    manifest = read_manifest(out / "train")
    assert manifest.counts["kept"] == 199
    assert manifest.documents[0]["sources"][0]["path"] == pubmed.name
    assert main(shards) == 0
    assert "already there" in capsys.readouterr().out


def test_counts_by_reason_are_printed(
    pubmed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = XML.format("</PubmedArticleSet>").replace("<Language>eng", "<Language>ger", 5)
    pubmed.write_bytes(gzip.compress(text.encode()))
    main(["documents", str(pubmed), "--output", str(tmp_path / "docs.jsonl.zst")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:] == [
        "         194 documents of 199 records",
        "           5 left out: not_english",
    ]


def test_texts_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("datasets", reason="it reads texts of one's own")
    path, docs = tmp_path / "corpus.jsonl", tmp_path / "docs.jsonl.zst"
    rows = [{"pmid": n, "abstract": f"Cells and mice {n}."} for n in range(50)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = ["--dataset", str(path), "--text-column", "abstract", "--id-column", "pmid"]
    assert main(["documents", *columns, "--output", str(docs)]) == 0
    assert "50 documents of 50 records" in capsys.readouterr().out
    # Where the options were before, a sentence says where they are now.
    old = ["shards", *columns, "--tokenizer", "t", "--max-sequence-length", "8", "--output", "o"]
    assert main(old) == 2
    error = capsys.readouterr().err
    assert "`mediswift documents --dataset NAME_OR_PATH --output DOCS`" in error
    assert error.count("\n") == 1


def test_shards_of_unguarded_documents_say_so(
    pubmed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokenizer = tmp_path / "tok.json"
    own = tmp_path / "own.jsonl"
    own.write_text('{"id": "a", "text": "Mine."}\n')
    warnings = {}
    for name, options in {"guarded": [], "unguarded": ["--no-guard"]}.items():
        docs = tmp_path / f"{name}.jsonl.zst"
        assert main(["documents", str(pubmed), *options, "--output", str(docs)]) == 0
        if not tokenizer.exists():
            main(["tokenizer", str(docs), "--vocab-size", "300", "--output", str(tokenizer)])
        shards = ["--tokenizer", str(tokenizer), "--max-sequence-length", "64"]
        shards += ["--val-fraction", "0", "--output", str(tmp_path / name)]
        capsys.readouterr()
        assert main(["shards", str(docs), *shards]) == 0
        warnings[name] = capsys.readouterr().err
        (documents,) = read_manifest(tmp_path / name).documents
        assert documents["options"]["guard"]["pmids"] is (name == "guarded")
    assert warnings["guarded"] == ""
    assert warnings["unguarded"].startswith("warning: unguarded.jsonl.zst: not made with the guard")
    assert warnings["unguarded"].count("\n") == 1
    shards[-1] = str(tmp_path / "own")
    assert main(["shards", str(own), *shards]) == 0
    assert capsys.readouterr().err.startswith("warning: own.jsonl: ")


def test_a_damaged_file_among_others(
    pubmed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "pubmed20n0002.xml.gz"
    damaged.write_bytes(pubmed.read_bytes()[:-100])
    command = ["documents", str(pubmed), str(damaged), "--output", str(tmp_path / "docs.jsonl.zst")]
    for state in ("written", "already there"):
        assert main(command) == 1
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].endswith(state)
        assert lines[1].endswith("199 documents of 199 records")
        assert lines[-1].startswith("quarantined: pubmed20n0002.xml.gz: ")


def test_gpt2_as_one_file(
    tmp_path: Path, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpt2, output = shared_data / "tokenizers" / "gpt2", tmp_path / "tokenizer.json"
    assert main(["tokenizer", "--gpt2", str(gpt2), "--output", str(output)]) == 0
    assert "50,257 tokens" in capsys.readouterr().out
    assert main(["tokenizer", "--gpt2", str(gpt2), "--output", str(output)]) == 0
    assert "already there" in capsys.readouterr().out


def one_sentence(done: Any) -> Any:
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


BAD_INPUTS = {
    "cut gzip": (gzip.compress(XML.encode())[:-100], "is cut short or not a gzip file"),
    "record cut short": (XML[:-50].encode(), "is not well-formed XML"),
    "wrong XML": (b"<rss/>", "is other XML: its root is <rss>"),
    "bad entity": (XML.replace("Title 7", "&nbsp;").encode(), "Entity 'nbsp' not defined"),
    "bad UTF-8": (XML.encode().replace(b"Title 7", b"\xff\xfe"), "Invalid bytes"),
    "nothing usable": (b"<PubmedArticleSet/>", "no usable document: "),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_one_sentence_and_code_2(tmp_path: Path, name: str) -> None:
    content, message = BAD_INPUTS[name]
    path = tmp_path / "pubmed20n0001.xml.gz"
    path.write_bytes(content)
    done = mediswift("documents", path, "--output", tmp_path / "docs.jsonl.zst")
    assert message in one_sentence(done)
    assert {each.name for each in tmp_path.iterdir()} == {path.name, "docs.manifest.json"}


def test_an_empty_folder(tmp_path: Path) -> None:
    done = mediswift("documents", tmp_path, "--output", tmp_path / "docs.jsonl.zst")
    assert "no .xml or .xml.gz file in folder" in one_sentence(done)


@pytest.fixture
def locked_folder(tmp_path: Path) -> Any:
    """A folder in which this test's subprocess may not write, whoever runs the test."""
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def as_ordinary_user() -> None:
    """Drop root's right to write anywhere (CAP_DAC_OVERRIDE), keeping its right to read."""
    if os.geteuid() == 0:
        import ctypes

        cap_dac_override, pr_capbset_drop = 1, 24
        assert ctypes.CDLL(None).prctl(pr_capbset_drop, cap_dac_override, 0, 0, 0) == 0


@pytest.mark.parametrize("command", ["documents", "tokenizer", "shards"])
def test_no_write_permission(pubmed: Any, locked_folder: Any, tmp_path: Path, command: Any) -> None:
    docs = tmp_path / "docs.jsonl.zst"
    assert main(["documents", str(pubmed), "--output", str(docs)]) == 0
    tokenizer = tmp_path / "tok.json"
    assert main(["tokenizer", str(docs), "--vocab-size", "300", "--output", str(tokenizer)]) == 0
    arguments = {
        "documents": [pubmed, "--output", locked_folder / "docs.jsonl.zst"],
        "tokenizer": [docs, "--vocab-size", "300", "--output", locked_folder / "tok.json"],
        "shards": [
            *(docs, "--tokenizer", tokenizer, "--max-sequence-length", "64"),
            *("--output", locked_folder / "out"),
        ],
    }[command]
    done = mediswift(command, *arguments, preexec_fn=as_ordinary_user)
    assert "cannot write" in one_sentence(done)
    assert "Permission denied" in done.stderr
    assert list(locked_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["documents", "--output", "x.jsonl.zst"], "no input: give PubMed XML files"),
        (
            ["documents", "x", "--limit", "0", "--output", "x.jsonl.zst"],
            "--limit: got 0, allowed: 1 record or",
        ),
        (
            ["documents", "x", "--no-guard", "--guard-text", "y", "--output", "x.jsonl.zst"],
            "--no-guard: got also a file for the guard, allowed: one of them",
        ),
        (["documents", "nowhere", "--output", "x.jsonl.zst"], "input nowhere does not exist"),
        (["tokenizer", "--output", "x.json"], "give either documents to train on, or --gpt2"),
        (
            ["shards", "--tokenizer", "t", "--max-sequence-length", "8", "--output", "o"],
            "no input: give documents files",
        ),
    ],
)
def test_wrong_arguments(
    arguments: Any,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("pubmed_to_documents.py", "documents"),
        ("train_tokenizer.py", "tokenizer"),
        ("documents_to_hdf5.py", "shards"),
    ],
)
def test_the_scripts_are_the_commands(script: Any, command: Any) -> None:
    path = REPOSITORY / "data_preprocessing" / script
    done = subprocess.run(
        [sys.executable, path, "--help"], capture_output=True, text=True, check=True
    )
    assert f"mediswift {command}" in done.stdout
    assert "example:" in done.stdout


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nfrom mediswift_cs.cli import main\n"
        "try:\n    main(['shards', '--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'datasets', 'tokenizers', 'h5py', 'numpy', 'lxml'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
