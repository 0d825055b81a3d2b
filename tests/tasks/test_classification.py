"""Any classification task: JSON lines and PubMed's own labels, their splits, and bad input."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from mediswift_cs.cli import main
from mediswift_cs.tasks.example import read_examples_file
from mediswift_cs.tasks.prompt_folder import read_prompt_data
from mediswift_cs.tokens.tokenizer import save_tokenizer, train_tokenizer

WORDS = ("fever", "cough", "fracture", "scan", "blood", "heart")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    texts = [f"the patient has {a} and {b}" for a in WORDS for b in WORDS]
    save_tokenizer(
        train_tokenizer(
            texts, vocab_size=300, min_frequency=2, num_texts=None, show_progress=False
        ),
        path,
    )
    return path


def write_lines(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def notes(number: int = 40) -> list[dict[str, object]]:
    return [
        {"text": f"note {i} of {WORDS[i % 6]}", "label": "urgent" if i % 6 < 3 else "not urgent"}
        for i in range(number)
    ]


def classify(rows: Sequence[object], tokenizer: Path, folder: Path, *options: str) -> int:
    path = write_lines(folder / "notes.jsonl", rows)
    layout = ("--max-sequence-length", "64", "--num-virtual-tokens", "0")
    output = ("--tokenizer", str(tokenizer), "--output", str(folder / "out"))
    return main(["classify", str(path), *layout, *output, *options])


def test_one_label(tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--question", "Is it urgent?", "--instruction", "Read the\nnote.")
    assert classify(notes(), tokenizer, tmp_path, *options) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()[-4:]]
    assert table[0] == ["train", "val", "test"]
    assert sum(map(int, table[1][1:])) == 40
    data = read_prompt_data(tmp_path / "out")
    assert data.task.labels == ("not urgent", "urgent")
    splits = {name: data.examples(name) for name in ("train", "val", "test")}
    assert {e.id for items in splits.values() for e in items} == {
        f"notes.jsonl:{i}" for i in range(1, 41)
    }
    example = next(e for e in splits["train"] if e.id == "notes.jsonl:1")
    assert example.source == "Read the note. note 0 of fever Is it urgent?"
    assert example.target == " the answer is urgent."
    assert classify(notes(), tokenizer, tmp_path, *options) == 0
    assert "already there" in capsys.readouterr().out
    # The same documents are on the same side, whatever else there is.
    (tmp_path / "more").mkdir()
    assert classify(notes(80), tokenizer, tmp_path / "more", *options) == 0
    more = {e.id for e in read_examples_file(tmp_path / "more" / "out" / "test.jsonl")}
    first = {e.id for e in splits["test"]}
    assert first == {i for i in more if int(i.split(":")[1]) <= 40}


def test_several_labels_and_columns(tokenizer: Path, tmp_path: Path) -> None:
    rows = [
        {
            "body": f"report {i}",
            "findings": [["a"], ["a", "b"], [], "b"][i % 4],
            "patient": i // 2,
            "part": "train" if i < 16 else "test",
            "key": f"r{i}",
        }
        for i in range(20)
    ]
    columns = "--text-column body --label-column findings --document-column patient"
    columns += " --split-column part --id-column key --multi-label --labels a b c"
    assert classify(rows, tokenizer, tmp_path, *columns.split()) == 0
    data = read_prompt_data(tmp_path / "out")
    assert data.task.labels == ("a", "b", "c")
    train = data.examples("train")
    assert [e.target for e in train[:4]] == [
        " the answer is a.",
        " the answer is a|b.",
        " the answer is empty.",
        " the answer is b.",
    ]
    assert (len(train), len(data.examples("test"))) == (16, 4)
    assert train[3].document == "1"
    assert data.task.parse_answer(" the answer is a|c.") == ("a", "c")


def test_limits_take_the_same_texts_again(tokenizer: Path, tmp_path: Path) -> None:
    ids = []
    for number in (10, 5):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert classify(notes(), tokenizer, folder, "--max-train", str(number)) == 0
        ids.append({e.id for e in read_examples_file(folder / "out" / "train.jsonl")})
    assert list(map(len, ids)) == [10, 5]
    assert ids[1] < ids[0]


def _row(**changes: object) -> list[object]:
    return [{**notes()[0], **changes}, *notes()[1:]]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([{"text": "a"}], "", r"line 1 lacks 'label'"),
        (["text"], "", "allowed: an object with text, label"),
        (_row(text=" "), "", r"line 1: text: got ' ', allowed: a text that is not empty"),
        (_row(text=3), "", "line 1: text: got 3, allowed: a text"),
        (_row(label=["urgent"]), "", r"line 1: label: got \['urgent'\], allowed: one label"),
        (_row(label=""), "", "line 1: label: got '', allowed: one label"),
        (_row(label=[3]), "--multi-label", r"line 1: label: got \[3\], allowed: a list of labels"),
        (_row(label="late"), "--labels urgent 'not urgent'", "line 1: got label 'late', allowed:"),
        ([{"text": f"{i}", "label": "x"} for i in range(9)], "", "labels: got 'x', allowed: at"),
        (
            [{"text": f"{i}", "label": "x"} for i in range(9)],
            "--labels x y",
            "all 9 texts have the same label, got x, allowed: texts of at least two",
        ),
        (notes(), "--labels urgent urgent", "labels: got 'urgent' twice, allowed: once"),
        (_row(label="a|b"), "--multi-label", r"labels: got 'a\|b', allowed: text without '\|'"),
        (_row(label="empty"), "--multi-label", "other than 'empty', which stands for none"),
        (notes(), "--val-fraction 0.6 --test-fraction 0.5", "allowed: 0 or more, below 1 together"),
        (notes(), "--max-train 0", "allowed: 1 or more"),
        (notes(), "--max-train 1", "the split 'train' has 1 texts of 1 different answers"),
        (notes(), "--mesh Humans --publication-types Review", "got both, allowed: one of them"),
        (notes(), "--sample", "--sample: allowed with --mesh or --publication-types only"),
        (_row(part="dev"), "--split-column part", "split: got 'dev', allowed: train, val or test"),
        (
            [{**row, "part": "train" if i else "test", "key": i} for i, row in enumerate(notes())]
            + [{**notes()[0], "part": "train", "key": 99}],
            "--split-column part --id-column key",
            "line 41 in split 'train' has the text of .*line 1 in split 'test', allowed: one split",
        ),
        (
            [{**row, "key": 7} for row in notes()],
            "--id-column key",
            "line 2 repeats the id 7 of .*line 1",
        ),
        (
            [{**r, "part": "train" if i else "test", "who": i // 2} for i, r in enumerate(notes())],
            "--split-column part --document-column who",
            "splits must not overlap, got document 0 in both",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    tokenizer: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    rows: list[object],
    options: str,
    message: str,
) -> None:
    import re
    import shlex

    assert classify(rows, tokenizer, tmp_path, *shlex.split(options)) == 2
    err = capsys.readouterr().err
    assert re.search(message, err), err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def record(pmid: int, mesh: Sequence[str], version: int = 1, kind: str = "Review") -> str:
    headings = "".join(
        f"<MeshHeading><DescriptorName>{name}</DescriptorName></MeshHeading>" for name in mesh
    )
    return (
        f'<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID><Article>'
        f"<ArticleTitle>Title {pmid}</ArticleTitle>"
        f"<Abstract><AbstractText>Text {pmid}.{version}</AbstractText></Abstract>"
        f"<PublicationTypeList><PublicationType>{kind}</PublicationType></PublicationTypeList>"
        f"</Article><MeshHeadingList>{headings}</MeshHeadingList></MedlineCitation></PubmedArticle>"
    )


def pubmed(folder: Path) -> Path:
    records = [record(i, ["Humans", "Heart"] if i % 2 else ["Animals"]) for i in range(1, 41)]
    records += [record(50, ["Humans", "Animals"]), record(51, ["Heart"])]
    # A new version without the label takes the older one out; a deletion takes one out as well.
    records += [record(1, ["Heart"], version=2)]
    deleted = "<DeleteCitation><PMID>2</PMID></DeleteCitation>"
    path = folder / "pubmed20n0001.xml"
    path.write_text(f"<PubmedArticleSet>{''.join(records)}{deleted}</PubmedArticleSet>")
    return path


def test_labels_of_pubmed(tokenizer: Path, tmp_path: Path) -> None:
    arguments = ["classify", str(pubmed(tmp_path)), "--mesh", "Humans", "Animals"]
    layout = ["--max-sequence-length", "64", "--num-virtual-tokens", "0"]
    output = ["--tokenizer", str(tokenizer), "--output", str(tmp_path / "out")]
    assert main([*arguments, *layout, *output]) == 0
    data = read_prompt_data(tmp_path / "out")
    labels = {e.id: e.labels for name in ("train", "val", "test") for e in data.examples(name)}
    kept = {f"pubmed:{i}": ("Humans",) if i % 2 else ("Animals",) for i in range(3, 41)}
    assert labels == kept
    counts = {name: number for name, number in data.manifest.counts.items() if number}
    assert counts == {
        "read": 43,
        "kept": 38,
        "several_labels": 1,
        "no_label": 2,
        "superseded": 1,
        "deleted": 1,
    }
    assert counts["read"] == sum(counts.values()) - counts["read"]


def test_publication_types(
    tokenizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["classify", str(pubmed(tmp_path)), "--publication-types", "Review", "Letter"]
    output = ["--tokenizer", str(tokenizer), "--output", str(tmp_path / "out")]
    assert main([*arguments, *output]) == 2
    assert "all 41 texts have the same label, got Review" in capsys.readouterr().err
