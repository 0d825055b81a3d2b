"""Each mistake has its message: what, got, allowed, where."""

import re
from datetime import date
from typing import Any

import pytest

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import load_params

from .conftest import check
from .mistakes import COSINE, FILTER, INIT, MODEL, PARTS, TRAIN, Raw, drop, put, the_problem

COSINE_600 = {"CosineDecayLR": {**COSINE, "total_iters": 600}}

# path, value, path of the message, got, allowed (or hint)
BROKEN: list[tuple[str, Any, str, str, str]] = [
    # ranges and types
    (f"{INIT}.sparsity.sparsity", 1.75, f"{INIT}.sparsity.sparsity", "1.75", "less than 1"),
    (f"{INIT}.sparsity.sparsity", 1.0, f"{INIT}.sparsity.sparsity", "1.0", "less than 1"),
    (f"{INIT}.sparsity.sparsity", -0.1, f"{INIT}.sparsity.sparsity", "-0.1", "at least 0"),
    (f"{INIT}.sparsity.sparsity", True, f"{INIT}.sparsity.sparsity", "true", "a number"),
    (f"{INIT}.sparsity", 1.75, f"{INIT}.sparsity", "1.75", "a mapping"),
    (f"{INIT}.sparsity.algorithm", "snip", f"{INIT}.sparsity.algorithm", "'snip'", "set or rigl"),
    (f"{INIT}.sparsity.balance_in_groups", 2, f"{INIT}.sparsity.balance_in_groups", "2", "null"),
    (f"{MODEL}.num_heads", "4", f"{MODEL}.num_heads", "'4'", "a whole number, at least 1"),
    (f"{MODEL}.num_heads", True, f"{MODEL}.num_heads", "true", "a whole number, at least 1"),
    (f"{MODEL}.num_heads", 0, f"{MODEL}.num_heads", "0", "a whole number, at least 1"),
    (f"{MODEL}.dropout_rate", float("nan"), f"{MODEL}.dropout_rate", "nan", "a number"),
    (f"{MODEL}.dropout_rate", 1.5, f"{MODEL}.dropout_rate", "1.5", "at most 1"),
    (f"{MODEL}.use_ffn_bias", "yes", f"{MODEL}.use_ffn_bias", "'yes'", "true or false"),
    (f"{MODEL}.name", "gpt3", f"{MODEL}.name", "'gpt3'", "mediswift"),
    (f"{MODEL}.loss_scaling", "mean", f"{MODEL}.loss_scaling", "'mean'", "num_tokens or batch"),
    (f"{MODEL}.initializer.std", "big", f"{MODEL}.initializer.std", "'big'", "a number"),
    (f"{MODEL}.initializer.name", "xavier", f"{MODEL}.initializer.name", "'xavier'", "normal"),
    (f"{INIT}.optimizer.AdamW.betas", [0.9], f"{INIT}.optimizer.AdamW.betas.1", "nothing", "2"),
    (f"{INIT}.checkpoint.checkpoint_name", "x.mdl", f"{INIT}.checkpoint.checkpoint_name", "x", "s"),
    (f"{INIT}.backend.backend_type", "TPU", f"{INIT}.backend.backend_type", "'TPU'", "CSX or CPU"),
    (f"{TRAIN}.data_processor", "Mine", f"{TRAIN}.data_processor", "'Mine'", "GptHDF5MapDataP"),
    (f"{TRAIN}.tokenizer_sha256", "abc", f"{TRAIN}.tokenizer_sha256", "'abc'", "[0-9a-f]{64}"),
    (f"{TRAIN}.batch_size", 0, f"{TRAIN}.batch_size", "0", "at least 1"),
    (f"{TRAIN}.use_vsl", True, f"{TRAIN}.use_vsl", "true", "false"),
    (f"{INIT}.loop", 5, f"{INIT}.loop", "5", "a mapping"),
    (f"{INIT}.schedulers", {}, f"{INIT}.schedulers", "{}", "a list"),
    (f"{INIT}.optimizer.AdamW.betas", [1.0, 0.9], f"{INIT}.optimizer.AdamW.betas.0", "1.0", "less"),
    (f"{INIT}.precision.min_loss_scale", 1e-5, "", "1e-05", "at least 6.10352e-05"),
    (f"{INIT}.loop.grad_accum_steps", 10**30, f"{INIT}.loop.grad_accum_steps", "100 bits", "64"),
    (f"{INIT}.loop.grad_accum_steps", 2**21, "", "2097152", "at most 1048576"),
    (
        f"{MODEL}.initializer.std",
        1e39,
        f"{MODEL}.initializer.std",
        "1e+39",
        "3.4e38, as in float32",
    ),
    (f"{MODEL}.initializer.mean", "-1e39", "", "'-1e39'", "a number and at least -3.4e38"),
    (f"{INIT}.loop.max_steps", 2**63, f"{INIT}.loop.max_steps", str(2**63), "less than 2^63"),
    (f"{MODEL}.max_position_embeddings", 2**21, "", "2097152", "at most 1048576"),
    (f"{MODEL}.initializer_range", 0, f"{MODEL}.initializer_range", "0", "more than 0"),
    (f"{TRAIN}.num_workers", 10**12, f"{TRAIN}.num_workers", str(10**12), "at most 1024"),
    (f"{TRAIN}.shuffle_seed", 2**70, f"{TRAIN}.shuffle_seed", "71 bits", "at most 64 bits"),
    (f"{TRAIN}.shuffle_seed", -1, f"{TRAIN}.shuffle_seed", "-1", "at least 0"),
    (f"{INIT}.model_dir", "a\0b", f"{INIT}.model_dir", "'a\\x00b'", "without NUL"),
    (f"{INIT}.model_dir", "\ud800", f"{INIT}.model_dir", "'\\ud800'", "halves of surrogate"),
    (f"{INIT}.logging.wsc_log_level", {"a": date(2026, 1, 2)}, "", "2026-01-02", "text in quotes"),
    (f"{INIT}.logging.wsc_log_level", {"a": [{1, 2}]}, "", "{1, 2}", "text in quotes"),
    (f"{INIT}.logging.wsc_log_level", {"a": {1: 2}}, "", "2", "a key that is text"),
    (f"{INIT}.callbacks", [{"GlobalFlags": {"x": b"y"}}], "", "b'y'", "text in quotes"),
    (f"{INIT}.sparsity", [{"sparsity": 0.5}] * 2, "", "[{", "covers one group of sparse weights"),
    ("trainer.fit.ckpt_path", "", "trainer.fit.ckpt_path", "''", "text, of a length of at least 1"),
    (f"{TRAIN}.data_dir", "", f"{TRAIN}.data_dir", "''", "text, of a length of at least 1"),
    # unknown keys and names
    (f"{MODEL}.hiden_size", 256, f"{MODEL}.hiden_size", "an unknown key", "hidden_size"),
    (f"{INIT}.loop.max_step", 5, f"{INIT}.loop.max_step", "an unknown key", "max_steps"),
    ("trainer.initt", {}, "trainer.initt", "an unknown key", "init"),
    ("zzz", 1, "zzz", "an unknown key", "trainer"),
    (f"{INIT}.optimizer", {"SGD": {}}, f"{INIT}.optimizer", "SGD", "AdamW"),
    (f"{INIT}.callbacks.0", {"KeepNCheckpoint": {}}, f"{INIT}.callbacks.0", "KeepN", "KeepNChec"),
    (f"{INIT}.callbacks.0.KeepNCheckpoints.m", 3, "", "an unknown key", "n"),
    (f"{PARTS}.1", {"CosinDecayLR": {}}, f"{PARTS}.1", "CosinDecayLR", "CosineDecayLR"),
    # what the decoder does not cover
    (f"{MODEL}.position_embedding_type", "alibi", "", "'alibi'", "learned"),
    (f"{MODEL}.nonlinearity", "swiglu", "", "'swiglu'", "gelu"),
    (f"{MODEL}.moe", {"num_experts": 4}, f"{MODEL}.moe", "num_experts", "does not cover"),
    (f"{MODEL}.mup_base_hidden_size", 256, "", "256", "does not cover"),
    (f"{MODEL}.scale_qk_dot_by_d", True, "", "true", "does not cover"),
    (f"{MODEL}.embeddings_scale", 10, "", "10", "does not cover"),
    # between keys
    (f"{MODEL}.num_heads", 7, f"{MODEL}.num_heads", "7", "a divisor of hidden_size 256"),
    (f"{MODEL}.initializer.a", 1.0, f"{MODEL}.initializer.a", "1", "at most b, 0.04"),
    (f"{MODEL}.initializer.std", 0, f"{MODEL}.initializer.std", "0", "more than 0 for truncated"),
    (f"{INIT}.precision.max_gradient_value", 1, "", "1", "null beside max_gradient_norm"),
    (
        f"{INIT}.optimizer.AdamW.adjust_learning_rate",
        {"decoder_kernel": 4.0, "decoder_attention": 2},
        f"{INIT}.optimizer.AdamW.adjust_learning_rate.decoder_attention",
        "2",
        "4 or nothing beside decoder_kernel",
    ),
    (
        f"{INIT}.optimizer.AdamW.adjust_learning_rate",
        {"decoder_kernel": 4.0, "decoder_output_ffn": 1},
        f"{INIT}.optimizer.AdamW.adjust_learning_rate.decoder_output_ffn",
        "1",
        "4 or nothing beside decoder_kernel",
    ),
    (f"{INIT}.optimizer.AdamW.adjust_learning_rate", {"embed": 2}, "", "unknown key", "embedding"),
    (f"{INIT}.optimizer.AdamW.adjust_learning_rate", {"embedding": 0}, "", "0", "more than 0"),
    (f"{TRAIN}.shuffle_seed", None, f"{TRAIN}.shuffle_seed", "null", "as shuffle is true"),
    (
        f"{PARTS}.1",
        {"SequentialLR": {"schedulers": [COSINE_600]}},
        "",
        "a SequentialLR",
        "one part",
    ),
    (f"{FILTER}.2", "*linear.weight", f"{FILTER}.2", "'*linear.weight'", "matches no parameter"),
    (f"{FILTER}.0", "*PROJ*", f"{FILTER}.0", "'*PROJ*'", "matches no parameter"),
    (f"{FILTER}.0", "proj_q*", f"{FILTER}.0", "'proj_q*'", "matches no parameter"),
    (f"{FILTER}.0", "*embeddings.weight", f"{FILTER}.0", "", "the embedding model.embedding_la"),
    (f"{FILTER}.0", "*norm?.weight", f"{FILTER}.0", "", "the norm model.transformer_decoder"),
    (f"{FILTER}.0", "*proj_q_dense_layer*", f"{FILTER}.0", "", "the bias model.transformer_dec"),
    (f"{FILTER}.0", "*lm_head*", f"{FILTER}.0", "", "the head model.lm_head.weight"),
    (f"{FILTER}.0", "*ln_f*", f"{FILTER}.0", "", "the norm model.ln_f.weight"),
    (FILTER, [], FILTER, "[]", "a glob that matches projection weights only"),
    (FILTER, "*weight", f"{FILTER}.0", "'*weight'", "it also matches the embedding"),
    (f"{INIT}.loop.max_steps", 601, "", "600 steps in all", "601, the value of trainer.init.lo"),
    (f"{PARTS}.0.LinearLR.total_iters", 61, "", "601 steps", "600, the value of"),
    (f"{PARTS}.0.LinearLR.total_iters", 600, "", "a warm-up of 600 steps", "fewer than the 600"),
    (f"{PARTS}.0.LinearLR.total_iters", 900, "", "a warm-up of 900 steps", "fewer than the 600"),
    (f"{INIT}.schedulers.0.SequentialLR.milestones", [59], "", "[59]", "[60], the sums of"),
    (f"{INIT}.schedulers", [], f"{INIT}.schedulers", "nothing", "a schedule, or a learning_rate"),
    (f"{INIT}.loop", {"eval_steps": 1}, f"{INIT}.loop", "no length of the run", "max_steps, num_s"),
    (f"{INIT}.precision.fp16_type", "cbfloat16", "", "1", "dynamic, which cbfloat16 needs"),
    (f"{TRAIN}.max_sequence_length", 257, "", "257", "at most max_position_embeddings 256"),
]


