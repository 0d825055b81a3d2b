"""Every command without each package that it imports: one sentence with what installs it."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("torch", reason="a light environment has its own test: tests/without_torch")

# By the name of its distribution, what is imported.
PACKAGES = {
    **{"cerebras-pytorch": "cerebras", "pyyaml": "yaml", "scikit-learn": "sklearn"},
    **{
        name: name
        for name in (
            *("datasets", "datasketch", "h5py", "hdf5plugin", "jinja2", "lxml", "matplotlib"),
            *("numpy", "packaging", "pyarrow", "pydantic", "rensa", "safetensors", "scipy"),
            "shtab",
            *("tensorboard", "tokenizers", "torch", "tqdm", "transformers", "xxhash", "zstandard"),
        )
    },
}

# Runs a command in forks of one process: as it is, and without each package that code of ours has
# imported then. The folder of results is removed before each. The other packages are imported
# before the forks, which saves minutes.
DRIVER = """
import builtins, contextlib, importlib, io, json, os, shutil, sys, traceback
from mediswift_cs.cli import main

argv, packages, results = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
imported, plain_import = set(), builtins.__import__

def recording_import(name, globals=None, *others, **named):
    if (globals or {}).get("__name__", "").startswith("mediswift_cs."):
        imported.add(name.partition(".")[0])
    return plain_import(name, globals, *others, **named)

builtins.__import__ = recording_import

class Blocker:
    def __init__(self, blocked):
        self.blocked = blocked
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == self.blocked:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

def run(blocked):
    reader, writer = os.pipe()
    if os.fork() == 0:
        shutil.rmtree(results, ignore_errors=True)
        os.mkdir(results)
        for name in [name for name in sys.modules if name.partition(".")[0] == blocked]:
            del sys.modules[name]
        sys.meta_path.insert(0, Blocker(blocked))
        err = io.StringIO()
        with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()) as out:
            try:
                code = main(argv)
            except BaseException:
                code = 99
                traceback.print_exc()
        loaded = [name for name, module in packages.items() if module in imported]
        with open(writer, "w") as pipe:
            json.dump([code, err.getvalue(), out.getvalue(), loaded], pipe)
        os._exit(0)
    os.close(writer)
    with open(reader) as pipe:
        answer = json.load(pipe)
    os.wait()
    return answer

whole = run(None)
for name in whole[3]:
    importlib.import_module(packages[name])
