"""The code of docs/serving.md: each engine's texts are those of our own decoder."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.checkpoints.sample_text import SAMPLE_TEXT
from mediswift_cs.cli import main
from mediswift_cs.model.decoder import DecoderLanguageModel
from mediswift_cs.tasks.classification import SingleLabelClassification
from mediswift_cs.tasks.prompt_data import PromptSettings, write_prompt_data
from mediswift_cs.tokens.tokenizer import load_tokenizer

from .small_checkpoints import (
    NUM_VIRTUAL_TOKENS,
    UNVERIFIED,
    VOCAB_SIZE,
    continue_ids,
    save,
    save_prompted,
    state_of,
    trained_with_prompt,
)

pytestmark = pytest.mark.engines

DOCUMENT = Path(__file__).parents[2] / "docs" / "serving.md"
VIRTUAL = list(range(VOCAB_SIZE, VOCAB_SIZE + NUM_VIRTUAL_TOKENS))
NAMES = "".join(f"<|soft_{i}|>" for i in range(NUM_VIRTUAL_TOKENS))
TEXTS = ["Background: Chronic kidney disease", "Serum", "The outcome occurred in 38 of 206"]
NUM_NEW = 16
# Where the Pythons of the engines are: a variable each, and what that Python must import.
PYTHONS = {
    "pinned": None,
    "newest": "MEDISWIFT_NEWEST_PYTHON",
    "engines": "MEDISWIFT_ENGINES_PYTHON",
}


class Engine(NamedTuple):
    """A section of the document, the Python that runs it, and what it is given."""

    section: str
    python: str
    package: str
    positions: tuple[str, ...] = ("none", "prefix", "infix")
    # Where the names of a prefix prompt are written as well.
    writes_prefix: bool = False
    peft_adapter: bool = False


ENGINES = [
    Engine("transformers", "pinned", "transformers"),
    Engine("transformers", "newest", "transformers"),
    Engine("prompt_embeds", "pinned", "transformers", ("prefix",)),
    Engine("prompt_embeds", "newest", "transformers", ("prefix",)),
    Engine("onnxruntime", "engines", "optimum.onnxruntime"),
    Engine("CTranslate2", "engines", "ctranslate2"),
    Engine("llama.cpp", "engines", "llama_cpp", writes_prefix=True),
    Engine("PEFT", "pinned", "peft", ("prefix",), peft_adapter=True),
]
CASES = [
    pytest.param(engine, position, id=f"{engine.section}-{engine.python}-{position}")
    for engine in ENGINES
    for position in engine.positions
]


def find_python(name: str, package: str) -> str:
    variable = PYTHONS[name]
    python = sys.executable if variable is None else os.environ.get(variable)
    if python is None:
        pytest.skip(f"no {package} to serve with: set {variable} to a Python that has it")
    done = subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"{python} cannot import {package}: pip install it there (docs/serving.md)")
    return python


def blocks(section: str) -> list[tuple[str, str]]:
    """Language and text of the section's code."""
    text = DOCUMENT.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL)


def run_block(language: str, code: str, python: str, folder: Path) -> str:
    path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    argv = [python, "-c", code] if language == "python" else ["bash", "-euc", code]
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**kept, "PATH": path, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def served(engine: Engine, python: str, prompts: list[str], folder: Path) -> list[list[str]]:
    """The texts that each block of the section leaves."""
    found = []
    for language, code in blocks(engine.section):
        if language == "python":
            code = f"prompts = {prompts!r}\n{code}"
        if "texts = " in code:
            code += "\nimport json\nprint('\\nTEXTS ' + json.dumps(texts))"
        printed = run_block(language, code, python, folder)
        found += [json.loads(line[6:]) for line in printed.splitlines() if line[:6] == "TEXTS "]
    return found


def prompted_ids(ids: list[int], position: str) -> list[int]:
    before, behind = VIRTUAL * (position == "prefix"), VIRTUAL * (position == "infix")
    return [*before, *ids, *behind]


@cache
def trained(position: str, tokenizer_file: Path) -> DecoderLanguageModel:
    """Without a prompt, the weights that were trained with a prefix."""
    with_prompt = "prefix" if position == "none" else position
    return trained_with_prompt(with_prompt, load_tokenizer(tokenizer_file))


def export(
    folder: Path, model: DecoderLanguageModel, position: str, tokenizer: Path, **changes: Any
) -> None:
    options = replace(UNVERIFIED, has_tokenizer=True, tokenizer=tokenizer, **changes)
    if position == "none":
        # The same weights, without the prompt.
        state = state_of(model)
        del state["model.soft_prompt.weight"]
        source = save(folder / "a.mdl", state, {"filter_size": 128})
    else:
        source = save_prompted(folder / "a.mdl", model, position)
    convert(source, folder / "export", options)


@pytest.mark.parametrize(("engine", "position"), CASES)
def test_the_texts_are_ours(
    engine: Engine,
    position: str,
    tokenizer_file: Path,
    tmp_path: Path,
) -> None:
    python = find_python(engine.python, engine.package)
    if engine.section == "llama.cpp":
        if not (checkout := os.environ.get("MEDISWIFT_LLAMA_CPP")):
            pytest.skip("no llama.cpp converter: set MEDISWIFT_LLAMA_CPP to a checkout")
        (tmp_path / "llama.cpp").symlink_to(checkout)
    model, tokenizer = trained(position, tokenizer_file), load_tokenizer(tokenizer_file)
    export(tmp_path, model, position, tokenizer_file, peft_adapter=engine.peft_adapter)
    before = NAMES if position == "prefix" and engine.writes_prefix else ""
    behind = NAMES if position == "infix" else ""
    found = served(engine, python, [before + text + behind for text in TEXTS], tmp_path)
    assert found
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    other = "prefix" if position == "none" else "none"
    expected, control = (
        [tokenizer.decode(continue_ids(model, prompted_ids(one, name), NUM_NEW)) for one in ids]
        for name in (position, other)
    )
    for texts in found:
        assert texts == expected
        # Control: whoever loses the prompt, or puts one in, gets other texts.
        assert all(one != lost for one, lost in zip(texts, control, strict=True))


