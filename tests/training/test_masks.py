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
