"""The shipped files: rendered, complete, and found from anywhere."""

import difflib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mediswift_cs.params.load import load_params, shipped_files
from mediswift_cs.params.recipes import (
    differences,
    render,
    render_all,
    render_all_finetuning,
    rendered_files,
    write,
)
from mediswift_cs.sizes import DYNAMIC_METHODS, RECIPE, SIZES, SPARSITY_LEVELS, Mark

ROOT = Path(__file__).resolve().parents[2]
RENDERED = render_all()
SPARSITY_BLOCK_LENGTH = 8


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_params_file_is_the_rendering(name: str) -> None:
    text = (ROOT / "params" / name).read_text(encoding="utf-8")
    assert text == RENDERED[name], "run: python -m mediswift_cs.params --write"


def test_there_is_a_file_for_each_size_and_level() -> None:
    plain = [name for name in RENDERED if name.count("_") == 2]
    assert len(plain) == len(SIZES) * len(SPARSITY_LEVELS) == 12
    # Only what is sparse has something to correct.
    corrected = [name for name in RENDERED if name.endswith("_supar.yaml")]
    assert len(corrected) == len(SIZES) * 2
    dynamic = {f"mediswift_{name}_75_{how}.yaml" for name in SIZES for how in DYNAMIC_METHODS}
    assert set(RENDERED) == {*plain, *corrected, *dynamic}
    assert len(dynamic) == 12
    top_level = {path.name for path in (ROOT / "params").glob("*.yaml")}
    assert top_level == set(RENDERED)


def test_deviations_page_is_the_rendering_and_lists_every_number() -> None:
    text = (ROOT / "docs" / "deviations.md").read_text(encoding="utf-8")
    rendered = rendered_files()["docs/deviations.md"]
    assert text == rendered, "run: python -m mediswift_cs.params --write"
    for name, source in {**SIZES["xl"].sources, **RECIPE.sources}.items():
        assert source.mark in (Mark.INFERRED, Mark.DEFAULT)
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
        assert f"| {source.mark} | {source.why} |" in line


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", ["50", "75"])
def test_a_sparse_file_differs_from_its_dense_sibling_in_the_block_only(
    size: str, level: str
) -> None:
    dense = render(SIZES[size], "dense").splitlines()
    sparse = render(SIZES[size], level).splitlines()
    diff = list(difflib.ndiff(dense, sparse))
    removed = [line for line in diff if line.startswith("- ")]
    added = [line for line in diff if line.startswith("+ ")]
    assert all(line.startswith("- #") for line in removed), removed  # the title in the header
    body = [line for line in added if not line.startswith("+ #")]
    assert len(body) == SPARSITY_BLOCK_LENGTH
    assert body[1] == "+     sparsity:"

    raw_dense, raw_sparse = (yaml.safe_load("\n".join(text)) for text in (dense, sparse))
    block = raw_sparse["trainer"]["init"].pop("sparsity")
    assert raw_sparse == raw_dense
    assert block["sparsity"] == SPARSITY_LEVELS[level]


@pytest.mark.parametrize("name", sorted(RENDERED))
def test_shipped_files_have_no_problem(name: str) -> None:
    loaded = load_params(name, check_data="none")
    init = loaded.params.trainer.init
    size, level = name.removeprefix("mediswift_").removesuffix(".yaml").split("_")[:2]
    assert init.model.num_hidden_layers == SIZES[size].num_hidden_layers
    assert init.schedulers[0].total_iters == init.loop.max_steps
    assert loaded.notes == ()
    if level == "dense":
        assert init.sparsity is None
    else:
        assert init.sparsity is not None
        assert init.sparsity.level_after(init.loop.max_steps or 0) == SPARSITY_LEVELS[level]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", DYNAMIC_METHODS)
