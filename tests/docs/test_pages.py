"""What can be known of the documented commands without running them; what a planted fault does."""

from collections.abc import Callable, Iterator

import pytest

from .checks import (
    CHECKS,
    problems_of_commands,
    problems_of_fences,
    problems_of_inline_code,
    problems_of_markers,
    problems_of_settings,
)
from .commands import table
from .pages import REPOSITORY, Page, all_pages
from .shell import commands

PAGES = all_pages()
README_LINES = 80


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_pages(check: Callable[[Page], Iterator[str]]) -> None:
    found = [problem for page in PAGES for problem in check(page)]
    assert not found, "\n".join(found)


def test_every_page_is_looked_at_and_the_table_lists_it() -> None:
    names = {page.name for page in PAGES}
    assert {"README.md", "CONTRIBUTING.md", "docs/quickstart.md"} <= names
    assert len(names) == 2 + len(list((REPOSITORY / "docs").rglob("*.md")))
    found = table(PAGES)
    print(found)
    assert "docs/quickstart.md" in found
    assert "\n    mediswift tokenizer small/documents.jsonl.zst" in found
    *_, counts = found.splitlines()
    assert all(int(part.split()[0]) > 10 for part in counts.split(", "))


def test_readme_is_short() -> None:
    (readme,) = [page for page in PAGES if page.name == "README.md"]
    assert len(readme.text.splitlines()) <= README_LINES
    assert readme.blocks[0].text.startswith("make demo ")
    assert "\nmake test " in readme.blocks[0].text


def fenced(text: str, language: str = "sh", above: str = "") -> Page:
    return Page("docs/planted.md", f"# Title\n\n{above}\n```{language}\n{text}\n```\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mediswift flops --softmaxx", "unrecognized arguments: --softmaxx"),
        ("mediswift flop", "did you mean flops?"),
        ("mediswift shards a.jsonl.zst --output out", "required: --tokenizer"),
        ("mediswift flops && mediswift plan --flopps 1e21 > f", "--flopps"),
        ("for i in 1 2; do\n  mediswift tokenizer \\\n    --outputt a\ndone", "--outputt"),
        ("OMP_NUM_THREADS=1 python run.py TPU --params a.yaml", "invalid choice: 'TPU'"),
        ("torchrun --nproc_per_node=4 run.py GPU --parms a.yaml", "--parms"),
        ("mediswift run CPU --params mediswift_tiny_75.yaml --set trainer.init.max_step=3", "step"),
        ("python run.py --params mediswift_tiny_75.yaml --sweep trainer.init.seeed=1,2", "seeed"),
        ("mediswift params validate mediswift_med_75.yaml --set trainer.init.seed=-1", "seed"),
        ("python -m mediswift_cs.params --chek", "--check --write is required"),
        ("python -m mediswift_cs.no_such_module", "No module named"),
        ("python benchmarks/validate_only.py --no-such-option", "--no-such-option"),
        ("python benchmarks/no_such_file.py", "no file of the checkout"),
        ("make tests", "no target tests"),
    ],
)  # fmt: skip
def test_control_a_wrong_command_is_noticed(text: str, message: str) -> None:
    (problem,) = problems_of_commands(fenced(text, above="<!-- not run: needs a cluster -->"))
    assert message in problem
    # Where it is run, its exit code says whether values are right.
    is_of_a_value = "--set " in text or "--sweep " in text
    expected = [] if is_of_a_value else [problem]
    assert list(problems_of_commands(fenced(text))) == expected


