"""mediswift convert and mediswift inspect as users call them."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from mediswift_cs import cli
from mediswift_cs.checkpoints.command_line import parse_size
from mediswift_cs.checkpoints.summary import summarize
from mediswift_cs.errors import ConfigError

from .small_checkpoints import (
    add_masks,
    build_decoder,
    is_sparse_weight,
    load_model,
    save,
    state_of,
    write_mdl,
)


def test_convert_prints_what_it_did(
    sparse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], tokenizer_file: Path
) -> None:
    argv = ["convert", str(sparse), str(tmp_path / "export"), "--tokenizer", str(tokenizer_file)]
    assert cli.main([*argv, "--check-sparsity", "--keep-masks"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"verified: the same - logits of \d\d+ tokens", out)
    assert re.search(r"total [\d,]+ zeros of [\d,]+ = 0\.7\d+", out)
    back = ["convert", str(tmp_path / "export"), str(tmp_path / "back.mdl"), "--no-verify"]
    assert cli.main(back) == 0
    assert "not verified" in capsys.readouterr().out
    assert cli.main(argv) == 2
    assert "exists already" in capsys.readouterr().err


def test_dry_run_writes_nothing(
    sparse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["convert", str(sparse), str(tmp_path / "export"), "--no-tokenizer", "--dry-run"]
    assert cli.main([*argv, "--keep-masks", "--max-shard-size", "40KB"]) == 0
    out = capsys.readouterr().out
    assert "file: model-00001-of-" in out
    assert "file: sparsity_masks.safetensors, 12 tensors" in out
    assert [path.name for path in tmp_path.iterdir()] == ["sparse.mdl"]


def test_dry_run_tells_what_is_written(
    sparse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files, tensors and bytes, in both directions: those that the conversion makes then."""
    options = ["--no-tokenizer", "--no-verify"]
    folder = tmp_path / "export"
    for source, target in ((sparse, folder), (folder, tmp_path / "back.mdl")):
        argv = ["convert", str(source), str(target), *options, "--keep-masks"]
        assert cli.main([*argv, "--max-shard-size", "40KB", "--dry-run"]) == 0
        planned = re.findall(r"file: (\S+), (\d+) tensors, ([\d,]+) bytes", capsys.readouterr().out)
        assert cli.main([*argv, "--max-shard-size", "40KB"]) == 0
        (total,) = re.findall(r"([\d,]+) bytes of tensors", capsys.readouterr().out)
        numbers = [int(num_bytes.replace(",", "")) for _, _, num_bytes in planned]
        assert sum(numbers) == int(total.replace(",", ""))
        for (name, num_tensors, _), num_bytes in zip(planned, numbers, strict=True):
            tensors = load_file(target / name) if target == folder else load_model(target)
            assert len(tensors) == int(num_tensors)
            assert sum(tensor.nbytes for tensor in tensors.values()) == num_bytes


def test_the_model_is_never_in_memory(tmp_path: Path) -> None:
    """38M weights in plain datasets: matrices are read as a whole, the model never is."""
    changes = {"hidden_size": 1024, "filter_size": 4096, "num_heads": 8, "num_hidden_layers": 3}
    state = state_of(build_decoder(**changes))
    source = save(tmp_path / "a.mdl", state, changes)
    code = (
        "import sys\n"
        "from mediswift_cs.cli import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "assert not {'torch', 'cerebras', 'transformers'} & set(sys.modules)\n"
        # Not ru_maxrss, which also counts the process that this one was started from.
        "print(open('/proc/self/status').read())"
    )

    def peak_bytes(*argv: Path | str) -> int:
        command = [sys.executable, "-c", code, "convert", *map(str, argv), "--no-tokenizer"]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return int(re.findall(r"VmHWM:\s+(\d+) kB", out)[0]) * 1024

    start = peak_bytes(source, tmp_path / "nothing", "--dry-run")
    num_bytes = sum(tensor.nbytes for tensor in state.values())
    largest = 4 * 1024 * 4096
    for first, second in ((source, "export"), (tmp_path / "export", "back.mdl")):
        used = peak_bytes(first, tmp_path / second, "--no-verify")
        assert used - start < 3 * largest + 30 * 2**20 < num_bytes, (used, start, num_bytes)


def test_sizes() -> None:
    assert parse_size("300MB") == 300_000_000
    assert parse_size("1.5GiB") == 3 * 2**29
    for text in ("5 parsecs", "-1GB", "0"):
        with pytest.raises(ConfigError, match="--max-shard-size: got"):
            parse_size(text)


def test_module_is_the_same_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mediswift_cs.checkpoints", str(tmp_path / "absent.mdl"), "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"error: checkpoint not found: {tmp_path / 'absent.mdl'}\n"


