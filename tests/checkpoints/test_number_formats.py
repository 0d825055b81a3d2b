"""Conversions between number formats, with torch as the oracle."""

import numpy as np
import pytest
import torch

from mediswift_cs.checkpoints import number_formats

VALUES = torch.cat(
    [
        torch.randn(4000),
        torch.randn(1000) * 1e30,
        torch.tensor([0.0, -0.0, float("inf"), -float("inf"), 1e-40, 3.4e38, 65504.0, 65520.0]),
        # Exactly between two bfloat16 numbers: ties go to even.
        torch.tensor([1.00390625, 1.01171875, -1.00390625]),
    ]
)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_rounding_is_torchs(dtype: str) -> None:
    ours = number_formats.encode(VALUES.numpy(), dtype)
    rounded = VALUES.to(getattr(torch, dtype))
    theirs = (rounded.view(torch.int16) if dtype == "bfloat16" else rounded).numpy()
    assert ours.tobytes() == theirs.tobytes()
    back = number_formats.decode(ours, dtype)
    assert np.array_equal(back, rounded.float().numpy())


def test_truncation_would_be_noticed() -> None:
    """Control: cutting the low bits off instead of rounding gives other numbers."""
    cut = (VALUES.numpy().view(np.uint32) >> 16).astype(np.uint16).view(np.int16)
    assert not np.array_equal(number_formats.encode(VALUES.numpy(), "bfloat16"), cut)


def test_nan_stays_nan() -> None:
    payloads = np.array([0x7FFFFFFF, 0xFFFFFFFF, 0x7F800001], np.uint32).view(np.float32)
    for dtype in ("bfloat16", "float16"):
        encoded = number_formats.encode(payloads, dtype)
        assert np.isnan(number_formats.decode(encoded, dtype)).all()
        assert number_formats.count_nonfinite(encoded, dtype) == 3


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_counts(dtype: str) -> None:
    values = np.array([1.0, 0.0, -0.0, np.nan, np.inf, -np.inf, -2.0], np.float32)
    bits = number_formats.encode(values, dtype)
    assert number_formats.count_nonfinite(bits, dtype) == 3
    assert number_formats.count_nonfinite(bits[:3], dtype) == 0
    expected = [True, False, False, True, True, True, True]
    assert number_formats.is_nonzero(bits, dtype).tolist() == expected


def test_sum_that_overflows_is_looked_at_again() -> None:
    assert number_formats.count_nonfinite(np.full(10, 3e38, np.float32), "float32") == 0
    assert number_formats.count_nonfinite(np.full(10, 60000, np.float16), "float16") == 0
