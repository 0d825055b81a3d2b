"""Reading and writing .mdl, with cerebras-pytorch as the other side."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mediswift_cs.checkpoints import command_line, mdl, mdl_writer
from mediswift_cs.checkpoints.blocks import write_at
from mediswift_cs.checkpoints.mdl import StoredTensor
from mediswift_cs.checkpoints.mdl_writer import NewTensor
from mediswift_cs.errors import CheckpointError
from tests.hostile import PYTHON

from .small_checkpoints import build_decoder, save, state_of, write_mdl

TENSORS = {
    "a.float32": torch.randn(5, 7),
    "b.bfloat16": torch.tensor([1.5, -2.0, float("nan")], dtype=torch.bfloat16),
    "c.float16": torch.randn(3, 2).half(),
    "d.bool": torch.tensor([True, False, True]),
    "scalar": torch.tensor(4.0),
    "int64": torch.arange(3),
}
PLAIN = {"n": 3, "x": 1.5, "s": "text", "none": None, "yes": True, "list": [1, (2, "b")], "e": {}}


def written(path: Path) -> Path:
    """TENSORS and PLAIN by our writer."""
    new = {
        key: NewTensor(shape=tuple(t.shape), dtype=str(t.dtype).removeprefix("torch."))
        for key, t in TENSORS.items()
    }
    offsets = mdl_writer.create(path, {"model": new, "plain": PLAIN})
    with path.open("r+b", buffering=0) as file:
        for key, tensor in TENSORS.items():
            is_bfloat16 = tensor.dtype == torch.bfloat16
            bits = (tensor.view(torch.int16) if is_bfloat16 else tensor).numpy()
            write_at(file.fileno(), bits, offsets[f"model.{key}"])
    mdl_writer.finish(path)
    return path


@pytest.mark.cerebras
def test_cerebras_pytorch_loads_what_we_write(tmp_path: Path) -> None:
    import cerebras.pytorch as cstorch

    loaded = cstorch.load(str(written(tmp_path / "a.mdl")))
    assert loaded["plain"] == PLAIN
    assert isinstance(loaded["plain"]["list"][1], tuple)
    for key, tensor in TENSORS.items():
        found = loaded["model"][key].detach().clone()
        assert found.dtype == tensor.dtype
        assert torch.equal(torch.nan_to_num(found), torch.nan_to_num(tensor)), key


@pytest.mark.cerebras
def test_metadata_is_that_of_cerebras_pytorch(tmp_path: Path) -> None:
    """The same attributes and datasets as its own writer makes, compression apart."""
    import cerebras.pytorch as cstorch

    theirs = tmp_path / "theirs.mdl"
    cstorch.save({"model": TENSORS, "plain": PLAIN}, str(theirs))
    with h5py.File(theirs) as one, h5py.File(written(tmp_path / "ours.mdl")) as other:
        assert set(one) == set(other)
        assert set(one.attrs) - set(other.attrs) == set()
        for name in one:
            assert one[name].dtype == other[name].dtype
            assert set(one[name].attrs) == set(other[name].attrs)
            for key, value in one[name].attrs.items():
                assert np.array_equal(value, other[name].attrs[key]), (name, key)


def test_unfinished_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mdl"
    mdl_writer.create(path, {"model": {}})
    with pytest.raises(CheckpointError, match="not written to its end"):
        mdl.MdlFile(path)


@pytest.mark.cerebras
def test_reads_what_cerebras_pytorch_writes(tmp_path: Path) -> None:
    import cerebras.pytorch as cstorch

    path = tmp_path / "a.mdl"
    constant = cstorch.storage.serializers.DeferredFullTensor(
        torch.Size([2, 3]), torch.float32, 0.5
    )
    tied = torch.ones(2)
    model = {**TENSORS, "constant": constant, "one": tied, "two": tied}
    cstorch.save({"model": model, "plain": PLAIN}, str(path))
    with mdl.MdlFile(path) as file:
        assert file.state["plain"] == PLAIN
        for key, tensor in TENSORS.items():
            stored = file.tensors[key]
            assert stored.shape == tuple(tensor.shape)
            assert stored.num_bytes == tensor.nbytes
            bits = torch.from_numpy(np.array(file.numbers(stored)[...]))
            bits = bits.view(torch.bfloat16) if tensor.dtype == torch.bfloat16 else bits
            assert torch.equal(torch.nan_to_num(bits), torch.nan_to_num(tensor)), key
        assert np.array_equal(file.numbers(file.tensors["constant"]), np.full((2, 3), 0.5))
        # One object under two names is stored once.
        assert file.tensors["two"] == file.tensors["one"]
        dataset = file.numbers(file.tensors["a.float32"])
        assert dataset.chunks is not None, "cerebras-pytorch compresses: this is what is tested"


class Payload:
    """Anything that is not plain data."""


@pytest.mark.cerebras
def test_pickles_are_refused(tmp_path: Path) -> None:
    import cerebras.pytorch as cstorch

    path = tmp_path / "a.mdl"
    cstorch.save({"model": {"w": torch.ones(2)}, "extra": Payload()}, str(path))
    with pytest.raises(CheckpointError, match="not plain data, got ObjectSerializer"):
        mdl.check_file(path)


def edited(path: Path, name: str, value: object) -> Path:
    write_mdl({"model": {"w": torch.ones(2)}, "n": 1}, path)
    mdl.check_file(path)
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value
    return path


def test_escaped_type_name_does_not_hide_a_pickle(tmp_path: Path) -> None:
    text = r'{"n.__metadata__": {"\u005f_TYPE__": "ObjectSerializer"}}'
    with pytest.raises(CheckpointError, match="ObjectSerializer"):
        mdl.check_file(edited(tmp_path / "a.mdl", "n.__metadata__", text))


def test_old_format_is_refused(tmp_path: Path) -> None:
    """cerebras-pytorch unpickles parts of files that call themselves older than 0.5."""
    with pytest.raises(CheckpointError, match=r"format version 0\.4, allowed: 0\.5"):
        mdl.check_file(edited(tmp_path / "a.mdl", "__version__", 0.4))


def external_storage(file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    file.create_dataset(name, shape, "<f4", external=[("secret", 0, 4 * int(np.prod(shape)))])


def external_link(file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    file[name] = h5py.ExternalLink("secret", "numbers")


def soft_link(file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    file["other"] = h5py.ExternalLink("secret", "numbers")
    file[name] = h5py.SoftLink("/other")


def virtual_dataset(file: h5py.File, name: str, shape: tuple[int, ...]) -> None:
    layout = h5py.VirtualLayout(shape, "<f4")
    layout[...] = h5py.VirtualSource("secret", "numbers", shape)
    file.create_virtual_dataset(name, layout)


FAKES = (external_storage, external_link, soft_link, virtual_dataset)
Fake = Callable[[h5py.File, str, tuple[int, ...]], None]


@pytest.mark.parametrize("fake", FAKES)
def test_other_files_are_never_followed(tmp_path: Path, fake: Fake) -> None:
    """Their bytes would end up in what is shared: an export."""
    path = save(tmp_path / "a.mdl", state_of(build_decoder()))
    name, shape = "model.model.ln_f.weight", (32,)
    with h5py.File(path, "r+") as file:
        del file[name]
        fake(file, name, shape)
    for read in (mdl.MdlFile, mdl.check_file):
        with pytest.raises(CheckpointError, match="link to another file") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    assert command_line.main([str(path), str(tmp_path / "export"), "--no-tokenizer"]) == 2
    # A file may be exchanged after it was looked at.
    tensor = StoredTensor(key=name, shape=shape, dtype="float32")
    with (
        mdl.open_complete(path) as file,
        pytest.raises(CheckpointError, match=r"ln_f\.weight in .* is a link to another file"),
    ):
        mdl.open_numbers(file, tensor)


def test_groups_do_not_lead_to_other_files(tmp_path: Path) -> None:
    secret = written(tmp_path / "secret.mdl")
    path = tmp_path / "a.mdl"
    write_mdl({"model": {"w": torch.ones(2)}}, path)
    tensor = StoredTensor(key="group/model.int64", shape=(3,), dtype="int64")
    with h5py.File(path, "r+") as file:
        file["group"] = h5py.ExternalLink(secret.name, "/")
        assert file[tensor.key].shape == (3,)
        with pytest.raises(CheckpointError, match="has no data for group/"):
            mdl.open_numbers(file, tensor)
    with pytest.raises(CheckpointError, match=r"group in .* is a link to another file"):
        mdl.MdlFile(path)


def test_groups_cannot_hide_datasets(tmp_path: Path) -> None:
    path = tmp_path / "a.mdl"
    write_mdl({"model": {"w": torch.ones(2)}}, path)
    with h5py.File(path, "r+") as file:
        file.create_group("hidden")
    with pytest.raises(CheckpointError, match="got group"):
        mdl.check_file(path)


def test_damaged_files_are_one_sentence(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mdl"
    write_mdl({"model": {"w": torch.randn(100, 100)}}, whole)
    cut = tmp_path / "cut.mdl"
    cut.write_bytes(whole.read_bytes()[:-5000])
    for path, message in (
        (cut, "not a complete .mdl"),
        (tmp_path / "absent.mdl", "not found"),
        (edited(tmp_path / "spec.mdl", "__spec__", "[null, 3]"), "damaged"),
    ):
        with pytest.raises(CheckpointError, match=message) as caught:
            mdl.MdlFile(path)
        assert "\n" not in str(caught.value)


def tensor_of(dtypes: object, shapes: object) -> dict[str, object]:
    return {"__TYPE__": "TorchTensorSerializer", "dtypes": dtypes, "shapes": shapes}


def filled_with(value: object) -> dict[str, object]:
    kind = "DeferredFullTensor"
    return {"__TYPE__": kind, "dtype": "float32", "shape": [2], "fill_value": value}


DAMAGED_LEAVES: list[object] = [
    {},
    [],
    tensor_of([], [[2]]),
    tensor_of([3], [[2]]),
    tensor_of(["float32"], []),
    tensor_of(["float32"], [2]),
    tensor_of(["float32"], [["x"]]),
    tensor_of(["float32"], [[-2]]),
    filled_with("x"),
    filled_with([1]),
    filled_with(10**400),
]
DAMAGED_ATTRIBUTES: list[tuple[str, object]] = [
    ("n.__metadata__", "[]"),
    ("n.__metadata__", "3"),
    ("n.__metadata__", np.arange(3)),
    ("__spec__", "[]"),
    ("__spec__", '[null, "[1, 2]"]'),
    ("__spec__", r'[null, "[1, {\"type\": null}]"]'),
    ("__spec__", "[" * 5000),
    ("__version__", "half"),
    ("__SUCCESS__", np.arange(3)),
]


@pytest.mark.parametrize(
    ("name", "value"),
    [("n.__metadata__", json.dumps({"n.__metadata__": leaf})) for leaf in DAMAGED_LEAVES]
    + DAMAGED_ATTRIBUTES,
)
def test_damaged_metadata_is_one_sentence(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(CheckpointError, match=r"the checkpoint .*a\.mdl is damaged, ") as caught:
        mdl.MdlFile(edited(tmp_path / "a.mdl", name, value))
    assert "\n" not in str(caught.value)
    assert PYTHON.search(str(caught.value)) is None


def test_damaged_metadata_is_one_sentence_before_training(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is damaged"):
        mdl.check_file(edited(tmp_path / "a.mdl", "n.__metadata__", "[" * 5000))


def test_link_to_itself_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.mdl"
    text = '{"n.__metadata__": {"__TYPE__": "LinkedObject", "key": "n"}}'
    with pytest.raises(CheckpointError, match="damaged"):
        mdl.MdlFile(edited(path, "n.__metadata__", text))
