"""What the page tells of its runs, section by section."""

import json
import re
from pathlib import Path

from mediswift_cs import __version__
from mediswift_cs.checkpoints.model_dir import list_checkpoints
from mediswift_cs.corpora.document import SourceEntry
from mediswift_cs.tokens.manifest import Manifest, ShardEntry, SplitEntry, TokenizerEntry
from mediswift_cs.training import mdl_state

from .small_runs import page_of


def provenance(folder: Path, toy_run: Path) -> Path:
    """A run that logged bits per byte, with data that `mediswift prepare` made, told in full."""
    shard = ShardEntry(file="train/a.h5", num_samples=3, md5="0" * 32)
    split = SplitEntry(
        num_documents=1234,
        num_tokens=5678,
        num_samples=3,
        max_token_id=9,
        shards=(shard,),
        unigram_loss=6.25,
    )
    documents = {
        "counts": {"records_read": 99, "kept": 40, "no_abstract": 31, "not_english": 17},
        "sources": [{"path": "a.xml", "bytes": 5, "md5": "ab" * 16}],
        "options": {"guard": {"ngram": 13, "overlap": 0.5}},
        "guard": {"near_copies_found": ["x"]},
    }
    manifest = Manifest(
        package_version="0.0.1",
        max_sequence_length=16,
        tokenizer=TokenizerEntry(file="t.json", sha256="cd" * 32, vocab_size=64, eos_id=0),
        sources=(SourceEntry(path="docs.jsonl.zst"),),
        counts={"documents_read": 40, "kept": 38, "empty_text": 2},
        splits={"train": split},
        options={"val_fraction": 0.05},
        documents=(documents,),
    )
    data = folder / "corpus" / "hdf5"
    (data / "train").mkdir(parents=True)
    (data / "manifest.json").write_text(manifest.to_json())
    licences = {"CC BY": 777, "CC0": 111}
    (folder / "corpus" / "manifest.json").write_text(
        json.dumps({"statistics": {"licences": licences}})
    )
    run = folder / "told"
    run.mkdir()
    state = mdl_state.read(list_checkpoints(toy_run)[-1])
    params = state["__metadata__"][-1]["params"]
    params["trainer"]["fit"]["train_dataloader"]["data_dir"] = str(data / "train")
    mdl_state.write(state, run / "checkpoint_12.mdl")
    lines = [json.loads(line) for line in (toy_run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if "val_loss" in line:
            line["val_bits_per_byte"] = line["val_loss"] / 2
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


def section(page: str, title: str) -> str:
    return page.partition(f"<h2>{title}</h2>")[2].partition("<h2>")[0]


def figure_of(page: str, label: str) -> str:
    (found,) = re.findall(rf'<svg[^>]*aria-label="{label}".*?</svg>', page, re.DOTALL)
    return str(found)


def test_several_runs_share_each_figure(toy_run: Path, tmp_path: Path) -> None:
    page = page_of(provenance(tmp_path, toy_run), toy_run, folder=tmp_path)
    for axis in ("steps", "tokens", "FLOPs"):
        both = figure_of(page, f"loss, nats per token over {axis}")
        assert "var(--s0)" in both
        assert "var(--s1)" in both
        # The other run has logged none.
        bits = figure_of(page, f"bits per byte over {axis}")
        assert "var(--s0)" in bits
        assert "var(--s1)" not in bits
    for name in ("learning rate", "gradient norm", "share of updates clipped", "tokens a second"):
        both = figure_of(page, f"{name} over steps")
        assert "var(--s0)" in both
        assert "var(--s1)" in both
    assert "No run has logged bits per byte" not in page
    # Twelve updates of two runs: the tables of both name them.
    assert page.count("12 of 12") == 2


def test_where_the_data_came_from_is_told(toy_run: Path, tmp_path: Path) -> None:
    data = section(page_of(provenance(tmp_path, toy_run), folder=tmp_path), "Data")
    for name, number in {
        "documents (train)": "1,234",
        "tokens (train)": "5,678",
        "token frequencies alone (train)": "6.2500 nats per token",
        "fingerprint of the tokenizer": "cd" * 32,
        "prepared with mediswift_cs": "0.0.1",
        "no_abstract": "31",
        "not_english": "17",
        "empty_text": "2",
        "CC BY": "777",
        "CC0": "111",
        "ngram": "13",
        "near copies of benchmarks found": "1",
        "a.xml": "5",
    }.items():
        row = re.search(rf"<t[hd][^>]*>{re.escape(name)}</t[hd]>.*?</tr>", data, re.DOTALL)
        assert row, name
        assert f">{number}<" in row[0], (name, row[0])
    # What was kept was not left out.
    assert ">records_read<" not in data
    assert ">kept<" not in data
    assert "No manifest here" not in data


def test_the_confusion_the_answers_and_the_commands(toy_run: Path, tmp_path: Path) -> None:
    page = page_of(toy_run, folder=tmp_path)
    rows = re.findall(r"<tr><th>(\w+)</th>(.*?)</tr>", section(page, "Evaluation"), re.DOTALL)
    cells = {name: re.findall(r">([\d,]+)</td>", text) for name, text in rows}
    counts = {name: found for name, found in cells.items() if found}
    assert counts == {"yes": ["2", "0"], "no": ["1", "1"]}
    answers = re.findall(r"([✓✗]) said (\w+)</strong>, right is (\w+)", section(page, "Answers"))
    # Two right ones and the wrong one of the four.
    assert sorted(answers) == [("✓", "yes", "yes"), ("✓", "yes", "yes"), ("✗", "yes", "no")]
    repeat = section(page, "To repeat it")
    for name in ("mediswift_cs", "Python", "torch", "operating system"):
        assert f"<th>{name}</th>" in repeat
    assert f'<td class="wrap">{__version__}</td>' in repeat
    assert "mediswift evaluate --data " in repeat
    assert f"mediswift report {toy_run} --output" in repeat
