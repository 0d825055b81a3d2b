"""What a GPU computes at most, for model FLOPs utilisation; from the makers' data sheets."""

import torch

from mediswift_cs.training import ranks

# bfloat16 operations a second without structured sparsity, the multiply and the add counted: the
# first name that is part of the device's own.
PEAK_FLOPS = {
    "H200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "B200": 2250e12,
    "A100": 312e12,
    "L40S": 362e12,
    "A40": 150e12,
    "RTX 4090": 165e12,
    "V100": 125e12,
}


def peak_flops(device: torch.device) -> float | None:
    """Operations a second of all GPUs of the run at their peak; None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    peaks = (peak for known, peak in PEAK_FLOPS.items() if known in name)
    peak = next(peaks, None)
    return None if peak is None else peak * ranks.num_ranks()
