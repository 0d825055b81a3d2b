"""torch's fused AdamW with ModelZoo's mathematics, and its state in the form of ``.mdl`` files."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import adamw

from mediswift_cs.params.optimizer import AdamWParams
from mediswift_cs.training.parameter_groups import parameter_groups

# After so many updates the bias corrections are exactly 1, for every beta below 0.9999.
_MANY = 2.0**22
# A power of a beta below it says no more than that: float32 has few digits left there. Those of a
# beta of 0 are 0.
_SMALLEST_POWER = 1e-30
_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


class AdamW(adamw.AdamW):
    """AdamW as cerebras-pytorch 2.10 computes it, by torch's fused kernel.

    cerebras-pytorch adds epsilon before the bias correction, torch after it; so torch is given
    another epsilon at each step. All parameters are updated at each step, so that one count of
    updates serves for all.
    """

    def __init__(self, model: nn.Module, params: AdamWParams) -> None:
        # update() sets the rate and the epsilon of each step.
        super().__init__(
            parameter_groups(model, params),
            betas=params.betas,
            amsgrad=params.amsgrad,
            fused=True,
        )
        self.params = params
        # As after infinitely many updates, where there is to be no correction.
        self.num_updates = 0.0 if params.correct_bias else _MANY
        names = _MOMENTS if params.amsgrad else _MOMENTS[:2]
        for parameter in self._parameters():
            self.state[parameter] = {name: torch.zeros_like(parameter) for name in names}
            self.state[parameter]["step"] = torch.tensor(
                self.num_updates, dtype=torch.float32, device=parameter.device
            )

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def update(self, learning_rate: float) -> None:
        """Change every parameter that has a gradient; its group may multiply the rate."""
        beta2 = self.params.betas[1]
        correction = 1.0 - beta2 ** (self.num_updates + 1.0)
        for group in self.param_groups:
            group["lr"] = learning_rate * _scale(group)
            group["eps"] = self.params.eps / math.sqrt(correction)
        self.step()
        if self.params.correct_bias:
            self.num_updates += 1.0

    def to_state(self, learning_rate: float) -> dict[str, Any]:
        """The state as cerebras-pytorch's AdamW has it, with powers of the betas for a count.

        ``learning_rate`` is that of the next update.
        """
        packed = self.state_dict()
        settings = self.params.model_dump(include={"betas", "correct_bias", "amsgrad", "eps"})
        own = ("weight_decay", "adjust_learning_rate", "params")
        powers = self._powers() if self.params.correct_bias else {}
        return {
            "state": {
                number: {name: state[name] for name in _MOMENTS if name in state} | powers
                for number, state in packed["state"].items()
            },
            "param_groups": [
                {
                    **{name: group[name] for name in own if name in group},
                    **settings,
                    "lr": learning_rate * _scale(group),
                    "l2_regularization_rate": 0.0,
                }
                for group in packed["param_groups"]
            ],
        }

    def _powers(self) -> dict[str, Tensor]:
        # They are those that the next update corrects with.
        return {
            f"beta{number}_power": torch.tensor(beta ** (self.num_updates + 1.0))
            for number, beta in enumerate(self.params.betas, start=1)
        }

    def from_state(self, state: Mapping[str, Any]) -> None:
        """Take over moments and count; settings stay those of the params.

        Raises:
            KeyError, ValueError: it is of other parameters.
        """
        numbers = [number for group in state["param_groups"] for number in group["params"]]
        parameters = self._parameters()
        sizes, allowed = (
            [len(group["params"]) for group in groups]
            for groups in (state["param_groups"], self.param_groups)
        )
        if sizes != allowed:
            raise ValueError(
                f"it has parameters in groups of {sizes}, allowed: {allowed} (biases and norms "
                "decay otherwise, adjust_learning_rate makes further groups)"
            )
        for number, parameter in zip(numbers, parameters, strict=True):
            saved, own = state["state"][number], self.state[parameter]
            for name in own.keys() - {"step"}:
                if saved[name].shape != parameter.shape:
                    raise ValueError(
                        f"{name} {number} has shape {list(saved[name].shape)}, allowed: "
                        f"{list(parameter.shape)}"
                    )
                own[name].copy_(saved[name])
        if self.params.correct_bias:
            betas = state["param_groups"][0]["betas"]
            self.num_updates = _count(state["state"][numbers[0]], betas)
        for parameter in parameters:
            self.state[parameter]["step"].fill_(self.num_updates)


def _scale(group: Mapping[str, Any]) -> float:
    """What the scheduled rate is multiplied with for a group."""
    scale: float = group.get("adjust_learning_rate", 1.0)
    return scale


def _count(saved: Mapping[str, Any], betas: Sequence[float]) -> float:
    """How many updates the powers of ``betas``, with which they were saved, stand for."""
    # The larger beta leaves float32's range last, and tells the count until then.
    beta, name = max(zip(betas, ("beta1_power", "beta2_power"), strict=True))
    power = float(saved[name])
    if power < _SMALLEST_POWER:
        return _MANY
    return max(0.0, round(math.log(power) / math.log(beta)) - 1.0)
