"""The page of a replication, and the documentation that is rendered from a recorded one."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from mediswift_cs.cli import main
from mediswift_cs.replication.claims import CLAIMS
from mediswift_cs.replication.page import DOCS_PAGE, docs_page, write_page
from mediswift_cs.replication.verdicts import judge

from .measurements import SPARSE, all_held

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


@pytest.mark.parametrize(
    "text", ["", "{", "{}", "[]", "7", '{"claims": []}', '{"claims": [{"claim": "C1"}]}', "\x00"]
)
def test_claims_of_nothing_are_one_sentence(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / CLAIMS_FILE).write_text(text)
    assert main(["replicate", "--render", str(tmp_path)]) == 2
    assert CLAIMS_FILE in capsys.readouterr().err
    assert not (tmp_path / DOCS_PAGE).exists()


@pytest.mark.parametrize("missing", ["claims", "arms", "seeds", "baseline", "versions"])
def test_claims_of_another_version_are_one_sentence(
    missing: str, content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = {key: value for key, value in content.items() if key != missing}
    (tmp_path / CLAIMS_FILE).write_text(json.dumps(part))
    assert main(["replicate", "--render", str(tmp_path)]) == 2
    assert CLAIMS_FILE in capsys.readouterr().err


def test_a_folder_that_is_not_there_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replicate", "--render", str(tmp_path / "dosc")]) == 2
    assert "dosc, allowed: a folder that is there" in capsys.readouterr().err
    assert not (tmp_path / "dosc").exists()


def test_page_is_whole_and_escaped(content: dict[str, Any], tmp_path: Path) -> None:
    write_page(tmp_path / "claims.html", content)
    page = (tmp_path / "claims.html").read_text()
    assert page.count("<svg role=") == 3
    assert "default-src 'none'" in page
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", page)
    assert "&lt;b&gt; &amp;" in page
    assert page.count("<td>held</td>") == 9
    assert "<b>" not in page
    assert "on purpose" not in page
    for name in (*content["arms"], *content["fine_tuning"], "always the same answer"):
        assert name in page
    write_page(tmp_path / "claims.html", {**content, "planted": 8.0})
    assert "on purpose" in (tmp_path / "claims.html").read_text()


def test_arms_have_one_colour_each_in_key_and_figures(
    content: dict[str, Any], tmp_path: Path
) -> None:
    sweeps = {SPARSE: content["sweeps"][SPARSE]}
    write_page(tmp_path / "claims.html", {**content, "sweeps": sweeps})
    number = list(content["arms"]).index(SPARSE)
    first, *_ = re.findall(r"<svg.*?</svg>", (tmp_path / "claims.html").read_text(), re.DOTALL)
    assert set(re.findall(r"var\(--s(\d)\)", first)) == {str(number)}
