"""The rotation in plain differentiable tensor operations: what the faster paths are tested against.

Shapes: B batch, T tokens, H query heads, K key/value heads (H = K * G), D head size, F = D // 2.
Also the path inside torch.compile on CPU, where inductor fuses it into one loop.
"""

import torch


def rotate_reference(
    q_BTHD: torch.Tensor,
    k_BTKD: torch.Tensor,
    z_BTK: torch.Tensor,
    inv_freq_F: torch.Tensor,
    magnitude: float = 1.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """See `rotary.rotate`; angles, products and sums in z's dtype, one cast at the end."""
    angle_BTKF = z_BTK[..., None] * inv_freq_F.to(z_BTK.dtype)
    cos_BTKF, sin_BTKF = angle_BTKF.cos() * magnitude, angle_BTKF.sin() * magnitude
    return _turn(q_BTHD, cos_BTKF, sin_BTKF), _turn(k_BTKD, cos_BTKF, sin_BTKF)


def _turn(x_BTHD: torch.Tensor, cos_BTKF: torch.Tensor, sin_BTKF: torch.Tensor) -> torch.Tensor:
    kv_heads = cos_BTKF.shape[2]
    x_BTKGD = x_BTHD.unflatten(2, (kv_heads, -1)).to(cos_BTKF.dtype)
    x1, x2 = x_BTKGD.chunk(2, dim=-1)
    cos, sin = cos_BTKF[:, :, :, None], sin_BTKF[:, :, :, None]
    y_BTKGD = torch.cat((x1 * cos - x2 * sin, x2 * cos + x1 * sin), dim=-1)
    return y_BTKGD.flatten(2, 3).to(x_BTHD.dtype)
