"""Each rule: a broken file has its message, and a file that is not broken has none."""

import copy
import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.errors import ConfigError
from mediswift_cs.params.load import load_params
from mediswift_cs.params.problem import Problem
from mediswift_cs.run import main

from .conftest import check

Raw = dict[str, Any]


def put(raw: Raw, path: str, value: Any) -> Raw:
    """A copy with one value set; the copy keeps what the anchors share."""
    changed = copy.deepcopy(raw)
    node: Any = changed
    *parents, last = path.split(".")
    for part in parents:
        node = node[int(part) if isinstance(node, list) else part]
    node[int(last) if isinstance(node, list) else last] = value
    return changed


def drop(raw: Raw, path: str) -> Raw:
    changed = copy.deepcopy(raw)
    node: Any = changed
    *parents, last = path.split(".")
    for part in parents:
        node = node[int(part) if isinstance(node, list) else part]
    del node[last]
    return changed


def the_problem(raw: Raw) -> Problem:
    (problem,) = check(raw)
    return problem


INIT = "trainer.init"
MODEL = f"{INIT}.model"
PARTS = f"{INIT}.schedulers.0.SequentialLR.schedulers"
FILTER = f"{INIT}.sparsity.param_filter"
TRAIN = "trainer.fit.train_dataloader"

COSINE = {"initial_learning_rate": 1.0e-3, "end_learning_rate": 0.0}
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


def test_files_that_are_not_broken_have_no_problem(tiny: Raw, xl: Raw) -> None:
    assert check(tiny) == []
    assert check(xl) == []
    # Within the limits, or another spelling of the same.
    allowed: list[tuple[str, Any]] = [
        (f"{INIT}.sparsity.sparsity", 0.0),
        (f"{INIT}.sparsity", 0.75),
        (f"{INIT}.sparsity", [{"sparsity": 0.75}]),
        (f"{INIT}.sparsity", None),
        (f"{FILTER}.0", "*self_attn*dense_layer.weight"),
        (FILTER, "*linear_layer.weight"),
        (f"{MODEL}.num_heads", 8),
        (f"{MODEL}.moe", {"num_experts": 0}),
        (f"{MODEL}.mup_base_hidden_size", None),
        (f"{MODEL}.embedding_initializer", "truncated_normal"),
        (f"{INIT}.optimizer", {"adamw": {"lr": "1e-3", "eps": "1e-8"}}),
        (f"{INIT}.schedulers.0.SequentialLR.milestones", [60]),
        (f"{INIT}.callbacks", [{"checkloss": None}, {"ComputeNorm": {}}]),
        (f"{INIT}.callbacks", [{"ScopedTrainFlags": {"csx.performance.micro_batch_size": 88}}]),
        (f"{INIT}.backend.backend_type", "cpu"),
        (f"{INIT}.loop.eval_frequency", 0.5),
        (f"{TRAIN}.max_sequence_length", 256),
        (f"{TRAIN}.data_processor", "GptHDF5MapDataProcessor"),
        ("trainer.validate", None),
        ("trainer.fit.ckpt_path", None),
    ]
    for path, value in allowed:
        assert check(put(tiny, path, value)) == [], (path, value)


def break_five(raw: Raw) -> Raw:
    raw = put(raw, f"{MODEL}.num_heads", 7)
    raw = put(raw, f"{INIT}.sparsity.sparsity", 1.75)
    raw = put(raw, f"{FILTER}.2", "*nothing*")
    raw = put(raw, f"{INIT}.loop.max_steps", 500)
    return put(raw, f"{INIT}.logging.log_step", 10)


def test_every_problem_is_listed_at_once(tiny: Raw) -> None:
    paths = sorted(problem.path for problem in check(break_five(tiny)))
    assert paths == [
        f"{INIT}.logging.log_step",
        f"{MODEL}.num_heads",
        f"{INIT}.schedulers.0.SequentialLR",
        f"{FILTER}.2",
        f"{INIT}.sparsity.sparsity",
    ]


