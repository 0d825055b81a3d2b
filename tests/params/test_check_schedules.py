"""Schedules are as long as the run."""

from .conftest import check
from .mistakes import COSINE, INIT, Raw, put, the_problem


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


def test_the_hint_of_a_schedule_mends_it(tiny: Raw) -> None:
    broken = put(tiny, f"{INIT}.loop.max_steps", 500)
    hint = the_problem(broken).hint
    path, value = hint.removeprefix("for example --set ").split("=")
    assert check(put(broken, path, int(value))) == []
