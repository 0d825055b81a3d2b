"""Which problems are reported together, which hide one another, and what has none."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from .conftest import check
from .mistakes import FILTER, INIT, MODEL, PARTS, TRAIN, Raw, drop, put, the_problem


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


def test_every_odd_value_of_a_list_is_reported(tiny: Raw) -> None:
    path = f"{INIT}.backend.cluster_config"
    problems = check(put(tiny, path, {"job_labels": ["\0", "fine", "\ud800"]}))
    assert [problem.path for problem in problems] == [
        f"{path}.job_labels.{index}" for index in (0, 2)
    ]


DYNAMIC = {"loss_scaling_factor": "dynamic", "fp16_type": "float16"}
LOW = "at least min_loss_scale 6.10352e-05"


@pytest.mark.parametrize(
    ("scales", "allowed"),
    [
        ({"max_loss_scale": 0.5}, None),
        ({"max_loss_scale": 2.0**-14}, None),
        ({"max_loss_scale": 1e-5}, LOW),
        ({"min_loss_scale": 2.0, "max_loss_scale": 2.0}, None),
        ({"min_loss_scale": 2.0, "max_loss_scale": 1.0}, "at least min_loss_scale 2"),
    ],
)
def test_the_largest_loss_scale_is_not_below_the_smallest(
    tiny: Raw, scales: dict[str, float], allowed: str | None
) -> None:
    problems = check(put(tiny, f"{INIT}.precision", {**DYNAMIC, **scales}))
    assert [problem.allowed for problem in problems] == ([allowed] if allowed else [])


def test_limits_of_a_truncated_normal_may_meet_and_not_cross(tiny: Raw) -> None:
    limits = {"name": "truncated_normal", "std": 0.02, "a": 0.01}
    assert check(put(tiny, f"{MODEL}.initializer", {**limits, "b": 0.01})) == []
    problem = the_problem(put(tiny, f"{MODEL}.initializer", {**limits, "b": 0.0}))
    assert (problem.path, problem.allowed) == (f"{MODEL}.initializer.a", "at most b, 0")


def test_dataloaders_of_a_list_are_named_by_their_place(tiny: Raw) -> None:
    loader = tiny["trainer"]["fit"]["val_dataloader"]
    other = {**loader, "max_sequence_length": 10**6}
    for entries, place in (([loader, other], ".1"), ([other, loader], ".0"), (other, "")):
        path = "trainer.validate_all.val_dataloaders"
        problem = the_problem(put(tiny, "trainer.validate_all", {"val_dataloaders": entries}))
        assert problem.path == f"{path}{place}.max_sequence_length"
