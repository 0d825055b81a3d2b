"""Rewrite the recorded summaries of CIRH: ``python tests/csx/refresh_golden.py [PARAMS ...]``.

Without a name: all pre-training params. To be run after a change that is meant to change a graph,
or after an update of cerebras-pytorch; ``git diff`` then shows which operation changed.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from mediswift_cs.csx.check import Verdict, validate
from mediswift_cs.params.load import load_params, shipped_files

GOLDEN = Path(__file__).parent / "golden"


def pretraining_params() -> list[str]:
    """The shipped files whose graphs are recorded: all that pre-train."""
    return [name for name in shipped_files() if "/" not in name]


def compile_params(name: str, folder: Path) -> Verdict:
    """Validate a shipped file for CSX, both graphs."""
    loaded = load_params(name, check_data="none")
    return validate(loaded, mode="train_and_eval", model_dir=folder)


def main(names: Sequence[str]) -> int:
    """Returns 0, or 1 as soon as one does not compile."""
    GOLDEN.mkdir(exist_ok=True)
    for name in tqdm(names or pretraining_params(), unit="file"):
        with tempfile.TemporaryDirectory() as folder:
            verdict = compile_params(name, Path(folder))
        if verdict.failure is not None:
            print(f"{name} does not compile: {verdict.failure['message']}", file=sys.stderr)
            return 1
        golden = {
            "cerebras_pytorch": verdict.trace["cerebras_pytorch"],
            "graphs": {graph: found.to_json() for graph, found in verdict.graphs.items()},
        }
        (GOLDEN / f"{Path(name).stem}.json").write_text(json.dumps(golden, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
