"""The maps' product on GPUs: half-precision factors, a result in fp32.

CPUs have no kernel for torch's operator. Here they get one for the time of a test, so that our part
(choice, shapes, gradient) runs with numbers; the kernel's own numbers need a GPU.
"""

from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from torch import Tensor

from repo_model import attention
from repo_model.attention import PositionMap, WideProduct
from tests.devices import fake


@pytest.fixture
def on_cpu() -> Iterator[None]:
    """torch's operator for CPUs, as CUDA computes it."""
    if not hasattr(torch.ops.aten.mm, "dtype"):
        pytest.skip("this torch has no product with another result's type")

    def product(x: Tensor, y: Tensor, out_dtype: torch.dtype) -> Tensor:
        return x.to(out_dtype) @ y.to(out_dtype)

    library = torch.library.Library("aten", "IMPL")
    library.impl("mm.dtype", product, "CPU")
    yield
    library._destroy()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_result_is_not_rounded_and_gradients_are_the_linear_s(
    device: str, request: pytest.FixtureRequest
) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    if device == "cpu":
        request.getfixturevalue("on_cpu")
    torch.manual_seed(0)
    given = torch.randn(2, 5, 64).to(device, torch.bfloat16)
    layer = PositionMap(64, 8).to(device, torch.bfloat16)
    exact = given.double() @ layer.weight.double().T
    found = {}
    for wide in (False, True):
        x = given.clone().requires_grad_()
        layer.weight.grad = None
        with mock.patch.object(attention, "_has_wide_product", return_value=wide):
            y = layer(x)
        assert y.dtype == torch.float32 and y.shape == (2, 5, 8)
        y.square().sum().backward()
        assert x.grad is not None and layer.weight.grad is not None
        found[wide] = (y.double() - exact).abs().max(), x.grad, layer.weight.grad
    assert found[True][0] < found[False][0] / 100
    for one, other in zip(found[True][1:], found[False][1:], strict=True):
        torch.testing.assert_close(one, other, atol=0.05, rtol=0.05)


def test_it_is_taken_on_a_gpu_in_half_precision_alone() -> None:
    with fake.device("cuda") as gpu:
        for dtype, wide in ((torch.bfloat16, True), (torch.float32, False)):
            x = torch.empty(2, 5, 64, dtype=dtype, device=gpu)
            assert attention._has_wide_product(x) == wide
            with mock.patch.object(WideProduct, "apply", wraps=WideProduct.apply) as taken:
                y = fake.place(PositionMap(64, 8), gpu)(x)
            assert taken.called == wide
            assert (y.dtype, y.shape, y.device.type) == (torch.float32, (2, 5, 8), "cuda")
    assert not attention._has_wide_product(torch.empty(2, 64, dtype=torch.bfloat16))
