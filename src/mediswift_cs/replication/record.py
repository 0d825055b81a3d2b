"""What is recorded of a replication, and printed: ``claims.json``."""

from collections.abc import Mapping
from typing import Any

from mediswift_cs.packages import versions
from mediswift_cs.replication.claims import CLAIMS
from mediswift_cs.replication.experiment import Experiment
from mediswift_cs.replication.jobs import outcome
from mediswift_cs.replication.measured import Measured
from mediswift_cs.replication.page import number_line
from mediswift_cs.replication.verdicts import judge


def claims_content(experiment: Experiment, measured: Measured) -> dict[str, Any]:
    """The content of ``claims.json``: verdicts, and the results that they rest on."""
    seconds = sum(outcome(path.parent)["seconds"] for path in experiment.outcomes())
    right = {name: 100 * values.mean(axis=1) for name, values in measured.right.items()}
    return {
        "scale": experiment.scale.name,
        "seed": experiment.seed,
        "seeds": experiment.seeds,
        "sweep_seed": experiment.sweep_seed,
        "host": experiment.host,
        "planted": experiment.planted,
        "versions": dict(versions()),
        "thread_hours": round(seconds / 3600, 2),
        "claims": [verdict.as_dict() for verdict in judge(CLAIMS, measured)],
        "arms": {
            name: {
                **facts,
                "bits_per_byte": list(measured.bits[name]),
                "clipped_fraction": list(measured.clipped[name]),
            }
            for name, facts in measured.sizes.items()
        },
        "baseline": 100 * measured.baseline,
        "fine_tuning": {
            name: {"accuracy": list(values), "num_documents": measured.right[name].shape[1]}
            for name, values in right.items()
        },
        "sweeps": {name: sweep.as_dict() for name, sweep in measured.rates.items()},
        "tuning_sweeps": {name: sweep.as_dict() for name, sweep in measured.tuning_rates.items()},
        "activations": {name: list(values) for name, values in measured.outputs.items()},
    }


def told(content: Mapping[str, Any]) -> str:
    """The verdicts as lines for a terminal."""
    lines = []
    for claim in content["claims"]:
        lines.append(f"{claim['claim']}  {claim['verdict']:9}  {claim['text']}")
        lines += [f"      {number_line(part)}" for part in (*claim["parts"], *claim["beside"])]
        lines += [f"      {text}" for text in (claim["missing"], *claim["notes"]) if text]
    return "\n".join(lines)