def test_problems_add_up(tiny: Raw) -> None:
    """Mistakes in different sections do not hide one another, in any combination."""
    mistakes: list[Callable[[Raw], Raw]] = [
        lambda raw: put(raw, f"{MODEL}.num_heads", 7),
        lambda raw: put(raw, f"{INIT}.sparsity.init_method", "best"),
        lambda raw: put(raw, f"{INIT}.precision.fp16_type", "cbfloat16"),
        lambda raw: put(raw, f"{INIT}.schedulers.0.SequentialLR.milestones", [39]),
        lambda raw: put(raw, f"{INIT}.optimizer", {"SGD": {}}),
        lambda raw: put(raw, f"{TRAIN}.max_sequence_length", 512),
        lambda raw: drop(raw, "trainer.fit.val_dataloader.data_dir"),
        lambda raw: put(raw, f"{INIT}.callbacks.0", {"A": {}, "B": {}}),
    ]
    for chosen in range(1 << len(mistakes)):
        raw = tiny
        for index, mistake in enumerate(mistakes):
            if chosen >> index & 1:
                raw = mistake(raw)
        assert len(check(raw)) == chosen.bit_count(), bin(chosen)


def test_a_mistake_behind_an_anchor_is_one_mistake(tiny: Raw) -> None:
    broken = put(tiny, "trainer.fit.val_dataloader.batch_size", "many")
    assert broken["trainer"]["validate"]["val_dataloader"]["batch_size"] == "many"
    assert the_problem(broken).path == "trainer.fit.val_dataloader.batch_size"
    # Control: written out twice, it is two mistakes.
    broken["trainer"]["validate"] = copy.deepcopy(broken["trainer"]["validate"])
    assert len(check(broken)) == 2


def test_what_follows_from_a_reported_mistake_is_not_reported_again(tiny: Raw) -> None:
    # hidden_size falls back to 768, of which 7 is no divisor either: nobody knows.
    broken = put(put(tiny, f"{MODEL}.hidden_size", "wide"), f"{MODEL}.num_heads", 7)
    assert the_problem(broken).path == f"{MODEL}.hidden_size"
    misspelt = put(drop(tiny, f"{MODEL}.hidden_size"), f"{MODEL}.hiden_size", 256)
    assert the_problem(put(misspelt, f"{MODEL}.num_heads", 7)).path == f"{MODEL}.hiden_size"
    assert len(check(put(tiny, f"{MODEL}.num_heads", 7))) == 1  # control


# A first mistake, and a second one that may follow from it.
MOOT: list[tuple[tuple[str, Any], tuple[str, Any]]] = [
    ((f"{PARTS}.0.LinearLR.cycles", 1), (f"{INIT}.schedulers.0.SequentialLR.milestones", [59])),
    ((f"{INIT}.loop.max_step", 500), (f"{PARTS}.0.LinearLR.total_iters", 900)),
    ((f"{INIT}.loop.max_step", 500), (f"{PARTS}.0.LinearLR.total_iters", 61)),
    ((f"{INIT}.device", "TPU"), (f"{INIT}.precision", None)),
    ((f"{TRAIN}.data_procesor", "x"), (f"{TRAIN}.data_processor", "GptHDF5DataProcessor")),
    ((f"{MODEL}.initializer.bb", 1), (f"{MODEL}.initializer.a", 1.0)),
    ((f"{MODEL}.max_position_embedding", 1), (f"{TRAIN}.max_sequence_length", 257)),
    ((f"{INIT}.precision.fp16_typ", "x"), (f"{INIT}.precision.fp16_type", "cbfloat16")),
]


@pytest.mark.parametrize(("first", "second"), MOOT)
def test_a_rule_that_reads_a_reported_key_says_nothing(
    tiny: Raw, first: tuple[str, Any], second: tuple[str, Any]
) -> None:
    raw = put(put(tiny, f"{TRAIN}.tokenizer_sha256", "0" * 64), *second)
    if second == (f"{INIT}.precision", None):
        raw = put(raw, f"{INIT}.backend.backend_type", "CSX")
    follows = the_problem(raw)
    assert follows.path != first[0]
    assert the_problem(put(raw, *first)).path == first[0]


