"""What a GPU computes at most, for model FLOPs utilisation."""

import torch

from mediswift_cs.machines import GPU_PEAKS
from mediswift_cs.training import ranks


def peak_flops(device: torch.device) -> float | None:
    """Operations a second of all GPUs of the run at their peak; None where it is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    peaks = (peak for known, peak in GPU_PEAKS.items() if known in name)
    peak = next(peaks, None)
    return None if peak is None else peak * ranks.num_ranks()
