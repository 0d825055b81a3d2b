"""What goes wrong at users' sites: one sentence, exit code 2, source untouched, nothing left."""

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mediswift_cs.checkpoints import command_line
from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.checkpoints.summary import summarize
from mediswift_cs.errors import CheckpointError

from .small_checkpoints import UNVERIFIED, add_masks, build_decoder, save, state_of, write_mdl

State = dict[str, torch.Tensor]
LAYER = "model.transformer_decoder.layers.1"


def drop(key: str) -> Callable[[State], object]:
    return lambda state: state.pop(key)


def put(key: str, value: torch.Tensor) -> Callable[[State], object]:
    return lambda state: state.update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop(f"{LAYER}.norm3.bias"), "no tensor transformer_decoder.layers.1.norm3.bias"),
        (drop("model.ln_f.weight"), "no tensor ln_f.weight"),
        (drop("model.embedding_layer.word_embeddings.weight"), "not a GPT-2/3 checkpoint"),
        (put(f"{LAYER}.norm1.weight", torch.ones(31)), r"shape \[31\], allowed: \[32\]"),
        (put("model.extra", torch.ones(2)), "1 tensors of .* have no rule, first: extra"),
        (put("model.ln_f.weight", torch.full((32,), 9.0)), "ln_f.weight differs from"),
        (put("model.lm_head.weight", torch.ones(320, 32)), "lm_head.weight differs from"),
        (put(f"{LAYER}.lost_mask", torch.ones(2)), "but not its weight"),
        (
            put(f"{LAYER}.ffn.ffn.0.linear_layer.weight_mask", torch.ones(2)),
            "allowed: that of its weight",
        ),
    ],
)
def test_damaged_state(tmp_path: Path, change: Callable[[State], object], message: str) -> None:
    state = state_of(build_decoder())
    change(state)
    source = save(tmp_path / "a.mdl", state)
    with pytest.raises(CheckpointError, match=message) as caught:
        convert(source, tmp_path / "export", UNVERIFIED)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mdl"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"num_heads": 5}, "num_heads: got 5"),
        ({"num_hidden_layers": 3}, "no tensor transformer_decoder.layers.2"),
        ({"position_embedding_type": "alibi"}, "position_embedding_type 'alibi'"),
        ({"hidden_size": 64}, "hidden_size 32, its params say 64"),
        ({"norm_type": "rmsnorm"}, "norm_type 'rmsnorm'"),
        ({"use_bias_in_output": True}, "use_bias_in_output True"),
        ({"nonlinearity": "swiglu"}, "got 'swiglu'"),
    ],
)
def test_models_that_are_no_gpt2(tmp_path: Path, section: dict[str, object], message: str) -> None:
    source = save(tmp_path / "a.mdl", state_of(build_decoder()), section)
    with pytest.raises(CheckpointError, match=message):
        convert(source, tmp_path / "export", UNVERIFIED)


