"""The closed form against the published shapes; without torch."""

import json
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from mediswift_cs.cli import main
from mediswift_cs.errors import ConfigError
from mediswift_cs.flops import DecoderShape, Flops, num_kept, run_flops, shape_of_size
from mediswift_cs.params.schema import ModelParams
from mediswift_cs.sizes import SIZES, SPARSITY_LEVELS

LENGTH = 24
TOY = ModelParams(
    name="mediswift",
    vocab_size=113,
    hidden_size=36,
    num_hidden_layers=3,
    num_heads=4,
    filter_size=100,
    max_position_embeddings=LENGTH,
    dropout_rate=0.0,
    attention_dropout_rate=0.0,
)


def toy_shape(sparsity: float = 0.0, num_hidden_layers: int = 3) -> DecoderShape:
    width, inner = TOY.hidden_size, TOY.filter_size
    return DecoderShape(
        num_hidden_layers=num_hidden_layers,
        hidden_size=width,
        num_heads=TOY.num_heads,
        vocab_size=TOY.vocab_size,
        sequence_length=LENGTH,
        num_projection_weights=num_hidden_layers * 4 * num_kept(width * width, sparsity),
        num_feed_forward_weights=num_hidden_layers * 2 * num_kept(width * inner, sparsity),
    )


# The training FLOPs of 104,857,600,000 tokens at 2,048 tokens a sequence, softmax term included.
EXPECTED = {
    "med": ("2.864e+20", "1.914e+20", "1.440e+20"),
    "large": ("4.409e+20", "2.805e+20", "2.004e+20"),
    "xl": ("9.521e+20", "5.722e+20", "3.822e+20"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_table_of_the_published_sizes(name: str) -> None:
    size = SIZES[name]
    found = []
    for sparsity in SPARSITY_LEVELS.values():
        flops = shape_of_size(size, sparsity).training_flops(with_softmax=True)
        found.append(f"{run_flops(flops, size.num_tokens, size.max_position_embeddings).total:.3e}")
    assert tuple(found) == EXPECTED[name]


def test_paper_range_is_the_75_percent_column() -> None:
    def ratio(name: str) -> float:
        dense, sparse = (
            shape_of_size(SIZES[name], level).training_flops(with_softmax=True).total
            for level in (0.0, 0.75)
        )
        return dense / sparse

    assert [f"{ratio(name):.2f}" for name in ("med", "large", "xl")] == ["1.99", "2.20", "2.49"]


@pytest.mark.parametrize("tokens", [0, -2048, 2049])
def test_tokens_must_be_whole_sequences(tokens: int) -> None:
    with pytest.raises(ConfigError, match="tokens of the run"):
        run_flops(toy_shape().training_flops(), tokens, 2048)


@pytest.mark.parametrize("sparsity", [1.0, 1.75, -0.1])
def test_sparsity_outside_its_range_is_refused(sparsity: float) -> None:
    with pytest.raises(ConfigError, match="sparsity"):
        num_kept(100, sparsity)


def test_a_run_of_one_sequence() -> None:
    one = toy_shape().training_flops(with_softmax=True)
    assert run_flops(one, 2048, 2048) == one
    assert run_flops(one, 3 * 2048, 2048).total == 3 * one.total


def test_counts_cannot_be_changed_or_mistaken_for_one_another() -> None:
    shape = toy_shape()
    for value, name in ((shape, "hidden_size"), (shape.forward_flops(), "head")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, 1)
        with pytest.raises(TypeError, match="positional"):
            type(value)(*(1 for _ in fields(value)))


def test_a_dense_matrix_is_kept_to_the_last_weight() -> None:
    # float32, which the masks are counted in, has no such number.
    num_weights = 2**24 + 1
    assert num_kept(num_weights, 0.0) == num_weights
    assert num_kept(num_weights, 2.0**-24) < num_weights


def test_command_prints_the_size_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flops"]) == 0
    printed = capsys.readouterr().out
    for row in EXPECTED.values():
        for cell in row:
            assert cell in printed
    assert "2-2.5x" in printed


def test_command_counts_a_params_file_by_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "flops.json"
    assert main(["flops", "mediswift_xl_75.yaml", "--softmax", "--json", str(file)]) == 0
    assert "dense / sparse: 2.49x" in capsys.readouterr().out
    (report,) = json.loads(file.read_text())["params"]
    parts = report["sparse"]["training_run"]
    total = parts.pop("total")
    assert sum(parts.values()) == total
    assert f"{total:.3e}" == EXPECTED["xl"][2]
    size = SIZES["xl"]
    per_sequence = shape_of_size(size, 0.75).training_flops(with_softmax=True).total
    assert report["sparse"]["training_per_sequence"]["total"] == per_sequence
    assert list(tmp_path.iterdir()) == [file]


def test_command_refuses_wrong_tokens(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flops", "mediswift_tiny_75.yaml", "--tokens", "100"]) == 2
    assert "tokens of the run: got 100" in capsys.readouterr().err
    assert main(["flops", "--tokens", "0"]) == 2
    assert main(["flops", "mediswift_nosuch.yaml"]) == 2


def test_only_the_filtered_weights_are_cheaper(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    from mediswift_cs.params.load import find_params_file

    raw = yaml.safe_load(find_params_file("mediswift_tiny_75.yaml").read_text())
    raw["trainer"]["init"]["sparsity"]["param_filter"] = ["*linear_layer.weight"]
    params, file = tmp_path / "feed_forward.yaml", tmp_path / "flops.json"
    params.write_text(yaml.safe_dump(raw))
    assert main(["flops", str(params), "--json", str(file)]) == 0
    (report,) = json.loads(file.read_text())["params"]
    dense, sparse = (report[kind]["forward_per_sequence"] for kind in ("dense", "sparse"))
    assert sparse["projections"] == dense["projections"]
    assert sparse["feed_forward"] * 4 == dense["feed_forward"]


def test_the_softmax_counts_only_where_it_is_asked_for() -> None:
    assert Flops(projections=1, attention_scores=10, feed_forward=100, head=1000).total == 1111
