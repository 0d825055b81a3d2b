"""What every section of a params file has in common: no unknown key, no silent conversion."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Gt, Le, Lt
from pydantic import (
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Strict,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError


def _refuse_bool(value: object) -> object:
    # YAML's `yes` and `on` are true, and pydantic would read true as 1.0.
    if isinstance(value, bool):
        raise ValueError("a number")
    return value


def as_list(value: object) -> object:
    """ModelZoo takes one value in the place of a list of one."""
    return [value] if isinstance(value, dict | str) else value


# YAML writes 1e-8 without a dot as text, so numbers may come as text; ModelZoo reads them too.
# Bounds are annotated_types, not Field(): two Field() in one Annotated lose "required"
# (pydantic 2.8).
FLOAT_MAX = 3.4028234663852886e38  # of float32, which every tensor here holds at most
Real = Annotated[
    float, BeforeValidator(_refuse_bool), AllowInfNan(False), Ge(-FLOAT_MAX), Le(FLOAT_MAX)
]
NonNegativeReal = Annotated[Real, Ge(0.0)]
PositiveReal = Annotated[Real, Gt(0.0)]
Rate = Annotated[Real, Ge(0.0), Le(1.0)]
RateBelowOne = Annotated[Real, Ge(0.0), Lt(1.0)]
# Tensors, which count steps and seed generators, end here.
INT_END = 2**63
Count = Annotated[int, Strict(), Ge(0), Lt(INT_END)]
PositiveCount = Annotated[int, Strict(), Ge(1), Lt(INT_END)]
Flag = Annotated[bool, Strict()]
# Empty text would stand for the current folder.
PathText = Annotated[str, StringConstraints(min_length=1)]
StringList = Annotated[list[str], BeforeValidator(as_list)]


class Section(BaseModel):
    """A mapping of a params file: attribute names are YAML keys, unknown keys are errors.

    Frozen; change a value with an override of :func:`mediswift_cs.params.load.load_params`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    not_covered: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Keys of ModelZoo that this package does not cover, with the values that ask for nothing."""

    reasons: ClassVar[Mapping[str, str]] = {}
    """Why some of these are not covered, and what can be written in their place."""

    ours: ClassVar[frozenset[str]] = frozenset()
    """Keys that ModelZoo itself does not have; all others are its own."""

    described: ClassVar[str] = ""
    """What messages say is allowed here, where that is more than a mapping."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, data: Any) -> Any:
        data = cls._longhand(data)
        if not isinstance(data, dict):
            return data
        # `0 == False` in Python, so the type counts for flags.
        return {
            key: value
            for key, value in cls._completed(data).items()
            if not any(
                value == neutral and isinstance(value, bool) == isinstance(neutral, bool)
                for neutral in cls.not_covered.get(key, ())
            )
        }

    @classmethod
    def _longhand(cls, data: Any) -> Any:
        """The mapping that a subclass's shorthand stands for."""
        return data

    @classmethod
    def _completed(cls, data: dict[str, Any]) -> dict[str, Any]:
        """The mapping with what a subclass makes of its keys."""
        return data


class OneNamed(Section):
    """A mapping with one key that names a class, such as ``AdamW: {...}``.

    Each subclass has one optional field for each class that can be named. As in ModelZoo, names
    may be written in any case.
    """

    null_is_allowed: ClassVar[bool] = False
    """Whether ``Name: null`` says something else than ``Name: {}``."""

    @classmethod
    def _completed(cls, data: dict[str, Any]) -> dict[str, Any]:
        given = [str(name).lower() for name in data]
        names = [name for name in cls.model_fields if [name.lower()] == given]
        if not names:
            raise PydanticCustomError("one_name", "one name")
        (value,) = data.values()
        return {names[0]: {} if value is None and not cls.null_is_allowed else value}

    @property
    def name(self) -> str:
        """The class that is named."""
        (name,) = self.model_fields_set
        return name

    @property
    def arguments(self) -> Section | None:
        """The arguments of the class that is named; None for ``Name: null``."""
        arguments = getattr(self, self.name)
        assert arguments is None or isinstance(arguments, Section)
        return arguments
