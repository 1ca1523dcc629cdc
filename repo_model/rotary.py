"""Rotating queries and keys by real-valued positions, one per key/value head and token.

Shapes: B batch, T tokens, H query heads, K key/value heads (H = K * group), D head size, F = D // 2.
Half-split ("neox") pairing: element i turns with element i + F.
"""

import torch


def rotate(
    q_BTHD: torch.Tensor,
    k_BTKD: torch.Tensor,
    z_BTK: torch.Tensor,
    inv_freq_F: torch.Tensor,
    magnitude: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate q and k by `angle = z * inv_freq`; cos and sin are scaled by `magnitude` (YaRN).

    Angles, cos, sin and products are in z's dtype (fp32, or fp64 for an fp64 model); the results are
    cast once, at the end, to the dtypes of q and k. Query head h uses position h // group.
    """
    angle_BTKF = z_BTK[..., None] * inv_freq_F.to(z_BTK.dtype)
    cos_BTKF, sin_BTKF = angle_BTKF.cos() * magnitude, angle_BTKF.sin() * magnitude
    return _turn(q_BTHD, cos_BTKF, sin_BTKF), _turn(k_BTKD, cos_BTKF, sin_BTKF)


def _turn(x_BTHD: torch.Tensor, cos_BTKF: torch.Tensor, sin_BTKF: torch.Tensor) -> torch.Tensor:
    B, T, H, D = x_BTHD.shape
    kv_heads = cos_BTKF.shape[2]
    x_BTKGD = x_BTHD.reshape(B, T, kv_heads, H // kv_heads, D).to(cos_BTKF.dtype)
    x1, x2 = x_BTKGD.chunk(2, dim=-1)
    cos, sin = cos_BTKF[:, :, :, None], sin_BTKF[:, :, :, None]
    y_BTKGD = torch.cat((x1 * cos - x2 * sin, x2 * cos + x1 * sin), dim=-1)
    return y_BTKGD.reshape(B, T, H, D).to(x_BTHD.dtype)
