"""The rotation as a torch.library operator, which torch.compile keeps whole.

`repo_model::rotate_v1` has a fake implementation and an autograd formula; on CUDA it runs the
Triton kernels, elsewhere the vectorised path. A process may import this file twice (this package,
and the copy inside a checkpoint loaded with trust_remote_code): the second import takes the first
one's operator. Raise the number when the operator's meaning changes.
"""

from collections.abc import Callable
from typing import Any

import torch

from .rotary_triton import HAS_TRITON, triton_backward, triton_forward
from .rotary_vectorized import cos_sin, position_gradient, turn

NAME = "rotate_v1"


def fused_on(tensor: torch.Tensor, z_BTK: torch.Tensor) -> bool:
    """Whether the Triton kernels take these tensors: on CUDA, with Triton, not in fp64."""
    return HAS_TRITON and tensor.is_cuda and z_BTK.dtype == torch.float32


def _forward(
    q: torch.Tensor, k: torch.Tensor, z: torch.Tensor, inv_freq: torch.Tensor, magnitude: float
) -> tuple[torch.Tensor, torch.Tensor]:
    if fused_on(q, z):
        return triton_forward(q, k, z, inv_freq, magnitude)
    cos, sin = cos_sin(z, inv_freq, magnitude)
    return turn(q, cos, sin), turn(k, cos, sin)


def _backward(
    gq: torch.Tensor,
    gk: torch.Tensor,
    yq: torch.Tensor,
    yk: torch.Tensor,
    z: torch.Tensor,
    inv_freq: torch.Tensor,
    magnitude: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if fused_on(yq, z):
        return triton_backward(gq, gk, yq, yk, z, inv_freq, magnitude)
    cos, sin = cos_sin(z, inv_freq, magnitude)
    dz = position_gradient((gq, gk), (yq, yk), inv_freq, z.shape[2]).to(z.dtype)
    return turn(gq, cos, sin, sign=-1), turn(gk, cos, sin, sign=-1), dz


def _like(x: torch.Tensor) -> torch.Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


def _define() -> Callable[..., tuple[torch.Tensor, torch.Tensor]]:
    rotate = torch.library.custom_op(f"repo_model::{NAME}", _forward, mutates_args=())
    backward = torch.library.custom_op(f"repo_model::{NAME}_backward", _backward, mutates_args=())
    rotate.register_fake(lambda q, k, z, inv_freq, magnitude: (_like(q), _like(k)))
    backward.register_fake(lambda gq, gk, yq, yk, z, f, magnitude: (_like(yq), _like(yk), _like(z)))

    def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
        z, inv_freq, ctx.magnitude = inputs[2:]
        ctx.save_for_backward(*output, z, inv_freq)

    def differentiate(ctx: Any, gq: torch.Tensor, gk: torch.Tensor) -> tuple[Any, ...]:
        return (*backward(gq, gk, *ctx.saved_tensors, ctx.magnitude), None, None)

    rotate.register_autograd(differentiate, setup_context=keep)
    return rotate


rotate_op: Callable[..., tuple[torch.Tensor, torch.Tensor]] = (
    getattr(torch.ops.repo_model, NAME) if hasattr(torch.ops.repo_model, NAME) else _define()
)
