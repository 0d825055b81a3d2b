"""How fast machines train, as others have published it; none of these numbers was measured here.

What is not published is an assumption, and marked so (the marks are those of sizes.py).
"""

from dataclasses import dataclass

from mediswift_cs.sizes import Mark, Source

# bfloat16 operations a second without structured sparsity, the multiply and the add counted, from
# the makers' data sheets: the first name that is part of the device's own.
GPU_PEAKS = {
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


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One system or one GPU.

    Attributes:
        peak_flops: operations a second in 16 bits, dense.
        utilization: the share of the peak that training reaches.
        skips_zeros: whether the product with a masked weight is not done.
    """

    name: str
    peak_flops: float
    peak_source: Source
    utilization: float
    utilization_source: Source
    skips_zeros: bool = False

    @property
    def flops(self) -> float:
        """Operations a second that training reaches."""
        return self.peak_flops * self.utilization


_DATA_SHEET = Source(Mark.QUOTED, "NVIDIA's data sheet: bfloat16, SXM, without structured sparsity")


def _llm_foundry(smaller: str) -> Source:
    return Source(
        Mark.QUOTED,
        "MosaicML, llm-foundry/scripts/train/benchmarking: a GPT of 1.3 billion parameters, "
        f"sequences of 2,048, 8 GPUs; {smaller}",
    )


CS2 = Machine(
    name="CS-2",
    peak_flops=7.5e15,
    peak_source=Source(
        Mark.COMPUTED,
        "Cerebras, November 2022: 120 petaFLOPS of dense 16-bit compute for Andromeda's 16 CS-2",
    ),
    utilization=0.25,
    utilization_source=Source(
        Mark.DEFAULT,
        "an assumption: no published share of the peak was found; --cs-utilization sets another",
    ),
    skips_zeros=True,
)
GPUS = {
    gpu.name: gpu
    for gpu in (
        Machine(
            name="H100",
            peak_flops=GPU_PEAKS["H100"],
            peak_source=_DATA_SHEET,
            utilization=0.4182,
            utilization_source=_llm_foundry("0.349 with 760 million"),
        ),
        Machine(
            name="A100",
            peak_flops=GPU_PEAKS["A100"],
            peak_source=_DATA_SHEET,
            utilization=0.5986,
            utilization_source=_llm_foundry("0.569 with 760 million, 0.516 with 350 million"),
        ),
    )
}