def test_schedules_without_a_warm_up(tiny: Raw) -> None:
    whole = {"CosineDecayLR": {**COSINE, "total_iters": 600}}
    path = f"{INIT}.schedulers"
    assert check(put(tiny, path, [whole])) == []
    assert check(put(tiny, path, [{"SequentialLR": {"schedulers": [whole]}}])) == []
    short = {"CosineDecayLR": {**COSINE, "total_iters": 599}}
    assert the_problem(put(tiny, path, [short])).got == "599 steps in all"
    root = {"InverseSquareRootDecayLR": {"warmup_steps": 600}}
    assert the_problem(put(tiny, path, [root])).got == "a warm-up of 600 steps"
    root["InverseSquareRootDecayLR"]["warmup_steps"] = 599
    assert check(put(tiny, path, [root])) == []
    endless = {"ConstantLR": {"learning_rate": 1.0e-3}}
    assert check(put(tiny, path, [endless])) == []
    problem = the_problem(put(tiny, path, [{"SequentialLR": {"schedulers": [endless, short]}}]))
    assert problem.path == f"{path}.0.SequentialLR.schedulers.0.ConstantLR"
    assert problem.got == "no total_iters"


def test_a_schedule_that_cycles_may_be_shorter_than_the_run(tiny: Raw) -> None:
    path = f"{INIT}.schedulers"
    for name in ("LinearLR", "PolynomialLR"):
        cycle = {name: {**COSINE, "total_iters": 100, "cycle": True}}
        warm_up = {"LinearLR": {**COSINE, "total_iters": 10}}
        for schedule in (cycle, {"SequentialLR": {"schedulers": [warm_up, cycle]}}):
            assert check(put(tiny, path, [schedule])) == []
        # Controls: a longer one, and one that does not cycle.
        cycle[name]["total_iters"] = 601
        assert the_problem(put(tiny, path, [cycle])).got == "601 steps in all"
        cycle[name] |= {"total_iters": 100, "cycle": False}
        assert the_problem(put(tiny, path, [cycle])).got == "100 steps in all"
        # Another part after it has to know its end.
        cycle[name]["cycle"] = True
        both = {"SequentialLR": {"schedulers": [cycle, warm_up]}}
        assert the_problem(put(tiny, path, [both])).got == "110 steps in all"


def test_every_dataloader_is_checked(tiny: Raw) -> None:
    loader = {**tiny["trainer"]["fit"]["val_dataloader"], "max_sequence_length": 257}
    several = [loader, {**loader, "batch_size": 3}]
    for key, value, expected in (
        ("fit.val_dataloader", loader, [""]),
        ("fit.val_dataloader", several, [".0", ".1"]),
        ("validate.val_dataloader", loader, [""]),
        ("validate_all.val_dataloaders", loader, [""]),
        ("validate_all.val_dataloaders", several, [".0", ".1"]),
    ):
        paths = [problem.path for problem in check(put(tiny, f"trainer.{key}", value))]
        assert paths == [f"trainer.{key}{index}.max_sequence_length" for index in expected]


def test_the_hint_of_a_schedule_mends_it(tiny: Raw) -> None:
    broken = put(tiny, f"{INIT}.loop.max_steps", 500)
    hint = the_problem(broken).hint
    path, value = hint.removeprefix("for example --set ").split("=")
    assert check(put(broken, path, int(value))) == []


def test_rules_of_csx(xl: Raw) -> None:
    assert the_problem(drop(xl, f"{INIT}.precision")).path == f"{INIT}.precision"
    for factor in (1.0, 256):
        problem = the_problem(put(xl, f"{INIT}.precision.loss_scaling_factor", factor))
        assert problem.path == f"{INIT}.precision.loss_scaling_factor"
    problems = check(put(xl, f"{INIT}.backend.cluster_config", {"num_csx": 3}))
    assert {problem.allowed[:23] for problem in problems} == {"a multiple of num_csx 3"}
    assert check(put(xl, f"{INIT}.backend.cluster_config", {"num_csx": 4})) == []


