"""Reading files: safe, strict, and with every problem in one error."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.document import parse_yaml
from mediswift_cs.params.load import find_params_file, load_params
from mediswift_cs.params.recipes import render_all

TEXT = render_all()["mediswift_tiny_75.yaml"]


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def error_of(path: Path | str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_params(path, overrides, check_data="none")
    return str(caught.value)


def test_five_faults_give_five_lines(tmp_path: Path) -> None:
    text = TEXT.replace("num_heads: 4", "num_heads: 7")
    text = text.replace("sparsity: 0.75", "sparsity: 1.75")
    text = text.replace("'*linear_layer.weight'", "'*nothing*'")
    text = text.replace("max_steps: 600", "max_steps: 700")
    text = text.replace("log_steps:", "log_step:")
    lines = error_of(write(tmp_path, text)).splitlines()
    assert len(lines) == 6  # log_step is unknown, and log_steps is missing
    assert all(line.endswith("(in mine.yaml)") for line in lines)
    assert (
        "trainer.init.model.num_heads: got 7, allowed: a divisor of hidden_size 256 (in mine.yaml)"
    ) in lines
    assert load_params(write(tmp_path, TEXT), check_data="none").notes == ()


def test_what_is_loaded(tmp_path: Path) -> None:
    path = write(tmp_path, TEXT)
    loaded = load_params(path, ["trainer.init.seed=7"], check_data="none")
    assert loaded.source == path
    assert loaded.raw["trainer"]["init"]["seed"] == 7 == loaded.params.trainer.init.seed
    assert yaml.safe_load(TEXT)["trainer"]["init"]["seed"] != 7


def test_validate_and_fit_have_their_own_names() -> None:
    trainer = load_params("mediswift_tiny_75", check_data="none").params.trainer
    assert trainer.fit is not None
    assert trainer.validate_ is not None
    assert trainer.validate_all is not None
    (val_dataloader,) = trainer.fit.val_dataloader or []
    assert trainer.validate_.val_dataloader == val_dataloader
    assert trainer.validate_all.val_dataloaders == [val_dataloader]
    assert (val_dataloader.shuffle, val_dataloader.drop_last) == (False, False)
    assert trainer.fit.train_dataloader.drop_last is True


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "the key a is written twice in line 2, column 1"),
        ("trainer:\n  init: {seed: 1, seed: 1}\n", "the key seed is written twice in line 2"),
        ("a: [1\n", "is not plain YAML"),
        ("a: b: c\n", "mapping values are not allowed here in line 1"),
        ("!!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("a: !!python/name:os.system\n", "could not determine a constructor"),
        ("? [1, 2]\n: 3\n", "unhashable key"),
        ("a: &a [*a]\n", "an alias that contains itself"),
        ("a: *b\n", "undefined alias"),
        ("--- 1\n--- 2\n", "but found another document in line 2"),
        ("[" * 5000, "is not plain YAML: it is nested too deeply"),
        ("a: " + "1" * 5000, f"'{'1' * 40}' is no int in line 1, column 4"),
        ("a: 2026-01-01T00:00:00+99:00\n", "is no timestamp in line 1, column 4"),
        ("a: !!timestamp x\n", "'x' is no timestamp in line 1, column 4"),
        ("a: !!int ''\n", "'' is no int in line 1, column 4"),
        ("a: !!int x\n", "'x' is no int in line 1, column 4"),
        ("a: !!bool x\n", "'x' is no bool in line 1, column 4"),
        ("a: !!float x\n", "'x' is no float in line 1, column 4"),
        ("a: \x00\n", "special characters are not allowed"),
        ("a: 2026-99-99\n", "month must be in 1..12"),
    ],
)
def test_what_is_not_plain_yaml(tmp_path: Path, text: str, message: str) -> None:
    error = error_of(write(tmp_path, text))
    assert message in error
    assert "mine.yaml" in error
    assert "\n" not in error


def test_merge_keys_are_plain_yaml(tmp_path: Path) -> None:
    text = TEXT.replace(
        "  validate:\n    val_dataloader: *val_dataloader\n",
        "  validate:\n    val_dataloader:\n      <<: *val_dataloader\n      batch_size: 3\n",
    )
    trainer = load_params(write(tmp_path, text), check_data="none").params.trainer
    assert trainer.validate_ is not None
    assert trainer.validate_.val_dataloader.batch_size == 3


def test_merge_keys_in_any_order_are_plain_yaml() -> None:
    """The inner mapping is merged before it is built: its keys are not written twice."""
    text = "r: &a {x: 1, y: 2}\nd: {e: &b {<<: *a, x: 5}}\nc: {<<: [*b, *a], z: 3}\n"
    merged = {"x": 5, "y": 2}
    assert parse_yaml(text, "f") == yaml.safe_load(text)
    assert parse_yaml(text, "f")["c"] == {**merged, "z": 3}
    with pytest.raises(ConfigError, match="the key x is written twice in line 2"):
        parse_yaml(text.replace("x: 5", "x: 5, x: 6"), "f")


@pytest.mark.parametrize(
    "lines",
    [
        [f"- &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}" for i in range(1, 12)],
        [f"- &a{i} {{<<: *a{i - 1}, k{i}: 1}}" for i in range(1, 900)],
        [f"- &a1 {{{', '.join(f'k{i}: 1' for i in range(1000))}}}", *["- {<<: *a1}"] * 10_000],
        [
            f"- &a1 {{{', '.join(f'k{i}: 1' for i in range(1000))}}}",
            f"- {{<<: [{', '.join(['*a1'] * 100_000)}]}}",
        ],
    ],
    ids=["each nine times", "each one more", "one large one often", "in one mapping"],
)
def test_merge_keys_cannot_make_a_file_endless(tmp_path: Path, lines: list[str]) -> None:
    start = time.process_time()
    error = error_of(write(tmp_path, "\n".join(["- &a0 {x: 1}", *lines])))
    assert "mine.yaml has more than 100000 values when its merge keys" in error
    assert "allowed: at most 100000" in error
    assert time.process_time() - start < 10


def test_aliases_cannot_make_a_file_endless(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    start = time.process_time()
    error = error_of(write(tmp_path, "\n".join(lines)))
    assert "allowed: at most 100000" in error
    assert time.process_time() - start < 2


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"a: \xff\n")
    assert error_of(path) == f"cannot read {path}: not UTF-8 text"


def test_a_name_that_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = error_of("mediswift_xl_57.yaml")
    assert "got 'mediswift_xl_57.yaml', which is no file" in error
    assert "did you mean mediswift_xl_75.yaml?" in error
    assert "mediswift_tiny_dense.yaml" in error
    for name in ("../mediswift_xl_75.yaml", "/mediswift_xl_75.yaml", "", "."):
        with pytest.raises(ConfigError, match="params file: got"):
            find_params_file(name)


def test_a_file_of_ones_own_goes_before_a_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "mediswift_tiny_75.yaml"
    own.write_text(TEXT.replace("seed: 1 ", "seed: 99 "))
    loaded = load_params("mediswift_tiny_75.yaml", check_data="none")
    assert loaded.params.trainer.init.seed == 99
    own.unlink()
    loaded = load_params("mediswift_tiny_75.yaml", check_data="none")
    assert loaded.params.trainer.init.seed != 99


class TestOverrides:
    """``--set``."""

    @pytest.mark.parametrize(
        ("override", "path", "value"),
        [
            ("trainer.init.seed=5", "trainer.init.seed", 5),
            ("trainer.init.seed = 5", "trainer.init.seed", 5),
            ("trainer.init.seed=", "trainer.init.seed", None),
            ("trainer.init.sparsity=null", "trainer.init.sparsity", None),
            ("trainer.init.model_dir=a=b", "trainer.init.model_dir", "a=b"),
            ("trainer.init.device=GPU", "trainer.init.device", "GPU"),
            (
                "trainer.init.backend.cluster_config.num_csx=2",
                "trainer.init.backend.cluster_config.num_csx",
                2,
            ),
            (
                "trainer.init.optimizer.AdamW.betas=[0.8, 0.9]",
                "trainer.init.optimizer.AdamW.betas",
                (0.8, 0.9),
            ),
            (
                "trainer.init.callbacks.0.KeepNCheckpoints.n=9",
                "trainer.init.callbacks.0.KeepNCheckpoints.n",
                9,
            ),
            ("trainer.init.optimizer.AdamW.eps=1e-6", "trainer.init.optimizer.AdamW.eps", 1e-6),
            ("trainer.fit.ckpt_path=a.mdl", "trainer.fit.ckpt_path", "a.mdl"),
        ],
    )
    def test_values_arrive(self, override: str, path: str, value: Any) -> None:
        node: Any = load_params("mediswift_tiny_75", [override], check_data="none").params
        for part in path.split("."):
            node = node[int(part)] if isinstance(node, list | tuple) else getattr(node, part)
        assert node == value

    def test_a_dense_file_becomes_sparse(self) -> None:
        overrides = ["trainer.init.sparsity.sparsity=0.9"]
        loaded = load_params("mediswift_tiny_dense", overrides, check_data="none")
        sparsity = loaded.params.trainer.init.sparsity
        assert sparsity is not None
        assert sparsity.sparsity == 0.9

    def test_an_anchor_is_changed_wherever_it_is_used(self) -> None:
        overrides = ["trainer.fit.val_dataloader.batch_size=3"]
        trainer = load_params("mediswift_tiny_75", overrides, check_data="none").params.trainer
        assert trainer.validate_ is not None
        assert trainer.validate_.val_dataloader.batch_size == 3

    def test_flags_of_the_compiler_have_dots(self) -> None:
        overrides = [
            "trainer.init.callbacks=[{ScopedTrainFlags: {}}]",
            "trainer.init.callbacks.0.ScopedTrainFlags.csx.performance.micro_batch_size=88",
        ]
        loaded = load_params("mediswift_xl_75", overrides, check_data="none")
        flags = loaded.params.trainer.init.callbacks[0].ScopedTrainFlags
        assert flags is not None
        assert flags.model_extra == {"csx.performance.micro_batch_size": 88}

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("trainer.init.loop.max_step=2", "trainer.init.loop.max_step: got an unknown key, "),
            ("trainer.init.loop.max_step=2", "allowed: max_steps; the nearest of the 7 known"),
            ("trainer.innit.seed=2", "trainer.innit: got an unknown key, allowed: init"),
            ("max_steps=2", "max_steps: got an unknown key, allowed: trainer"),
            ("trainer.init.seed", "got 'trainer.init.seed', allowed: KEY=VALUE"),
            ("=3", "got '=3', allowed: KEY=VALUE"),
            ("trainer.init.seed.x=3", "got x inside trainer.init.seed, allowed: trainer.init.seed"),
            ("trainer.init.seed=[1", "--set trainer.init.seed=[1 is not plain YAML"),
            ("trainer.init.callbacks.5.CheckLoss={}", "got 5 inside trainer.init.callbacks, which"),
            ("trainer.init.callbacks.x=3", "trainer.init.callbacks.x: got an unknown key"),
            ("trainer.init.callbacks.CheckLoss={}", "allowed: an index below 1"),
            ("trainer.init.model.0=3", "got 0 inside trainer.init.model"),
            ("trainer.init.model.num_heads=7", "trainer.init.model.num_heads: got 7, allowed: a d"),
            ("trainer.init.model.moe={num_experts: 8}", "moe is a key of ModelZoo that MediSwift"),
        ],
    )
    def test_a_wrong_one_is_one_sentence(self, override: str, message: str) -> None:
        error = error_of("mediswift_tiny_75", override)
        assert message in error
        assert "\n" not in error

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (["trainer.init.loop.max_steps=0x" + "f" * 5000], "got a whole number of 20000 bits"),
            (["trainer.init.loop.max_steps=-5"], "got -5, allowed: a whole number, at least 1"),
            (["trainer.init.loop.max_steps=true"], "got true, allowed: a whole number"),
            (["trainer.init.loop.max_steps=5", "trainer.init.loop=7"], "got 7, allowed: a mapping"),
            (["trainer.init.loop.max_steps=5", "trainer.init=7"], "got 7, allowed: a mapping"),
        ],
    )
    def test_a_length_that_is_none_rescales_nothing(
        self, overrides: list[str], message: str
    ) -> None:
        assert message in error_of("mediswift_tiny_75", *overrides)

    def test_wrong_ones_are_listed_at_once(self) -> None:
        error = error_of("mediswift_tiny_75", "trainer.init.sed=1", "trainer.init.model.n=1")
        assert len(error.splitlines()) == 2
