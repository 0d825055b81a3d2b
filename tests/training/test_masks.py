"""Masks of the host torch: bit for bit those that cerebras-pytorch draws."""

import cerebras.pytorch as cstorch
import pytest
import torch

from mediswift_cs.params.sparsity import SparsityParams
from mediswift_cs.training.hosts.torch.draws import OwnGenerators
from mediswift_cs.training.masks import draw_mask

pytestmark = pytest.mark.usefixtures("cpu_backend")


@pytest.mark.parametrize("init_method", ["random", "topk", "from_zeros", "checkerboard"])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.75, 0.9, 0.975])
def test_masks_have_the_bits_of_cerebras_pytorch(init_method: str, sparsity: float) -> None:
    module = torch.nn.Linear(48, 33, bias=False)
    with torch.no_grad():
        module.weight[::3] = 0
    params = SparsityParams.model_validate({"sparsity": sparsity, "init_method": init_method})
    algorithm = cstorch.sparse.configure(params.model_dump(exclude_none=True))
    algorithm.sparsify_parameter(module, "weight", module.weight)
    torch.manual_seed(3)
    algorithm.initialize()
    expected = module.get_buffer("weight_mask")
    torch.manual_seed(3)
    with OwnGenerators():  # type: ignore[no-untyped-call]
        found = draw_mask(module.weight, params)
    assert torch.equal(found, expected)
    if init_method == "random" and sparsity > 0:
        # Control: torch's global generator itself draws others.
        torch.manual_seed(3)
        assert not torch.equal(draw_mask(module.weight, params), expected)


@pytest.mark.parametrize("init_method", ["topk", "random"])
def test_the_first_mask_of_a_schedule_has_its_first_level(init_method: str) -> None:
    schedule = {"type": "cycling", "values": [0.25, 0.5, 0.75]}
    params = SparsityParams.model_validate(
        {
            "algorithm": "gmp",
            "sparsity": schedule,
            "init_method": init_method,
            "update": {"freq": 1, "stop": 9},
        }
    )
    mask = draw_mask(torch.randn(33, 48), params)
    assert int(mask.sum()) == int(0.75 * mask.numel())
