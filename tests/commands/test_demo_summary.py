"""What the demo says at its end follows from the results, whichever way they went."""

import json
import random
from dataclasses import asdict
from pathlib import Path

import pytest

from mediswift_cs.demo_summary import Results, advantage, answer_lines, draw, read_times
from mediswift_cs.errors import DataError
from mediswift_cs.tokens.manifest import Manifest, SplitEntry, TokenizerEntry

NUMBER = 300


def write_evaluation(folder: Path, accuracy: float, seed: int) -> None:
    folder.mkdir(parents=True)
    generator = random.Random(seed)
    right = [generator.random() < accuracy for _ in range(NUMBER)]
    lines = [
        {"id": str(i), "gold": ["a"], "predicted": ["a"] if is_right else ["b"]}
        for i, is_right in enumerate(right)
    ]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    scores = {
        "scores": {"accuracy": sum(right) / NUMBER},
        "interval_95": [sum(right) / NUMBER - 0.05, sum(right) / NUMBER + 0.05],
        "num_items": NUMBER,
        "baseline": {"answer": "a", "score": 0.5},
    }
    (folder / "scores.json").write_text(json.dumps(scores))


def write_metrics(folder: Path, *lines: dict[str, float]) -> None:
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def write_manifest(folder: Path) -> None:
    folder.mkdir()
    split = SplitEntry(
        num_documents=1, num_tokens=2, num_samples=1000, max_token_id=1, shards=(), unigram_loss=7.0
    )
    manifest = Manifest(
        package_version="0",
        max_sequence_length=8,
        tokenizer=TokenizerEntry(file="t", sha256="0", vocab_size=2, eos_id=1),
        sources=(),
        counts={},
        splits={"train": split, "val": split},
        options={},
    )
    (folder / "manifest.json").write_text(manifest.to_json())
    assert asdict(split)["num_bytes"] is None


def demo(folder: Path, tuned: float, scratch: float) -> Results:
    folder.mkdir()
    results = Results(folder, "75")
    write_evaluation(results.scores, tuned, 1)
    write_evaluation(results.scratch_scores, scratch, 2)
    write_evaluation(results.tfidf_scores, 0.9, 3)
    write_manifest(results.labels)
    write_manifest(results.shards)
    write_metrics(
        results.pretraining, {"step": 1, "loss": 8.0}, {"step": 2, "val_loss": 6.0, "loss": 6.5}
    )
    for run in (results.finetuning, results.scratch):
        write_metrics(run, {"step": 1, "val_loss": 1.0, "val_answer_accuracy": 0.5})
    return results


@pytest.mark.parametrize(
    ("tuned", "scratch", "verdict"),
    [
        (0.9, 0.6, "it helps where labels and steps are few"),
        (0.7, 0.7, "no difference is shown"),
        (0.7, 0.95, "it does harm here"),
        (0.5, 0.2, "shows nothing, as the answers are no better than always the same one"),
    ],
)
def test_the_verdict_is_that_of_the_scores(
    tmp_path: Path, tuned: float, scratch: float, verdict: str
) -> None:
    lines = answer_lines(demo(tmp_path / "demo", tuned, scratch))
    text = "\n".join(lines)
    assert f"{NUMBER} held-out abstracts, after 1000 labelled ones" in text
    assert verdict in text
    assert "always 'a'                   0.500" in text


def test_the_advantage_is_paired(tmp_path: Path) -> None:
    results = demo(tmp_path / "demo", 0.8, 0.6)
    gain, (low, high) = advantage(results.scores, results.scratch_scores)
    assert low < gain < high
    assert gain == pytest.approx(0.2, abs=0.08)
    # Of an evaluation with itself there is none, whatever the interval of its score is.
    assert advantage(results.scores, results.scores) == (0.0, (0.0, 0.0))


def test_the_picture_appears(tmp_path: Path) -> None:
    results = demo(tmp_path / "demo", 0.8, 0.6)
    draw(results)
    assert results.picture.read_bytes().startswith(b"\x89PNG")


def test_damaged_times_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    assert read_times(path) == {}
    path.write_text('{"documents": "long"}')
    with pytest.raises(DataError, match="documents: got 'long', allowed: a number of seconds"):
        read_times(path)
