"""Cost of ``run.py --validate_only``: ``python benchmarks/validate_only.py [PARAMS ...]``.

Each file is compiled by a process of its own, one after another, as CI does it: the wall time runs
from the start of that process to its end, the memory is the peak of it and its children. Without a
name: the twelve pre-training params. The targets are for two cores with nothing else to do.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from mediswift_cs.params.load import shipped_files

RUN_PY = Path(__file__).parents[1] / "run.py"
TARGET_FILE = "mediswift_xl_75.yaml"
TARGET_SECONDS, TARGET_GB, TARGET_TOTAL_SECONDS = 20.0, 1.2, 180.0


class Row(NamedTuple):
    """One params file."""

    name: str
    passed: bool
    seconds: float
    gigabytes: float
    num_operations: int


def measure(name: str, folder: Path) -> Row:
    file = folder / "found.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, str(RUN_PY), "CSX", "--params", name, "--validate_only"]
    started = time.monotonic()
    done = subprocess.run(
        [*command, "--model_dir", str(folder), "--json", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - started
    if not file.is_file():
        raise SystemExit(f"{name}: exit code {done.returncode}\n{done.stderr}")
    found = json.loads(file.read_text())
    num_operations = sum(sum(graph["operations"].values()) for graph in found["graphs"].values())
    return Row(name, found["passed"], seconds, found["peak_bytes"] / 1e9, num_operations)


def verdict(measured: float, target: float) -> str:
    return f"{measured:.2f} of {target:g} ({measured / target:.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("params", nargs="*", help="params files; default: the pre-training ones")
    names = parser.parse_args().params or [name for name in shipped_files() if "/" not in name]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in tqdm(names, unit="file"):
            rows.append(measure(name, Path(folder)))
    print(f"{'params':<40}{'':>8}{'wall s':>9}{'peak GB':>9}{'operations':>12}")
    for row in rows:
        result = "passed" if row.passed else "FAILED"
        print(
            f"{row.name:<40}{result:>8}{row.seconds:>9.1f}{row.gigabytes:>9.2f}"
            f"{row.num_operations:>12,}"
        )
    total = sum(row.seconds for row in rows)
    print(f"{'total':<48}{total:>9.1f}{max(row.gigabytes for row in rows):>9.2f}")
    for row in rows:
        if row.name == TARGET_FILE:
            print(f"{row.name}: seconds {verdict(row.seconds, TARGET_SECONDS)}")
            print(f"{row.name}: GB {verdict(row.gigabytes, TARGET_GB)}")
    if len(rows) == 12:
        print(f"all twelve: seconds {verdict(total, TARGET_TOTAL_SECONDS)}")
    return 0 if all(row.passed for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