ODD_TEXTS = [
    "I've 3 33 333 mg/kg;  two  spaces\n\n\tand 'RE?",
    "TGF-\N{GREEK SMALL LETTER BETA}1 \N{MICRO SIGN}mol \N{GRINNING FACE} \u3010x\u3011 ...!!",
    "trailing spaces   ",
]


def test_llama_cpp_splits_texts_as_we_do(tokenizer_file: Path, tmp_path: Path) -> None:
    """Its pre-tokenizer of GPT-2 is ours; control: another of its pre-tokenizers is not."""
    python = find_python("engines", "llama_cpp")
    if not (checkout := os.environ.get("MEDISWIFT_LLAMA_CPP")):
        pytest.skip("no llama.cpp converter: set MEDISWIFT_LLAMA_CPP to a checkout")
    (tmp_path / "llama.cpp").symlink_to(checkout)
    export(tmp_path, trained("infix", tokenizer_file), "infix", tokenizer_file)
    texts = [SAMPLE_TEXT, *ODD_TEXTS]
    tokenizer = load_tokenizer(tokenizer_file)
    expected = [tokenizer.encode(text).ids for text in texts]
    convert_code = blocks("llama.cpp")[0][1]
    read = (
        "import json\nfrom llama_cpp import Llama\n"
        "model = Llama('export.gguf', vocab_only=True, verbose=False)\n"
        f"ids = [model.tokenize(text.encode(), special=True) for text in {texts!r}]\n"
        "print('IDS ' + json.dumps(ids))"
    )
    for name, is_ours in (("gpt-2", True), ("llama-bpe", False)):
        run_block("python", convert_code.replace('"gpt-2"', f'"{name}"'), python, tmp_path)
        printed = run_block("python", read, python, tmp_path)
        (line,) = (line for line in printed.splitlines() if line.startswith("IDS "))
        assert (json.loads(line[4:]) == expected) is is_ours


TASK = SingleLabelClassification(labels=("urgent", "routine"), question="Is the note urgent?")
NOTES = ["The drug slowed the loss.", "Serum creatinine was measured every 12 weeks.", "No falls."]


@pytest.mark.parametrize("position", ["none", "prefix", "infix"])
@torch.no_grad()
def test_lm_eval_by_its_command_line(
    position: Any,
    tokenizer_file: Path,
    tmp_path: Path,
) -> None:
    python = find_python("engines", "lm_eval")
    model, tokenizer = trained(position, tokenizer_file), load_tokenizer(tokenizer_file)
    export(tmp_path, model, position, tokenizer_file)
    notes = [
        TASK.ask(str(i), str(i), note, ["urgent"], " the answer is urgent.")
        for i, note in enumerate(NOTES)
    ]
    settings = PromptSettings(
        max_sequence_length=160,
        num_virtual_tokens=NUM_VIRTUAL_TOKENS if position != "none" else 0,
        position=position if position != "none" else "infix",
        vocab_size=VOCAB_SIZE,
    )
    data = tmp_path / "data"
    write_prompt_data(
        {"test": notes},
        tokenizer_file,
        data,
        settings,
        task=TASK,
        counts={},
        sources=(),
        overwrite=False,
    )
    argv = ["evaluate", "--data", str(data), "--lm-eval-task", str(tmp_path / "tasks")]
    assert main(argv) == 0
    ((language, code),) = blocks("lm-evaluation-harness")
    run_block(language, code, python, tmp_path)
    (samples,) = (tmp_path / "scores").rglob("samples_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert len(rows) == len(NOTES)
    other = "prefix" if position == "none" else "none"
    for row in rows:
        source = tokenizer.encode(notes[int(row["doc"]["id"])].source).ids
        for label, response in zip(TASK.labels, row["filtered_resps"], strict=True):
            answer = tokenizer.encode(f" the answer is {label}.").ids
            stem = len(tokenizer.encode(" the answer is").ids)
            totals = []
            for place in (position, other):
                start = prompted_ids(source, place)
                score = score_over_all_rows if place == position != "none" else score_over_text
                totals.append(score(model, start + answer, len(start) + stem))
            assert float(response[0]) == pytest.approx(totals[0], abs=1e-3)
            # Control: without the prompt, or with one, it is another number.
            assert abs(totals[0] - totals[1]) > 1e-2


def score_over_text(model: DecoderLanguageModel, ids: list[int], first: int) -> float:
    """The log-likelihood of the ids from ``first`` on."""
    scores = model(torch.tensor([ids]))[0].log_softmax(-1)
    return sum(float(scores[i - 1, ids[i]]) for i in range(first, len(ids)))


def score_over_all_rows(model: DecoderLanguageModel, ids: list[int], first: int) -> float:
    """The log-likelihood of the ids from ``first`` on, virtual tokens counted as outputs."""
    assert model.soft_prompt is not None
    states: list[torch.Tensor] = []
    hook = model.ln_f.register_forward_hook(lambda *call: states.append(call[-1]))
    logits = model(torch.tensor([ids]))[0]
    hook.remove()
    virtual = states[0][0] @ model.soft_prompt.weight.T
    scores = torch.cat([logits, virtual], dim=1).log_softmax(-1)
    return sum(float(scores[i - 1, ids[i]]) for i in range(first, len(ids)))
