"""The page of a replication, and the documentation that is rendered from a recorded one."""

import json
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.cli import main
from mediswift_cs.replication.claims import CLAIMS
from mediswift_cs.replication.page import DOCS_PAGE, docs_page, write_page
from mediswift_cs.replication.verdicts import judge

from .measurements import all_held

CLAIMS_FILE = "reproduce.claims.json"
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    measured = all_held()
    return {
        "scale": "hour",
        "seed": 1,
        "seeds": [101, 102, 103, 104],
        "sweep_seed": 100,
        "host": "torch",
        "planted": 1.0,
        "versions": {"python": "3.11", "<b>": "&"},
        "thread_hours": 2.0,
        "claims": [verdict.as_dict() for verdict in judge(CLAIMS, measured)],
        "arms": {
            name: {
                **measured.sizes[name],
                "steps": 512,
                "bits_per_byte": losses,
                "clipped_fraction": [0.125],
            }
            for name, losses in measured.bits.items()
        },
        "baseline": 55.0,
        "fine_tuning": {
            name: {"accuracy": [100 * float(row.mean()) for row in right], "num_documents": 500}
            for name, right in measured.right.items()
        },
        "sweeps": {name: sweep.as_dict() for name, sweep in measured.rates.items()},
        "tuning_sweeps": {name: sweep.as_dict() for name, sweep in measured.tuning_rates.items()},
    }


def test_docs_page_is_the_rendering() -> None:
    text = (DOCS / DOCS_PAGE).read_text(encoding="utf-8")
    assert text == docs_page(DOCS), "run: mediswift replicate --render docs"


def test_a_recorded_run_is_told_with_its_numbers(content: dict[str, Any], tmp_path: Path) -> None:
    without = docs_page(tmp_path)
    assert "no number of this page has been measured" in without
    (tmp_path / CLAIMS_FILE).write_text(json.dumps(content))
    assert main(["replicate", "--render", str(tmp_path)]) == 0
    text = (tmp_path / DOCS_PAGE).read_text()
    assert text == docs_page(tmp_path) != without
    assert "no number of this page has been measured" not in text
    for claim in CLAIMS:
        assert f"| {claim.name} | {claim.text} | **held**, p " in text
    assert "| | claim | seeds 101, 102, 103, 104 |\n|---|---|---|\n| C1 |" in text
    assert "Scale hour, sweeps with seed 100" in text
    assert "above m* = 1.69" in text
    assert "verdicts agree" not in text


def test_two_recorded_runs_stand_side_by_side(content: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / CLAIMS_FILE).write_text(json.dumps(content))
    first, *others = content["claims"]
    again = {**content, "seeds": [201], "claims": [{**first, "verdict": "refuted"}, *others]}
    (tmp_path / "reproduce.claims.seed2.json").write_text(json.dumps(again))
    text = docs_page(tmp_path)
    assert f"| C1 | {first['text']} | **held**, p " in text
    assert text.count("| **refuted**, p ") == 1
    assert "8 of 9 verdicts agree in all runs." in text
    assert text.index("### Seeds 101, 102, 103, 104") < text.index("### Seeds 201")
    assert text.count("| 12 |\n") == 2 * len(content["arms"])


def test_claims_that_are_no_json_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / CLAIMS_FILE).write_text("{")
    assert main(["replicate", "--render", str(tmp_path)]) == 2
    assert "no claims of a replication" in capsys.readouterr().err


def test_page_is_whole_and_escaped(content: dict[str, Any], tmp_path: Path) -> None:
    write_page(tmp_path / "claims.html", content)
    page = (tmp_path / "claims.html").read_text()
    assert page.count('src="data:image/png;base64,') == 3
    assert "http" not in page.replace("data:image", "")
    assert "&lt;b&gt; &amp;" in page
    assert "<b>" not in page.replace("<td class=", "").replace("<b>held</b>", "")
    assert "on purpose" not in page
    write_page(tmp_path / "claims.html", {**content, "planted": 8.0})
    assert "on purpose" in (tmp_path / "claims.html").read_text()
