"""What moves in a terminal while a job runs, and that nothing moves elsewhere."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mediswift_cs import progress

from .terminal import in_terminal

# What tqdm puts at the end of its line: done, elapsed, left, rate.
RATE_AND_TIME_LEFT = re.compile(r"\[\d\d:\d\d<\d\d:\d\d, +[\d.]+ ?[kM]?(s/ ?|i?B/s|\w* ?\w+/s)")
RECORD = """<PubmedArticle><MedlineCitation Status="MEDLINE"><PMID Version="1">{n}</PMID><Article>
<ArticleTitle>Title {n}</ArticleTitle><Abstract><AbstractText>{text}</AbstractText></Abstract>
<Language>eng</Language></Article></MedlineCitation></PubmedArticle>"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def both_ways(argv: list[str]) -> tuple[list[str], str]:
    """The lines of a terminal, and all that is written on standard error without one."""
    code, lines = in_terminal(argv)
    assert code == 0, lines
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return lines, done.stderr


def test_a_bar_has_a_rate_and_the_time_left_on_a_terminal_alone() -> None:
    lines, elsewhere = both_ways(
        python(
            "import time; from mediswift_cs.progress import progress\n"
            "for _ in progress('work', 'docs', range(8)): time.sleep(0.15)"
        )
    )
    assert any(RATE_AND_TIME_LEFT.search(line) for line in lines), lines
    assert lines[-1].startswith("work: 100%")
    assert elsewhere == ""


def test_a_bar_that_does_not_stay_is_not_there_for_a_short_job() -> None:
    code = (
        "import time; from mediswift_cs.progress import progress\n"
        "for _ in progress('work', 'docs', range(8), stays=False): time.sleep({})"
    )
    assert in_terminal(python(code.format(0))) == (0, [])
    _, lines = in_terminal(python(code.format(0.25)))
    assert any(RATE_AND_TIME_LEFT.search(line) for line in lines), lines


def test_a_stage_says_since_when_and_what_to_expect() -> None:
    lines, elsewhere = both_ways(
        python(
            "import time; from mediswift_cs.progress import stages\n"
            "with stages('xl.yaml', 'usually a minute') as on_stage:\n"
            "    on_stage('tracing the training graph'); time.sleep(2.6)"
        )
    )
    wanted = "xl.yaml: tracing the training graph (00:0{}, usually a minute)"
    assert {wanted.format(1), wanted.format(2)} <= {line.strip() for line in lines}
    assert elsewhere == "xl.yaml: tracing the training graph\n"


def test_one_place_draws_bars() -> None:
    package = Path(progress.__file__).parent
    named = re.compile(
        r"^\s*(from|import) (tqdm|rich|progressbar|alive_progress)\b(?!\.contrib)", re.M
    )
    found = {path.name for path in package.rglob("*.py") if named.search(path.read_text())}
    assert found == {"progress.py"}


def test_parts_of_a_task_add_up_to_one_task() -> None:
    done = progress.TasksDone()
    done.begin_task(100)
    for _ in range(3):
        done.add(0.25)
    assert done.number == pytest.approx(0.75)
    # A file that is read twice does not make two tasks of one.
    done.add(0.5)
    assert done.number == pytest.approx(1.0)
    done.begin_task(100)
    done.add(0.5)
    assert done.number == pytest.approx(1.5)


def test_nothing_is_counted_where_no_task_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_tasks_done", None)
    progress.advance(0.5)
    progress.advance_bytes(100)
    with progress.counted_task(100):
        pass
    done = progress.TasksDone()
    done.count_here()
    with progress.counted_task(100):
        progress.advance_bytes(40)
        assert done.number == pytest.approx(0.4)
    assert done.number == 1.0
    monkeypatch.setattr(progress, "_tasks_done", None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of PubMed that takes seconds."""
    root = tmp_path_factory.mktemp("inputs")
    words = [f"w{n * 7919 % 3001}" for n in range(3001)]
    with (root / "one.xml").open("w") as file:
        file.write("<PubmedArticleSet>")
        for n in range(1, 4001):
            text = " ".join(words[(n * step) % 3001] for step in range(1, 90))
            file.write(RECORD.format(n=n, text=text))
        file.write("</PubmedArticleSet>")
    return root


def test_one_file_of_documents_moves_too(folder: Path) -> None:
    """The only part of its stage: without a look into it there is no time left."""
    command = ["documents", str(folder / "one.xml"), "--output"]
    # However fast the machine is, it is looked at in between.
    often = (
        "import sys\nfrom mediswift_cs import cli, progress\n"
        "if __name__ == '__main__':\n"
        "    progress.SECONDS_BETWEEN_TICKS = 0.01\n    sys.exit(cli.main(sys.argv[1:]))\n"
    )
    (folder / "often.py").write_text(often)
    code, lines = in_terminal(
        [sys.executable, str(folder / "often.py"), *command, str(folder / "a.jsonl.zst")]
    )
    assert code == 0, lines
    parse = [line for line in lines if line.startswith("parse: ")]
    parts = [float(found[1]) for line in parse if (found := re.search(r"([\d.]+)/1 \[", line))]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert any(0 < part < 1 for part in parts), parse
    assert any(RATE_AND_TIME_LEFT.search(line) for line in parse), parse
    done = subprocess.run(
        [sys.executable, "-m", "mediswift_cs.cli", *command, str(folder / "b.jsonl.zst")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    first, second = (json.loads((folder / f"{x}.manifest.json").read_text()) for x in "ab")
    assert first["counts"] == second["counts"]


def test_a_tokenizer_is_trained_with_a_time_left(folder: Path) -> None:
    code = (
        "from mediswift_cs.tokens.tokenizer import train_tokenizer\n"
        "import time\n"
        "def texts():\n"
        "    for n in range(12):\n"
        "        time.sleep(0.1); yield f'insulin {n} in people'\n"
        "train_tokenizer("
        "texts(), vocab_size=300, min_frequency=2, num_texts=12, show_progress=True)"
    )
    exit_code, lines = in_terminal(python(code))
    assert exit_code == 0
    assert any(line.startswith("read: ") and RATE_AND_TIME_LEFT.search(line) for line in lines)
    assert any("tokenizer: merging pairs (00:0" in line for line in lines), lines