@pytest.mark.parametrize(
    "text",
    [
        "mediswift --version",
        "mediswift run --help",
        "python run.py CSX --params mediswift_xl_75.yaml --mgmt_address HOST:PORT --num_csx 2",
        "python -m mediswift_cs.modelzoo cszoo fit my.yaml",
        "python benchmarks/validate_only.py",
        "cat > my.yaml <<'EOF'\nmediswift no command\nEOF\nmediswift plan xl   # the size",
        "curl -d '{\"a\":\n  1}' localhost | python -m json.tool",
    ],
)
def test_a_right_command_is_none(text: str) -> None:
    assert list(problems_of_commands(fenced(text))) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("| it | `mediswift evaluate --checkpoint a.mdl` |", "required: --data"),
        ("| it | `mediswift inspct`, `mediswift flops` |", "no command inspct"),
        ("See `mediswift convert --peft`, `mediswift pubmedqa labeled`.", "no command labeled"),
        ("See `mediswift shards --valfraction`.", "unknown: --valfraction"),
        ("Then `make instal`.", "no target instal"),
        ("See `mediswift run --params a.yaml --modeldir b`.", "--modeldir"),
        ("See `mediswift run ... --dryrun`.", "unknown: --dryrun"),
    ],
)
def test_control_a_wrong_command_in_a_sentence_is_noticed(line: str, message: str) -> None:
    (problem,) = problems_of_inline_code(Page("README.md", line))
    assert message in problem


@pytest.mark.parametrize("key", ["trainer.init.loop.max_step", "trainer.int.seed", "model"])
@pytest.mark.parametrize("shape", ["See `--set {}=3`.", "```text\n--sweep '{}=[1, 2]'\n```"])
def test_control_an_unknown_key_is_noticed(key: str, shape: str) -> None:
    (problem,) = problems_of_settings(Page("a.md", shape.format(key)))
    # The whole key, or the first part of it that there is not.
    assert problem.removeprefix("a.md:1: ").partition(": got an unknown key")[0] in key
    assert list(problems_of_settings(Page("a.md", shape.format("trainer.init.seed")))) == []


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (fenced("ls", ""), "language ''"),
        (fenced("ls", "bash"), "language 'bash'"),
        (Page("a.md", "```sh\nls\n"), "never closed"),
        (Page("a.md", "So:\n\n    mediswift flops\n"), "without a fence"),
    ],
)
def test_control_a_wrong_fence_is_noticed(page: Page, message: str) -> None:
    assert message in "\n".join(problems_of_fences(page))


@pytest.mark.parametrize(
    ("above", "message"),
    [
        ("<!-- not run: CS-2 -->", "no reason"),
        ("<!-- not run -->", "no marker that is known"),
        ("<!-- not run: -->", "no marker that is known"),
        ("<!-- notrun: it is long -->", "no marker that is known"),
        ("<!-- not run: it is long -->\n", "no block of sh or python below"),
        ("<!-- not run: see tests/no/test_it.py -->", "there is no tests/no/test_it.py"),
        ("<!-- run in tests/test_no_such.py -->", "there is no test"),
        ("<!-- run in docs/data.md -->", "there is no test"),
        ("<!-- printed -->", "no block of text below that follows one that is run"),
        ("<!-- printed: all of it -->", "no marker that is known"),
        ("<!-- run in tests/test_flops.py -->", "does not run --sweep"),
    ],
)
def test_control_a_wrong_marker_is_noticed(above: str, message: str) -> None:
    block = fenced("python run.py --params a.yaml --sweep a=1,2", above=above)
    assert message in "\n".join(problems_of_markers(block))


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (fenced("a", "text", "<!-- not run: it is long -->"), "no block of sh or python below"),
        (fenced("a", "python", "<!-- run in tests/test_flops.py -->"), "does not run planted.md"),
        (
            fenced("python run.py --params a.yaml", above="<!-- run in tests/test_flops.py -->"),
            "does not run --params",
        ),
        (fenced("a", "text", "<!-- printed -->"), "that follows one that is run"),
        (fenced("make demo"), "give the block a marker"),
        (fenced("echo a | sudo pip install a"), "give the block a marker"),
        (Page("docs/a.md", "<!-- after: no_such.md -->\n"), "there is no page docs/no_such.md"),
        (Page("docs/a.md", "\n" * 9 + "<!-- after: data.md -->\n"), "first five lines"),
    ],
)
def test_control_a_wrong_place_of_a_marker_or_none_is_noticed(page: Page, message: str) -> None:
    assert message in "\n".join(problems_of_markers(page))


def test_a_block_is_split_into_commands() -> None:
    text = 'A=1 a "b c" \\\n  d > f 2>&1 | e  # comment\n\nfor x in 1; do g $x; done && h <i'
    assert list(commands(text)) == [["a", "b c", "d"], ["e"], ["g", "$x"], ["h"]]