@pytest.mark.parametrize(("path", "value", "where", "got", "allowed"), BROKEN)
def test_a_broken_file_has_its_message(
    tiny: Raw, path: str, value: Any, where: str, got: str, allowed: str
) -> None:
    problem = the_problem(put(tiny, path, value))
    if where:
        assert problem.path == where
    assert got in problem.got
    assert allowed in f"{problem.allowed}; {problem.hint}"
    line = problem.line("f.yaml")
    assert "\n" not in line
    assert re.fullmatch(r"\S+: got .+, allowed: .+ \(in f\.yaml\)", line)


REQUIRED = [
    f"{MODEL}.name",
    f"{INIT}.model",
    f"{INIT}.logging.log_steps",
    f"{TRAIN}.batch_size",
    f"{TRAIN}.data_dir",
    f"{TRAIN}.data_processor",
    f"{PARTS}.1.CosineDecayLR.total_iters",
    f"{PARTS}.0.LinearLR.initial_learning_rate",
    f"{INIT}.sparsity.sparsity",
    "trainer.init",
    "trainer.fit.train_dataloader",
    "trainer",
]


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_key_is_named(tiny: Raw, path: str) -> None:
    problem = the_problem(drop(tiny, path))
    assert (problem.path, problem.got) == (path, "nothing")


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_key_hides_no_other_problem(tiny: Raw, path: str) -> None:
    broken = put(tiny, "trainer.fit.val_dataloader.max_sequence_length", 999)
    problems = check(drop(broken, path))
    others = [problem for problem in problems if problem.path != path]
    if path in ("trainer", "trainer.init", f"{INIT}.model", "trainer.fit.train_dataloader"):
        assert len(problems) >= 1  # without the section there is nothing to compare with
    else:
        (other,) = others
        assert other.path == "trainer.fit.val_dataloader.max_sequence_length"


