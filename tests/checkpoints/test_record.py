"""What is noted in a checkpoint beside its tensors."""

import subprocess
import sys

import pytest

from mediswift_cs import __version__
from mediswift_cs.checkpoints.record import Record, SoftPromptRecord, stored_params
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


@pytest.mark.parametrize("noted", [None, {}])
def test_without_a_record_nothing_is_known(noted: object) -> None:
    assert Record.read({"mediswift": noted}) == Record.read({}) == Record(version=None)


@pytest.mark.parametrize("metadata", [None, [], {}, [3], [{"params": 3}], [{}]])
def test_without_params_there_are_none(metadata: object) -> None:
    assert stored_params({"__metadata__": metadata}) == {}


def test_no_torch_is_needed() -> None:
    code = "import sys; import mediswift_cs.checkpoints.record; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
