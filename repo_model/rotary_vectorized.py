"""The rotation and its gradient with as few passes over memory as eager tensor operations allow.

Shapes: B batch, T tokens, H query heads, K key/value heads (H = K * G), D head size, F = D // 2.

The gradient of a position needs no sine: with y the rotated vector and g its gradient,
`dz = sum_i f_i (g2_i y1_i - g1_i y2_i)`, summed over q and k of the heads that share z.
Half the cosines of the official code, which computes them for both halves of a head; written into
two buffers instead of one concatenation per operand. Cosines and sines are kept for the backward
pass: recomputing them is half of its time on a CPU.
"""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

Pair = tuple[torch.Tensor, torch.Tensor]


def cos_sin(z_BTK: torch.Tensor, inv_freq_F: torch.Tensor, magnitude: float) -> Pair:
    """cos_BTKF and sin_BTKF of `z * inv_freq`, times `magnitude`, in z's dtype."""
    angle_BTKF = z_BTK[..., None] * inv_freq_F.to(z_BTK.dtype)
    cos_BTKF, sin_BTKF = angle_BTKF.cos(), angle_BTKF.sin_()
    if magnitude != 1.0:
        cos_BTKF.mul_(magnitude)
        sin_BTKF.mul_(magnitude)
    return cos_BTKF, sin_BTKF


def turn(
    x_BTHD: torch.Tensor, cos_BTKF: torch.Tensor, sin_BTKF: torch.Tensor, sign: int = 1
) -> torch.Tensor:
    """Rotate by +angle (`sign=1`) or -angle (`sign=-1`, the transpose: the gradient of x)."""
    B, T, kv_heads, half = cos_BTKF.shape
    x_BTKGD = x_BTHD.unflatten(2, (kv_heads, -1)).to(cos_BTKF.dtype)
    y_BTKGD = torch.empty(x_BTKGD.shape, dtype=cos_BTKF.dtype, device=x_BTHD.device)
    (x1, x2), (y1, y2) = x_BTKGD.split(half, dim=-1), y_BTKGD.split(half, dim=-1)
    cos, sin = cos_BTKF[:, :, :, None], sin_BTKF[:, :, :, None]
    torch.mul(x1, cos, out=y1).addcmul_(x2, sin, value=-sign)
    torch.mul(x2, cos, out=y2).addcmul_(x1, sin, value=sign)
    return y_BTKGD.view(B, T, -1, 2 * half).to(x_BTHD.dtype)


def position_gradient(
    gradients: Pair, rotated: Pair, inv_freq_F: torch.Tensor, kv_heads: int
) -> torch.Tensor:
    """dz_BTK from the gradients of the rotated q and k and their values."""
    dtype = torch.promote_types(gradients[0].dtype, torch.float32)
    total_BTKF: torch.Tensor | None = None
    for g_BTHD, y_BTHD in zip(gradients, rotated, strict=True):
        (g1, g2), (y1, y2) = (
            x.unflatten(2, (kv_heads, -1)).to(dtype).chunk(2, dim=-1) for x in (g_BTHD, y_BTHD)
        )
        if g1.shape[3] > 1:  # a query group: sum before the next tensor is added
            part_BTKF = (g2 * y1).addcmul_(g1, y2, value=-1).sum(3)
            total_BTKF = part_BTKF if total_BTKF is None else total_BTKF.add_(part_BTKF)
        elif total_BTKF is None:
            total_BTKF = (g2 * y1).addcmul_(g1, y2, value=-1).squeeze(3)
        else:
            total_BTKF.addcmul_(g2.squeeze(3), y1.squeeze(3))
            total_BTKF.addcmul_(g1.squeeze(3), y2.squeeze(3), value=-1)
    assert total_BTKF is not None
    return total_BTKF @ inv_freq_F.to(dtype)


class RotateVectorized(torch.autograd.Function):
    """`RotateVectorized.apply(q_BTHD, k_BTKD, z_BTK, inv_freq_F, magnitude)` -> rotated q, k."""

    @staticmethod
    def forward(
        ctx: Any,
        q_BTHD: torch.Tensor,
        k_BTKD: torch.Tensor,
        z_BTK: torch.Tensor,
        inv_freq_F: torch.Tensor,
        magnitude: float,
    ) -> Pair:
        """Rotate; keep the rotated q and k (attention keeps them anyway), cos and sin."""
        cos_BTKF, sin_BTKF = cos_sin(z_BTK, inv_freq_F, magnitude)
        rotated = turn(q_BTHD, cos_BTKF, sin_BTKF), turn(k_BTKD, cos_BTKF, sin_BTKF)
        ctx.save_for_backward(*rotated, cos_BTKF, sin_BTKF, inv_freq_F)
        return rotated

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gq_BTHD: torch.Tensor, gk_BTKD: torch.Tensor) -> tuple[Any, ...]:
        """Gradients of q, k and z."""
        yq_BTHD, yk_BTKD, cos_BTKF, sin_BTKF, inv_freq_F = ctx.saved_tensors
        dq_BTHD = turn(gq_BTHD, cos_BTKF, sin_BTKF, sign=-1)
        dk_BTKD = turn(gk_BTKD, cos_BTKF, sin_BTKF, sign=-1)
        dz_BTK = None
        if ctx.needs_input_grad[2]:
            kv_heads = cos_BTKF.shape[2]
            dz_BTK = position_gradient(
                (gq_BTHD, gk_BTKD), (yq_BTHD, yk_BTKD), inv_freq_F, kv_heads
            ).to(cos_BTKF.dtype)
        return dq_BTHD, dk_BTKD, dz_BTK, None, None