@pytest.mark.parametrize("raw", [None, [], "text", 3, {}])
def test_what_is_no_params_file_at_all(raw: Any) -> None:
    (problem,) = check(raw)
    assert "trainer" in f"{problem.path} {problem.allowed}"


@pytest.mark.parametrize("seed", ["-1", "true", str(2**63), "1.0"])
def test_a_seed_that_torch_or_modelzoo_refuses(seed: str) -> None:
    with pytest.raises(
        ConfigError, match=r"init\.seed: got .*, allowed: a whole number, at least 0"
    ):
        load_params("mediswift_tiny_75", [f"trainer.init.seed={seed}"], check_data="none")
    load_params("mediswift_tiny_75", [f"trainer.init.seed={2**63 - 1}"], check_data="none")


def test_a_seed_that_cannot_even_be_printed(tiny: Raw) -> None:
    problem = the_problem(put(tiny, f"{INIT}.seed", 10**4999))
    assert problem.line("f.yaml") == (
        f"{INIT}.seed: got a whole number of 16607 bits, allowed: a whole number of at most 64 "
        f"bits (in f.yaml)"
    )
    hexadecimal = "0x" + "f" * 5000
    with pytest.raises(ConfigError, match="got a whole number of 20000 bits"):
        load_params("mediswift_tiny_75", [f"{INIT}.seed={hexadecimal}"], check_data="none")