def test_a_dynamic_file_differs_from_the_static_one_in_the_method_only(
    size: str, method: str
) -> None:
    static, dynamic = (
        yaml.safe_load(render(SIZES[size], "75", method=how))["trainer"]
        for how in ("static", method)
    )
    before, after = (each["init"].pop("sparsity") for each in (static, dynamic))
    assert static == dynamic
    assert after["algorithm"] == method
    assert after["param_filter"] == before["param_filter"]
    end = 0.75 * static["init"]["loop"]["max_steps"]
    if method == "gmp":
        values, update = after["sparsity"]["values"], after["update"]
        last = update["freq"] * (len(values) - 1)
        assert (last, update["stop"]) == (end, end + 1)
        for index, value in enumerate(values):
            left = 1 - index * update["freq"] / last
            assert value == pytest.approx(0.75 * (1 - left**3), abs=1e-6)
    else:
        assert after["sparsity"] == before["sparsity"] == 0.75
        assert after["update"]["stop"] == after["drop_fraction"]["half_period"] == end


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("level", ["50", "75"])
def test_a_corrected_file_differs_in_what_the_density_changes_only(size: str, level: str) -> None:
    plain, corrected = (
        yaml.safe_load(render(SIZES[size], level, is_corrected=is_corrected))["trainer"]
        for is_corrected in (False, True)
    )
    density = 1.0 - SPARSITY_LEVELS[level]
    adjusted = corrected["init"]["optimizer"]["AdamW"].pop("adjust_learning_rate")
    assert adjusted == {"decoder_kernel": pytest.approx(1 / density)}
    for name in ("initializer", "output_layer_initializer"):
        before, after = (each["init"]["model"].pop(name) for each in (plain, corrected))
        for key in ("std", "a", "b"):
            assert after[key] == pytest.approx(before[key] / density**0.5)
    assert corrected == plain


def test_every_number_of_a_file_has_the_type_that_it_looks_like() -> None:
    # YAML 1.1 reads 6e-05 as text.
    def scalars(node: object) -> list[object]:
        children = node.values() if isinstance(node, dict) else node
        if isinstance(node, dict | list):
            return [s for child in children for s in scalars(child)]  # type: ignore[union-attr]
        return [node]

    def numbers_read_as_text(text: str) -> list[object]:
        looks_like_a_number = re.compile(r"[-+]?[0-9.]+(e[-+]?[0-9]+)?").fullmatch
        found = scalars(yaml.safe_load(text))
        return [value for value in found if isinstance(value, str) and looks_like_a_number(value)]

    for text in RENDERED.values():
        assert numbers_read_as_text(text) == []
    assert numbers_read_as_text(RENDERED["mediswift_xl_75.yaml"].replace("1.0e-08", "1e-08")) == [
        "1e-08"
    ]


def test_a_bare_name_is_found_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_params("mediswift_xl_75.yaml", check_data="none").params.trainer
    assert load_params("mediswift_xl_75", check_data="none").params.trainer
    assert sorted(shipped_files()) == sorted({**RENDERED, **render_all_finetuning()})


def test_a_built_package_has_the_files(tmp_path: Path) -> None:
    for name in ("setup.cfg", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "params", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    command = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q"]
    subprocess.run(
        [*command, "build", "--build-lib", "out"], cwd=tmp_path, check=True, capture_output=True
    )
    built = tmp_path / "out"
    code = (
        "from mediswift_cs.params.load import load_params\n"
        "print(load_params('mediswift_xl_75.yaml', check_data='none').source)"
    )
    shutil.rmtree(tmp_path / "params")  # so that it cannot be found as a checkout's
    output = subprocess.run(
        [sys.executable, "-c", code],
        cwd="/",
        env={"PYTHONPATH": str(built)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert output.stdout.strip().startswith(str(built))


def test_check_finds_a_changed_file_and_write_mends_it(tmp_path: Path) -> None:
    write(tmp_path)
    assert differences(tmp_path) == []
    changed = tmp_path / "params" / "mediswift_med_50.yaml"
    changed.write_text(changed.read_text().replace("num_heads: 16", "num_heads: 8"))
    (diff,) = differences(tmp_path)
    assert "-      num_heads: 8" in diff
    assert "+      num_heads: 16" in diff
    (tmp_path / "docs" / "deviations.md").unlink()
    assert len(differences(tmp_path)) == 2
    write(tmp_path)
    assert differences(tmp_path) == []
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(rendered_files())
