"""``trainer.init.sparsity``: static weight sparsity (cerebras.pytorch.sparse 2.10)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Lt
from pydantic import BeforeValidator, model_validator

from mediswift_cs.params.section import Real, Section

# cerebras-pytorch names the mask of a weight so: a buffer beside it.
MASK_SUFFIX = "_mask"

SparsityLevel = Annotated[Real, Ge(0.0), Lt(1.0)]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class SparsityParams(Section):
    """The level, the first mask and the weights that have one.

    sparsity is the fraction of zeros: 0.75 keeps a quarter of each matrix. The mask never
    changes; cerebras.pytorch's dynamic algorithms (rigl, set, gmp) are not covered.
    """

    not_covered: ClassVar[Mapping[str, tuple[Any, ...]]] = {
        # of the dynamic algorithms
        "balance_in_groups": (None,),
        "balance_out_groups": (None,),
        "drop_fraction": (None,),
        "update": (None,),
    }

    algorithm: Literal["static"] = "static"
    sparsity: SparsityLevel
    init_method: Literal["random", "topk", "from_zeros", "checkerboard"] = "random"
    param_filter: Annotated[list[str], BeforeValidator(_as_list)] | None = None
    """Glob patterns of parameter names; None is cerebras.pytorch's default filter."""

    @model_validator(mode="before")
    @classmethod
    def _one_group(cls, data: Any) -> Any:
        """ModelZoo also writes a number, a list of one mapping, or `schedule` for `sparsity`."""
        if isinstance(data, list) and len(data) == 1:
            (data,) = data
        if isinstance(data, int | float) and not isinstance(data, bool):
            return {"sparsity": data}
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if "schedule" in data and "sparsity" not in data:
            data["sparsity"] = data.pop("schedule")
        if isinstance(data.get("algorithm"), str):
            data["algorithm"] = data["algorithm"].lower()
        return data
