"""What is noted in a checkpoint beside its tensors."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import mediswift_cs
from mediswift_cs import __version__
from mediswift_cs.checkpoints.record import Record, SoftPromptRecord, global_step, stored_params
from mediswift_cs.errors import CheckpointError


def test_what_is_written_is_read() -> None:
    prompt = SoftPromptRecord(num_virtual_tokens=3, position="infix", init="random")
    record = Record(rng_state="state", tokenizer_sha256="abc", soft_prompt=prompt)
    state = record.to_state()
    keys = ["version", "rng_state", "tokenizer_sha256", "soft_prompt"]
    # The order too: it is that of the file.
    assert list(state["mediswift"]) == keys
    assert state["mediswift"]["version"] == __version__
    assert Record.read(state) == record
    plain = Record(tokenizer_sha256=None)
    assert plain.to_state() == {"mediswift": {"version": __version__, "tokenizer_sha256": None}}


@pytest.mark.parametrize("noted", [3, [], {"tokenizer_sha256": 3}, {"soft_prompt": "x"}])
def test_a_damaged_record_is_refused(noted: object) -> None:
    with pytest.raises(CheckpointError, match=r"record is damaged: \w+: got .+, allowed: a "):
        Record.read({"mediswift": noted})


@pytest.mark.parametrize(
    ("noted", "message"),
    [
        ({"soft_prompt": {"position": 5}}, "soft_prompt.position: got 5, allowed: prefix or infix"),
        ({"soft_prompt": {"position": ["a"]}}, "allowed: prefix or infix"),
        ({"soft_prompt": {"num_virtual_tokens": "x"}}, "got 'x', allowed: a number above 0"),
        ({"soft_prompt": {"num_virtual_tokens": True}}, "got True, allowed: a number above 0"),
        ({"soft_prompt": {"init": 3}}, "soft_prompt.init: got 3, allowed: a text"),
        ({"clipping": [True, True]}, r"clipping: got \[True, True\], allowed: numbers of updates"),
        ({"clipping": [2, 1]}, r"clipping: got \[2, 1\]"),
    ],
)
def test_values_of_a_record_are_looked_at(noted: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=f"record is damaged: .*{message}"):
        Record.read({"mediswift": noted})


def test_the_step_is_a_number_or_not_kept() -> None:
    path = Path("a.mdl")
    assert global_step({"global_step": 0}, path) == 0
    assert global_step({"global_step": 7}, path) == 7
    assert global_step({}, path) is None
    for step in ("abc", "7", [7], {}, True, 7.0, -1):
        with pytest.raises(
            CheckpointError,
            match=rf"global_step in the checkpoint a\.mdl: got {re.escape(repr(step))}, allowed: a",
        ):
            global_step({"global_step": step}, path)


def test_the_step_is_read_in_one_place() -> None:
    package = Path(mediswift_cs.__file__).parent
    readers = re.compile(r"(get\(|(?<!to_)state\[)\"global_step\"(\)|, |\](?! =))")
    assert readers.search('int(state.get("global_step", 0))'), "control"
    found = [str(p) for p in package.rglob("*.py") if readers.search(p.read_text())]
    assert found == []


@pytest.mark.parametrize("noted", [None, {}])
def test_without_a_record_nothing_is_known(noted: object) -> None:
    assert Record.read({"mediswift": noted}) == Record.read({}) == Record(version=None)


@pytest.mark.parametrize("metadata", [None, [], {}, [3], [{"params": 3}], [{}]])
def test_without_params_there_are_none(metadata: object) -> None:
    assert stored_params({"__metadata__": metadata}) == {}


def test_no_torch_is_needed() -> None:
    code = "import sys; import mediswift_cs.checkpoints.record; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
