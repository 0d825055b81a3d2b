"""Runs of a few steps, and evaluations of them."""

import json
from pathlib import Path
from typing import Any

from mediswift_cs.cli import main
from mediswift_cs.params.schema import Params
from mediswift_cs.training.hosts.host import Host
from mediswift_cs.training.hosts.torch.session import TorchSession
from mediswift_cs.training.loop import Trainer

Raw = dict[str, Any]


def train(raw: Raw, model_dir: Path, host: Host | None = None) -> Path:
    params = Params(**raw)
    model_dir.mkdir(parents=True)
    host = host or TorchSession(params, "CPU", for_training=True)
    fit = params.trainer.fit
    assert fit is not None
    Trainer(params, model_dir, raw, host).fit(fit.val_dataloader or [])
    (model_dir / "origin.json").write_text('{"checkpoint_path": null, "num_threads": 1}')
    return model_dir


def write_scores(folder: Path, checkpoint: Path, label: str = "yes") -> Path:
    """An evaluation of 4 items, 3 of them right."""
    folder.mkdir(parents=True)
    data = folder.parent / "data"
    data.mkdir(exist_ok=True)
    content = {
        "task": label,
        "split": "test",
        "method": "constrained",
        "metric": "accuracy",
        "scores": {"accuracy": 0.75, "macro_f1": 0.7333},
        "baseline": {"score": 0.5, "answer": label},
        "interval_95": [0.3125, 0.9875],
        "num_items": 4,
        "confusion": {"rows": [label, "no"], "columns": [label, "no"], "counts": [[2, 0], [1, 1]]},
        "options": {"checkpoint": str(checkpoint), "data": str(data)},
    }
    (folder / "scores.json").write_text(json.dumps(content))
    said = [(label, label), (label, label), ("no", label), ("no", "no")]
    lines = [{"id": f"{n}{label}", "gold": [g], "predicted": [p]} for n, (g, p) in enumerate(said)]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    texts = [{"id": x["id"], "head": "Q: ", "context": f"text of {label}"} for x in lines]
    (data / "test.jsonl").write_text("".join(json.dumps(x) + "\n" for x in texts))
    return folder


def page_of(*arguments: object, folder: Path) -> str:
    output = folder / "report.html"
    assert main(["report", *map(str, arguments), "--output", str(output), "--overwrite"]) == 0
    return output.read_text()