def run(*argv: str | Path, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, whose files may be ``limit`` bytes long."""
    code = "import sys\n"
    if limit is not None:
        code += f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
    code += "from mediswift_cs.checkpoints.command_line import main\nsys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, *map(str, argv)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def fails_cleanly(result: subprocess.CompletedProcess[str], folder: Path, message: str) -> None:
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert not [path for path in folder.iterdir() if "export" in path.name or "new" in path.name]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_file_size_limit(sparse: Path, tmp_path: Path) -> None:
    """Stands for a full disk wherever the tests may not mount one."""
    options = ("--no-tokenizer", "--no-verify")
    before = digest(sparse)
    result = run(sparse, tmp_path / "export", *options, limit=50_000)
    fails_cleanly(result, tmp_path, "no room for")
    assert digest(sparse) == before
    convert(sparse, tmp_path / "folder", UNVERIFIED)
    result = run(tmp_path / "folder", tmp_path / "new.mdl", *options, limit=50_000)
    fails_cleanly(result, tmp_path, "no room for")


@contextlib.contextmanager
def small_disk(folder: Path, num_bytes: int) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={num_bytes}", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"a small disk could not be mounted ({error}); the size limit is tested")
    if done.returncode:
        pytest.skip(f"a small disk could not be mounted ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(sparse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert(sparse, tmp_path / "folder", UNVERIFIED)
    with small_disk(tmp_path / "disk", 100_000) as disk:
        with pytest.raises(CheckpointError, match=r"bytes, [\d,]+ are free"):
            convert(sparse, disk / "export", UNVERIFIED)
        # Another process may fill the disk after that look at it.
        monkeypatch.setattr("mediswift_cs.checkpoints.target.check_room", lambda *_: None)
        for source, target in ((sparse, "export"), (tmp_path / "folder", "new.mdl")):
            with pytest.raises(CheckpointError, match=r"no room for .* No space left"):
                convert(source, disk / target, UNVERIFIED)
            assert list(disk.iterdir()) == []


def test_existing_targets_are_left_alone(sparse: Path, tmp_path: Path) -> None:
    folder, file = tmp_path / "export", tmp_path / "new.mdl"
    folder.mkdir()
    (folder / "precious").write_text("x")
    file.write_text("y")
    with pytest.raises(CheckpointError, match="exists already"):
        convert(sparse, folder, UNVERIFIED)
    assert (folder / "precious").read_text() == "x"
    convert(sparse, tmp_path / "hf", UNVERIFIED)
    with pytest.raises(CheckpointError, match="exists already"):
        convert(tmp_path / "hf", file, UNVERIFIED)
    assert file.read_text() == "y"
    (tmp_path / "empty").mkdir()
    convert(sparse, tmp_path / "empty", UNVERIFIED)
    assert (tmp_path / "empty" / "config.json").exists()


def test_unwritable_target_and_absent_source(sparse: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot write to /proc"):
        convert(sparse, Path("/proc/export"), UNVERIFIED)
    with pytest.raises(CheckpointError, match="not found"):
        convert(tmp_path / "absent.mdl", tmp_path / "export", UNVERIFIED)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        convert(tmp_path / "nothing", tmp_path / "export", UNVERIFIED)


def test_source_on_a_read_only_folder(sparse: Path, tmp_path: Path) -> None:
    """Nothing is written beside the source, not even a lock."""
    folder = tmp_path / "read_only"
    folder.mkdir()
    source = folder / "a.mdl"
    source.write_bytes(sparse.read_bytes())
    source.chmod(0o444)
    folder.chmod(0o555)
    before = (source.stat().st_mtime_ns, folder.stat().st_mtime_ns, digest(source))
    try:
        convert(source, tmp_path / "export", UNVERIFIED)
        if os.geteuid() != 0:
            with pytest.raises(CheckpointError, match=r"cannot write to .*read_only"):
                convert(source, folder / "export", UNVERIFIED)
    finally:
        folder.chmod(0o755)
    assert before == (source.stat().st_mtime_ns, folder.stat().st_mtime_ns, digest(source))


def test_source_on_a_read_only_disk(sparse: Path, tmp_path: Path) -> None:
    """Where not even root may write."""
    with small_disk(tmp_path / "disk", 2 * sparse.stat().st_size + 1_000_000) as disk:
        source = disk / "a.mdl"
        source.write_bytes(sparse.read_bytes())
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        convert(source, tmp_path / "export", UNVERIFIED)
        result = run(source, disk / "export", "--no-tokenizer", "--no-verify")
        fails_cleanly(result, disk, "Read-only file system")
        assert [path.name for path in disk.iterdir()] == ["a.mdl"]


def test_truncated_files(sparse: Path, tmp_path: Path) -> None:
    convert(sparse, tmp_path / "hf", UNVERIFIED)
    cut = tmp_path / "cut.mdl"
    cut.write_bytes(sparse.read_bytes()[:-1000])
    fails_cleanly(run(cut, tmp_path / "export", "--no-tokenizer"), tmp_path, "not a complete .mdl")
    weights = tmp_path / "hf" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    result = run(tmp_path / "hf", tmp_path / "new.mdl", "--no-tokenizer")
    fails_cleanly(result, tmp_path, "not a complete safetensors file")


def test_params_are_needed_only_where_the_checkpoint_cannot_tell(tmp_path: Path) -> None:
    state = state_of(build_decoder())
    add_masks(state, fold=True)
    source = tmp_path / "bare.mdl"
    write_mdl({"model": state}, source)
    with pytest.raises(CheckpointError, match="does not say num_heads: give the params file"):
        convert(source, tmp_path / "export", UNVERIFIED)
    params = tmp_path / "params.yaml"
    params.write_text("trainer: {init: {model: {name: mediswift, num_heads: 4}}}")
    convert(source, tmp_path / "export", replace(UNVERIFIED, params=params))
    params.write_text("a: [")
    with pytest.raises(CheckpointError, match="is not plain YAML"):
        convert(source, tmp_path / "other", replace(UNVERIFIED, params=params))


def test_wrong_verification_leaves_nothing(
    sparse: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1: the input was right, the job failed."""
    monkeypatch.setattr("mediswift_cs.checkpoints.verify.TOLERANCE", -1.0)
    argv = [str(sparse), str(tmp_path / "export"), "--no-tokenizer"]
    assert command_line.main(argv) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sparse.mdl"]


def test_an_inspection_opens_what_is_damaged_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.mdl"
    damaged = {"global_step": "abc", "mediswift": {"soft_prompt": {"position": 5}}}
    write_mdl({"model": {"w": torch.ones(2)}, **damaged}, path)
    summary = summarize(path, exact=False)
    assert (summary.global_step, summary.num_parameters) == (None, 2)
    assert [line for line in summary.to_text().splitlines() if line.startswith("warning: ")] == [
        "warning: the checkpoint's record is damaged: soft_prompt.position: got 5, allowed: prefix "
        "or infix",
        f"warning: global_step in the checkpoint {path}: got 'abc', allowed: a whole number, 0 or "
        "more",
    ]
    assert len(summary.to_json()["problems"]) == 2
    whole = tmp_path / "b.mdl"
    write_mdl({"model": {"w": torch.ones(2)}}, whole)
    assert "problems" not in summarize(whole, exact=False).to_json()