print(json.dumps({"": whole, **{name: run(packages[name]) for name in whole[3]}}))
"""

RECORD = """<PubmedArticle><MedlineCitation Status="MEDLINE"><PMID Version="1">{n}</PMID><Article>
<Journal><Title>J</Title></Journal><ArticleTitle>Title {n}</ArticleTitle><Abstract><AbstractText>
Insulin {n} was measured in {what} with care and found to be {n} units.</AbstractText></Abstract>
<Language>eng</Language><PublicationTypeList><PublicationType>Journal Article</PublicationType>
</PublicationTypeList></Article></MedlineCitation></PubmedArticle>"""


def mediswift(*arguments: object) -> None:
    command = [sys.executable, "-m", "mediswift_cs.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, make_toy_raw: Callable[[], dict[str, Any]]
) -> Path:
    """Inputs with which each command reaches what it needs."""
    root = tmp_path_factory.mktemp("inputs")
    records = "".join(RECORD.format(n=n, what=("people", "rats")[n % 2]) for n in range(1, 60))
    (root / "a.xml").write_text(f"<PubmedArticleSet>{records}</PubmedArticleSet>")
    rows = [
        {"id": str(n), "text": f"Insulin {n} in {what}.", "label": what}
        for n in range(120)
        for what in [("people", "rats")[n % 2]]
    ]
    (root / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    raw = make_toy_raw()
    raw["trainer"]["init"]["loop"] = {"max_steps": 2, "eval_frequency": 2}
    raw["trainer"]["init"]["checkpoint"]["steps"] = 2
    raw["trainer"]["init"]["schedulers"] = [{"ConstantLR": {"learning_rate": 0.01}}]
    (root / "params.yaml").write_text(yaml.safe_dump(raw))
    (root / "prepare.yaml").write_text(
        yaml.safe_dump(
            {
                "output": str(root / "prepared"),
                "pubmed": {"inputs": [str(root / "a.xml")]},
                "tokenizer": {"vocab_size": 300},
                "hdf5": {"max_sequence_length": 32, "val_fraction": 0.2},
                "engine": {"workers": 1},
            }
        )
    )
    mediswift("documents", root / "a.xml", "--output", root / "a.jsonl.zst")
    mediswift("tokenizer", root / "a.jsonl.zst", "--vocab-size", 300, "--output", root / "t.json")
    mediswift("run", "CPU", "--params", root / "params.yaml", "--model_dir", root / "model")
    mediswift("classify", root / "a.jsonl", *CLASSIFY.format(root=root).split(), root / "labels")
    return root


CLASSIFY = "--question Who? --tokenizer {root}/t.json --max-sequence-length 64 --output"
# Each command with its arguments.
COMMANDS = (
    "ask {root}/model/checkpoint_2.mdl --tokenizer {root}/t.json",
    "classify {root}/a.jsonl " + CLASSIFY + " {out}/labels",
    "completion bash",
    "convert {root}/model/checkpoint_2.mdl {out}/hf --no-tokenizer",
    "demo --max-steps 0",
    "documents {root}/a.xml --output {out}/a.jsonl.zst",
    "documents --dataset {root}/a.jsonl --output {out}/a.jsonl.zst",
    "evaluate --data {root}/labels --method tfidf --output {out}/scores",
    "evaluate --data {root}/labels --checkpoint {root}/model/checkpoint_2.mdl",
    "fetch pmc --output {out}",
    "flops mediswift_tiny_75.yaml",
    "hoc --input {out}/nofile --tokenizer {root}/t.json --output {out}/hoc",
    "inspect {root}/model/checkpoint_2.mdl",
    "modelzoo status",
    "params validate mediswift_tiny_75.yaml",
    "plan --plot {out}/plan.png",
    "prepare --config {root}/prepare.yaml --output {out}/prepared",
    "pubmedqa labelled --input {out}/nofile --tokenizer {root}/t.json --output {out}/pubmedqa",
    "report {root}/model --output {out}/report.html",
    "replicate --scale hour --output {out}/replication --dry-run",
    "run CPU --params {root}/params.yaml --model_dir {out}/model",
    "shards {root}/a.jsonl.zst --tokenizer {root}/t.json --max-sequence-length 32 --output {out}/s",
    "tokenizer {root}/a.jsonl.zst --vocab-size 300 --output {out}/t.json",
)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command.split()[:2]))
def test_a_missing_package_is_one_sentence(command: str, folder: Path, tmp_path: Path) -> None:
    argv = command.format(root=folder, out=tmp_path / "out").split()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(argv), json.dumps(PACKAGES), "out"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    answers = json.loads(done.stdout.splitlines()[-1])
    code, err, *_ = answers.pop("")
    assert "not installed" not in err, "control: nothing is missed where all is there"
    assert "Traceback" not in err
    for name, (code_without, err_without, out, _) in answers.items():
        if code_without == code == 0:
            # Conversion does without, and says so; the other one is a library's own business.
            assert f"without {name}" in out or (argv[0], name) == ("modelzoo", "cerebras-pytorch")
        elif (code_without, err_without) != (code, err):
            *_, last = err_without.splitlines()
            assert code_without == 2, f"{name}: {err_without}"
            assert re.match(f"error: .* needs .*{name}.*: pip install .*{name}", last), last
            assert "Traceback" not in err_without


def test_every_command_is_tried() -> None:
    from mediswift_cs.cli import command_names

    # What doctor says is tested beside it.
    assert {command.split()[0] for command in COMMANDS} | {"doctor"} == set(command_names())