def test_jobs_of_a_cluster(xl: Raw, tiny: Raw) -> None:
    path = f"{INIT}.backend.cluster_config"
    assert check(put(xl, path, {"job_priority": "p1", "job_labels": ["a=b", "m.x=1_2"]})) == []
    problem = the_problem(put(xl, path, {"job_priority": "p4"}))
    assert (problem.path, problem.got) == (f"{path}.job_priority", "p4")
    for label in ("c", "a=b=c", "=b", "a=-", "a=" + "b" * 64, "a=b\n"):
        problem = the_problem(put(xl, path, {"job_labels": ["a=b", label]}))
        assert problem.path == f"{path}.job_labels.1"
    assert check(put(tiny, path, {"job_labels": ["c"]})) == []  # nobody reads it on a CPU


def test_rules_look_at_the_device_that_runs(
    tiny: Raw, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file's own backend counts only where the command names no device."""
    monkeypatch.chdir(tmp_path)
    raw = put(tiny, f"{INIT}.backend.cluster_config", {"num_csx": 3})
    file = tmp_path / "mine.yaml"
    for backend, arguments, num_refused in (
        ("CPU", ["CSX"], 2),
        ("CPU", ["CSX", "--validate_only"], 2),
        ("CPU", ["--validate_only"], 2),
        ("CSX", [], 2),
        ("CSX", ["CPU"], 0),
        ("CPU", [], 0),
        ("CPU", ["CPU"], 0),
    ):
        file.write_text(yaml.safe_dump(put(raw, f"{INIT}.backend.backend_type", backend)))
        assert main([*arguments, "--params", str(file)]) == 2
        printed = capsys.readouterr().err
        # Without their rule, the runs end at the data, which is not there.
        assert printed.count("allowed: a multiple of num_csx 3") == num_refused, printed
        assert num_refused or "data_dir: got" in printed


def test_tokenizer_of_the_stock_processor(tiny: Raw) -> None:
    raw = put(tiny, f"{TRAIN}.tokenizer_sha256", "0" * 64)
    assert check(raw) == []
    problem = the_problem(put(raw, f"{TRAIN}.data_processor", "GptHDF5MapDataProcessor"))
    assert problem.path == f"{TRAIN}.tokenizer_sha256"


def test_check_leaves_the_document_alone(tiny: Raw) -> None:
    broken = break_five(tiny)
    before = copy.deepcopy(broken)
    check(broken)
    assert broken == before


@pytest.mark.parametrize("seed", ["-1", "true", str(2**63), "1.0"])
def test_a_seed_that_torch_or_modelzoo_refuses(seed: str) -> None:
    with pytest.raises(
        ConfigError, match=r"init\.seed: got .*, allowed: a whole number, at least 0"
    ):
        load_params("mediswift_tiny_75", [f"trainer.init.seed={seed}"], check_data="none")
    load_params("mediswift_tiny_75", [f"trainer.init.seed={2**63 - 1}"], check_data="none")


def test_every_odd_value_of_a_list_is_reported(tiny: Raw) -> None:
    path = f"{INIT}.backend.cluster_config"
    problems = check(put(tiny, path, {"job_labels": ["\0", "fine", "\ud800"]}))
    assert [problem.path for problem in problems] == [
        f"{path}.job_labels.{index}" for index in (0, 2)
    ]


def test_a_seed_that_cannot_even_be_printed(tiny: Raw) -> None:
    problem = the_problem(put(tiny, f"{INIT}.seed", 10**4999))
    assert problem.line("f.yaml") == (
        f"{INIT}.seed: got a whole number of 16607 bits, allowed: a whole number of at most 64 "
        f"bits (in f.yaml)"
    )
    hexadecimal = "0x" + "f" * 5000
    with pytest.raises(ConfigError, match="got a whole number of 20000 bits"):
        load_params("mediswift_tiny_75", [f"{INIT}.seed={hexadecimal}"], check_data="none")
