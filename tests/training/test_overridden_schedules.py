"""Every shipped file: with another peak and length each step's rate is the file's, scaled."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mediswift_cs.params.load import load_params, shipped_files
from mediswift_cs.params.schema import InitParams
from mediswift_cs.training.plan import plan_run, schedule_warning
from mediswift_cs.training.schedule import learning_rate

RATE = "trainer.init.optimizer.AdamW.learning_rate"
MAX_STEPS = "trainer.init.loop.max_steps"
FILES = sorted(shipped_files())


def load(name: str, *overrides: str) -> InitParams:
    return load_params(name, overrides, check_data="none").params.trainer.init


def curve(init: InitParams, steps: list[int]) -> list[float]:
    (schedule,) = init.schedulers
    return [learning_rate(schedule, step) for step in steps]


def steps_of(init: InitParams) -> list[int]:
    """The warm-up's first steps and its end, and steps of all of the run."""
    assert init.loop.max_steps is not None
    warm_up = init.schedulers[0].parts[0].total_iters
    assert warm_up is not None
    steps = {0, 1, warm_up - 1, warm_up, warm_up + 1, init.loop.max_steps - 1}
    steps |= {init.loop.max_steps * part // 17 for part in range(17)}
    return sorted(step for step in steps if step < init.loop.max_steps)


def test_all_are_here() -> None:
    assert len(FILES) >= 30


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=6, deadline=None)
@given(
    # Whole numbers: hypothesis refuses floats once a library has switched subnormal ones off.
    peak=st.integers(-600, 0).map(lambda number: float(f"{10 ** (number / 100):.3g}")),
    length=st.one_of(st.none(), st.integers(2, 3000)),
    peak_first=st.booleans(),
)
def test_scaled_and_stretched(name: str, peak: float, length: int | None, peak_first: bool) -> None:
    # Thirty prunings and the dense beginning need a step each.
    assume("_gmp" not in name or length is None or length >= 31)
    stretch = [] if length is None else [f"{MAX_STEPS}={length}"]
    overrides = [f"{RATE}={peak}", *stretch] if peak_first else [*stretch, f"{RATE}={peak}"]
    plain, init = load(name, *stretch), load(name, *overrides)
    steps = steps_of(init)
    old = plain.schedulers[0].peak_rate
    assert old is not None
    found, before = curve(init, steps), curve(plain, steps)
    expected = [rate * peak / old for rate in before]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-30)
    assert max(found) == pytest.approx(peak, rel=1e-9)
    # It ends with the run, or has no end.
    assert init.loop.max_steps is not None
    assert init.schedulers[0].total_iters in (None, init.loop.max_steps)
    plan = plan_run(init, first_step=0, num_batches=7)
    assert schedule_warning(init, plan) is None
    # Control: of another peak the rates are others.
    assert curve(load(name, *stretch, f"{RATE}={peak * 1.001!r}"), steps) != pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("name", FILES)
def test_control_one_rate_alone_changes_the_ratios(name: str) -> None:
    plain = load(name)
    key = "trainer.init.schedulers.0.SequentialLR.schedulers.0.LinearLR.initial_learning_rate"
    bent = load(name, f"{key}=1e-7")
    pairs = zip(curve(bent, steps_of(bent)), curve(plain, steps_of(plain)), strict=True)
    ratios = [now / was for now, was in pairs if was]
    assert max(ratios) > min(ratios) * (1 + 1e-6)


def test_a_run_that_does_not_end_with_its_schedule_is_told() -> None:
    init = load("mediswift_tiny_75", f"{MAX_STEPS}=100")
    loop = init.loop.model_copy(update={"num_epochs": 2})
    # 100 batches an epoch: max_steps ends the run.
    epochs = init.model_copy(update={"loop": loop})
    assert schedule_warning(epochs, plan_run(epochs, first_step=0, num_batches=100)) is None
    warning = schedule_warning(epochs, plan_run(epochs, first_step=0, num_batches=20))
    assert warning is not None
    assert warning.startswith("the run ends at step 40, and its learning-rate schedule at step 100")
    assert f"{MAX_STEPS}=40" in warning
    # num_steps may be a first part, but no longer run.
    for num_steps, is_told in ((40, False), (140, True)):
        loop = init.loop.model_copy(update={"num_steps": num_steps})
        part = init.model_copy(update={"loop": loop})
        plan = plan_run(part, first_step=0, num_batches=20)
        assert (schedule_warning(part, plan) is not None) == is_told


def test_a_schedule_without_an_end_is_to_reach_its_last_part() -> None:
    init = load("finetuning/mediswift_tiny_classification")
    loop = init.loop.model_copy(update={"max_steps": None, "num_epochs": 1})
    epoch = init.model_copy(update={"loop": loop})
    assert init.schedulers[0].parts[0].total_iters == 20
    for num_batches, is_told in ((20, True), (21, False), (300, False)):
        warning = schedule_warning(epoch, plan_run(epoch, first_step=0, num_batches=num_batches))
        assert (warning is not None) == is_told
