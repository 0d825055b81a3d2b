"""Validation comes before any heavy work, so it must not be heavy itself."""

import json
import os
import subprocess
import sys

LIMIT_CPU_SECONDS = 2.0
HEAVY = ("torch", "cerebras", "numpy", "h5py", "transformers", "tokenizers", "datasets", "lxml")

CODE = f"""
import json, sys
from mediswift_cs.params.load import load_params
load_params("mediswift_xl_75.yaml", ["trainer.init.loop.max_steps=20"], check_data="none")
print(json.dumps([name for name in {HEAVY} if name in sys.modules]))
"""


def seconds_and_output(code: str) -> tuple[float, str]:
    """Seconds of CPU, because the machine may be busy with something else."""
    before = os.times()
    result = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    after = os.times()
    seconds = after.children_user + after.children_system
    return seconds - before.children_user - before.children_system, result.stdout


def test_validation_is_quick_and_imports_nothing_heavy() -> None:
    runs = [seconds_and_output(CODE) for _ in range(3)]
    assert min(seconds for seconds, _ in runs) < LIMIT_CPU_SECONDS
    assert all(json.loads(output) == [] for _, output in runs)


def test_the_check_of_imports_can_fail() -> None:
    _, output = seconds_and_output("import numpy\n" + CODE)
    assert json.loads(output) == ["numpy"]


BLOCKED = """
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "cerebras"):
            raise ImportError(f"{name} is blocked")


sys.meta_path.insert(0, Blocker())
from mediswift_cs.cli import main

wrong = "trainer.init.model.num_heads=7"
codes = [
    main(["params", "list"]),
    main(["params", "validate", "mediswift_xl_75.yaml"]),
    main(["params", "validate", "mediswift_xl_75.yaml", "--set", wrong]),
    main(["params", "check"]),
    main(["flops", "mediswift_xl_75.yaml"]),
    main(["run", "--params", "mediswift_tiny_75.yaml", "--set", wrong]),
    main(["run", "CSX", "--params", "mediswift_xl_75.yaml"]),
]
print(codes)
"""


def test_what_is_said_of_params_needs_neither_torch_nor_cerebras_pytorch() -> None:
    _, output = seconds_and_output(BLOCKED)
    assert output.splitlines()[-1] == "[0, 0, 2, 0, 0, 2, 2]"
