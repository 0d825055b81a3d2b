"""``trainer.init.sparsity``: static weight sparsity (cerebras.pytorch.sparse 2.10)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Lt

from mediswift_cs.params.section import Real, Section, StringList

SparsityLevel = Annotated[Real, Ge(0.0), Lt(1.0)]


class SparsityParams(Section):
    """The level, the first mask and the weights that have one.

    sparsity is the fraction of zeros: 0.75 keeps a quarter of each matrix. The mask never
    changes; cerebras.pytorch's dynamic algorithms (rigl, set, gmp) are not covered.
    """

    # Of the dynamic algorithms.
    not_covered: ClassVar[Mapping[str, tuple[Any, ...]]] = dict.fromkeys(
        ("balance_in_groups", "balance_out_groups", "drop_fraction", "update"), (None,)
    )

    algorithm: Literal["static"] = "static"
    sparsity: SparsityLevel
    init_method: Literal["random", "topk", "from_zeros", "checkerboard"] = "random"
    param_filter: StringList | None = None
    """Glob patterns of parameter names; None is cerebras.pytorch's default filter."""

    @classmethod
    def _longhand(cls, data: Any) -> Any:
        """ModelZoo also writes a number, or a list of one mapping."""
        if isinstance(data, list) and len(data) == 1:
            (data,) = data
        is_number = isinstance(data, int | float) and not isinstance(data, bool)
        return {"sparsity": data} if is_number else data

    @classmethod
    def _completed(cls, data: dict[str, Any]) -> dict[str, Any]:
        """ModelZoo also writes `schedule` for `sparsity`, and names in any case."""
        data = dict(data)
        if "schedule" in data and "sparsity" not in data:
            data["sparsity"] = data.pop("schedule")
        if isinstance(data.get("algorithm"), str):
            data["algorithm"] = data["algorithm"].lower()
        return data
