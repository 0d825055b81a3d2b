"""Our params files pass ModelZoo's validation, and our model reads the files of its gpt3."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediswift_cs.modelzoo import register
from mediswift_cs.params.load import shipped_files
from mediswift_cs.params.schema import Params

pytestmark = pytest.mark.modelzoo

Validate = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module")
def validate(modelzoo: None) -> Validate:
    """ModelZoo's validate_trainer_params; its schema is built once for each model."""
    register()
    from cerebras.modelzoo.trainer.validate import construct_multi_phase_trainer_config

    adapters: dict[str, Any] = {}

    def run(raw: dict[str, Any]) -> Any:
        name = raw["trainer"]["init"]["model"]["name"]
        if name not in adapters:
            adapters[name] = construct_multi_phase_trainer_config((name,))
        (trainer,) = adapters[name].validate_python(raw, context={"metadata_params": {}})
        return trainer

    return run


@pytest.mark.parametrize("name", sorted(shipped_files()))
def test_shipped_params_file_means_the_same_in_modelzoo(validate: Validate, name: str) -> None:
    text = shipped_files()[name].read_text()
    init = Params(**yaml.safe_load(text)).trainer.init
    theirs = validate(yaml.safe_load(text)).init
    assert theirs.model.config.model_dump() == init.model.model_dump()
    for section in ("precision", "loop", "checkpoint"):
        ours = getattr(init, section).model_dump()
        assert getattr(theirs, section).model_dump() == ours, section
    if init.sparsity is not None:
        (sparsity,) = theirs.sparsity
        ours, given = (each.model_dump(exclude_none=True) for each in (init.sparsity, sparsity))
        assert given.pop("algorithm", "static") == ours.pop("algorithm")
        assert given.get("init_method", "random") == ours.pop("init_method")
        assert given.get("update", {}).items() <= ours.pop("update", {}).items()
        assert {key: given[key] for key in ours} == ours


def make_data_folders(fit: dict[str, Any]) -> None:
    """The folders of both dataloaders, empty, below the working directory."""
    for loader in (fit["train_dataloader"], fit["val_dataloader"]):
        folders = loader["data_dir"]
        for folder in [folders] if isinstance(folders, str) else folders:
            Path(folder).mkdir(parents=True, exist_ok=True)


def gpt3_files() -> list[Path]:
    import cerebras.modelzoo.models.nlp.gpt3 as gpt3

    return sorted((Path(gpt3.__file__).parent / "configs").rglob("*.yaml"))


def test_gpt3_files_are_read_or_refused_by_the_name_of_the_key(
    validate: Validate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pydantic import ValidationError

    # Their stock data processors want the folders of the data to be there.
    monkeypatch.chdir(tmp_path)
    files = gpt3_files()
    with_mup = [path for path in files if "mup" in path.stem or path.parent.name == "muP"]
    assert (len(files), len(with_mup)) == (25, 7)
    for path in files:
        raw = yaml.safe_load(path.read_text())
        raw["trainer"]["init"]["model"]["name"] = "mediswift"
        make_data_folders(raw["trainer"]["fit"])
        if path not in with_mup:
            model = validate(raw).init.model.config
            assert model.hidden_size == raw["trainer"]["init"]["model"]["hidden_size"]
            continue
        with pytest.raises(ValidationError) as refusal:
            validate(raw)
        places = [problem["loc"] for problem in refusal.value.errors()]
        assert {place[:4] for place in places} == {(0, "init", "model", "config")}
        assert {place[4] for place in places} >= {"mup_base_hidden_size", "mup_base_filter_size"}
