"""A key that is left out means what cerebras.pytorch makes of it."""

import inspect
from typing import Any

import pytest
from cerebras.appliance.cluster_config import ClusterConfig
from cerebras.pytorch import optim
from cerebras.pytorch.backend import get_backend_args
from cerebras.pytorch.sparse import SET, RigL, utils
from cerebras.pytorch.sparse.static import Static
from pydantic import BaseModel

from mediswift_cs.params.backend import BackendParams, ClusterConfigParams
from mediswift_cs.params.callbacks import CallbackParams
from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.params.optimizer import AdamWParams, SchedulerParams
from mediswift_cs.params.problem import keys_of, section_in
from mediswift_cs.params.schema import InitParams, Params, PrecisionParams
from mediswift_cs.params.section import Section
from mediswift_cs.params.shape import STAND_INS
from mediswift_cs.params.sparsity import (
    EVERY_STEP,
    SCHEDULE_KEYS,
    SparsityParams,
    UpdateParams,
)

# Of the constructors, but not of the YAML files.
NOT_IN_YAML = {"self", "params", "optimizer", "param_group_tags", "kwargs", "schedulers"}


def defaults(function: Any) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    return {name: p.default for name, p in parameters.items() if name not in NOT_IN_YAML}


def ours(section: type[BaseModel]) -> dict[str, Any]:
    return {
        name: inspect.Parameter.empty if info.is_required() else info.get_default()
        for name, info in section.model_fields.items()
        if name not in NOT_IN_YAML
    }


def test_adamw() -> None:
    theirs = defaults(optim.AdamW.__init__)
    del theirs["lr"]  # ModelZoo's 0.1 and cstorch's 0.001: the rules ask for one or a schedule
    mine = ours(AdamWParams)
    del mine["learning_rate"]
    # Read by ModelZoo's trainer, not by its optimizer.
    assert mine.pop("adjust_learning_rate").factors == {}
    assert mine == theirs
    assert mine["eps"] != 1e-8  # the params files say 1e-8, the default is another one


@pytest.mark.parametrize("name", SchedulerParams.model_fields)
def test_schedulers(name: str) -> None:
    theirs = defaults(getattr(optim.lr_scheduler, name).__init__)
    field = SchedulerParams.model_fields[name].annotation
    (section,) = [t for t in field.__args__ if t is not type(None)]  # type: ignore[union-attr]
    mine = ours(section)
    if name == "SequentialLR":
        # ModelZoo's loader computes the milestones, so they may be left out.
        assert mine.pop("milestones") is None
        assert theirs.pop("milestones") is inspect.Parameter.empty
    assert mine == theirs


def test_backends() -> None:
    theirs: dict[str, Any] = {}
    for backend in ("CSX", "CPU", "GPU"):
        args = get_backend_args(backend)
        theirs.update({name: p.default for name, p in args.items() if p.default is not p.empty})
    del theirs["mixed_precision"]  # refused by cerebras.pytorch itself
    mine = ours(BackendParams)
    assert mine.pop("backend_type") is None
    assert mine.pop("compile_dir") is None  # its default is a folder name that is not public
    del theirs["compile_dir"]
    assert mine == theirs


def test_cluster_config() -> None:
    names = set(ClusterConfig.__dataclass_fields__)
    assert set(ClusterConfigParams.model_fields) == names
    theirs = ClusterConfig()
    for name in ("num_csx", "max_wgt_servers", "num_workers_per_csx", "automount", "mount_all"):
        assert ours(ClusterConfigParams)[name] == getattr(theirs, name)


def test_sparsity_is_required_here() -> None:
    assert ours(SparsityParams)["sparsity"] is inspect.Parameter.empty
    assert set(defaults(Static.__init__)) == {"sparsity"}
    assert ours(SparsityParams)["init_method"] == "random"


@pytest.mark.parametrize("name", SCHEDULE_KEYS)
def test_schedules_of_values_have_cerebras_pytorchs_keys(name: str) -> None:
    theirs = defaults(getattr(utils, name.capitalize()).__init__)
    required = [key for key, default in theirs.items() if default is inspect.Parameter.empty]
    keys = SCHEDULE_KEYS[name]
    assert list(keys.required) == required
    assert {key: theirs[key] for key in theirs if key not in required} == keys.optional


def test_updates_of_masks() -> None:
    theirs = defaults(utils.FreqSchedule.__init__)
    assert {key: ours(UpdateParams)[key] for key in ("start", "stop")} == {
        key: theirs[key] for key in ("start", "stop")
    }
    assert EVERY_STEP.freq == theirs["freq"] == 1
    for method in (SET, RigL):
        assert defaults(method.__init__)["drop_fraction"] == 0.3  # what leaving it out means


def sections(section: type[Section], found: set[type[Section]]) -> set[type[Section]]:
    if section not in found:
        found.add(section)
        for info in keys_of(section).values():
            inner = section_in(info.annotation)
            if inner is not None:
                sections(inner, found)
    return found


def test_a_missing_key_has_a_stand_in_or_takes_its_section_along() -> None:
    """Otherwise one missing number would hide the other problems of its section."""
    required = {
        name
        for section in sections(Params, set())
        for name, info in keys_of(section).items()
        if info.is_required()
    }
    # Sections, and arguments of callbacks that nothing else depends on.
    without = {
        "trainer", "init", "model", "train_dataloader", "val_dataloader", "AdamW", "schedulers",
        "k", "n", "keys", "cache_dir", "debug_args_path", "listener_name", "tensor_names",
        "per_example_grad_norms", "num_virtual_tokens", "type",
    }  # fmt: skip
    assert required - without == set(STAND_INS)


def test_precision_left_out_is_float32_without_clipping() -> None:
    precision = InitParams.model_validate({"model": {"name": "mediswift"}}).precision
    assert precision.enabled is False
    assert precision.max_gradient_norm is None
    assert PrecisionParams().enabled is True  # a block that is there, as in ModelZoo


def test_initializers_left_out() -> None:
    model = ModelParams.model_validate({"name": "mediswift", "num_hidden_layers": 8})
    assert (model.initializer.std, model.initializer.a) == (0.02, -0.04)
    assert model.embedding_initializer == model.initializer
    assert model.output_layer_initializer.std == 0.02 / 4
    # As in ModelZoo, an initializer of one's own is that of the outputs too.
    given = {"name": "normal", "std": 0.1}
    model = ModelParams.model_validate({"name": "mediswift", "initializer": given})
    assert model.output_layer_initializer.std == model.initializer.std == 0.1
    model = ModelParams.model_validate({"name": "mediswift", "initializer_range": 0.5})
    assert model.embedding_initializer.b == 1.0


def test_a_callback_that_is_taken_out() -> None:
    callback = CallbackParams.model_validate({"checkloss": None})
    assert (callback.name, callback.arguments) == ("CheckLoss", None)
    callback = CallbackParams.model_validate({"KeepNCheckpoints": {"n": 2}})
    assert callback.KeepNCheckpoints is not None
    assert callback.arguments is callback.KeepNCheckpoints


@pytest.mark.parametrize("given", ["Model, all", ["model", "ALL"], ["all,model"]])
def test_parts_of_a_checkpoint_in_any_spelling(given: str | list[str]) -> None:
    callback = CallbackParams.model_validate(
        {"LoadCheckpointStates": {"load_checkpoint_states": given}}
    )
    assert callback.LoadCheckpointStates is not None
    assert callback.LoadCheckpointStates.names == {"all", "model"}
