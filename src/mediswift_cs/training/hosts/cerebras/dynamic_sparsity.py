"""Two faults of cerebras-pytorch 2.10's methods with masks that change, mended where we use them.

Both make a run that goes on another one than a run without an end in between:

- ``load_state_dict`` empties the saved schedules before it reads them, so that the values of a
  ``cycling`` one, as in our params of gmp, begin anew: a model at 75 % would be told to be dense;
- on CPU and GPU a schedule of ``drop_fraction`` keeps its first value, because it is remembered by
  the step's tensor, which counts in place. On CSX the step is traced and the schedule decays.
"""

from functools import cache, wraps
from typing import Any

from cerebras.pytorch.sparse import DynamicSparsityAlgorithm


@cache
def mend() -> None:
    """Mend the class, once for the process; static masks are not touched."""
    algorithm: Any = DynamicSparsityAlgorithm
    algorithm.update = _forgetting(algorithm.update)
    algorithm.load_state_dict = _loading(algorithm.load_state_dict)


def _forgetting(update: Any) -> Any:
    @wraps(update)
    def forgetting(self: Any, *arguments: Any, **options: Any) -> None:
        update(self, *arguments, **options)
        if hasattr(self, "drop_fraction"):
            self.drop_fraction.cache_clear()

    return forgetting


def _loading(load_state_dict: Any) -> Any:
    @wraps(load_state_dict)
    def loading(self: Any, state: dict[str, Any]) -> None:
        # It takes out what it reads.
        load_state_dict(self, dict(state))
        for parameter in self.sparse_params.values():
            # A schedule that weights share is saved under the name of one of them.
            if saved := state["sparsity"].get(parameter.name):
                self.sparsity[parameter.param].load_state_dict(dict(saved))
        with self._backend.device:
            self.visit_state(lambda value: value.to(self._backend.torch_device))

    return loading