def test_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = build_decoder()
    state = state_of(model)
    add_masks(state, fold=True)
    state["model.soft_prompt.weight"] = torch.ones(3, 32)
    source = save(tmp_path / "a.mdl", state, soft_prompt={"position": "infix"})
    assert cli.main(["inspect", str(source), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["global_step"] == 400
    # Tied weights once, the soft prompt included.
    assert found["num_parameters"] == sum(p.numel() for p in model.parameters()) + 3 * 32
    assert found["dtypes"] == ["float32"]
    masks = [v for k, v in state.items() if k.endswith("_mask")]
    num_kept = sum(int(mask.sum()) for mask in masks)
    num_weights = sum(mask.numel() for mask in masks)
    assert found["masks"]["sparsity"] == pytest.approx(1 - num_kept / num_weights, abs=1e-12)
    assert found["masks"]["is_exact"] is True
    assert found["soft_prompt"]["num_virtual_tokens"] == 3
    assert found["num_optimizer_tensors"] == 0
    assert found["group_bytes"]["masks"] == num_weights
    assert cli.main(["inspect", str(source)]) == 0
    assert "steps            400" in capsys.readouterr().out
    assert cli.main(["inspect", str(tmp_path / "absent.mdl")]) == 2


def test_large_masks_are_sampled(tmp_path: Path) -> None:
    changes = {"hidden_size": 512, "filter_size": 2048, "num_hidden_layers": 2}
    state = state_of(build_decoder(**changes))
    add_masks(state, fold=True)
    source = save(tmp_path / "a.mdl", state, changes)
    sampled, exact = summarize(source, exact=False).masks, summarize(source, exact=True).masks
    assert sampled is not None
    assert exact is not None
    assert not sampled.is_exact
    assert exact.is_exact
    assert sampled.num_counted < 0.2 * exact.num_counted
    assert sampled.sparsity == pytest.approx(exact.sparsity, abs=0.01)


def test_inspect_takes_less_than_a_second(tmp_path: Path) -> None:
    """As many tensors as XL has with its optimizer; their size does not matter, as above."""
    changes = {"num_hidden_layers": 24}
    state = state_of(build_decoder(**changes))
    add_masks(state, fold=True)
    moments = {
        index: {"exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2), "power": torch.ones(())}
        for index in range(sum(1 for key in state if not key.endswith("_mask")))
    }
    groups = [{"lr": 0.1, "params": list(moments)}]
    path = tmp_path / "a.mdl"
    write_mdl({"model": state, "optimizer": {"state": moments, "param_groups": groups}}, path)
    assert sum(is_sparse_weight(key) for key in state) == 144
    command = [sys.executable, "-m", "mediswift_cs.cli", "inspect", str(path)]
    # CPU time: a busy machine makes the clock say more, and the file is in memory anyway.
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert f"{3 * len(moments):,} tensors" in out
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sparse.mdl out --no-tokenizer --verify-text text", "with --no-tokenizer, allowed: one"),
        ("sparse.mdl out --no-verify --verify-text text", "with --no-verify, allowed: one of"),
        ("sparse.mdl out --verify-text nosuch", "--verify-text: got nosuch, which is no file"),
        ("sparse.mdl other.mdl", "TARGET: got other.mdl, allowed: a name without .mdl"),
        ("hf out", "TARGET: got out, allowed: a name that ends in .mdl"),
        (
            "sparse.mdl out --license a\n---\nb:[",
            "--license: got 'a\\n---\\nb:[', allowed: one line",
        ),
        ("sparse.mdl out --params mediswift_med_7.yaml", "did you mean mediswift_med_75.yaml?"),
    ],
)
@pytest.mark.parametrize("dry", [False, True])
def test_options_that_cannot_be_are_refused(
    sparse: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    message: str,
    dry: bool,
) -> None:
    monkeypatch.chdir(sparse.parent)
    Path("text").write_text("text")
    Path("hf").mkdir()
    Path("hf/config.json").write_text("{}")
    assert cli.main(["convert", *arguments.split(" "), *["--dry-run"] * dry]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert {path.name for path in Path().iterdir()} == {"hf", "sparse.mdl", "text"}


def test_a_shipped_params_file_is_found_by_its_name(
    sparse: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The checkpoint is smaller than that file says: it was read.
    argv = ["convert", str(sparse), str(tmp_path / "export"), "--params", "mediswift_med_75.yaml"]
    assert cli.main([*argv, "--no-tokenizer"]) == 2
    error = capsys.readouterr().err
    assert "No such file" not in error
    assert "params" in error


@pytest.mark.parametrize("licence", ["apache-2.0", "no", "a: b [", "\N{COPYRIGHT SIGN} 'us\""])
def test_licence_stays_text_in_the_model_card(sparse: Path, tmp_path: Path, licence: str) -> None:
    argv = ["convert", str(sparse), str(tmp_path / "export"), "--no-tokenizer", "--no-verify"]
    assert cli.main([*argv, "--license", licence]) == 0
    card = (tmp_path / "export" / "README.md").read_text(encoding="utf-8")
    assert yaml.safe_load(card.split("---\n")[1])["license"] == licence


@pytest.mark.cerebras
def test_odd_shapes_do_not_stop_an_inspection(tmp_path: Path) -> None:
    model = {
        "soft_prompt.weight": torch.zeros(3),
        "a_mask": torch.tensor(True),
        "b_mask": torch.zeros(0, 4, dtype=torch.bool),
    }
    # Our own writer has no empty tensors.
    write_mdl({"model": model}, tmp_path / "odd.mdl")
    summary = summarize(tmp_path / "odd.mdl", exact=False)
    assert summary.soft_prompt == {"num_virtual_tokens": 3}
    assert summary.masks is not None
    assert summary.masks.num_masks == 1
    assert cli.main(["inspect", str(tmp_path / "odd.mdl")]) == 0
